"""The start of the load generator: Ctrl-C while the libraries are being loaded is not an error."""

from common import PROJECT_ROOT
from tests.support import PorterTestCase, run_program


class Start(PorterTestCase):
    def test_ctrl_c_while_libraries_are_loaded_ends_with_130_and_without_a_traceback(self) -> None:
        self.write("yaml.py", "raise KeyboardInterrupt\n")
        self.write("heapq.py", "raise KeyboardInterrupt\n")
        done = run_program(self.folder, "benchmarks", PYTHONPATH=f"{self.folder}:{PROJECT_ROOT}")
        self.assertEqual((130, "", ""), (done.returncode, done.stdout, done.stderr))
