"""The service: start, reload, stop, in one process."""

import logging
import socket
import subprocess
import sys

from common.errors import ConfigurationError, StoreUnavailable, Unavailable
from common.log.logs import Events
from common.log.writebehind import writers
from common.wire.framing import encode
from common.wire.kinds import Kind
from common.wire.tls import fingerprint
from server.configuration.certificate import ensure
from server.handlers.echo import EchoHandler
from server.process.service import Service
from tests.support import PorterTestCase, at_once


class Unprepared(EchoHandler):
    @classmethod
    def prepare(cls, options: object, resources: object) -> object:
        return 1 / 0


class Exiting(EchoHandler):
    @classmethod
    def prepare(cls, options: object, resources: object) -> object:
        sys.exit("no licence")


class Start(PorterTestCase):
    def test_a_taken_port_is_replaced_by_the_next_free_one(self) -> None:
        with self.server("echo") as first:
            second = Service(self.configuration(port=first.port))
            try:
                self.assertGreater(second.port, first.port)
                self.assertTrue(second.description.startswith(f"127.0.0.1:{second.port} "))
            finally:
                second.stop_listening()
                second.close()
        self.assertIn(f"port {first.port} is taken", (self.folder / "server.log").read_text())

    def test_the_start_fails_if_no_port_is_free(self) -> None:
        taken = []
        try:
            for port in range(65535, 65530, -1):
                holder = socket.socket()
                taken.append(holder)
                try:
                    holder.bind(("127.0.0.1", port))
                    holder.listen()
                except OSError:
                    continue
            with self.assertRaisesRegex(Unavailable, "no port from 65531 to 65535 is free"):
                Service(self.configuration(port=65531))
        finally:
            for holder in taken:
                holder.close()

    def test_a_foreign_or_unknown_host_is_unavailable(self) -> None:
        with self.assertRaisesRegex(Unavailable, r"cannot listen on 192\.0\.2\.99, port 9\d+: Cannot assign"):
            Service(self.configuration(host="192.0.2.99", port=9090))
        for host in ("nowhere.invalid", "a..b", "x" * 64):
            with self.assertRaisesRegex(Unavailable, f"there is no host {host}"):
                Service(self.configuration(host=host))

    def test_an_encrypted_key_is_refused_without_a_question(self) -> None:
        ensure(self.folder / "c.pem", self.folder / "k.pem")
        command = ["openssl", "pkcs8", "-topk8", "-in", "k.pem", "-out", "e.pem", "-passout", "pass:x"]
        subprocess.run(command, cwd=self.folder, check=True)
        pair = {"enabled": True, "certificate": str(self.folder / "c.pem"), "key": str(self.folder / "e.pem")}
        with self.assertRaisesRegex(ConfigurationError, r"tls\.certificate: .*: the key is encrypted"):
            self.configuration(tls=pair)

    def test_a_store_that_cannot_be_opened_is_unavailable(self) -> None:
        self.write("file", "")
        with self.assertRaises(StoreUnavailable):
            Service(self.configuration(mode="auth", store=f"sqlite:///{self.folder}/file/porter.db"))
        self.assertIn("cannot start", (self.folder / "server.log").read_text())

    def test_echo_opens_no_store_and_makes_no_certificate_without_tls(self) -> None:
        with self.server("echo"):
            self.assertFalse((self.folder / "data").exists())

    def test_a_handler_that_cannot_be_prepared_stops_the_start_and_logs_a_traceback(self) -> None:
        for name, reason in (("Unprepared", "ZeroDivisionError"), ("Exiting", "SystemExit: no licence")):
            with self.assertRaisesRegex(Unavailable, f"the mode mine cannot be prepared: {reason}"):
                Service(self.configuration(mode="mine", handlers={"mine": {"class": f"{__name__}:{name}"}}))
        self.assertEqual(2, (self.folder / "server.log").read_text().count("Traceback"))

    def test_a_wrong_logging_file_is_a_configuration_error(self) -> None:
        wrong = self.write("wrong.yaml", "version: 1\nroot: {handlers: [nosuch]}\n")
        with self.assertRaisesRegex(ConfigurationError, "nosuch"):
            Service(self.configuration(logging=str(wrong)))


class Reload(PorterTestCase):
    tls = True

    def test_new_connections_get_the_new_mode_and_open_ones_keep_theirs(self) -> None:
        with self.server("echo") as server:
            old = server.connect()
            old.send_message("x")
            old.receive_message()
            server.service.apply(self.configuration(mode="identify"))
            new = server.talk()
            new.answer(Kind.ASK, "Bob")
            new.expect(Kind.TEXT)
            old.send_message("plain echo")
            self.assertEqual("plain echo", old.receive_message())
            server.log.wait_for("reloaded (identify, TLS SHA256:")

    def test_new_limits_apply_to_new_connections(self) -> None:
        with self.server("echo") as server:
            server.service.apply(self.configuration(limits={"max_message": 5}))
            client = server.connect()
            client.send_message("123456")
            self.assertEqual("ERROR a message of 6 bytes is over the limit of 5", client.receive_message())

    def test_a_new_certificate_is_used(self) -> None:
        with self.server("echo") as server:
            first = server.connect()
            for name in ("certificate.pem", "key.pem"):
                (self.folder / "data" / "tls" / name).unlink()
            ensure(self.folder / "data/tls/certificate.pem", self.folder / "data/tls/key.pem")
            server.service.apply(self.configuration())
            second = server.connect()
            prints = [fingerprint(client.tls.peer_certificate()) for client in (first, second) if client.tls]
            self.assertNotEqual(*prints)
            server.log.wait_for(prints[1])

    def test_a_configuration_that_cannot_be_applied_changes_nothing(self) -> None:
        with self.server("echo") as server:
            wrong = self.write("wrong.yaml", "version: 1\nroot: {handlers: [nosuch]}\n")
            with self.assertRaises(ConfigurationError):
                server.service.apply(self.configuration(mode="identify", logging=str(wrong)))
            configuration = self.configuration(mode="identify")
            (self.folder / "data" / "tls" / "key.pem").write_text("no key")
            with self.assertRaises(Unavailable):
                server.service.apply(configuration)
            client = server.connect()
            client.send_message("still an echo")
            self.assertEqual("still an echo", client.receive_message())
        self.assertIn("message received", (self.folder / "server.log").read_text())

    def test_a_connection_keeps_the_plan_it_was_accepted_with(self) -> None:
        with self.server("auth") as server:
            plain = self.configuration(mode="echo", tls={"enabled": False})
            secure = self.configuration(mode="auth")
            for round_ in range(10):
                server.service.apply(secure if round_ % 2 else plain)
                for _ in range(5):
                    client = server.connect_raw()
                    client.sendall(encode("hello"))
                    server.service.apply(plain if round_ % 2 else secure)
                    self.assertNotIn(b"GET-TOKEN", client.recv(1000))

    def test_a_simultaneous_stop_and_reload_lose_no_log_line(self) -> None:
        service = Service(self.configuration())
        service.stop_listening()
        service.drain()
        log = logging.getLogger("porter.server")
        events = Events(log)
        for number in range(10_000):
            events.log(f"event {number}", "-")
        at_once(service.close, lambda: service.apply(self.configuration()))
        for writer in writers(log):
            writer.stop()
        lines = (self.folder / "server.log").read_text().splitlines()
        self.assertEqual(10_000, sum(" event " in line for line in lines))
        self.assertEqual(1, sum(line.endswith("server stopped") for line in lines))

    def test_a_reload_after_a_stop_is_no_error(self) -> None:
        with self.server("echo") as server:
            server.service.stop_listening()
            server.service.apply(self.configuration(mode="identify"))
