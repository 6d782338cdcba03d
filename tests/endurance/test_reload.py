"""HUP under load: nothing is lost, new connections get the new configuration, open ones keep theirs."""

import signal
import threading
from typing import Any

import yaml

from common.wire.kinds import Kind
from server.configuration.certificate import ensure
from tests.support import PATIENCE, PorterTestCase, ServerProcess, messages, scaled, send_bytes, wait_until


class Behaviour:
    def reload(self: Any, server: ServerProcess) -> None:
        """Send HUP and wait until the reload is done."""
        before = server.log().count("reloaded (")
        server.signal(signal.SIGHUP)
        wait_until(lambda: server.log().count("reloaded (") == before + 1, "the reload")

    def test_twenty_reloads_under_load_lose_no_message_and_no_log_line(self: Any) -> None:
        server = self.start_process(mode="echo")
        stop = threading.Event()
        said: list[int] = []
        connections: list[int] = []
        lost: list[BaseException] = []

        def talk(fresh_each_time: bool) -> None:
            client = server.connect()
            number, times = 0, 1
            try:
                while not stop.is_set():
                    if fresh_each_time:
                        client.close()
                        client = server.connect()
                        times += 1
                    client.send_message(str(number))
                    self.assertEqual(str(number), client.receive_message())
                    number += 1
            except BaseException as error:
                lost.append(error)
            said.append(number)
            connections.append(times)
            client.close()

        threads = [threading.Thread(target=talk, args=[number % 2 == 0]) for number in range(12)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            self.reload(server)
        stop.set()
        for thread in threads:
            thread.join(PATIENCE)
        self.assertEqual([], lost)
        ends = sum(connections)
        wait_until(lambda: server.log().count("client disconnected") == ends, "a line for the end of each connection")
        self.assertEqual((0, "", ""), server.stop())
        self.assertEqual((sum(said), sum(said)), messages(server.log()))

    def test_new_connections_get_the_new_limits_and_open_ones_keep_theirs(self: Any) -> None:
        server = self.start_process(mode="echo", limits={"max_message": 100})
        old = server.connect()
        self.write_configuration(mode="auth", limits={"max_message": 10, "idle_timeout": scaled(0.2)})
        self.reload(server)
        old.send_message("x" * 100)
        self.assertEqual("x" * 100, old.receive_message())
        new = server.talk()
        new.expect(Kind.GET_TOKEN)
        new.connection.send_message("TOKEN" + "x" * 20)
        new.expect(Kind.ERROR, "a message of 25 bytes is over the limit of 10")
        server.talk().expect(Kind.GET_TOKEN)
        server.wait_for_log(f"no message came for {scaled(0.2):g} seconds")
        old.send_message("still here")
        self.assertEqual("still here", old.receive_message())

    def test_a_reload_reads_the_log_levels_again_and_reopens_the_log_files(self: Any) -> None:
        server = self.start_process(mode="echo")
        (self.folder / "server.log").rename(self.folder / "rotated.log")  # as logrotate does
        server.signal(signal.SIGHUP)
        server.wait_for_log("reloaded (echo")  # in a new file with the old name
        path = self.folder / "logging.yaml"
        logging = yaml.safe_load(path.read_text())
        logging["loggers"]["porter.server"]["level"] = "WARNING"
        logging["handlers"]["file"]["filename"] = str(self.folder / "other.log")
        path.write_text(yaml.safe_dump(logging))
        server.signal(signal.SIGHUP)
        other = self.folder / "other.log"

        def is_warning_logged() -> bool:
            send_bytes(server.connect(), b"\xff\xff\xff\xff")
            return other.exists() and "protocol error" in other.read_text()

        wait_until(is_warning_logged, "a warning")
        self.assertNotIn("INFO", other.read_text())


class Plain(Behaviour, PorterTestCase):
    pass


class Secure(Behaviour, PorterTestCase):
    tls = True

    def test_a_new_certificate_applies_to_new_connections(self) -> None:
        server = self.start_process(mode="echo")
        old = server.connect()
        first = old.tls.peer_certificate()  # type: ignore[union-attr]
        certificate, key = (self.folder / "data" / "tls" / name for name in ("certificate.pem", "key.pem"))
        ensure(self.folder / "new.pem", self.folder / "new-key.pem")
        (self.folder / "new-key.pem").replace(key)
        server.signal(signal.SIGHUP)  # the key is new and the certificate is old: they do not match
        server.wait_for_log(": tls.certificate: cannot use the certificate")
        self.assertEqual(first, server.connect().tls.peer_certificate())  # type: ignore[union-attr]
        (self.folder / "new.pem").replace(certificate)
        self.reload(server)
        self.assertNotEqual(first, server.connect().tls.peer_certificate())  # type: ignore[union-attr]
        old.send_message("still here")
        self.assertEqual("still here", old.receive_message())
