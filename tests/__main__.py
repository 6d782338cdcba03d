"""Runs all test modules for `./run.sh test` without arguments: in groups, each in a process, several at a time.

`./run.sh test --long` runs the tests of endurance for longer, at most half an hour: use it before a release.
A test mostly waits for processes and deadlines, so six groups at once finish in a fifth of the time.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, starmap
from pathlib import Path
from typing import NamedTuple

AT_ONCE = 6
DATABASES = " on both databases"
LONGEST = 1800
"""Seconds that a group may take; a group that hangs is a failure."""
_HERE = Path(__file__).resolve().parent


# These modules run programs and wait most, so each has a process of its own. The others share one with their folder.
_ALONE = {
    "test_ending",
    "test_exercises",
    "test_lesson",
    "test_tasks",
    "test_commandline",
    "test_enumeration",
    "test_guessing",
    "test_hostile_server",
    "test_lifecycle",
    "test_first_sight",
    "test_run_sh",
    "test_server",
    "test_terminal",
    "test_users",
}

# These measure how long others wait, or need a core to themselves, so nothing else runs beside them.
_TIMED = {
    "tests.attacks.test_enumeration",
    "tests.endurance.test_fairness",
    "tests.endurance.test_latency",
    "tests.endurance.test_placement",
}


# Whatever code these run, others reach too. To count it takes as long again as to run it.
_NOT_COUNTED = re.compile(r"tests\.(attacks|endurance|fuzz|deploy|test_exercises|test_lesson|test_tasks)\b")


class Result(NamedTuple):
    group: str
    seconds: float
    passed: int
    failed: int
    skipped: list[str]
    output: str


def groups() -> dict[str, list[str]]:
    """Return the modules of each group. Those that need PostgreSQL are together, so that it is set up seldom."""
    found: dict[str, list[str]] = {}
    for path in sorted(_HERE.rglob("test_*.py")):
        module = ".".join(path.relative_to(_HERE.parent).with_suffix("").parts)
        if path.stem in _ALONE or path.parent.name == "endurance":
            group = module
        elif "store_case import" in path.read_text() and "needs_p" in path.read_text():
            group = module.rpartition(".")[0] + DATABASES
        else:
            group = module.rpartition(".")[0]
        found.setdefault(group, []).append(module)
    return found


def run(group: str, modules: list[str]) -> Result:
    start = time.monotonic()
    environment = dict(os.environ)
    if _NOT_COUNTED.match(group):
        environment = {name: value for name, value in environment.items() if not name.startswith("COVERAGE_")}
    # -b would hide what a server prints.
    command = [sys.executable, "-Wdefault", "-m", "unittest", "--verbose", *modules]
    with tempfile.TemporaryFile("w+", errors="backslashreplace") as file:  # a hanging process would keep a pipe open
        try:
            status = subprocess.call(
                command,
                cwd=_HERE.parent,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                timeout=LONGEST,
            )
        except subprocess.TimeoutExpired:
            status = -1
            file.write(f"\nended after {LONGEST} seconds\n")
        file.seek(0)
        output = file.read()
    ran = re.search(r"^Ran (\d+) tests?", output, re.MULTILINE)
    counts = {name: int(count) for name, count in re.findall(r"(failures|errors|skipped)=(\d+)", output[-200:])}
    failed = counts.get("failures", 0) + counts.get("errors", 0)
    skipped = re.findall(r"^.* \.\.\. skipped .*$", output, re.MULTILINE)
    only_skipped = status == 5 and skipped  # Python 3.12.1 says so if no test of a group ran
    if status and not failed and not only_skipped:
        failed = 1  # it did not finish
    passed = max(int(ran[1]) - failed - counts.get("skipped", 0), 0) if ran else 0
    return Result(group, time.monotonic() - start, passed, failed, skipped, output)


def main() -> int:
    start = time.monotonic()
    # What takes longest starts first: the databases, then groups of one module.
    todo = sorted(groups().items(), key=lambda item: (DATABASES not in item[0], len(item[1])))
    if sys.argv[1:] == ["--long"]:
        os.environ["PORTER_LONG_TESTS"] = "1"
        todo = [(group, modules) for group, modules in todo if ".endurance." in group]
    beside = [(group, modules) for group, modules in todo if group not in _TIMED]
    alone = [(group, modules) for group, modules in todo if group in _TIMED]
    last: dict[str, Result] = {}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for result in chain(pool.map(run, *zip(*beside, strict=True)), starmap(run, alone)):
            last[result.group] = shown(result)
    # Six groups at once can be too much for the deadlines of one. It says so, and has the machine to itself.
    again = {group: modules for group, modules in todo if last[group].failed}
    for group, modules in again.items():
        print(f"again, alone: {group}", flush=True)
        last[group] = shown(run(group, modules))
    passed = sum(result.passed for result in last.values())
    failed = sum(result.failed for result in last.values())
    skipped = sum(len(result.skipped) for result in last.values())
    if only_alone := [group for group in again if not last[group].failed]:
        print(f"passed only alone: {', '.join(only_alone)}")
    print(f"in {time.monotonic() - start:.1f} s, on {os.cpu_count()} cores")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


def shown(result: Result) -> Result:
    """Print a result: a line, what was skipped and why, and all that a failed group has printed."""
    state = "FAILED" if result.failed else "ok"
    print(f"{state:6} {result.passed:4} tests {result.seconds:6.1f} s  {result.group}", flush=True)
    for line in result.skipped:
        print(f"       {line}")
    if result.failed:
        print(result.output, flush=True)
    return result


if __name__ == "__main__":
    sys.exit(main())
