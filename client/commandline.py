"""The client's command line: it joins options, environment and conf/client.yaml, and starts the conversation.

It does not know what is said in the conversation.
"""

import argparse
import asyncio
import logging
import os
import socket
import sys
from collections.abc import Callable
from functools import partial
from gettext import gettext
from pathlib import Path

from client import settings as client_settings
from client import tokens, trust
from client.connection import description, explained
from client.conversation import Conversation, Screen
from client.keyboard import Keyboard, PlainKeyboard
from client.library import Access, Client
from client.pipe import Lines, Patience, PipeScreen
from client.pipe import converse as converse_in_pipe
from client.state import StateFolder, default_folder, open_state
from client.terminal import Terminal, TerminalScreen
from client.trust import Endpoint, authority_problem, checked_pin
from common import PROJECT_ROOT
from common.addresses import may_be_host
from common.errors import ConnectionEnded, ExitStatus, Unavailable, UsageError
from common.language import Language, of_reader
from common.log.logfile import RotatingFileHandler
from common.log.logs import Logging
from common.program import (
    ArgumentParser,
    ask,
    ask_yes_or_no,
    environment,
    environment_port,
    foreign_port_warning,
    has_colour,
    has_terminal,
    port_from,
    port_number,
    print_warning,
)
from common.wire.sockets import Timeouts

LOG = logging.getLogger("porter.client")
_UNKNOWN = """\
The certificate of {server} is not known:
  {presented}
Compare it with the fingerprint that the server printed at its start."""
_EPILOG = """\
On a terminal, `exit` or Ctrl-D ends the client. In a pipe, it sends each line of
standard input and writes the replies to standard output.

Environment: PORTER_HOST and PORTER_PORT; XDG_STATE_HOME is the folder for tokens,
certificates and history.
"""


def main() -> int:
    os.umask(os.umask(0o077) | 0o027)
    language = of_reader()
    language.bind()
    options = _command_line(language)
    settings = client_settings.load(client_settings.DEFAULT_FILE)
    _configure_log(is_verbose=options.verbose)
    if options.verbose and (warning := foreign_port_warning()):
        print_warning(language.error(warning), language)
    options.plain = options.plain or settings.plain or os.environ.get("TERM", "") in ("", "dumb", "unknown")
    options.status = settings.status
    is_interactive = has_terminal()
    if options.password_stdin and is_interactive:
        raise UsageError("--password-stdin needs a pipe; on a terminal leave it out and type the password")
    asks = is_interactive and not options.no_input and not options.forget
    server = _server(options, settings, language if asks else None)
    if options.forget:
        return _forget(StateFolder(default_folder()), server, language)
    lines = Lines(0)
    secret = _secret(options, lines)

    def warn(error: Unavailable) -> None:
        kept = "{text}; what the client would keep there is forgotten when it ends"
        print_warning(language.text(kept, text=language.error(error)), language)

    state = open_state(warn, saves=not options.no_save)
    access = _access(options, settings, language)
    with explained(server, has_tls=access.tls):
        client = Client(server, access, state=state)
        try:
            if options.verbose:
                shown = description(client.connection, client.peer, language)
                connected = language.text("connected to {server}, {protection}", server=server, protection=shown)
                print(f"porter: {connected}", file=sys.stderr)
            if is_interactive:
                face = _terminal(client, state.file("history"), language, options)
            else:
                face = _pipe(lines, options, language)
            return _converse(client, secret, face, reconnects=options.reconnect)
        finally:
            client.close(linger=0)
            LOG.info("disconnected", extra={"peer": str(server)})


Face = tuple[Screen, Callable[[Conversation, bool], ExitStatus]]
"""Where texts are shown, and what holds a conversation; it is told whether the client is back after a loss."""


def _converse(client: Client, secret: str | None, face: Face, *, reconnects: bool) -> ExitStatus:
    """Talk, and after a lost connection again if wanted. Return the status of the last conversation."""
    screen, talk = face
    is_back = False
    while True:
        conversation = Conversation(client, screen, secret)
        try:
            status = talk(conversation, is_back)
            if not (reconnects and conversation.was_lost):
                return status
            reason = screen.language.text("the server has ended it")
        except (ConnectionEnded, Unavailable) as error:
            is_lost = isinstance(error, ConnectionEnded) or conversation.has_ended
            if not (reconnects and is_lost and conversation.may_come_back):
                raise
            reason = screen.language.error(error)
        text = screen.language.text
        lost = "the connection to {server} is lost ({reason}); coming back"
        if lines := conversation.unanswered:
            lost = "the connection to {server} is lost ({reason}); {lines} lines were not answered; coming back"
            print_warning(text(lost, server=client.server, reason=reason, lines=lines), screen.language)
        else:
            print_warning(text(lost, server=client.server, reason=reason), screen.language)
        client.reconnect()
        print_warning(text("connected to {server} again", server=client.server), screen.language)
        is_back = True


def _terminal(client: Client, history: Path | None, language: Language, options: argparse.Namespace) -> Face:
    screen = TerminalScreen(
        language, is_verbose=options.verbose, is_coloured=not options.plain and has_colour(sys.stdout)
    )
    if options.plain:
        keyboard: Keyboard = PlainKeyboard()
    else:
        from client.editor import Editor  # imports prompt_toolkit, which nothing else needs

        keyboard = Editor(history, has_status=options.status)
    terminal = Terminal(screen, keyboard)
    connected = language.text("Connected to {server}. `exit` or Ctrl-D leaves.", server=client.described(language))
    print(connected, file=sys.stderr)

    def talk(conversation: Conversation, is_back: bool) -> ExitStatus:
        if is_back:
            keyboard.forget()
        return asyncio.run(terminal.converse(conversation))

    return screen, talk


def _pipe(lines: Lines, options: argparse.Namespace, language: Language) -> Face:
    def talk(conversation: Conversation, is_back: bool) -> ExitStatus:
        conversation.line.connection.timeouts = Timeouts(send=options.timeout)
        patience = Patience(options.timeout, options.follow, answers=not is_back)
        return converse_in_pipe(conversation, lines, patience)

    return PipeScreen(is_verbose=options.verbose, language=language), talk


def _access(options: argparse.Namespace, settings: client_settings.Settings, language: Language) -> Access:
    """Return how the server is reached. Raise UsageError for options that contradict each other."""
    tls = settings.tls and not options.no_tls
    authority = options.ca or (PROJECT_ROOT / settings.ca if settings.ca and options.pin is None else None)
    for option, given in (("--pin", options.pin), ("--ca", options.ca)):
        if given is not None and not tls:
            raise UsageError(
                "{option} needs TLS: leave out --no-tls, and set tls: true in conf/client.yaml", option=option
            )
    if options.ca is not None and (wrong := authority_problem(options.ca)):
        raise UsageError("{origin}: {reason}", origin=f"--ca {options.ca}", reason=wrong)
    confirm = partial(_confirm, language) if has_terminal() and not options.no_input else None
    return Access(tls, options.pin, options.accept_new, authority, confirm, max_message=settings.max_message)


def _configure_log(*, is_verbose: bool) -> None:
    """Set the log up. A log that cannot be written is a comfort: only -v tells of it."""
    Logging().configure(client_settings.LOGGING_FILE)
    for handler in LOG.handlers:
        if isinstance(handler, RotatingFileHandler):
            handler.is_quiet = not is_verbose


def _command_line(language: Language) -> argparse.Namespace:
    tr = language.plain
    parser = ArgumentParser("./run.sh client", tr("Porter's client."), tr(_EPILOG))
    parser.add_argument("server", metavar="HOST", nargs="?", help=tr("the server's name or address"))
    parser.add_argument("server_port", metavar="PORT", nargs="?", help=tr("the server's port"))
    parser.add_argument("--host", help=tr("the same as HOST"))
    parser.add_argument("-p", "--port", help=tr("the same as PORT"))
    parser.add_argument(
        "-v", "--verbose", action="store_true", help=tr("show on standard error what goes over the wire")
    )
    parser.add_argument("--no-tls", action="store_true", help=tr("connect without TLS"))
    parser.add_argument(
        "--no-input", action="store_true", help=tr("do not ask for host, port or trust: use the defaults")
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        default=30.0,
        help=tr("in a pipe, wait so long for a silent server when the input has ended (default: 30)"),
    )
    parser.add_argument(
        "--follow", action="store_true", help=tr("in a pipe, stay when the input has ended, and show what comes")
    )
    parser.add_argument(
        "--accept-new", action="store_true", help=tr("trust an unknown server, but not a changed certificate")
    )
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--pin", metavar="SHA256:...", help=tr("trust only this certificate, and store it"))
    chosen.add_argument(
        "--ca",
        metavar="FILE",
        type=Path,
        help=tr("trust a certificate that one in FILE has signed and that names the host, and no other"),
    )
    parser.add_argument(
        "--reconnect", action="store_true", help=tr("come back after a lost connection, with the token, until Ctrl-C")
    )
    parser.add_argument(
        "--plain",
        action="store_true",
        help=tr("no colours, status, history: for screen readers, and if TERM is dumb"),
    )
    parser.add_argument("--forget", action="store_true", help=tr("delete what is stored about the server, and end"))
    parser.add_argument("--no-save", action="store_true", help=tr("store no token, certificate or history"))
    secrets = parser.add_mutually_exclusive_group()
    secrets.add_argument(
        "--password-stdin", action="store_true", help=tr("the first line of standard input is the password")
    )
    secrets.add_argument("--password-file", metavar="FILE", help=tr("the first line of FILE is the password"))
    options = parser.parse_args()
    for option, positional in (("host", "server"), ("port", "server_port")):
        given = getattr(options, positional)
        if given is not None and getattr(options, option) is not None:
            twice = "the {option} is given twice: {given}, and {again}"
            parser.error(language.text(twice, option=option, given=given, again=getattr(options, option)))
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
        raise argparse.ArgumentTypeError(gettext("{text!r} is not a number of seconds up to 86400").format(text=text))
    return seconds


def _server(options: argparse.Namespace, settings: client_settings.Settings, asks_in: Language | None) -> Endpoint:
    """Return the server that is meant. With a language the user is asked for what was not given."""
    host = options.host or environment("PORTER_HOST") or settings.host
    if not may_be_host(host):
        origin = "--host" if options.host else "PORTER_HOST"
        raise UsageError("{origin}: {host!r} is not a host name or an address", origin=origin, host=host[:60])
    origin = "PORTER_PORT" if options.port is None else "--port"
    given_port = options.port if options.port is not None else environment_port()
    port = settings.port if given_port is None else port_from(origin, given_port, lowest=1)
    if asks_in is not None and options.host is None:
        host = ask("Host", host, _existing_host, asks_in)
    if asks_in is not None and options.port is None:
        port = ask("Port", port, partial(port_number, lowest=1), asks_in)
    return Endpoint(host.lower(), port)


def _existing_host(text: str) -> str:
    try:
        socket.getaddrinfo(text, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or UsageError("it is not a valid host name")
        raise UsageError("there is no host {host!r}: {reason}", host=text[:60], reason=reason) from None
    return text


def _forget(folder: StateFolder, server: Endpoint, language: Language) -> ExitStatus:
    had_certificate = trust.forget(folder, server)
    had_tokens = tokens.forget(folder, server)
    had_any = had_certificate or had_tokens
    print(language.text("{server} is forgotten" if had_any else "nothing is stored for {server}", server=server))
    return ExitStatus.DONE


def _secret(options: argparse.Namespace, lines: Lines) -> str | None:
    """Return the first line of the file or of the input, or None. The other lines of the input stay in `lines`."""
    if options.password_file is not None:
        try:
            with Path(options.password_file).open(encoding="utf-8") as file:
                line = file.readline(65536)
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or UsageError("it is not UTF-8")
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


def _confirm(language: Language, server: str, presented: str) -> bool:
    print(language.text(_UNKNOWN, server=server, presented=presented), file=sys.stderr)
    return ask_yes_or_no("Trust it?", language)
