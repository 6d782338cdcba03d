"""`./run.sh test` without arguments: all test modules, several at a time, each in a process of its own.

Most of a test's time is spent waiting for processes and deadlines, so four at once finish in a third of the time.
"""

import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

AT_ONCE = 4
_HERE = Path(__file__).resolve().parent


class Result(NamedTuple):
    module: str
    seconds: float
    passed: int
    failed: int
    skipped: list[str]
    output: str


def run(path: Path) -> Result:
    module = ".".join(path.relative_to(_HERE.parent).with_suffix("").parts)
    start = time.monotonic()
    # -b would hide what a server prints; the warnings left out are passlib's own, which only its authors can mend.
    done = subprocess.run(
        [sys.executable, *_WARNINGS, "-m", "unittest", "--verbose", module],
        cwd=_HERE.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="backslashreplace",
    )
    ran = re.search(r"^Ran (\d+) tests?", done.stdout, re.MULTILINE)
    counts = {name: int(count) for name, count in re.findall(r"(failures|errors|skipped)=(\d+)", done.stdout[-200:])}
    failed = counts.get("failures", 0) + counts.get("errors", 0)
    if done.returncode and not failed:
        failed = 1  # it did not come to its end
    skipped = re.findall(r"^.* \.\.\. skipped .*$", done.stdout, re.MULTILINE)
    passed = max(int(ran[1]) - failed - counts.get("skipped", 0), 0) if ran else 0
    return Result(module, time.monotonic() - start, passed, failed, skipped, done.stdout)


_WARNINGS = [
    "-Wdefault",
    "-Wignore:Accessing argon2.__version__:DeprecationWarning",
    "-Wignore:'crypt' is deprecated:DeprecationWarning",
]


def main() -> int:
    start = time.monotonic()
    # The longest files first, since they tend to take longest.
    paths = sorted(_HERE.rglob("test_*.py"), key=lambda path: -path.stat().st_size)
    passed = failed = skipped = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for result in pool.map(run, paths):
            passed, failed, skipped = passed + result.passed, failed + result.failed, skipped + len(result.skipped)
            state = "FAILED" if result.failed else "ok"
            print(f"{state:6} {result.passed:4} tests {result.seconds:6.1f} s  {result.module}", flush=True)
            for line in result.skipped:
                print(f"       {line}")
            if result.failed:
                print(result.output, flush=True)
    print(f"in {time.monotonic() - start:.1f} s, on {os.cpu_count()} cores")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
