"""The documents: what they name exists, and docs/handlers.md works word for word."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from common import PROJECT_ROOT, VERSION
from tests.support import PATIENCE, PorterTestCase

DOCUMENTS = sorted([*PROJECT_ROOT.glob("*.md"), *(PROJECT_ROOT / "docs").glob("*.md")])
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


class Names(PorterTestCase):
    def test_every_file_and_test_that_a_document_names_exists(self) -> None:
        for document in DOCUMENTS:
            text = document.read_text()
            for name in re.findall(r"`((?:server|client|common|conf|tests|docs)/[\w./]+)`", text):
                self.assertTrue((PROJECT_ROOT / name).exists(), f"{document.name}: {name}")
            for place, test in re.findall(r"`(tests/[\w./]+\.py)`: `(test_\w+)`", text):
                self.assertIn(f"def {test}(", (PROJECT_ROOT / place).read_text(), document.name)
            for link in re.findall(r"\]\(([\w./]+)\)", text):
                self.assertTrue((document.parent / link).exists(), f"{document.name}: {link}")

    def test_each_task_of_the_sheet_has_its_row(self) -> None:
        rows = re.findall(
            r"^\| (–|\d+) \|.*\|.*\|.*\|.*\|$", (PROJECT_ROOT / "docs/tasks.md").read_text(), re.MULTILINE
        )
        self.assertEqual(["–", *map(str, range(3, 11))], rows)

    def test_each_threat_has_its_test(self) -> None:
        text = (PROJECT_ROOT / "docs/security.md").read_text()
        rows = [row for row in re.findall(r"^\| .* \|$", text, re.MULTILINE) if not row.startswith("| threat |")]
        self.assertGreater(len(rows), 30)
        for row in rows:
            self.assertRegex(row.rsplit("|", 2)[1], r"`tests/.*`: `test_|^ the same", row)

    def test_each_line_of_the_log_is_explained(self) -> None:
        page = (PROJECT_ROOT / "docs/operations.md").read_text()
        levels = {"info", "warning", "error", "exception", "log", "note"}
        known = 0
        for path in [*(PROJECT_ROOT / "server").rglob("*.py"), *(PROJECT_ROOT / "common").rglob("*.py")]:
            for node in ast.walk(ast.parse(path.read_text())):
                match node:
                    case ast.Call(func=ast.Attribute(value=logger, attr=level), args=[ast.Constant(str(text)), *_]):
                        if level in levels and ast.unparse(logger) != "self":  # with `self`, it is said to a client
                            literal = max(re.split(r"%[sdg]", text), key=len).strip()
                            self.assertIn(literal, page, f"{path}: {text}")
                            known += 1
        self.assertGreater(known, 50)

    def test_the_version_is_the_same_everywhere(self) -> None:
        self.assertIn(f'version = "{VERSION}"', (PROJECT_ROOT / "pyproject.toml").read_text())
        self.assertIn(f"## {VERSION}", (PROJECT_ROOT / "CHANGELOG.md").read_text())


class HandlersPage(PorterTestCase):
    """In a copy of the project, with the .venv that runs this test."""

    def setUp(self) -> None:
        super().setUp()
        self.project = self.folder / "porter"
        for name in ("server", "client", "common", "conf"):
            shutil.copytree(PROJECT_ROOT / name, self.project / name, ignore=shutil.ignore_patterns("__pycache__"))
        (self.project / "requirements").mkdir()
        for name in ("run.sh", "requirements/run.lock"):
            shutil.copy(PROJECT_ROOT / name, self.project / name)
        (self.project / "logs").mkdir()
        venv = self.project / ".venv"
        (venv / "bin").mkdir(parents=True)
        python = self.write("porter/.venv/bin/python", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        python.chmod(0o755)
        version = subprocess.run(
            [str(python), "-ISc", "import sys; print(sys.version)"], capture_output=True, text=True
        )
        (venv / "stamp").write_text(version.stdout + (self.project / "requirements/run.lock").read_text())
        self.page = (PROJECT_ROOT / "docs" / "handlers.md").read_text()

    def sh(self, command: str) -> "subprocess.Popen[str]":
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHONPATH", "PORTER"))}
        return subprocess.Popen(
            ["bash", "-c", f"exec {command}" if "|" not in command else command],
            cwd=self.project,
            env={**kept, "XDG_STATE_HOME": str(self.folder / "state")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def save(self, name: str) -> Path:
        """The block that the page says to save under this name, saved."""
        block = re.search(rf"Save this as `{name}`.*?^```\w+\n(.*?)^```", self.page, re.MULTILINE | re.DOTALL)
        assert block is not None, name
        path = self.project / name
        path.write_text(block[1])
        return path

    def test_from_nothing_to_a_running_word_counter(self) -> None:
        self.save("word_count.py")
        words = self.save("words.yaml")
        consoles = [body for kind, body in FENCE.findall(self.page) if kind == "console"]
        check, start, talk = [(first[2:], rest) for first, _, rest in (body.partition("\n") for body in consoles)]
        self.assertEqual(check[1], self.output(check[0]))
        server = self.sh(start[0])
        try:
            assert server.stdout is not None
            listening = server.stdout.readline()
            self.assertEqual(start[1], re.sub(r"SHA256:[^)]+", "SHA256:...", listening))
            self.assertEqual(talk[1], self.output(talk[0]))
        finally:
            server.terminate()
            server.communicate(timeout=PATIENCE)
        words.write_text(words.read_text().replace("prompt:", "promt:"))
        self.assertEqual(re.findall(r"^words.yaml:.*\n", self.page, re.MULTILINE)[-1], self.output(check[0]))

    def output(self, command: str) -> str:
        return self.sh(command).communicate(timeout=PATIENCE)[0]
