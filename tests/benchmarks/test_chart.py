"""The charts: each has the format of its file name and shows every server."""

import importlib.util
import tempfile
import unittest
from pathlib import Path

from benchmarks.chart import draw_comparison, draw_curves, draw_run
from benchmarks.figures import CELLS, Figure, Point
from benchmarks.results import Result


@unittest.skipUnless(importlib.util.find_spec("matplotlib"), "it takes matplotlib: ./run.sh bench --plot installs it")
class Charts(unittest.TestCase):  # and not PorterTestCase: matplotlib keeps its fonts open
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def test_a_comparison_names_every_server_and_every_kind_of_work(self) -> None:
        path = self.folder / "comparison.svg"
        draw_comparison(path, {name: dict.fromkeys(CELLS, Figure(10.0, 1.0)) for name in ("Porter", "another")})
        shown = path.read_text()
        for text in ("Porter", "another", *CELLS):
            self.assertIn(f">{text}</text>", shown)

    def test_the_curves_name_every_server_that_kept_up(self) -> None:
        path = self.folder / "curves.svg"
        draw_curves(path, {"Porter": [Point(1000, 0.1, 0.5), Point(2000, 0.2, 0.9)], "another": [Point(1000, 1, 2)]})
        shown = path.read_text()
        for text in ("Porter", "another", "p50", "p99", "messages a second"):
            self.assertIn(f">{text}</text>", shown)

    def test_a_run_is_drawn_as_png_too(self) -> None:
        result = Result()
        result.by_second |= {0: 10, 1: 12}
        result.add({1000: 1, 2000: 1})
        draw_run(self.folder / "run.png", result)
        self.assertTrue((self.folder / "run.png").read_bytes().startswith(b"\x89PNG"))
