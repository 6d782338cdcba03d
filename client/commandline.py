"""The client's command line: it joins options, environment and conf/client.yaml, and starts the conversation.

It does not know what is said in the conversation.
"""

import argparse
import asyncio
import logging
import os
import socket
import sys
from functools import partial
from pathlib import Path

from client import settings as client_settings
from client import tokens, trust
from client.connection import connect, description, explained
from client.conversation import Conversation
from client.pipe import Lines, Patience, PipeScreen
from client.pipe import converse as converse_in_pipe
from client.state import StateFolder, default_folder, open_state
from client.tokens import Tokens
from client.trust import Endpoint, Policy, Trust, checked_pin
from common.addresses import may_be_host
from common.errors import ExitStatus, UsageError
from common.log.logfile import RotatingFileHandler
from common.log.logs import Logging
from common.program import (
    ArgumentParser,
    ask,
    ask_yes_or_no,
    environment,
    environment_port,
    foreign_port_warning,
    has_terminal,
    port_from,
    port_number,
    print_warning,
)
from common.wire.sockets import Timeouts

LOG = logging.getLogger("porter.client")
_EPILOG = """\
On a terminal, `exit` or Ctrl-D ends the client. In a pipe, it sends each line of
standard input and writes the replies to standard output.

Environment: PORTER_HOST and PORTER_PORT; XDG_STATE_HOME is the folder for tokens,
certificates and history.
"""


def main() -> int:
    os.umask(os.umask(0o077) | 0o027)
    options = _command_line()
    settings = client_settings.load(client_settings.DEFAULT_FILE)
    _configure_log(is_verbose=options.verbose)
    if options.verbose and (warning := foreign_port_warning()):
        print_warning(warning)
    is_interactive = has_terminal()
    if options.password_stdin and is_interactive:
        raise UsageError("--password-stdin needs a pipe; on a terminal leave it out and type the password")
    server = _server(options, settings, asks=is_interactive and not options.no_input and not options.forget)
    if options.forget:
        return _forget(StateFolder(default_folder()), server)
    lines = Lines(0)
    secret = _secret(options, lines)
    asks_trust = is_interactive and not options.no_input
    policy = Policy(options.pin, options.accept_new, _confirm if asks_trust else None)
    state = open_state(print_warning, saves=not options.no_save)
    trusted = Trust(state) if settings.tls and not options.no_tls else None
    if options.pin is not None and trusted is None:
        raise UsageError("--pin needs TLS: leave out --no-tls, and set tls: true in conf/client.yaml")
    with explained(server, has_tls=trusted is not None):
        connection, peer = connect(server, settings.max_message, trusted, policy)
        try:
            if options.verbose:
                print(f"porter: connected to {server}, {description(connection, peer)}", file=sys.stderr)
            talk = partial(Conversation, connection, peer, Tokens(state, peer))
            if is_interactive:
                return _on_terminal(talk, secret, state.file("history"), is_verbose=options.verbose)
            connection.timeouts = Timeouts(send=options.timeout)
            patience = Patience(options.timeout, options.follow)
            return converse_in_pipe(talk(PipeScreen(is_verbose=options.verbose), secret), lines, patience)
        finally:
            connection.finish(linger=0)
            LOG.info("disconnected", extra={"peer": str(server)})


def _configure_log(*, is_verbose: bool) -> None:
    """Set the log up. A log that cannot be written is a comfort: only -v tells of it."""
    Logging().configure(client_settings.LOGGING_FILE)
    for handler in LOG.handlers:
        if isinstance(handler, RotatingFileHandler):
            handler.is_quiet = not is_verbose


def _command_line() -> argparse.Namespace:
    parser = ArgumentParser("./run.sh client", "Porter's client.", _EPILOG)
    parser.add_argument("server", metavar="HOST", nargs="?", help="the server's name or address")
    parser.add_argument("server_port", metavar="PORT", nargs="?", help="the server's port")
    parser.add_argument("--host", help="the same as HOST")
    parser.add_argument("-p", "--port", help="the same as PORT")
    parser.add_argument("-v", "--verbose", action="store_true", help="show on standard error what goes over the wire")
    parser.add_argument("--no-tls", action="store_true", help="connect without TLS")
    parser.add_argument(
        "--no-input", action="store_true", help="do not ask for host, port or trust: use the defaults"
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        default=30.0,
        help="in a pipe, wait so long for a silent server when the input has ended (default: 30)",
    )
    parser.add_argument(
        "--follow", action="store_true", help="in a pipe, stay when the input has ended, and show what comes"
    )
    parser.add_argument(
        "--accept-new", action="store_true", help="trust an unknown server, but not a changed certificate"
    )
    parser.add_argument("--pin", metavar="SHA256:...", help="trust only this certificate, and store it")
    parser.add_argument("--forget", action="store_true", help="delete what is stored about the server, and end")
    parser.add_argument("--no-save", action="store_true", help="store no token, certificate or history")
    secrets = parser.add_mutually_exclusive_group()
    secrets.add_argument(
        "--password-stdin", action="store_true", help="the first line of standard input is the password"
    )
    secrets.add_argument("--password-file", metavar="FILE", help="the first line of FILE is the password")
    options = parser.parse_args()
    for option, positional in (("host", "server"), ("port", "server_port")):
        given = getattr(options, positional)
        if given is not None and getattr(options, option) is not None:
            parser.error(f"the {option} is given twice: {given}, and --{option} {getattr(options, option)}")
        if given is not None:
            setattr(options, option, given)
    if options.pin is not None:
        options.pin = checked_pin(options.pin)
    return options


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 86400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds up to 86400")
    return seconds


def _server(options: argparse.Namespace, settings: client_settings.Settings, *, asks: bool) -> Endpoint:
    host = options.host or environment("PORTER_HOST") or settings.host
    if not may_be_host(host):
        origin = "--host" if options.host else "PORTER_HOST"
        raise UsageError("{origin}: {host!r} is not a host name or an address", origin=origin, host=host[:60])
    origin = "PORTER_PORT" if options.port is None else "--port"
    given_port = options.port if options.port is not None else environment_port()
    port = settings.port if given_port is None else port_from(origin, given_port, lowest=1)
    if asks and options.host is None:
        host = ask("Host", host, _existing_host)
    if asks and options.port is None:
        port = ask("Port", port, partial(port_number, lowest=1))
    return Endpoint(host.lower(), port)


def _existing_host(text: str) -> str:
    try:
        socket.getaddrinfo(text, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not a valid host name"
        raise UsageError("there is no host {host!r}: {reason}", host=text[:60], reason=reason) from None
    return text


def _forget(folder: StateFolder, server: Endpoint) -> ExitStatus:
    had_certificate = trust.forget(folder, server)
    had_tokens = tokens.forget(folder, server)
    print(f"{server} is forgotten" if had_certificate or had_tokens else f"nothing is stored for {server}")
    return ExitStatus.DONE


def _secret(options: argparse.Namespace, lines: Lines) -> str | None:
    """Return the first line of the file or of the input, or None. The other lines of the input stay in `lines`."""
    if options.password_file is not None:
        try:
            with Path(options.password_file).open(encoding="utf-8") as file:
                line = file.readline(65536)
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            raise UsageError(
                "cannot read the password file {file}: {reason}", file=options.password_file, reason=reason
            ) from None
        if not line:
            raise UsageError(
                "the password file {file} is empty; its first line must be the password", file=options.password_file
            )
    elif options.password_stdin:
        while not lines.is_waiting and not lines.has_ended:
            lines.read()
        if not lines.is_waiting:
            raise UsageError("standard input is empty; with --password-stdin its first line must be the password")
        line = lines.next()
    else:
        return None
    return line.rstrip("\r\n")


def _confirm(question: str) -> bool:
    print(question, file=sys.stderr)
    return ask_yes_or_no("Trust it?")


def _on_terminal(
    talk: "partial[Conversation]", secret: str | None, history: Path | None, *, is_verbose: bool
) -> ExitStatus:
    from client.terminal import Terminal, TerminalScreen  # imports prompt_toolkit, which a pipe does not need

    screen = TerminalScreen(is_verbose=is_verbose)
    conversation = talk(screen, secret)
    print(f"Connected to {conversation.peer}. `exit` or Ctrl-D leaves.", file=sys.stderr)
    return asyncio.run(Terminal(conversation, screen, history).converse())
