"""The server's command line: from its words, the environment and the configuration to a service and a status."""

import os
import secrets
import signal
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NoReturn

from common.program import ArgumentParser, ask, has_terminal, port_number
from server.configuration.loading import Overrides, file_path, load, with_environment
from server.machine import Cores
from server.process.lifecycle import Lifecycle, starting_terminal
from server.process.reloading import reload
from server.process.service import Service
from server.process.signals import Signals
from server.process.supervision import supervise

_EPILOG = """\
other commands:
  ./run.sh client      the client
  ./run.sh users       administer accounts and known addresses
  ./run.sh check       check the configuration
  ./run.sh bench       measure a server, or this one beside others
  ./run.sh test        run the tests (--long: those of endurance, for half an hour at most)
  ./run.sh lint        formatter, linter, type checker
  ./run.sh fuzz        look for input that breaks it
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
    # A reload that is asked for before anything is loaded must not end the program: it waits for `Signals`.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
    command = _command_line()
    overrides = command.overrides
    configuration = load(command.file, overrides)
    if command.asks:
        port = ask("Port", configuration.settings.port, port_number)
        overrides = replace(overrides, port=port)
        configuration = load(command.file, overrides)
    terminal = starting_terminal()
    settings = configuration.settings
    cores = Cores()
    count = len(cores) if settings.workers == "auto" else settings.workers
    again = partial(load, command.file, overrides)
    if count > 1:
        supervise(configuration, again, overrides, count, cores, terminal)
    if settings.cpu_affinity == "auto":
        cores.keep_to(secrets.randbelow(len(cores)))
    service = Service(configuration, cores)  # until it stands, a signal ends the program as it ends any other
    with Signals() as signals:
        life = Lifecycle(signals, service, partial(reload, service, again, overrides))
        print(f"Listening on {service.description}", flush=True)
        life.obey(terminal)


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
