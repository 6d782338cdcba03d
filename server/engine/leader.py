"""One thread leads: it waits in one poller for everybody, and gives each one that is ready its turn.

Whoever is about to wait in its turn hands the lead on to another thread first, and keeps what it has in hand. (The
pattern is Leader/Followers: Schmidt and others, POSA 2.) What is done in a turn is not known here.
"""

import logging
import sys
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable

from server.engine.crew import Crew
from server.engine.participant import Participant, Wake
from server.engine.polling import Poller

LOG = logging.getLogger("porter.server")
_LOOK = 1.0  # seconds between two looks at the deadlines, at most
_SHORTEST_LOOK = 0.02
_WATCH = 0.003  # seconds: a turn that is found twice at work takes longer than this
# Turns between two looks into the poller, of those that take a millisecond or so, and of those that never pause.
_SLOW_TURNS, _GREEDY_TURNS = 4, 16
_SWITCH_INTERVAL = 0.0005  # seconds, while a turn that was found waiting or computing is under way
_SOON = 0.0002  # seconds
_TIMES_ALONE = 16


class Leader:
    """Gives turns to participants that are parked here.

    A participant is either parked, or it is in the hands of one thread. The lock guards who leads, who is parked and
    whose turn it is. `now` is the time of the present round.
    """

    def __init__(self, crew: Crew, tick: Callable[[], None]) -> None:
        """`tick` is called at each look at the deadlines."""
        self.now = time.monotonic()
        self.longest_look = _LOOK
        self.crew = crew
        self._tick = tick
        self._lock = threading.Lock()
        self._poller = Poller()
        self._waker = Wake()
        self._parked: dict[int, Participant] = {}
        self._ready: deque[Participant] = deque()
        self._greedy: OrderedDict[Participant, None] = OrderedDict()  # those that had a turn and have more to do
        self._greedy_left = 0
        self._slow: OrderedDict[Participant, None] = OrderedDict()
        self._slow_left = 0
        self._leading: object | None = None  # who leads
        self._current: Participant | None = None  # whose turn it is
        self._number = 0  # of the turn
        self._is_waiting = False
        self._is_closed = False
        self._next_look = 0.0
        self._is_busy = threading.Event()  # is set whenever somebody may have a turn
        self._is_busy.set()
        self._found: set[object] = set()  # the threads whose turn was found to take long
        self._last_alone = self._times_alone = 0
        self._soon = 0.0
        self._usual_switch_interval = sys.getswitchinterval()
        self.park(self._waker)

    # What the participants, and others on their behalf, call from any thread.

    def park(self, participant: Participant) -> None:
        """Take a participant in and give it a turn: something may have come before. The caller lets go of it."""
        with self._lock:
            if self._is_closed:
                return
            if self._parked.get(participant.fd) is participant:
                self._poller.modify(participant.fd, participant.events)
            else:
                self._parked[participant.fd] = participant
                self._poller.register(participant.fd, participant.events)
            self._queue(participant)

    def take(self, participant: Participant) -> None:
        """Give a participant to the caller, who has it in a turn or closes it."""
        with self._lock:
            self._let_go(participant)
            if self._current is participant:
                self._current = None

    def post(self, participant: Participant) -> None:
        """Give a participant a turn soon if it is parked. Whoever else has it must be told in another way."""
        with self._lock:
            if self._is_closed or self._parked.get(participant.fd) is not participant:
                return
            self._queue(participant)

    def again(self, participant: Participant) -> None:
        """Give a participant another turn, after those that have less to do. It calls this in its turn."""
        with self._lock:
            self._greedy[participant] = None

    def heed(self, participant: Participant) -> None:
        """Take notice that the `events` of a participant have changed; it calls this in its turn."""
        with self._lock:
            if self._parked.get(participant.fd) is participant and not self._is_closed:
                self._poller.modify(participant.fd, participant.events)

    def look_by(self, moment: float) -> None:
        """Look at the deadlines at `moment`, or earlier; a participant calls this in its turn."""
        self._next_look = min(self._next_look, moment)

    def hand_on(self, participant: Participant) -> bool:
        """Let another thread lead; whoever has a turn calls this before it waits. It keeps the participant.

        Do nothing if it is in the hands of a thread that does not lead. Return False if no thread can be had.
        """
        if self._current is not participant:  # without the lock: only the participant's own turn makes it current
            return True
        with self._lock:
            return self._current is not participant or self._hand_on()

    # The threads.

    def lead(self) -> None:
        """Lead until the lead is handed on. A participant that was in hand then is parked again after its turn."""
        me = object()
        parked, ready = self._parked, self._ready
        with self._lock:
            self._leading = me
        self.crew.keep_spare()
        in_hand: Participant | None = None
        while True:
            with self._lock:  # without a call: this is done for each message
                if self._leading is not me or self._is_closed:
                    break
                self._number += 1
                self._current = participant = ready.popleft() if ready else self._next()
                if participant is None:
                    self._is_waiting = True
                elif parked.get(participant.fd) is not participant:
                    continue  # it was taken meanwhile
            in_hand = None
            try:
                if participant is None:
                    self._wait()
                elif participant.turn():
                    in_hand = participant
            except Exception:  # the lead must not be lost
                LOG.exception("a turn failed")
        if in_hand is not None:
            self.park(in_hand)
        with self._lock:
            if self._leading is me:  # it is closed
                self._leading = None
                self._poller.close()
                self._waker.close()
            self._found.discard(me)
            if not self._found:
                sys.setswitchinterval(self._usual_switch_interval)

    def watch(self) -> None:
        """Hand the lead on for whoever waits or computes without saying so, until `close`."""
        last = -1
        while not self._is_closed:
            self._is_busy.wait()
            time.sleep(_WATCH)
            with self._lock:
                if self._is_waiting:
                    self._is_busy.clear()
                stuck = self._current if self._number == last else None
                last = self._number
                finding = self._leading
                if stuck is not None and not self._hand_on():
                    stuck = None
                if stuck is not None and finding is not None:
                    self._found.add(finding)
                    # If it computes, the leader waits so long for the interpreter's lock after each system call.
                    sys.setswitchinterval(_SWITCH_INTERVAL)
            if stuck is not None:
                stuck.was_handed_on()
            stuck = finding = None  # an ended connection is freed at once

    def close(self) -> None:
        """End the leader and the watch. Participants that are in other hands stay there."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            self._waker.wake()
        self._is_busy.set()

    def _next(self) -> Participant | None:
        """Return who has the next turn if nobody is ready, or None if it is time to look into the poller."""
        if self._slow and self._slow_left:
            self._slow_left -= 1
            return self._slow.popitem(last=False)[0]
        if self._greedy and self._greedy_left:
            self._greedy_left -= 1
            return self._greedy.popitem(last=False)[0]
        return None

    def _queue(self, participant: Participant) -> None:
        if participant.is_slow:
            self._slow[participant] = None
        else:
            self._ready.append(participant)
        if self._is_waiting:
            self._is_waiting = False
            self._waker.wake()

    def _wait(self) -> None:
        """Wait for the next events, and look at the deadlines when it is time."""
        timeout = 0.0 if self._slow or self._greedy else max(0.0, self._next_look - time.monotonic())
        events = self._await_soon() or self._poller.poll(timeout)
        self.now = now = time.monotonic()
        with self._lock:
            self._number += 1
            self._is_waiting = False
            self._slow_left, self._greedy_left = _SLOW_TURNS, _GREEDY_TURNS
            for fd, _ in events:
                participant = self._parked.get(fd)
                if participant is not None and participant not in self._greedy:
                    self._queue(participant)
            is_time = now >= self._next_look
            if is_time:
                self._look(now)
        if not self._is_busy.is_set():
            self._is_busy.set()
        if len(events) == 1:
            self._soon = now + _SOON
            self._times_alone = self._times_alone + 1 if events[0][0] == self._last_alone else 0
            self._last_alone = events[0][0]
        elif events:
            self._times_alone = 0
        if is_time:
            self._tick()

    def _look(self, now: float) -> None:
        """Give a turn to those whose deadline has passed, and decide when to look again."""
        deadlines = [(each.deadline, each) for each in self._parked.values()]
        self._ready.extend([each for deadline, each in deadlines if deadline <= now])
        nearest = min([deadline for deadline, _ in deadlines if deadline > now])
        self._next_look = max(now + _SHORTEST_LOOK, min(now + self.longest_look, nearest))

    def _await_soon(self) -> list[tuple[int, int]]:
        """Stay awake for a moment if one participant is alone and quick: to wake a core takes 45 us, a message 10."""
        while self._times_alone >= _TIMES_ALONE and time.monotonic() < self._soon:
            if events := self._poller.poll(0):
                return events
        return []

    def _let_go(self, participant: Participant) -> None:
        if self._parked.get(participant.fd) is participant:
            del self._parked[participant.fd]
            if not self._is_closed:
                self._poller.unregister(participant.fd)

    def _hand_on(self) -> bool:
        try:
            self.crew.run(self.lead)
        except (RuntimeError, MemoryError):
            return False
        self._leading = None
        self._number += 1
        in_hand, self._current = self._current, None
        if in_hand is not None:
            self._let_go(in_hand)
        return True
