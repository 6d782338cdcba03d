"""The client for programs, against a real server: logins, answers, time limits, what is pushed, whom it trusts."""

import os
import re
import subprocess
import sys
import threading
from typing import Any
from unittest import mock

from client.library import Access, Client
from client.line import Message
from client.trust import Endpoint
from common import PROJECT_ROOT
from common.errors import DeadlineExceeded, NotPermitted, PeerClosed, TrustError, Unavailable
from common.wire.kinds import Kind
from tests.support import PATIENCE, QUICK_HASHES, PorterTestCase, RunningServer


class Behaviour:
    def setUp(self: Any) -> None:
        super().setUp()  # type: ignore[misc]
        self.enterContext(mock.patch.dict("os.environ", {"XDG_STATE_HOME": str(self.folder / "state")}))

    def client(self: Any, server: RunningServer, timeout: float = 20.0, **access: Any) -> Client:
        made = Client(Endpoint("127.0.0.1", server.port), Access(tls=self.tls, **access), timeout)
        self.addCleanup(made.close)
        return made

    def test_a_user_registers_logs_in_and_gets_answers(self: Any) -> None:
        with self.server("auth") as server:
            with self.client(server) as client:
                self.assertIn("Alice", client.register("Alice", "correct horse"))
            client = self.client(server)
            self.assertIn("Alice", client.log_in("alice", "correct horse"))
            self.assertEqual("hello", client.ask("hello"))
            self.assertEqual("Alice", client.ask("/whoami"))
            with self.assertRaisesRegex(NotPermitted, "no such command: /frob"):
                client.ask("/frob")

    def test_a_token_that_is_kept_resumes(self: Any) -> None:
        with self.server("auth") as server:
            with self.client(server, keeps=True) as client:
                self.assertIsNone(client.resume())
                client.register("Alice", "correct horse")
            with self.client(server, keeps=True) as client:
                self.assertIn("Alice", client.resume() or "")
            self.assertIsNone(self.client(server).resume())

    def test_a_refusal_has_the_server_s_text_and_can_be_mended(self: Any) -> None:
        with self.server("auth") as server:
            with self.client(server) as client:
                client.register("Alice", "correct horse")
            client = self.client(server)
            with self.assertRaisesRegex(NotPermitted, "wrong name or password"):
                client.log_in("Alice", "wrong horse")
            client.log_in("Alice", "correct horse")

    def test_a_name_that_is_new_is_not_registered_by_a_login(self: Any) -> None:
        with self.server("auth") as server:
            with self.client(server) as client, self.assertRaises(NotPermitted):
                client.log_in("Nobody", "correct horse")
            with self.client(server) as client:
                client.register("Nobody", "battery staple")

    def test_an_answer_that_does_not_come_in_time_raises(self: Any) -> None:
        with self.server("identify") as server:
            client = self.client(server)
            client.log_in("Bob", "")
            with self.assertRaises(DeadlineExceeded):
                client.receive(timeout=0.05)
            self.assertEqual("hello", client.ask("hello"))

    def test_what_is_pushed_is_iterated_over_until_the_server_ends(self: Any) -> None:
        options = {"chat": {"options": QUICK_HASHES}}
        heard: list[Message] = []
        with self.server("chat", handlers=options) as server:
            listener, speaker = self.client(server), self.client(server)
            listener.register("Alice", "correct horse")
            speaker.register("Bob", "battery staple")
            thread = threading.Thread(target=lambda: heard.extend(listener))
            thread.start()
            speaker.send("good night")
            while speaker.receive().text != "Bob: good night":
                pass
        thread.join()
        self.assertIn(Message(Kind.TEXT, "Bob: good night"), heard)
        self.assertEqual(Message(Kind.ERROR, "the server is stopping"), heard[-1])
        with self.assertRaises(PeerClosed):
            while True:
                speaker.receive()

    def test_a_server_that_is_not_there_is_told(self: Any) -> None:
        with self.server("echo") as server:
            port = server.port
        with self.assertRaisesRegex(Unavailable, "is the server running there"):
            Client(Endpoint("127.0.0.1", port), Access(tls=self.tls))


class Plain(Behaviour, PorterTestCase):
    def test_no_password_is_sent_where_others_can_listen(self) -> None:
        with self.server("auth") as server:
            client = self.client(server)
            client.peer = type(client.peer)(client.peer.server, client.peer.certificate, is_private=False)
            with self.assertRaisesRegex(TrustError, "no password is sent"):
                client.log_in("Alice", "correct horse")


class Secure(Behaviour, PorterTestCase):
    tls = True

    def test_another_certificate_than_the_pinned_one_is_refused(self) -> None:
        with self.server("auth") as server, self.assertRaises(TrustError):
            self.client(server, pin="SHA256:" + "A" * 43)


class LibraryPage(PorterTestCase):
    tls = True

    def test_the_scripts_of_the_page_print_what_it_shows(self) -> None:
        page = (PROJECT_ROOT / "docs" / "library.md").read_text()
        scripts = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", page, re.DOTALL)
        self.assertEqual(3, len(scripts))
        with self.server("auth") as auth, self.server("chat", handlers={"chat": {"options": QUICK_HASHES}}) as chat:
            for (script, shown), server in zip(scripts, (auth, auth, chat), strict=True):
                environment = {**os.environ, "PYTHONPATH": str(PROJECT_ROOT), "XDG_STATE_HOME": str(self.folder)}
                command = [sys.executable, "-c", script, str(server.port)]
                ran = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=PATIENCE)
                self.assertEqual((shown, ""), (ran.stdout, ran.stderr))
