"""Rooms: all members hear the same in one order, ended ones vanish, and one that does not read costs nobody else."""

import gc
import socket
import threading
import time
import weakref
from typing import Any

from common.errors import NotText
from common.wire.kinds import Kind
from server.handlers.handler import Handler
from server.handlers.room import Room
from tests.support import PorterTestCase, RunningServer, Talker, scaled, wait_until


class Hall(Handler):
    """Everybody is in one room. A line goes to all."""

    @classmethod
    def prepare(cls, options: Any, resources: Any) -> "Room[Hall]":
        return ROOM

    def setup(self) -> None:
        self.shared.join(self)

    def answer(self, text: str) -> None:
        match text:
            case "leave":
                self.shared.leave(self)
            case "fail":
                raise RuntimeError("on purpose")
            case _:
                self.shared.push(text)


ROOM: Room[Hall] = Room()


class Behaviour:
    def hall(self: Any, **settings: Any) -> Any:
        return self.server("hall", handlers={"hall": {"class": f"{__name__}:Hall"}}, **settings)

    def enter(self: Any, server: RunningServer, count: int) -> list[Talker]:
        before = len(ROOM)
        talkers = [server.talk() for _ in range(count)]
        wait_until(lambda: len(ROOM) == before + count, "all members")
        return talkers

    def test_all_hear_what_many_say_at_once_in_the_same_order(self: Any) -> None:
        with self.hall() as server:
            members = self.enter(server, 5)

            def talk(number: int) -> None:
                for line in range(40):
                    members[number].say(f"{number}:{line}")

            threads = [threading.Thread(target=talk, args=[number]) for number in range(5)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            heard = [[member.expect(Kind.TEXT) for _ in range(200)] for member in members]
            for each in heard:
                self.assertEqual(heard[0], each)

    def test_whoever_leaves_or_ends_in_whatever_way_is_a_member_no_more(self: Any) -> None:
        with self.hall() as server:
            stays, leaves, fails, closes, resets = self.enter(server, 5)
            leaves.say("leave")
            fails.say("fail")
            closes.connection.close()
            resets.connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            resets.connection.socket.close()
            wait_until(lambda: len(ROOM) == 1, "that one member is left")
            stays.say("alone")
            stays.expect(Kind.TEXT, "alone")
            self.assertEqual([1], [len([*ROOM])])

    def test_a_member_keeps_no_room_that_it_has_left(self: Any) -> None:
        with self.hall() as server:
            self.enter(server, 1)
            (member,) = ROOM
            rooms = [Room[Hall]() for _ in range(20)]
            for room in rooms:
                room.join(member)
                room.leave(member)
            left = [weakref.ref(room) for room in rooms]
            del room, rooms
            gc.collect()
            self.assertEqual([None] * 20, [reference() for reference in left])

    def test_one_that_does_not_read_is_ended_and_delays_nobody(self: Any) -> None:
        with self.hall(limits={"max_unsent": 100_000}) as server:
            speaker, listener, _ = self.enter(server, 3)
            line = "x" * 60_000
            slowest = 0.0
            for _ in range(200):
                start = time.monotonic()
                speaker.say(line)
                speaker.expect(Kind.TEXT, line)
                listener.expect(Kind.TEXT, line)
                slowest = max(slowest, time.monotonic() - start)
                if len(ROOM) == 2:
                    break
            self.assertEqual(2, len(ROOM))
            self.assertLess(slowest, scaled(0.5))
            server.log.wait_for("the peer did not take 100000 bytes of what others sent")

    def test_a_text_that_cannot_be_sent_reaches_nobody_and_harms_nobody(self: Any) -> None:
        with self.hall() as server:
            (member,) = self.enter(server, 1)
            self.assertRaises(NotText, ROOM.push, "\ud800")
            ROOM.push("still here")
            member.expect(Kind.TEXT, "still here")


class Plain(Behaviour, PorterTestCase):
    pass


class Secure(Behaviour, PorterTestCase):
    tls = True
