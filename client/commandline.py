"""The client's command line: from its words, the environment and conf/client.yaml to a conversation and a status."""

import argparse
import asyncio
import logging
import os
import socket
import sys
from functools import partial
from pathlib import Path

from client import settings as client_settings
from client import tokens
from client.connection import connect, explained
from client.conversation import Conversation
from client.pipe import Lines, PipeScreen
from client.pipe import converse as converse_in_pipe
from client.state import StateFolder, default_folder
from client.tokens import Tokens
from client.trust import Policy, Server, Trust, checked_pin
from common.errors import ExitStatus, UsageError
from common.log import logs
from common.program import ArgumentParser, ask, ask_yes_or_no, environment, has_terminal, port_number

LOG = logging.getLogger("porter.client")
_EPILOG = """\
On a terminal, `exit` or Ctrl-D ends. In a pipe, lines go in and replies come out.
Environment: PORTER_HOST, PORTER_PORT; XDG_STATE_HOME for tokens, certificates and history.
"""


def main() -> int:
    os.umask(os.umask(0o077) | 0o027)
    options = _command_line()
    settings = client_settings.load(client_settings.DEFAULT_FILE)
    logs.configure(client_settings.LOGGING_FILE)
    is_interactive = has_terminal()
    if options.password_stdin and is_interactive:
        raise UsageError("--password-stdin needs a pipe; on a terminal the password is asked for")
    server = _server(options, settings, asks=is_interactive and not options.no_input and not options.forget)
    folder = StateFolder(default_folder())
    if options.forget:
        return _forget(folder, server)
    lines = Lines(0)
    secret = _secret(options, lines)
    asks_trust = is_interactive and not options.no_input
    policy = Policy(options.pin, options.accept_new, not options.no_save, _confirm if asks_trust else None)
    trust = Trust(folder) if settings.tls and not options.no_tls else None
    if options.pin is not None and trust is None:
        raise UsageError("--pin is about a certificate, and without TLS there is none")
    with explained(server, has_tls=trust is not None):
        connection, peer = connect(server, settings.max_message, trust, policy)
        try:
            talk = partial(Conversation, connection, peer, Tokens(folder, peer, saves=not options.no_save))
            if is_interactive:
                return _on_terminal(talk, secret, None if options.no_save else folder.file("history"))
            return converse_in_pipe(talk(PipeScreen(), secret), lines)
        finally:
            connection.finish(linger=0)
            LOG.info("disconnected", extra={"peer": str(server)})


def _command_line() -> argparse.Namespace:
    parser = ArgumentParser("./run.sh client", "Porter's client.", _EPILOG)
    parser.add_argument("--host", help="the server's name or address")
    parser.add_argument("--port", help="the server's port")
    parser.add_argument("--no-tls", action="store_true", help="talk in clear")
    parser.add_argument("--no-input", action="store_true", help="ask for no host, port or trust: take the defaults")
    parser.add_argument("--accept-new", action="store_true", help="trust a server on first sight, but no changed one")
    parser.add_argument("--pin", metavar="SHA256:...", help="trust only this certificate, and keep it")
    parser.add_argument("--forget", action="store_true", help="drop what is kept of the server, and end")
    parser.add_argument("--no-save", action="store_true", help="keep no token, certificate or history")
    secrets = parser.add_mutually_exclusive_group()
    secrets.add_argument("--password-stdin", action="store_true", help="the first line of input answers every secret")
    secrets.add_argument("--password-file", metavar="FILE", help="the first line of FILE answers every secret")
    options = parser.parse_args()
    if options.pin is not None:
        options.pin = checked_pin(options.pin)
    return options


def _server(options: argparse.Namespace, settings: client_settings.Settings, *, asks: bool) -> Server:
    host = options.host or environment("PORTER_HOST") or settings.host
    given_port = options.port if options.port is not None else environment("PORTER_PORT")
    port = settings.port if given_port is None else port_number(given_port, lowest=1)
    if asks and options.host is None:
        host = ask("Host", host, _existing_host)
    if asks and options.port is None:
        port = ask("Port", port, partial(port_number, lowest=1))
    return Server(host.lower(), port)


def _existing_host(text: str) -> str:
    try:
        socket.getaddrinfo(text, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "that is no host name"
        raise UsageError(f"{text[:60]!r} is not a host that can be found: {reason}") from None
    return text


def _forget(folder: StateFolder, server: Server) -> ExitStatus:
    had_certificate = Trust(folder).forget(server)
    had_tokens = tokens.forget(folder, server)
    print(f"{server} is forgotten" if had_certificate or had_tokens else f"nothing was kept of {server}")
    return ExitStatus.DONE


def _secret(options: argparse.Namespace, lines: Lines) -> str | None:
    """The first line of the file, or of the input, of which the rest stays."""
    if options.password_file is not None:
        try:
            with Path(options.password_file).open(encoding="utf-8") as file:
                line = file.readline(65536)
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            raise UsageError(f"cannot read {options.password_file}: {reason}") from None
        if not line:
            raise UsageError(f"{options.password_file} is empty")
    elif options.password_stdin:
        while not lines.is_waiting and not lines.has_ended:
            lines.read()
        if not lines.is_waiting:
            raise UsageError("--password-stdin, but standard input is empty")
        line = lines.next()
    else:
        return None
    return line.rstrip("\r\n")


def _confirm(question: str) -> bool:
    print(question, file=sys.stderr)
    return ask_yes_or_no("Trust it?")


def _on_terminal(talk: "partial[Conversation]", secret: str | None, history: Path | None) -> ExitStatus:
    from client.terminal import Terminal, TerminalScreen  # prompt_toolkit, which a pipe does without

    screen = TerminalScreen()
    return asyncio.run(Terminal(talk(screen, secret), screen, history).converse())
