"""The server's command line: reads options, environment and configuration, and starts one process or several.

What is said on a connection is not known here.
"""

import contextlib
import logging
import os
import secrets
import signal
from dataclasses import dataclass, replace
from typing import NoReturn

from common.errors import ConfigurationError, Problem
from common.program import ArgumentParser, ask, foreign_port_warning, has_terminal, port_from, port_number
from server.configuration.loading import Overrides, Source, exposes_passwords, file_path, with_environment
from server.machine import cores
from server.process import systemd
from server.process.lifecycle import Lifecycle, Terminal
from server.process.placement import Placement
from server.process.reloading import Reloader
from server.process.service import Service
from server.process.signals import Signals
from server.process.supervision import Supervisor

LOG = logging.getLogger("porter.server")
_DESCRIPTION = """\
Start Porter, a threaded TCP server. Every client is served in the chosen mode.
What the command line does not say is taken from the environment, then from the configuration file.
"""
_EPILOG = """\
other commands:
  ./run.sh client      start the client (see --help)
  ./run.sh users       manage accounts and known addresses (see --help)
  ./run.sh clients     show who is connected, or end connections (see --help)
  ./run.sh top         watch who is connected
  ./run.sh reset       remove accounts, addresses, sessions and logs (see --help)
  ./run.sh store       look after the database: version, upgrade, copy (see --help)
  ./run.sh demo        show each mode in a minute, with the bytes on the wire
  ./run.sh completion  print a completion script for bash, zsh or fish
  ./run.sh man         print a manual page of all commands
  ./run.sh check       check the configuration file (see --help)
  ./run.sh bench       measure a server, or compare Porter with other servers (see --help)
  ./run.sh test        run the tests (--long: only the endurance tests, for half an hour at most)
  ./run.sh lint        run the formatter, the linter and the type checker
  ./run.sh fuzz        search for input that breaks the program

environment variables: PORTER_MODE, PORTER_HOST, PORTER_PORT, PORTER_CONFIG
signals:
  TERM, INT            stop when the open connections have finished; a second signal stops at once
  HUP                  reload the configuration; it applies to new connections
"""


@dataclass(frozen=True)
class CommandLine:
    """What the command line asks for. `asks` says whether the user is asked for the port."""

    source: Source
    asks: bool


def main() -> NoReturn:
    os.umask(os.umask(0o077) | 0o027)  # log files: the group may read them at most
    # HUP ends a program by default. One that comes during the start waits for `Signals`, and then reloads.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
    if os.getpid() == 1:
        # The kernel drops each signal for which the first process of a container has no handler.
        signal.signal(signal.SIGTERM, lambda number, _: os._exit(128 + number))
    command = _command_line()
    source = command.source
    configuration = source.load()
    if command.asks:
        port = ask("Port", configuration.settings.port, port_number)
        source = replace(source, overrides=replace(source.overrides, port=port))
        configuration = source.load()
    terminal = Terminal.of_the_start()
    if host := systemd.handed_host():  # that is where it listens, whatever the file says
        configuration = replace(configuration, settings=configuration.settings.model_copy(update={"host": host}))
        if wrong := exposes_passwords(configuration.settings, configuration.chosen):
            raise ConfigurationError([Problem("LISTEN_FDS", 0, 0, "", wrong)])
    settings = configuration.settings
    count = len(cores()) if settings.workers == "auto" else settings.workers
    if count > 1:
        supervisor = Supervisor(source, configuration, count)
        _log_foreign_port()
        supervisor.run(terminal)
    service = Service(configuration)  # TERM and INT end the program in the usual way until `Signals` is open
    _log_foreign_port()
    reloader = Reloader(source, configuration, service.apply)
    together = Placement(secrets.randbelow(4096)) if settings.cpu_affinity == "auto" else contextlib.nullcontext()
    with Signals() as signals, together:
        lifecycle = Lifecycle(signals, service, systemd.told(reloader.reload))
        print(f"Listening on {service.description}", flush=True)
        systemd.notify("READY=1")
        lifecycle.obey(terminal)


def _log_foreign_port() -> None:
    if warning := foreign_port_warning():
        LOG.info("%s", warning)


def _command_line() -> CommandLine:
    parser = ArgumentParser("./run.sh", _DESCRIPTION, _EPILOG)
    parser.add_argument(
        "mode",
        metavar="MODE",
        nargs="?",
        help="echo, identify, auth, chat, or a handler of the configuration",
    )
    parser.add_argument("--host", help="the address to listen on")
    parser.add_argument(
        "--port", help="the port to listen on; if it is taken, the next free one is used; 0 means any free port"
    )
    parser.add_argument("--config", metavar="FILE", help="configuration file (default: conf/server.yaml)")
    parser.add_argument("--no-tls", action="store_true", help="serve without TLS: nothing is encrypted")
    parser.add_argument("--no-input", action="store_true", help="do not ask for the port; use the configured one")
    options = parser.parse_args()
    port = None if options.port is None else port_from("--port", options.port)
    overrides = with_environment(Overrides(options.mode, options.host, port, options.no_tls))
    asks = options.port is None and not options.no_input and has_terminal()
    return CommandLine(Source(file_path(options.config), overrides), asks)
