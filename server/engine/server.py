"""The server itself: accepts a connection, admits it, has it served, and ends it, in the hooks of socketserver.

Who waits for whom is the leader's business, and what is said is the handler's. The service decides when to start,
reload and stop. The server uses none of the library's private names.
"""

import contextlib
import errno
import logging
import socket
import socketserver
import sys
import time
from functools import partial
from typing import Any, cast

from common.addresses import source
from common.errors import ConnectionRefused
from common.log.logs import Events
from common.wire.journal import Journal
from common.wire.kinds import Kind, compose
from server.counts import Count, Counts, SharedCounts
from server.engine.admission import Connections, Slots
from server.engine.connection import Connection, State
from server.engine.crew import Crew
from server.engine.draining import drain
from server.engine.faults import Faults
from server.engine.introduction import Arrival, Reception
from server.engine.leader import Leader
from server.engine.listening import Listener, set_options
from server.engine.plan import Plan
from server.engine.tally import Tally
from server.settings import Limits

LOG = logging.getLogger("porter.server")
# In seconds.
_LINGER = 2.0
_LINGER_REFUSED = 1.0
_PAUSE_WHEN_EXHAUSTED = 0.1
_LONGEST_LOOK = 1.0

_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_INHERITS_OPTIONS = sys.platform == "linux"  # whether an accepted socket has the options of its listener
_MOST_LINGERING = 128  # refused connections


class Server(socketserver.ThreadingTCPServer):
    """Serves the clients that connect to `listener`, while `serve_forever` runs."""

    def __init__(
        self, listener: socket.socket, plan: Plan, slots: Slots | None = None, counts: Counts | None = None
    ) -> None:
        """Take over `listener`, and go on with the counts of an earlier process in `counts`.

        `slots` are only given if other processes accept on the same socket: all of them count connections together.
        """
        self.address_family = listener.family
        self.plan = plan
        self.connections: Connections[Connection | Arrival] = Connections(slots)
        self._crew = Crew()
        self.leader = Leader(self._crew, self.service_actions)
        self._listener = Listener(listener, self.leader, self.accept)
        self._refused: set[Connection] = set()  # those that linger, so that the reason arrives
        self._quick: set[Any] = set()  # connections with too many messages for a line each
        self._events = Events(LOG)
        self.counts = counts or SharedCounts().of(0)
        self.faults = Faults(self.counts)
        self._tally = Tally(self.counts)
        self._reception = Reception(self)
        super().__init__(listener.getsockname(), plan.handler, bind_and_activate=False)
        self.socket.close()  # the socket that the library has made
        self.socket = listener
        self.server_address = listener.getsockname()
        self.server_activate()
        self._look_often(plan.limits)
        self._crew.keep_spare()  # it will lead, however short of threads the system is by then

    def server_activate(self) -> None:
        # The socket listens already; only its options are set.
        self.socket.setblocking(False)
        set_options(self.socket, self.plan.limits)

    def take_plan(self, plan: Plan) -> None:
        """Serve new connections by another plan."""
        with contextlib.suppress(OSError):  # the listener is closed if a stop has overtaken the reload
            set_options(self.socket, plan.limits)
        self._look_often(plan.limits)
        self.plan = plan

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        """Have a thread lead, and watch it in this one, until `shutdown`."""
        self.leader.park(self._listener)
        self._crew.run(self.leader.lead)
        self.leader.watch()

    def shutdown(self) -> None:
        """End `serve_forever` and its threads. Connections that are open are not served any more."""
        self.leader.close()
        self._crew.close()

    # The following methods run in the thread that leads.

    def accept(self) -> bool:
        """Accept and admit one connection. Return False if there is none, or if none can be had now."""
        try:
            request, address = self.get_request()
        except BlockingIOError:
            return False
        except (OSError, MemoryError) as error:
            if isinstance(error, OSError) and error.errno not in _EXHAUSTED:
                return True  # this one has gone already
            # The connection stays in the backlog, so that accept() fails again at once: do not spin.
            reason = getattr(error, "strerror", None) or "no memory"
            self.faults.exhausted(reason)
            self._listener.pause(_PAUSE_WHEN_EXHAUSTED)
            return False
        try:
            if isinstance(request, Arrival):
                self._reception.begin(request)
            elif self.verify_request(request, address):
                self.process_request(request, address)
            else:
                self.shutdown_request(request)
        except BaseException:
            self.fail(request)
        if self.connections.has_more_than_its_share():
            self._listener.leave_to_others()
            return False
        return True

    def get_request(self) -> tuple[Any, Any]:
        """Accept a connection. Raise OSError if there is none."""
        connection, address = self.socket.accept()
        self.counts.add(Count.CONNECTED)
        try:
            connection.setblocking(False)
            if self.plan.proxies.networks and self.plan.proxies.trusts(address[0]):
                return Arrival(connection, address, self.plan, self._reception), address
            return Connection(connection, address, self.plan, self.leader, self), address
        except BaseException:
            connection.close()
            raise

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Return whether the connection is admitted. Tell it the reason if not."""
        try:
            self.connections.admit(request, source(client_address[0]), request.plan.limits)
        except ConnectionRefused as refusal:
            self.refuse(request, refusal)
            return False
        return True

    def refuse(self, request: Connection, refusal: ConnectionRefused) -> None:
        """Log a refusal, and tell the client if that is possible."""
        self.faults.refused(refusal, request.peer)
        request.journal.is_followed = False
        if request.state is State.SERVED:  # before a handshake nothing can be sent over TLS
            request.say_last(compose(Kind.ERROR, request.plan.language.error(refusal)))

    def process_request(self, request: Any, client_address: Any) -> None:
        """Begin the TLS handshake, or have the connection served at once."""
        request.journal.log("client connected")
        if not _INHERITS_OPTIONS:
            with contextlib.suppress(OSError):  # the connection may be gone already: the first read reports it
                set_options(request.socket, request.plan.limits)
        if request.state is State.HANDSHAKE or self.open(request):
            self.leader.park(request)

    def journal(self, peer: str) -> Journal:
        """Return a journal for a new connection."""
        return Journal(self._events.log, peer, self._quick)

    def open(self, connection: Connection) -> bool:
        """Have a connection served: by a thread as long as it converses. Return whether the leader may park it."""
        if not connection.plan.has_turns:
            job = partial(self.process_request_thread, cast(Any, connection), connection.address)
        else:
            self.finish_request(connection, connection.address)
            assert connection.handler is not None
            if not connection.handler.converses:
                return True
            job = partial(self._converse, connection)
        self.leader.take(connection)
        try:
            self._crew.run(job, spare=1)
        except (RuntimeError, MemoryError) as error:
            raise ConnectionRefused("the server is full: {shortage}", shortage=str(error) or "no memory") from error
        return False

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Make the handler of a connection."""
        plan: Plan = request.plan
        if plan.has_turns:
            request.handler = handler = plan.handler(request, client_address, self)
            handler.setup()
        else:
            request.socket.setblocking(True)
            try:
                plan.handler(request.socket, client_address, self)
            finally:
                request.socket.setblocking(False)

    def service_actions(self) -> None:
        """Do the housekeeping, about once a second."""
        self.counts.set(Count.TURNED_AT, int(time.monotonic()))
        for connection in list(self._quick):
            connection.journal.report(connection)
        self.faults.report()

    # The following methods run in the thread that has the connection in hand.

    def fail(self, connection: Connection) -> None:
        """End a connection because of the exception that is being handled."""
        try:
            self.handle_error(connection, connection.address)
        except Exception:
            LOG.exception("a connection could not be ended properly", extra={"peer": connection.peer})
        self.shutdown_request(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log the exception that ended a conversation, and send a farewell.

        A fault of the peer is one line in the log, a fault of the server is a traceback.
        """
        farewell = self.faults.farewell(request)
        if farewell is not None:
            request.say_last(compose(Kind.ERROR, farewell))

    def shutdown_request(self, request: Any) -> None:
        """End our side of a connection so that the peer can read the last message. The leader closes it later."""
        handler, request.handler = request.handler, None
        if handler is not None:
            try:
                handler.finish()
            except Exception:
                self.faults.failed("a handler failed at its end", request.peer)
        if request in self.connections:
            request.finish(_LINGER)
        elif len(self._refused) < _MOST_LINGERING:
            self._refused.add(request)
            request.finish(_LINGER_REFUSED)
        else:
            request.finish(0)

    def close_request(self, request: Any) -> None:
        """Close a connection. The last step frees its slot."""
        request.close()
        if request in self.connections:
            request.journal.close(request)
            request.journal.log("client disconnected")
            with self._tally.lock:
                self._tally.end(request)
                self.connections.remove(request)
        self._refused.discard(request)

    def note_counts(self) -> None:
        """Bring the counts up to this moment. Any thread may call this."""
        with self._tally.lock:
            self._tally.note(self.connections.all())
        self.counts.set(Count.CONNECTIONS, len(self.connections))

    def _converse(self, connection: Connection) -> None:
        """Serve a conversation in this thread, and then let the leader have the connection."""
        handler = connection.handler
        assert handler is not None
        try:
            handler.handle()
            connection.flush()
        except BaseException:  # a handler may fail in any way
            self.fail(connection)
        else:
            if handler.answers:
                connection.let_go()
                self.leader.park(connection)
            else:
                self.shutdown_request(connection)

    # The following methods run in the service's thread.

    def stop_listening(self) -> None:
        """Accept no more connections. Those that are open are served on."""
        self._listener.close()

    def drain(self, timeout: float) -> int:
        """Let every connection finish its work. Return how many had to be cut after `timeout` seconds."""
        return drain(self.connections, timeout)

    def server_close(self) -> None:
        """Close what is open after `shutdown`."""
        super().server_close()
        for connection in (*self.connections.all(), *self._refused):
            connection.close()
        self.faults.report(at_once=True)

    def _look_often(self, limits: Limits) -> None:
        """Have the deadlines looked at often enough: a limit is kept to within a second and a quarter of it."""
        shortest = min(limits.handshake_timeout, limits.message_timeout, limits.idle_timeout, limits.send_timeout)
        self.leader.longest_look = min(_LONGEST_LOOK, shortest / 4)
