"""The table of the comparison. Each server whose library is installed answers as Porter does."""

import importlib.util
import unittest

from benchmarks import commandline
from benchmarks.compare import BY_DEFAULT, table
from benchmarks.figures import CELLS, Figure
from benchmarks.processes import measure
from benchmarks.servers import CHAT_PEER, PEERS, PORTER, PORTER_CHAT, RunningServer
from benchmarks.work import Work
from common.errors import Unavailable
from tests.support import call_program

LIBRARIES = {"Twisted": "twisted", "gevent": "gevent", "uvloop Protocol": "uvloop"}


class Comparison(unittest.TestCase):
    def test_the_table_shows_rates_costs_and_ratios(self) -> None:
        ours, theirs = Figure(3000.0, 1.5), Figure(2000.0, 2.0)
        names = {PORTER: ours, "asyncio streams": theirs}
        names |= {PORTER + BY_DEFAULT: theirs, "socketserver" + BY_DEFAULT: ours}
        shown = table({name: dict.fromkeys(CELLS, figure) for name, figure in names.items()}).splitlines()
        self.assertIn("| Porter | 3,000 (1.5) | ", shown[2])
        self.assertIn("| asyncio streams | 1.50 | ", shown[-2])
        self.assertIn("| socketserver by default | 0.67 | ", shown[-1])

    def test_all_servers_echo_each_message(self) -> None:
        for name in (PORTER, *PEERS):
            library = LIBRARIES.get(name)
            if library and importlib.util.find_spec(library) is None:
                print(f"{name} is left out: {library} is not installed (./run.sh bench --compare installs it)")
                continue
            with self.subTest(name), RunningServer(name, None) as server:
                for depth, size in ((4, 64), (1, 65536)):
                    work = Work(
                        "127.0.0.1", server.port, connections=2, depth=depth, size=size, warmup=0, seconds=0.2
                    )
                    result = measure(work, 1)
                    self.assertEqual({}, result.errors)
                    self.assertGreater(result.messages, 0)
                self.assertGreater(server.cpu_seconds(), 0)

    def test_chats_are_compared_in_a_table(self) -> None:
        status, shown, errors = call_program(
            commandline.main, *["--compare", "--work", "chat", "-c", "4", "--rounds", "1", "--seconds", "2"]
        )
        self.assertEqual((0, ""), (status, errors))
        for name in (PORTER_CHAT, CHAT_PEER):
            self.assertRegex(shown, rf"(?m)^\| {name} \| 1\d \| [\d.]+ \| [\d.]+ \| \d+ \|$")

    def test_a_server_that_does_not_start_is_reported(self) -> None:
        with self.assertRaisesRegex(Unavailable, "nothing does not start"), RunningServer("nothing", None):
            pass
