"""The command line of the load generator, and how its figures are shown."""

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
from common.program import ArgumentParser, port_number

_EPILOG = """\
work:
  messages   messages and their echoes, over connections that stay (default)
  connect    a connection, one message, its echo, the end
  login      a connection, name and password, the greeting, the end
  resume     the same with the token of a login

Closed loop: each connection sends a burst of --depth messages, waits for all answers, and sends the next. With
--rate the messages leave at given moments, whatever the server does, and latencies count from those moments.

examples:
  ./run.sh echo --no-tls --port 9090              a server to measure
  ./run.sh bench --no-tls -c 64 -d 16             as fast as it goes
  ./run.sh bench --no-tls --rate 10000 --json     ten thousand messages a second
  ./run.sh bench --name ann --password-file FILE --work resume
  ./run.sh bench --compare                        this server beside others, on this machine
"""


def main() -> int:
    options = _options()
    if options.compare:
        from benchmarks.compare import compare  # starts servers, and needs their libraries

        return compare(options.rounds, options.seconds or 2.0, options.plot, as_json=options.json)
    work = _work(options)
    processes = options.processes or max(1, len(os.sched_getaffinity(0)) - 1)
    with Progress(work.warmup + work.seconds) as progress:
        result = measure(work, processes, progress.tell)
    if not result.messages and not result.errors:
        raise Unavailable(f"{work.host}, port {work.port}: no answer within {work.warmup + work.seconds:g} seconds")
    if options.json:
        print(json.dumps({"work": _described(work), **result.figures()}, indent=2))
    else:
        _show(work, result)
    if options.plot:
        from benchmarks.chart import draw_run

        draw_run(options.plot, result)
    return ExitStatus.UNAVAILABLE if result.errors else ExitStatus.DONE


def _options() -> argparse.Namespace:
    parser = ArgumentParser("./run.sh bench", "Load for a server, and what came of it.", _EPILOG)
    parser.add_argument("--host", default="127.0.0.1", help="the server (default: %(default)s)")
    parser.add_argument("--port", default="9090", help="its port (default: %(default)s)")
    parser.add_argument("--no-tls", action="store_true", help="without TLS")
    parser.add_argument("--work", choices=[kind.value for kind in Kinds], default="messages", help="see below")
    parser.add_argument("-c", "--connections", type=int, default=64, help="at a time (default: %(default)s)")
    parser.add_argument("-d", "--depth", type=int, default=1, help="messages in a burst (default: %(default)s)")
    parser.add_argument("-s", "--size", type=int, default=64, help="bytes of a message (default: %(default)s)")
    parser.add_argument("--rate", type=float, help="messages a second of all connections together: an open loop")
    parser.add_argument("--seconds", type=float, help="how long to measure (default: 5)")
    parser.add_argument("--warmup", type=float, default=0.5, help="seconds before that (default: %(default)s)")
    parser.add_argument("--processes", type=int, help="of the load generator (default: all cores but one)")
    parser.add_argument("--name", help="an account: for a server in auth mode, which must be on this machine")
    parser.add_argument("--password-file", metavar="FILE", help="with its password in the first line")
    parser.add_argument("--json", action="store_true", help="the figures as JSON")
    parser.add_argument("--plot", metavar="FILE", type=Path, help="latency and throughput as a picture, PNG or SVG")
    parser.add_argument("--compare", action="store_true", help="measure this server and others, in turns")
    parser.add_argument("--rounds", type=int, default=3, help="of a comparison (default: %(default)s)")
    options = parser.parse_args()
    if options.plot and options.plot.suffix not in (".png", ".svg"):
        parser.error(f"--plot makes .png and .svg, not {options.plot.name!r}")
    for name in ("connections", "depth", "processes", "rounds", "rate", "seconds"):
        value = getattr(options, name)
        if value is not None and not 0 < value < math.inf:
            parser.error(f"--{name} must be more than 0")
    if not 0 <= options.size <= 1_000_000:
        parser.error("--size is from 0 to 1000000")
    return options


def _work(options: argparse.Namespace) -> Work:
    kind = Kinds(options.work)
    account = None
    if options.name:
        account = Account(options.name, _password(options.password_file))
        if options.host not in ("127.0.0.1", "::1", "localhost"):
            raise UsageError("a password is only sent to this machine: the load generator checks no certificate")
    elif kind in (Kinds.LOGIN, Kinds.RESUME):
        raise UsageError(f"--work {kind.value} needs --name and --password-file")
    if options.rate and (kind is not Kinds.MESSAGES or options.depth != 1):
        raise UsageError("--rate is for --work messages and a depth of 1")
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
        raise UsageError("--name needs --password-file")
    try:
        with open(file, encoding="utf-8") as stream:
            return stream.readline().rstrip("\n")
    except (OSError, UnicodeError) as error:
        raise UsageError(f"{file}: {getattr(error, 'strerror', None) or error}") from error


def _described(work: Work) -> dict[str, object]:
    return {
        "kind": work.kind.value,
        "connections": work.connections,
        "depth": work.depth,
        "size": work.size,
        "tls": work.tls,
        "rate": work.rate,
    }


def _show(work: Work, result: Result) -> None:
    figures = result.figures()
    what = "messages" if work.kind is Kinds.MESSAGES else f"{work.kind.value}s"
    print(f"{figures['messages']} {what} in {result.seconds:.2f} s: {result.rate:,.0f} a second")
    times = "   ".join(f"{name} {figures[f'{key}_ms']} ms" for name, key in _SHOWN)
    print(f"latency{' of a burst' if work.depth > 1 else ''}: {times}")
    for text, count in result.errors.most_common(5):
        print(f"error, {count} times: {text}", file=sys.stderr)


_SHOWN = (("p50", "p50"), ("p99", "p99"), ("p99.9", "p99_9"))
