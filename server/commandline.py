"""The server's command line: from its words, the environment and the configuration to a service and a status."""

import logging
import os
import signal
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from common.errors import ConfigurationError, ExitStatus, PorterError
from common.program import ArgumentParser, ask, has_terminal, port_number
from server.configuration import Overrides, file_path, load, with_environment
from server.service import Service
from server.signals import WOKEN, Signals

LOG = logging.getLogger("porter.server")

_GRACE = 1.2
"""Seconds after the drain in which things are closed, or left."""

_EPILOG = """\
other commands:
  ./run.sh client      the client
  ./run.sh users       administer accounts and known addresses
  ./run.sh check       check the configuration
  ./run.sh test        run the tests
  ./run.sh lint        formatter, linter, type checker
Each has its own --help.

environment: PORTER_MODE, PORTER_HOST, PORTER_PORT, PORTER_CONFIG
signals: TERM and INT stop after open connections have finished, again at once; HUP reloads the configuration
"""


@dataclass(frozen=True)
class CommandLine:
    file: Path
    overrides: Overrides
    asks: bool


def main() -> NoReturn:
    os.umask(os.umask(0o077) | 0o027)  # logs: readable for the group at most
    command = _command_line()
    overrides = command.overrides
    configuration = load(command.file, overrides)
    if command.asks:
        port = ask("Port", configuration.settings.port, port_number)
        overrides = replace(overrides, port=port)
        configuration = load(command.file, overrides)
    terminal = _terminal()
    service = Service(configuration)  # until it stands, a signal ends the program as it ends any other
    with Signals() as signals:
        print(f"Listening on {service.description}", flush=True)
        _reload_until_stopped(service, signals, command.file, overrides, terminal)
        _stop(service, signals)


def _command_line() -> CommandLine:
    parser = ArgumentParser("./run.sh", "Porter: a threaded TCP server that knows who is calling.", _EPILOG)
    parser.add_argument(
        "mode", metavar="MODE", nargs="?", help="echo, identify, auth or another of the configured handlers"
    )
    parser.add_argument("--host", help="address to listen on")
    parser.add_argument("--port", help="port to listen on; 0: any free one")
    parser.add_argument("--config", metavar="FILE", help="configuration (default: conf/server.yaml)")
    parser.add_argument("--no-tls", action="store_true", help="serve without TLS")
    parser.add_argument("--no-input", action="store_true", help="ask nothing, take the defaults")
    options = parser.parse_args()
    port = None if options.port is None else port_number(options.port)
    overrides = with_environment(Overrides(options.mode, options.host, port, options.no_tls))
    asks = options.port is None and not options.no_input and has_terminal()
    return CommandLine(file_path(options.config), overrides, asks)


def _reload_until_stopped(
    service: Service, signals: Signals, file: Path, overrides: Overrides, terminal: int | None
) -> None:
    wanted = threading.Event()

    def reload_when_wanted() -> None:
        while wanted.wait():
            wanted.clear()
            _reload(service, file, overrides)

    # Not in this thread, which must hear TERM whatever a reload waits for.
    threading.Thread(target=reload_when_wanted, name="reload", daemon=True).start()
    while signals.wait() == signal.SIGHUP and not _is_gone(terminal):
        wanted.set()


def _reload(service: Service, file: Path, overrides: Overrides) -> None:
    """Read the configuration again; one that is wrong changes nothing and is explained in the log."""
    try:
        configuration = load(file, overrides)
        service.reload(configuration)
    except ConfigurationError as error:
        for problem in error.problems:
            LOG.error("not reloaded: %s", problem)
    except PorterError as error:
        LOG.error("not reloaded: %s", error)
    except Exception:  # ours or that of a handler being imported: no reason for those who are connected to suffer
        LOG.exception("not reloaded")
    else:
        if overrides.mode is not None:
            LOG.info("the mode stays %s: it was given at the start", overrides.mode)


def _stop(service: Service, signals: Signals) -> NoReturn:
    """Drain, for so long and no longer; a second TERM or INT ends that at once."""
    latest = time.monotonic() + service.drain_timeout + _GRACE

    def wind_up() -> None:
        service.stop_listening()
        service.drain()
        service.close()
        signals.wake()

    def say_last_words() -> None:
        if number != WOKEN:
            service.abandon()
        logging.shutdown()

    # Each in a thread that is not waited for longer than so: whatever hangs, a database or the log, the end comes.
    threading.Thread(target=wind_up, name="drain", daemon=True).start()
    while (number := signals.wait(latest - time.monotonic())) == signal.SIGHUP:
        pass
    last = threading.Thread(target=say_last_words, daemon=True)
    last.start()
    last.join(_GRACE / 4)
    # Nor for the interpreter to wind up: a signal that comes meanwhile would find nobody to hear it, and end the
    # process with another status.
    os._exit(ExitStatus.DONE)


def _terminal() -> int | None:
    """A descriptor of the terminal that the server was started on, None if it was started without one.

    Whoever starts it with nohup, which has HUP ignored, means it to outlive the terminal.
    """
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return None
    for descriptor in (0, 1, 2):
        if os.isatty(descriptor):
            return descriptor
    try:
        return os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return None


def _is_gone(terminal: int | None) -> bool:
    """Whether the terminal has been closed: the kernel then sends HUP, which is not meant as a reload."""
    return terminal is not None and not os.isatty(terminal)
