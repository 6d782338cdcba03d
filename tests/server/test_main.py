"""The start of the server: Ctrl-C while the libraries load gives no traceback."""

from common import PROJECT_ROOT
from tests.support import PorterTestCase, run_program


class Start(PorterTestCase):
    def test_ctrl_c_while_libraries_load_gives_status_130_and_no_traceback(self) -> None:
        self.write("yaml.py", "raise KeyboardInterrupt\n")
        done = run_program(self.folder, "server", PYTHONPATH=f"{self.folder}:{PROJECT_ROOT}")
        self.assertEqual((130, "", ""), (done.returncode, done.stdout, done.stderr))
