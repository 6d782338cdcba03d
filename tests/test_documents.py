"""Each file, test and log line that the documents name exists, and docs/handlers.md works word for word."""

import ast
import os
import re
import shutil
import subprocess
import threading

from common import PROJECT_ROOT, VERSION
from common.wire.kinds import Kind
from tests.support import PATIENCE, PorterTestCase
from tests.transcript import copy_project

DOCUMENTS = sorted([*PROJECT_ROOT.glob("*.md"), *(PROJECT_ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


class Names(PorterTestCase):
    def test_every_file_and_test_that_a_document_names_exists(self) -> None:
        for document in DOCUMENTS:
            text = document.read_text()
            for name in re.findall(
                r"`((?:server|client|common|conf|tests|docs|examples|exercises|requirements)/[\w./]+)`", text
            ):
                self.assertTrue((PROJECT_ROOT / name).exists(), f"{document.name}: {name}")
            for path, names in re.findall(r"`([\w/]+\.py)` \(((?:class )?`\w+`(?:, `\w+`)*)\)", text):
                for name in re.findall(r"`(\w+)`", names):
                    defined = rf"^\s*(?:async )?(?:def|class) {name}\b"
                    self.assertRegex((PROJECT_ROOT / path).read_text(), re.compile(defined, re.M), document.name)
            for path, test in re.findall(r"`(tests/[\w./]+\.py)`: `(test_\w+)`", text):
                self.assertIn(f"def {test}(", (PROJECT_ROOT / path).read_text(), document.name)
            for link in re.findall(r"\]\(([\w./-]+)\)", text):
                self.assertTrue((document.parent / link).exists(), f"{document.name}: {link}")

    def test_each_threat_has_its_test(self) -> None:
        text = (PROJECT_ROOT / "docs/security.md").read_text()
        rows = [row for row in re.findall(r"^\| .* \|$", text, re.MULTILINE) if not row.startswith("| threat |")]
        self.assertGreater(len(rows), 30)
        for row in rows:
            self.assertRegex(row.rsplit("|", 2)[1], r"`tests/.*`: `test_|^ the same", row)

    def test_each_line_of_the_log_is_explained(self) -> None:
        page = (PROJECT_ROOT / "docs/operations.md").read_text()
        levels = {"info", "warning", "error", "exception", "log", "failed", "failure"}
        known = 0
        for path in [*(PROJECT_ROOT / "server").rglob("*.py"), *(PROJECT_ROOT / "common").rglob("*.py")]:
            for node in ast.walk(ast.parse(path.read_text())):
                match node:
                    case ast.Call(func=ast.Attribute(value=logger, attr=level), args=[ast.Constant(str(text)), *_]):
                        if (
                            level in levels and ast.unparse(logger) != "self"
                        ):  # with `self`, the text goes to a client
                            literal = max(re.split(r"%[sdg]", text), key=len).strip()
                            self.assertTrue(literal in page, f"{path}: {text!r} is not in docs/operations.md")
                            known += 1
        self.assertGreater(known, 50)

    def test_the_evening_path_is_as_long_as_the_readme_says(self) -> None:
        text = (PROJECT_ROOT / "README.md").read_text()
        section = re.search(r"^## Read it in an evening\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)
        assert section is not None
        files = re.findall(r"^\d+\. `([\w/]+\.py)`", section[1], re.MULTILINE)
        said = re.search(r"([\d,]+) lines", section[1])
        assert said is not None
        lines = sum(len((PROJECT_ROOT / name).read_text().splitlines()) for name in files)
        self.assertGreaterEqual(len(files), 9)
        self.assertLessEqual(lines, 1600)
        self.assertAlmostEqual(int(said[1].replace(",", "")), lines, delta=25)

    def test_the_readme_begins_with_a_picture_and_is_short(self) -> None:
        lines = (PROJECT_ROOT / "README.md").read_text().splitlines()
        self.assertLessEqual(len(lines), 150)
        self.assertTrue(lines[2].startswith("!["))
        for whom in ("students", "teachers", "engineers", "administrators"):
            self.assertIn(whom, "".join(lines[:10]))

    def test_each_thread_of_a_server_is_in_the_table_of_the_design(self) -> None:
        page = (PROJECT_ROOT / "docs" / "design.md").read_text()
        rows = re.findall(r"^\| `(\w[\w ]*)`", page, re.MULTILINE)
        before = set(threading.enumerate())
        with self.server("auth") as server:
            server.talk().expect(Kind.GET_TOKEN)
            names = {thread.name for thread in set(threading.enumerate()) - before}
            self.assertLessEqual({"watch", "crew", "log", "watcher", "hash_0"}, names)
            self.assertLessEqual({re.sub(r"hash_\d+", "hash_0", name) for name in names}, set(rows))

    def test_the_version_is_the_same_everywhere(self) -> None:
        self.assertIn(f'version = "{VERSION}"', (PROJECT_ROOT / "pyproject.toml").read_text())
        self.assertIn(f"## {VERSION}", (PROJECT_ROOT / "CHANGELOG.md").read_text())


class HandlersPage(PorterTestCase):
    """Runs the commands of the page in a copy of the project, with the Python that runs this test."""

    def setUp(self) -> None:
        super().setUp()
        self.project = copy_project(self.folder)
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

    def test_the_page_shows_the_files_of_the_examples(self) -> None:
        blocks = re.findall(r"^`(examples/[\w.]+)`:\n\n```\w+\n(.*?)^```", self.page, re.MULTILINE | re.DOTALL)
        self.assertGreaterEqual(len(blocks), 8)
        for name, shown in blocks:
            self.assertEqual((PROJECT_ROOT / name).read_text(), shown)

    def test_the_commands_of_the_page_print_what_the_page_shows(self) -> None:
        words = self.project / "examples" / "words.yaml"
        consoles = [body for kind, body in FENCE.findall(self.page) if kind == "console"]
        check, *rest = [(first[2:], more) for first, _, more in (body.partition("\n") for body in consoles)]
        self.assertEqual(check[1], self.output(check[0]))
        self.assertEqual(12, len(rest))
        for start, talk in zip(rest[::2], rest[1::2], strict=True):
            server = self.sh(start[0])
            try:
                assert server.stdout is not None
                listening = server.stdout.readline()
                self.assertEqual(start[1], re.sub(r"SHA256:[^)]+", "SHA256:...", listening))
                hour = r"(?m)^\d\d:\d\d:\d\d$"
                self.assertEqual(re.sub(hour, "TIME", talk[1]), re.sub(hour, "TIME", self.output(talk[0])))
            finally:
                server.terminate()
                server.communicate(timeout=PATIENCE)
        words.write_text(words.read_text().replace("prompt:", "promt:"))
        self.assertEqual(re.findall(r"^examples/words.yaml:.*\n", self.page, re.MULTILINE)[-1], self.output(check[0]))

    def test_each_command_of_run_sh_starts_something(self) -> None:
        shutil.copytree(PROJECT_ROOT / "benchmarks", self.project / "benchmarks")
        for command in ("", "help", "client", "check", "users", "store", "bench"):
            usage = self.output(f"./run.sh {command} {'' if command == 'help' else '--help'}")
            self.assertTrue(usage.startswith("usage: ./run.sh"), f"{command}: {usage}")

    def output(self, command: str) -> str:
        return self.sh(command).communicate(timeout=PATIENCE)[0]
