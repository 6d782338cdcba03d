"""The helpers that the tests share: real servers, clients, and a check that a test leaves nothing behind.

No test sleeps: it waits for a message, a log line, a thread or a process, each with a limit.
"""

import contextlib
import gc
import io
import logging
import logging.config
import os
import re
import select
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import yaml

from common import PROJECT_ROOT
from common.program import run
from common.wire.kinds import FROM_SERVER, Kind, compose, parse
from common.wire.sockets import MessageSocket, Timeouts
from common.wire.tls import client_context
from server.configuration.loading import Configuration, Source
from server.process.service import Service

_SCALE = float(os.environ.get("PORTER_TEST_SCALE") or 1)
PATIENCE = 20.0 * _SCALE
"""Seconds after which a test gives up waiting for something."""


def scaled(seconds: float) -> float:
    """Return `seconds` for the speed of this machine: PORTER_TEST_SCALE=3 makes each time three times as long."""
    return seconds * _SCALE


QUICK_HASHES = {"passwords": {"argon2": {"memory_kib": 8, "time_cost": 1, "parallelism": 1}}}


def merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with `changes` in it, mapping by mapping."""
    merged = dict(base)
    for key, value in changes.items():
        both_are_mappings = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both_are_mappings else value
    return merged


class PorterTestCase(unittest.TestCase):
    """Gives each test a folder, and checks afterwards that the test has left no thread and no descriptor open."""

    tls: ClassVar[bool] = False

    def setUp(self) -> None:
        # A shell script ignores SIGINT in its background programs, and nohup ignores SIGHUP. The programs under test
        # must not inherit that.
        for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
            if signal.getsignal(number) is signal.SIG_IGN:
                signal.signal(number, usual)
        self.addCleanup(self._check_nothing_is_left, set(threading.enumerate()), _descriptors())
        self.addCleanup(logging.config.dictConfig, {"version": 1, "disable_existing_loggers": False})
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name).resolve()

    def _check_nothing_is_left(self, threads: set[threading.Thread], descriptors: dict[int, str]) -> None:
        left = set(threading.enumerate()) - threads
        for thread in left:
            thread.join(PATIENCE)
        self.assertEqual([], [thread.name for thread in left if thread.is_alive()], "threads are left behind")
        gc.collect()
        opened = {number: what for number, what in _descriptors().items() if number not in descriptors}
        self.assertEqual({}, opened, "descriptors are left open")

    def run_programs_without_coverage(self) -> None:
        """Switch coverage off for programs: it takes memory, and it hangs if Ctrl-C interrupts its own code."""
        self.enterContext(mock.patch.dict(os.environ))
        for name in [name for name in os.environ if name.startswith("COVERAGE_")]:
            del os.environ[name]

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def write_configuration(self, name: str = "server.yaml", **settings: Any) -> Path:
        """Write a configuration file, with all its files in the test's folder; `settings` change it."""
        log = {
            "class": "common.log.logfile.RotatingFileHandler",
            "filename": str(self.folder / "server.log"),
            "formatter": "f",
        }
        logging_yaml = {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"f": {"()": "common.log.logs.Formatter"}},
            "handlers": {"file": log, "h": {"class": "common.log.writebehind.WriteBehind", "target": "file"}},
            "loggers": {"porter.server": {"level": "INFO", "handlers": ["h"], "propagate": False}},
        }
        base = {
            "mode": "echo",
            "port": 0,
            "store": f"sqlite:///{self.folder}/data/porter.db",
            "control": str(self.folder / "control"),
            "logging": str(self.write("logging.yaml", yaml.safe_dump(logging_yaml))),
            "tls": {
                "enabled": self.tls,
                "certificate": str(self.folder / "data/tls/certificate.pem"),
                "key": str(self.folder / "data/tls/key.pem"),
            },
            "handlers": {"auth": {"options": QUICK_HASHES}},
        }
        return self.write(name, yaml.safe_dump(merge(base, settings)))

    def configuration(self, **settings: Any) -> Configuration:
        return Source(self.write_configuration(**settings)).load()

    @contextlib.contextmanager
    def server(self, mode: str = "echo", **settings: Any) -> "Iterator[RunningServer]":
        """Run a real server in this process, on a free port, inside; stop and close it afterwards."""
        service = Service(self.configuration(mode=mode, **settings))
        running = RunningServer(self, service)
        try:
            yield running
        finally:
            running.close_clients()
            service.stop_listening()
            service.drain()
            service.close()
            logging.getLogger("porter.server").removeFilter(running.log)

    def start_process(self, *arguments: str, under: Sequence[str] = (), **settings: Any) -> "ServerProcess":
        """Start a real server in a process of its own; kill it afterwards if the test has not stopped it.

        `under` is a command that starts the server, for example strace or unshare.
        """
        configuration = str(self.write_configuration(**settings))
        process = ServerProcess(self, *arguments, "--config", configuration, under=under)
        self.addCleanup(process.close)
        return process

    def administer(self, *arguments: str, input: str = "") -> str:
        """Run a command of the administrator and return what it prints."""
        # Imported here because it loads the database: the tests of echo and of the client are quicker without it.
        from server.administration import users

        path = str(self.folder / "server.yaml")
        status, printed, errors = call_program(users.main, *arguments, "--config", path, input=input)
        self.assertEqual(0, status, errors)
        return printed


class RunningServer:
    """A server in this process, and clients for it."""

    def __init__(self, case: PorterTestCase, service: Service) -> None:
        self.case = case
        self.service = service
        self.port = service.port
        self.log = LogWatcher()
        logging.getLogger("porter.server").addFilter(self.log)
        self._clients: list[MessageSocket | socket.socket] = []

    def connect(self, source: str = "127.0.0.1") -> MessageSocket:
        client = connect(self.port, tls=self.case.tls, source=source)
        self._clients.append(client)
        return client

    def connect_raw(self, source: str = "127.0.0.1") -> socket.socket:
        """Return a connection without TLS, even to a server that uses TLS."""
        client = socket.create_connection(("127.0.0.1", self.port), PATIENCE, source_address=(source, 0))
        self._clients.append(client)
        return client

    def talk(self, source: str = "127.0.0.1") -> "Talker":
        return Talker(self.case, self.connect(source))

    def close_clients(self) -> None:
        for client in self._clients:
            client.close()


def connect(port: int, *, tls: bool, source: str = "127.0.0.1") -> MessageSocket:
    plain = socket.create_connection(("127.0.0.1", port), PATIENCE, source_address=(source, 0))
    client = MessageSocket(plain)
    if tls:
        try:
            client.handshake(client_context(), PATIENCE)
        except BaseException:
            client.close()
            raise
    client.timeouts = Timeouts(PATIENCE, PATIENCE, PATIENCE)
    return client


class Talker:
    """A client that sends what a test tells it to send, and checks the answers."""

    def __init__(self, case: unittest.TestCase, connection: MessageSocket) -> None:
        self._case = case
        self.connection = connection

    def next(self) -> tuple[Kind, str]:
        message = self.connection.receive_message()
        assert message is not None, "the server closed the connection"
        return parse(message, FROM_SERVER)

    def expect(self, kind: Kind, text: str | None = None) -> str:
        found, said = self.next()
        self._case.assertEqual(kind, found, said)
        if text is not None:
            self._case.assertEqual(text, said)
        return said

    def expect_end(self) -> None:
        self._case.assertIsNone(self.connection.receive_message())

    def say(self, text: str) -> None:
        self.connection.send_message(compose(Kind.TEXT, text))

    def give_token(self, token: str = "") -> None:
        self.expect(Kind.GET_TOKEN)
        self.connection.send_message(compose(Kind.TOKEN, token))

    def answer(self, kind: Kind, text: str) -> str:
        """Expect a question of this kind and answer it; return the prompt."""
        prompt = self.expect(kind)
        self.say(text)
        return prompt

    def register(self, name: str, password: str = "correct horse") -> str:
        """Register, from GET-TOKEN to the greeting; return the token."""
        self.give_token()
        self.answer(Kind.ASK, name)
        self.answer(Kind.SECRET, password)
        self.answer(Kind.SECRET, password)
        token = self.expect(Kind.SET_TOKEN)
        self.expect(Kind.TEXT)
        return token

    def log_in(self, name: str, password: str = "correct horse") -> str:
        """Log in, from GET-TOKEN to the greeting; return the token."""
        self.give_token()
        self.answer(Kind.ASK, name)
        self.answer(Kind.SECRET, password)
        token = self.expect(Kind.SET_TOKEN)
        self.expect(Kind.TEXT)
        return token

    def fail(self, name: str, password: str = "a wrong one") -> str:
        """Answer both questions and expect a refusal; return its text."""
        self.answer(Kind.ASK, name)
        self.answer(Kind.SECRET, password)
        return self.expect(Kind.ERROR)


@contextlib.contextmanager
def refusing_port(host: str = "127.0.0.1") -> Iterator[int]:
    """Return a port at which nothing listens, and at which nobody else can listen meanwhile."""
    with socket.socket() as bound:
        bound.bind((host, 0))
        yield bound.getsockname()[1]


def send_bytes(connection: MessageSocket, data: bytes) -> None:
    """Send bytes that need not be a message, over TLS if the connection has it.

    Only this function knows how the socket sends; the tests do not.
    """
    connection.send_bytes(data)


def at_once(*calls: Callable[[], object]) -> None:
    """Make all calls at the same moment, each in a thread of its own. Raise the error of the first that fails."""
    ready = threading.Barrier(len(calls))
    failures: list[BaseException] = []

    def run_one(call: Callable[[], None]) -> None:
        ready.wait(PATIENCE)
        try:
            call()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run_one, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * PATIENCE)
    if failures:
        raise failures[0]


def messages(log: str) -> tuple[int, int]:
    """Return how many messages were received and sent; a line of the log may stand for many of them."""
    counts = {"received": 0, "sent": 0}
    for match in re.finditer(r" (?:message|(\d+) messages) (received|sent), ", log):
        counts[match[2]] += int(match[1] or 1)
    return counts["received"], counts["sent"]


class LogWatcher(logging.Filter):
    """Keeps the messages of a log and waits for one. It is a filter, since a reload removes all handlers."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []
        self._more = threading.Condition()

    def filter(self, record: logging.LogRecord) -> bool:
        with self._more:
            self.messages.append(f"{record.levelname} {getattr(record, 'peer', '-')} {record.getMessage()}")
            self._more.notify_all()
        return True

    def wait_for(self, text: str, count: int = 1) -> str:
        """Wait for `count` messages that contain `text`; return the last of them."""

        def found() -> list[str]:
            return [message for message in self.messages if text in message]

        with self._more:
            if not self._more.wait_for(lambda: len(found()) >= count, PATIENCE):
                raise AssertionError(f"not logged: {text!r} in {self.messages}")
            return found()[count - 1]


class ServerProcess:
    """`python -m server`, as run.sh starts it."""

    def __init__(
        self,
        case: PorterTestCase,
        *arguments: str,
        wait: bool = True,
        under: Sequence[str] = (),
        stdin: int = subprocess.DEVNULL,
    ) -> None:
        self._case = case
        self.process = subprocess.Popen(
            [*under, sys.executable, "-P", "-m", "server", *arguments],
            cwd=case.folder,
            env=environment(case.folder),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.first_line = self._read_line() if wait else ""
        self.port = int(self.first_line.split()[2].rpartition(":")[2]) if self.first_line else 0

    def _read_line(self) -> str:
        assert self.process.stdout is not None
        poller = select.poll()
        poller.register(self.process.stdout, select.POLLIN)
        if not poller.poll(PATIENCE * 1000):
            raise AssertionError("the server does not say that it listens")
        return self.process.stdout.readline().rstrip("\n")

    def connect(self, source: str = "127.0.0.1") -> MessageSocket:
        client = connect(self.port, tls=self._case.tls, source=source)
        self._case.addCleanup(client.close)
        return client

    def connect_raw(self, source: str = "127.0.0.1") -> socket.socket:
        """Return a connection without TLS, even to a server that uses TLS."""
        client = socket.create_connection(("127.0.0.1", self.port), PATIENCE, source_address=(source, 0))
        self._case.addCleanup(client.close)
        return client

    def talk(self, source: str = "127.0.0.1") -> Talker:
        return Talker(self._case, self.connect(source))

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> tuple[int, str, str]:
        """Wait for the end; return the exit status, standard output after the first line, and standard error."""
        out, errors = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, errors

    def stop(self) -> tuple[int, str, str]:
        self.signal(signal.SIGTERM)
        return self.wait()

    def log(self) -> str:
        path = self._case.folder / "server.log"
        return path.read_text() if path.exists() else ""

    def wait_for_log(self, text: str) -> None:
        """Wait until the log of this process contains `text`."""
        wait_until(lambda: text in self.log(), f"{text!r} in the log")

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def wait_until(condition: Any, what: str) -> None:
    """Check `condition` every few milliseconds until it is true. Raise AssertionError after PATIENCE.

    Use this only for files and other processes, which send no notification.
    """
    give_up = time.monotonic() + PATIENCE
    pause = threading.Event()
    while not condition():
        if time.monotonic() > give_up:
            raise AssertionError(f"did not come: {what}")
        pause.wait(scaled(0.005))


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Return this process's environment for one of our programs, which keeps its state in the test's folder."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PORTER_")}
    return {**clean, "LC_ALL": "C", "PYTHONPATH": str(PROJECT_ROOT), "XDG_STATE_HOME": str(folder / "state"), **more}


def run_program(
    folder: Path, module: str, *arguments: str, input: str = "", **more: str
) -> subprocess.CompletedProcess[str]:
    """Run one of our programs to its end, with pipes for its input and output."""
    return subprocess.run(
        [sys.executable, "-P", "-m", module, *arguments],
        cwd=folder,
        env=environment(folder, **more),
        input=input,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def call_program(main: Callable[[], int], *arguments: str, input: str = "", **more: str) -> tuple[int, str, str]:
    """Run a program's main in this process, which is quicker; return status, standard output, standard error."""
    out, errors = io.StringIO(), io.StringIO()
    umask = os.umask(0o022)
    try:
        with (
            mock.patch.object(sys, "argv", ["program", *arguments]),
            mock.patch.object(sys, "stdin", io.StringIO(input)),
            mock.patch.dict(os.environ, {"LC_ALL": "C", **more}),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(errors),
        ):
            run(main)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue(), errors.getvalue()
    finally:
        os.umask(umask)
    raise AssertionError("run() returned")


def socket_pair() -> tuple[MessageSocket, MessageSocket]:
    first, second = socket.socketpair()
    return MessageSocket(first), MessageSocket(second)


def secure_pair(folder: Path, version: ssl.TLSVersion | None = None) -> tuple[MessageSocket, MessageSocket]:
    """Return the two ends of a TLS connection after the handshake, the server's end first."""
    from common.wire.tls import server_context
    from server.configuration.certificate import ensure

    certificate, key = folder / "certificate.pem", folder / "key.pem"
    ensure(certificate, key)
    first, second = socket.socketpair()
    ours, theirs = MessageSocket(first), MessageSocket(second)
    failure: list[BaseException] = []

    def shake_hands() -> None:
        try:
            context = client_context()
            if version is not None:
                context.maximum_version = version
            theirs.handshake(context, PATIENCE)
        except (OSError, ssl.SSLError) as error:
            failure.append(error)

    thread = threading.Thread(target=shake_hands)
    thread.start()
    ours.handshake(server_context(certificate, key), PATIENCE)
    thread.join(PATIENCE)
    assert not failure, failure
    return ours, theirs


UNPRIVILEGED = (
    ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner,-chown"] if os.geteuid() == 0 else []
)
"""A command under which a program has no rights to files of others, also if root runs the tests."""


def take_away(path: Path) -> None:
    """Give a file or folder to another user if that is allowed; otherwise take away all rights to it."""
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)
    else:
        path.chmod(0)


def outward_address() -> str | None:
    """Return an address of this machine that is not loopback, or None. Nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address: str = probe.getsockname()[0]
    return None if address.startswith("127.") else address


def _descriptors() -> dict[int, str]:
    """Return the open descriptors of this process and what each of them is."""
    found = {}
    for name in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []:
        with contextlib.suppress(OSError):
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    return found
