"""Worker processes: they start together, are replaced when they die, and stop in time.

Their parent runs in a process of its own, too.
"""

import os
import signal
import subprocess
import sys
import textwrap
import time

from common import PROJECT_ROOT
from tests.support import PATIENCE, PorterTestCase, scaled, wait_until

PARENT = """
import os, signal, sys, threading, time
from common.errors import Unavailable
from server.process.signals import HANDLED, Signals
from server.process.workers import Workers

def print_line(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def work(number, say, orders):
    def follow():
        while order := os.read(orders, 1):
            print_line("order", order.decode(), number)
            if order == b"d" and obeys:
                os._exit(0)
        os._exit(0)
    obeys = []
    threading.Thread(target=follow, daemon=True).start()
    print_line("worker", number, os.getpid())
{work}

with Signals((*HANDLED, signal.SIGCHLD)) as signals:
    workers = Workers(2, work, lambda number: print_line("forget", number))
    try:
        said = workers.start(signals)
        print_line("said", said)
{then}
    except Unavailable as error:
        print("cannot:", error, flush=True)
        os._exit(69)
    while said and (number := signals.wait(workers.watch())) != signal.SIGTERM:
        if number == signal.SIGHUP:
            workers.reload()
    workers.stop(signals, 0.2)
print("stopped", flush=True)
"""
DEAF = """
say("here")
while True:
    threading.Event().wait()
"""
OBEDIENT = "obeys.append(True)" + DEAF


class Processes(PorterTestCase):
    def start(self, work: str, then: str = "") -> "subprocess.Popen[str]":
        """Start a parent of two workers that run `work`. It runs `then` when they are ready."""
        code = PARENT.format(work=textwrap.indent(work, "    "), then=textwrap.indent(then, " " * 8))
        parent = subprocess.Popen(
            [sys.executable, "-c", code], cwd=PROJECT_ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.addCleanup(self.end, parent)
        return parent

    def end(self, parent: "subprocess.Popen[str]") -> None:
        parent.kill()
        parent.communicate()

    def read(self, parent: "subprocess.Popen[str]", count: int) -> list[str]:
        assert parent.stdout is not None
        return sorted(parent.stdout.readline().strip() for _ in range(count))

    def pids(self, lines: list[str]) -> list[int]:
        return [int(line.split()[2]) for line in lines if line.startswith("worker")]

    def test_all_workers_start_reload_and_stop(self) -> None:
        parent = self.start(OBEDIENT)
        lines = self.read(parent, 3)
        self.assertEqual("said here", lines[0])
        self.assertEqual(2, len(set(self.pids(lines))))
        parent.send_signal(signal.SIGHUP)
        self.assertEqual(["order r 0", "order r 1"], self.read(parent, 2))
        parent.send_signal(signal.SIGTERM)
        self.assertEqual(["forget 0", "forget 1", "order d 0", "order d 1", "stopped"], self.read(parent, 5))
        self.assertEqual(0, parent.wait(PATIENCE))

    def test_a_killed_worker_is_replaced_within_two_seconds(self) -> None:
        parent = self.start(OBEDIENT)
        pids = self.pids(self.read(parent, 3))
        start = time.monotonic()
        os.kill(pids[0], signal.SIGKILL)
        lines = self.read(parent, 2)
        self.assertTrue(lines[0].startswith("forget "), lines)
        self.assertNotIn(self.pids(lines)[0], pids)
        self.assertLess(time.monotonic() - start, 2)

    def test_a_signal_before_the_worker_handles_signals_is_not_lost(self) -> None:
        unblock = """
os.kill(os.getpid(), signal.SIGTERM)
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
"""
        parent = self.start(unblock + DEAF)
        lines = self.read(parent, 5)
        self.assertEqual(1, lines.count("forget 0"), lines)

    def test_a_second_end_cuts_and_orders_come_once(self) -> None:
        parent = self.start(DEAF, "workers.end()\nworkers.end()")
        lines = self.read(parent, 7)
        self.assertEqual(
            ["order c 0", "order c 1", "order d 0", "order d 1"], [line for line in lines if line[:5] == "order"]
        )

    def test_a_worker_that_cannot_be_replaced_now_is_replaced_later(self) -> None:
        fail = """
fork = os.fork
def fail_once():
    os.fork = fork
    raise OSError(11, "no more processes")
os.fork = fail_once
"""
        parent = self.start(OBEDIENT, fail)
        pids = self.pids(self.read(parent, 3))
        os.kill(pids[0], signal.SIGKILL)
        lines = self.read(parent, 2)
        self.assertNotIn(self.pids(lines)[0], pids)
        parent.send_signal(signal.SIGTERM)
        _, errors = parent.communicate(timeout=PATIENCE)
        self.assertIn("cannot be replaced: no more processes", errors)
        self.assertEqual(0, parent.returncode)

    def test_a_stop_does_not_wait_for_starting_workers(self) -> None:
        parent = self.start("signal.pause()")
        self.read(parent, 2)
        start = time.monotonic()
        parent.send_signal(signal.SIGTERM)
        out, _ = parent.communicate(timeout=PATIENCE)
        self.assertIn("said None", out)
        self.assertLess(time.monotonic() - start, scaled(0.2 + 2.5))

    def test_workers_that_cannot_start_end_the_parent_with_the_reason(self) -> None:
        parent = self.start("raise Unavailable('no database')")
        out, _ = parent.communicate(timeout=PATIENCE)
        self.assertIn("cannot: no database\n", out)
        self.assertEqual(69, parent.returncode)

    def test_a_worker_that_dies_before_it_is_ready_ends_the_parent(self) -> None:
        parent = self.start("os._exit(3)")
        out, errors = parent.communicate(timeout=PATIENCE)
        self.assertIn("cannot: a worker ended before it was ready\n", out)
        self.assertIn("ended with status 3", errors)

    def test_a_worker_that_does_not_end_is_killed(self) -> None:
        parent = self.start(DEAF)
        self.read(parent, 3)
        start = time.monotonic()
        parent.send_signal(signal.SIGTERM)
        self.assertEqual(0, parent.wait(PATIENCE))
        self.assertLess(time.monotonic() - start, scaled(0.2 + 2.5))

    def test_workers_end_without_their_parent(self) -> None:
        parent = self.start(OBEDIENT)
        pids = self.pids(self.read(parent, 3))
        parent.kill()
        parent.wait(PATIENCE)
        wait_until(lambda: not any(_is_there(pid) for pid in pids), "the end of the workers")


def _is_there(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
