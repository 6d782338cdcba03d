"""The command line of the load generator, and the output of its results."""

import argparse
import json
import math
import os
import sys
from pathlib import Path

from benchmarks.processes import measure
from benchmarks.progress import Progress
from benchmarks.results import Result
from benchmarks.work import Account, Kinds, Work
from common.errors import ExitStatus, Unavailable, UsageError
from common.program import ArgumentParser, end_on_signals, port_number

_EPILOG = """\
work:
  messages   messages and their echoes, over connections that stay open (default)
  connect    connect, send one message, get its echo, disconnect
  login      connect, send name and password, get the greeting, disconnect
  resume     the same with a token instead of name and password
  chat       say a line to a room, once a second each or as --rate says; each line that a member hears is counted,
             and the accounts are NAME0, NAME1, ..., which are made if the server has none of these names

Without --rate, each connection sends a burst of --depth messages, waits for all answers, and sends the next burst.
With --rate, each message is sent at a planned moment, whatever the server does; latencies count from these moments.

examples:
  ./run.sh echo --no-tls --port 9090              start a server to measure
  ./run.sh bench --no-tls -c 64 -d 16             as fast as possible
  ./run.sh bench --no-tls --rate 10000 --json     10,000 messages a second
  ./run.sh bench --name ann --password-file FILE --work resume
  ./run.sh bench --compare                        compare Porter with other servers, on this machine
  ./run.sh bench --compare --work chat -c 100     the same for a chat
"""


def main() -> int:
    options = _options()
    end_on_signals()
    if options.failover:
        from benchmarks import failover

        return failover.main(options.connections, options.plot)
    if options.compare:
        # Imported only here: it starts other servers, which need their libraries.
        from benchmarks.compare import compare, compare_chats

        if options.work == Kinds.CHAT:
            return compare_chats(options.connections, options.rounds, options.seconds or 5.0)
        return compare(options.rounds, options.seconds or 2.0, options.plot, as_json=options.json)
    if options.curve:
        from benchmarks.curve import draw

        return draw(options.connections, options.rounds, options.seconds or 2.0, options.plot)
    work = _work(options)
    processes = options.processes or max(1, len(os.sched_getaffinity(0)) - 1)
    with Progress(work.warmup + work.seconds) as progress:
        result = measure(work, processes, progress.tell)
    if not result.messages and not result.errors:
        raise Unavailable(
            "{host}, port {port}: no answer within {seconds:g} seconds",
            host=work.host,
            port=work.port,
            seconds=work.warmup + work.seconds,
        )
    if options.json:
        print(json.dumps({"work": _describe(work), **result.figures()}, indent=2))
    else:
        _print_result(work, result)
    if options.plot:
        from benchmarks.chart import draw_run

        draw_run(options.plot, result)
    return ExitStatus.UNAVAILABLE if result.errors else ExitStatus.DONE


def _options() -> argparse.Namespace:
    parser = ArgumentParser("./run.sh bench", "Send load to a server and measure its answers.", _EPILOG)
    parser.add_argument("--host", default="127.0.0.1", help="name or address of the server (default: %(default)s)")
    parser.add_argument("--port", default="9090", help="port of the server (default: %(default)s)")
    parser.add_argument("--no-tls", action="store_true", help="connect without TLS")
    parser.add_argument(
        "--work", choices=[kind.value for kind in Kinds], default="messages", help="kind of work, see below"
    )
    parser.add_argument(
        "-c", "--connections", type=int, default=64, help="connections at a time (default: %(default)s)"
    )
    parser.add_argument("-d", "--depth", type=int, default=1, help="messages in a burst (default: %(default)s)")
    parser.add_argument("-s", "--size", type=int, default=64, help="bytes in a message (default: %(default)s)")
    parser.add_argument("--rate", type=float, help="messages a second, of all connections together")
    parser.add_argument("--seconds", type=float, help="seconds to measure (default: 5; with --compare 2)")
    parser.add_argument(
        "--warmup", type=float, default=0.5, help="seconds of load before the measurement (default: %(default)s)"
    )
    parser.add_argument("--processes", type=int, help="processes of the load generator (default: all cores but one)")
    parser.add_argument("--name", help="account on a server in auth mode, which must be on this machine")
    parser.add_argument(
        "--password-file", metavar="FILE", help="file with the password of the account in its first line"
    )
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--plot", metavar="FILE", type=Path, help="draw the results into a PNG or SVG file")
    parser.add_argument("--compare", action="store_true", help="measure Porter and other servers, in turns")
    parser.add_argument(
        "--curve", action="store_true", help="measure the latency of Porter and other servers at rising rates"
    )
    parser.add_argument(
        "--failover", action="store_true", help="simulate how -c clients of a lost server come back to another one"
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds of a comparison (default: %(default)s)")
    options = parser.parse_args()
    if options.plot and options.plot.suffix not in (".png", ".svg"):
        parser.error(f"--plot makes .png and .svg, not {options.plot.name!r}")
    for name in ("connections", "depth", "processes", "rounds", "rate", "seconds"):
        value = getattr(options, name)
        if value is not None and not 0 < value < math.inf:
            parser.error(f"--{name} must be more than 0")
    if not 0 <= options.size <= 1_000_000:
        parser.error("--size must be from 0 to 1000000")
    return options


def _work(options: argparse.Namespace) -> Work:
    kind = Kinds(options.work)
    account = None
    if options.name:
        account = Account(options.name, _password(options.password_file))
        if options.host not in ("127.0.0.1", "::1", "localhost"):
            raise UsageError("a password is only sent to this machine: the load generator checks no certificate")
    elif kind in (Kinds.LOGIN, Kinds.RESUME, Kinds.CHAT):
        raise UsageError("--work {kind} needs --name and --password-file", kind=kind.value)
    if options.rate and (kind not in (Kinds.MESSAGES, Kinds.CHAT) or options.depth != 1):
        raise UsageError("--rate is for --work messages with --depth 1, and for --work chat")
    if kind is Kinds.CHAT and options.rate is None:
        options.rate = float(options.connections)
    return Work(
        options.host,
        port_number(options.port, lowest=1),
        kind,
        options.connections,
        1 if kind is Kinds.CONNECT else options.depth,
        options.size,
        not options.no_tls,
        account,
        options.rate,
        options.warmup,
        options.seconds or 5.0,
    )


def _password(file: str | None) -> str:
    if file is None:
        raise UsageError("--name needs --password-file, a file with the password")
    try:
        with open(file, encoding="utf-8") as stream:
            return stream.readline().rstrip("\n")
    except (OSError, UnicodeError) as error:
        raise UsageError(
            "cannot read the password file {file}: {reason}",
            file=file,
            reason=getattr(error, "strerror", None) or error,
        ) from error


def _describe(work: Work) -> dict[str, object]:
    return {
        "kind": work.kind.value,
        "connections": work.connections,
        "depth": work.depth,
        "size": work.size,
        "tls": work.tls,
        "rate": work.rate,
    }


def _print_result(work: Work, result: Result) -> None:
    figures = result.figures()
    unit = {Kinds.MESSAGES: "messages", Kinds.CHAT: "lines heard"}.get(work.kind, f"{work.kind.value}s")
    print(f"{figures['messages']} {unit} in {result.seconds:.2f} s: {result.rate:,.0f} a second")
    times = "   ".join(f"{name} {figures[f'{key}_ms']} ms" for name, key in _PERCENTILES)
    print(f"latency{' of a burst' if work.depth > 1 else ''}: {times}")
    for text, count in result.errors.most_common(5):
        print(f"error, {count} times: {text}", file=sys.stderr)


_PERCENTILES = (("p50", "p50"), ("p99", "p99"), ("p99.9", "p99_9"))
