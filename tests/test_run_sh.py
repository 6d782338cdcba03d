"""run.sh works from any folder, prepares only once, can be called twice at once, and reports errors clearly."""

import os
import re
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

from common import PROJECT_ROOT
from tests.support import PATIENCE, PorterTestCase

PREPARING = "preparing"


class RunSh(PorterTestCase):
    """Uses a small project of its own, so that a first call takes seconds and needs no network."""

    has_uv = True
    """Whether there is a uv, which installs nothing: that is right for an empty lock, and quicker than a real pip."""

    def setUp(self) -> None:
        super().setUp()
        self.project = self.folder / "a project"
        (self.project / "server").mkdir(parents=True)
        (self.project / "requirements").mkdir()
        shutil.copy(PROJECT_ROOT / "run.sh", self.project)
        (self.project / "requirements/run.lock").write_text("# nothing\n")
        (self.project / "server" / "__init__.py").write_text("")
        (self.project / "server" / "__main__.py").write_text("import sys\nprint('started', *sys.argv[1:])\n")

    def environment(self, **more: str) -> dict[str, str]:
        ours = ("PYTHON", "PORTER", "COVERAGE")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
        if self.has_uv:
            kept["PATH"] = f"{Path(self.fake('uv', 'exit 0')).parent}:{kept['PATH']}"
        return {**kept, "PYTHON": sys.executable, **more}

    def run_sh(self, *arguments: str, cwd: Path | None = None, **more: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [str(self.project / "run.sh"), *arguments],
            cwd=cwd or self.folder,
            env=self.environment(**more),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=5 * PATIENCE,
        )
        return done.returncode, done.stdout, done.stderr

    def fake(self, name: str, script: str) -> str:
        path = self.write(f"bin/{name}", f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return str(path)

    def test_the_first_call_prepares_and_the_later_ones_are_silent_and_quick(self) -> None:
        self.has_uv = False
        status, out, errors = self.run_sh("echo", "--port", "0")
        self.assertEqual((0, "started echo --port 0\n"), (status, out), errors)
        self.assertIn(PREPARING, errors)
        start = time.monotonic()
        self.assertEqual((0, "started\n", ""), self.run_sh())
        self.assertLess(time.monotonic() - start, 1)
        inode = (self.project / ".venv").stat().st_ino
        # A changed lock is installed into the same .venv: a server may be running from it.
        (self.project / "requirements/run.lock").write_text("# nothing either\n")
        self.assertIn(PREPARING, self.run_sh()[2])
        self.assertEqual((0, "started\n", ""), self.run_sh())
        self.assertEqual(inode, (self.project / ".venv").stat().st_ino)
        self.has_uv = True
        # The next call completes an interrupted installation.
        (self.project / ".venv" / "stamp").unlink()
        (self.project / ".venv" / "bin" / "python").unlink()
        self.assertIn(PREPARING, self.run_sh()[2])
        self.assertEqual((0, "started\n", ""), self.run_sh())

    def test_two_first_calls_at_once_both_start(self) -> None:
        calls = [
            subprocess.Popen(
                [str(self.project / "run.sh"), str(number)],
                env=self.environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for number in range(2)
        ]
        said = [call.communicate(timeout=5 * PATIENCE) for call in calls]
        self.assertEqual(["started 0\n", "started 1\n"], [out for out, _ in said])
        self.assertEqual(1, sum(PREPARING in errors for _, errors in said))

    def test_the_caller_s_folder_and_links_do_not_matter(self) -> None:
        for trap in ("server/__main__.py", "logging.py", "argparse.py", "venv.py", "ensurepip.py", "fcntl.py"):
            self.write(f"elsewhere/{trap}", "raise SystemExit('the wrong file')\n")
        link = self.folder / "link"
        link.symlink_to(self.project / "run.sh")
        done = subprocess.run(
            [str(link)], cwd=self.folder / "elsewhere", env=self.environment(), capture_output=True, text=True
        )
        self.assertEqual((0, "started\n"), (done.returncode, done.stdout), done.stderr)

    def test_an_old_python_is_refused_in_clear_words(self) -> None:
        old = self.fake("python", 'case "$1" in --version) echo Python 3.9.2 ;; *) exit 1 ;; esac')
        status, out, errors = self.run_sh(PYTHON=old)
        self.assertEqual((69, ""), (status, out))
        self.assertIn("Python 3.9.2 is too old; Porter needs Python 3.11 or newer", errors)

    def test_the_error_for_a_python_without_venv_says_how_to_install_it(self) -> None:
        self.has_uv = False
        bare = self.fake("python", f'case "$*" in *ensurepip*) exit 1 ;; *) exec "{sys.executable}" "$@" ;; esac')
        path = str(Path(bare).parent)
        for tool in ("bash", "dirname", "readlink", "cat"):
            (Path(path) / tool).symlink_to(str(shutil.which(tool)))
        status, out, errors = self.run_sh(PYTHON=bare, PATH=path)
        self.assertEqual((69, ""), (status, out))
        self.assertIn("apt-get install python3-venv", errors)

    def test_a_missing_python_is_reported(self) -> None:
        status, out, errors = self.run_sh(PYTHON="no-such-python")
        self.assertEqual((69, ""), (status, out))
        self.assertIn("no-such-python", errors)
        self.assertIn("Python 3.11 or newer", errors)

    def test_any_shell_may_start_it_from_anywhere(self) -> None:
        for command in (["sh", "run.sh"], ["sh", "../a project/run.sh"], ["sh", str(self.project / "run.sh")]):
            done = subprocess.run(
                [*command, "x"],
                cwd=self.project,
                env=self.environment(),
                capture_output=True,
                text=True,
                timeout=PATIENCE,
            )
            self.assertEqual((0, "started x\n"), (done.returncode, done.stdout), done.stderr)
        self.assertFalse((self.folder / ".venv").exists())

    def test_the_caller_s_settings_of_pip_do_not_lead_astray(self) -> None:
        self.has_uv = False
        settings = "target = /nonexistent\nuser = true\nrequire-virtualenv = true\nprefix = /nonexistent\n"
        file = self.write("pip.conf", f"[global]\n{settings}index-url = file:///nowhere\nfind-links = /a /b\n")
        self.write("a project/requirements/run.lock", "# nothing\n")
        fake = self.write("bin/pip", "")
        status, out, errors = self.run_sh(
            "x", PIP_CONFIG_FILE=str(file), PIP_USER="1", PIP_TARGET=str(fake.parent), PIP_CONSTRAINT="/nonexistent"
        )
        self.assertEqual((0, "started x\n"), (status, out), errors)

    def test_where_packages_come_from_is_the_caller_s_to_say(self) -> None:
        self.has_uv = False
        self.write("a project/requirements/run.lock", "no-such-package==1 --hash=sha256:" + "0" * 64 + "\n")
        status, _, errors = self.run_sh(
            "x", PIP_INDEX_URL="http://127.0.0.1:1/simple", PIP_RETRIES="0", PIP_TIMEOUT="1"
        )
        self.assertEqual(69, status)
        self.assertIn("could not be installed into", errors)

    def test_the_caller_s_pythonpath_is_for_handlers_and_replaces_nothing_of_porter_s(self) -> None:
        (self.project / "server" / "__main__.py").write_text(
            "import os, server; print(os.environ['PORTER_PYTHONPATH'], server.__file__)\n"
        )
        self.write("evil/server/__init__.py", "raise SystemExit('the wrong one')\n")
        status, out, errors = self.run_sh(PYTHONPATH=f"{self.folder}/evil")
        self.assertEqual((0, f"{self.folder}/evil {self.project}/server/__init__.py\n"), (status, out), errors)

    def test_help_is_a_command(self) -> None:
        self.assertEqual((0, "started --help\n"), self.run_sh("help")[:2])

    def test_a_lock_that_cannot_be_installed_is_reported(self) -> None:
        (self.project / "requirements/run.lock").write_text("no-such-package==1 --hash=sha256:" + "0" * 64 + "\n")
        self.has_uv = False
        self.fake("uv", "exit 1")
        status, out, errors = self.run_sh(PATH=f"{self.folder}/bin:{os.environ['PATH']}")
        self.assertEqual((69, ""), (status, out))
        self.assertIn("could not be installed", errors)

    def test_only_a_comparison_and_a_chart_need_more_packages_than_the_programs(self) -> None:
        shutil.copytree(self.project / "server", self.project / "benchmarks")
        self.assertEqual("started --port 1\n", self.run_sh("bench", "--port", "1")[1])
        for arguments in (("--compare",), ("-c", "1", "--plot", "x.svg")):
            status, out, errors = self.run_sh("bench", *arguments)
            self.assertNotEqual((0, ""), (status, errors), out)  # there is no lock to install from
            (self.project / "requirements/bench.lock").write_text("# nothing more\n")
            status, out, _ = self.run_sh("bench", *arguments)
            self.assertEqual((0, f"started {' '.join(arguments)}\n"), (status, out))
            (self.project / "requirements/bench.lock").unlink()

    def test_the_lock_of_the_tests_contains_the_lock_of_the_programs(self) -> None:
        def pins(name: str) -> set[str]:
            return set(re.findall(r"^\S+==\S+", (PROJECT_ROOT / name).read_text(), re.MULTILINE))

        self.assertLessEqual(pins("requirements/run.lock"), pins("requirements/dev.lock"))

    def test_both_locks_give_a_hash_for_each_file_and_no_url(self) -> None:
        for name in ("requirements/run.lock", "requirements/dev.lock"):
            text = (PROJECT_ROOT / name).read_text()
            packages = [line for line in text.splitlines() if line and line[0].isalnum()]
            self.assertGreater(len(packages), 10)
            self.assertTrue(all("==" in line for line in packages))
            self.assertGreaterEqual(text.count("--hash=sha256:"), len(packages))
            self.assertNotIn("://", text)
