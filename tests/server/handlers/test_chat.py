"""The chat mode: rooms, their last lines, who comes and goes, and how quickly one may talk; without and with TLS."""

import socket
import threading
import time
from typing import Any

from common.wire.framing import encode
from common.wire.kinds import Kind, compose
from common.wire.sockets import MessageSocket
from tests.support import PATIENCE, QUICK_HASHES, PorterTestCase, RunningServer, Talker, scaled, send_bytes


class Behaviour:
    def chat(self: Any, **options: Any) -> Any:
        return self.server("chat", handlers={"chat": {"options": {**QUICK_HASHES, **options}}})

    def enter(self: Any, server: RunningServer, name: str) -> Talker:
        talker = server.talk()
        talker.register(name)
        return talker

    def hears(self: Any, talker: Talker, *lines: str) -> None:
        for line in lines:
            talker.expect(Kind.TEXT, line)

    def test_all_in_a_room_hear_a_line_and_the_one_who_said_it_too(self: Any) -> None:
        with self.chat() as server:
            alice = self.enter(server, "Alice")
            self.hears(alice, "* Alice is here")
            bob = self.enter(server, "Bob")
            self.hears(bob, "* Bob is here")
            bob.say("hello")
            for member in (alice, bob):
                if member is alice:
                    self.hears(alice, "* Bob is here")
                self.hears(member, "Bob: hello")
            bob.connection.close()
            self.hears(alice, "* Bob has gone")

    def test_whoever_comes_sees_the_last_lines_and_not_who_came_and_went(self: Any) -> None:
        with self.chat(history=3) as server:
            alice = self.enter(server, "Alice")
            for line in ("one", "two", "three", "four"):
                alice.say(line)
            self.hears(alice, "* Alice is here", "Alice: one", "Alice: two", "Alice: three", "Alice: four")
            bob = self.enter(server, "Bob")
            self.hears(bob, "Alice: two", "Alice: three", "Alice: four", "* Bob is here")

    def test_rooms_are_apart_and_their_lines_outlive_their_members(self: Any) -> None:
        with self.chat() as server:
            alice, bob = self.enter(server, "Alice"), self.enter(server, "Bob")
            self.hears(alice, "* Alice is here", "* Bob is here")
            self.hears(bob, "* Bob is here")
            bob.say("/join garden-2")
            self.hears(bob, "* Bob is here")
            self.hears(alice, "* Bob has gone")
            bob.say("roses")
            self.hears(bob, "Bob: roses")
            alice.say("/who")
            self.hears(alice, "Alice")
            bob.say("/join lobby")
            self.hears(bob, "* Bob is here")
            self.hears(alice, "* Bob is here")
            alice.say("/join garden-2")
            self.hears(alice, "Bob: roses", "* Alice is here")

    def test_a_room_that_cannot_be_is_an_error_and_one_stays(self: Any) -> None:
        with self.chat() as server:
            alice = self.enter(server, "Alice")
            self.hears(alice, "* Alice is here")
            for name in ("", "a b", "x" * 33, "a/b", "\u202egarden", "lobby"):
                alice.say(f"/join {name}")
                alice.expect(Kind.ERROR)
            alice.say("/who")
            self.hears(alice, "Alice")

    def test_a_line_is_one_line_of_4096_bytes_at_most_and_an_empty_one_is_not_said(self: Any) -> None:
        with self.chat() as server:
            alice = self.enter(server, "Alice")
            self.hears(alice, "* Alice is here")
            for line in ("a\nBob: b", "a\r", "a\u2028b", "x" * 4097, "\u017c" * 2049):
                alice.say(line)
                self.assertIn("4096", alice.expect(Kind.ERROR))
            alice.say("")
            alice.say("\u017c" * 2048)
            self.hears(alice, f"Alice: {chr(0x17C) * 2048}")

    def test_the_commands_of_auth_work_and_a_logout_leaves_the_room(self: Any) -> None:
        with self.chat() as server:
            alice, bob = self.enter(server, "Alice"), self.enter(server, "Bob")
            self.hears(alice, "* Alice is here", "* Bob is here")
            alice.say("/help")
            shown = alice.expect(Kind.TEXT)
            for command in ("/who", "/join", "/whoami", "/logout"):
                self.assertIn(f"{command} ", shown)
            bob.say("/logout")
            self.hears(bob, "* Bob is here")
            bob.expect(Kind.SET_TOKEN, "")
            self.hears(alice, "* Bob has gone")

    def test_a_flooder_is_slowed_and_others_are_not(self: Any) -> None:
        with self.chat() as server:
            alice, bob = self.enter(server, "Alice"), self.enter(server, "Bob")
            self.hears(alice, "* Alice is here", "* Bob is here")
            self.hears(bob, "* Bob is here")
            start = time.monotonic()
            send_bytes(alice.connection, encode(compose(Kind.TEXT, "x")) * 120)
            self.hears(bob, *["Alice: x"] * 100)
            self.assertLess(time.monotonic() - start, scaled(0.8))
            bob.say("quiet, please")
            heard = [bob.next()[1] for _ in range(21)]
            self.assertGreater(time.monotonic() - start, 0.9)  # the last twenty, at twenty a second
            self.assertLess(heard.index("Bob: quiet, please"), 15)

    def test_members_who_talk_at_once_hear_one_order(self: Any) -> None:
        with self.chat() as server:
            members = [self.enter(server, name) for name in ("Ann", "Bea", "Cleo")]
            for arrived, member in enumerate(members):
                for _ in range(3 - arrived):
                    member.next()
            threads = [threading.Thread(target=lambda m=m: [m.say(str(n)) for n in range(30)]) for m in members]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            heard = [[member.next()[1] for _ in range(90)] for member in members]
            self.assertEqual(heard[0], heard[1])
            self.assertEqual(heard[0], heard[2])

    def test_a_reload_keeps_the_rooms_and_their_members(self: Any) -> None:
        with self.chat() as server:
            alice = self.enter(server, "Alice")
            self.hears(alice, "* Alice is here")
            alice.say("before")
            self.hears(alice, "Alice: before")
            options = {"chat": {"options": {**QUICK_HASHES, "history": 0}}}
            server.service.apply(self.configuration(mode="chat", handlers=options))
            bob = self.enter(server, "Bob")
            self.hears(bob, "* Bob is here")  # the new options are in force
            self.hears(alice, "* Bob is here")
            alice.say("after")
            self.hears(bob, "Alice: after")

    def test_thousands_of_rooms_are_not_kept(self: Any) -> None:
        with self.chat() as server:
            members = [self.enter(server, name) for name in ("Ann", "Bea")]
            self.hears(members[0], "* Ann is here", "* Bea is here")
            members[0].say("kept?")
            self.hears(members[0], "Ann: kept?")
            for member in members:
                for number in range(60):  # within the burst
                    member.say(f"/join {'a' if member is members[0] else 'b'}{number}")
                for _ in range(60):
                    while "is here" not in member.next()[1]:
                        pass
            members[0].say("/join lobby")
            self.hears(members[0], "* Ann is here")  # its line is forgotten: a hundred rooms were entered later


class Plain(Behaviour, PorterTestCase):
    def test_whoever_reads_100_kib_a_second_is_not_ended_for_a_member_that_floods(self) -> None:
        with self.chat() as server:
            slow = socket.socket()
            self.addCleanup(slow.close)
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)  # the kernel shall not read in its place
            slow.settimeout(PATIENCE)
            slow.connect(("127.0.0.1", server.port))
            Talker(self, MessageSocket(slow)).register("Slow")
            slow.settimeout(PATIENCE)
            flooder = self.enter(server, "Flo")
            lines = encode(compose(Kind.TEXT, "x" * 4096)) * 150
            flood = threading.Thread(target=send_bytes, args=[flooder.connection, lines])
            listen = threading.Thread(target=lambda: [flooder.next() for _ in range(150)])
            flood.start()
            listen.start()
            start, read, pause = time.monotonic(), 0, threading.Event()
            while read < 150 * 4096:
                data = slow.recv(10_240)
                self.assertTrue(data, f"ended after {read} bytes")
                read += len(data)
                pause.wait(max(0.0, read / 102_400 - (time.monotonic() - start)))
            flood.join()
            listen.join()


class Secure(Behaviour, PorterTestCase):
    tls = True
