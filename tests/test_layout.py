"""The house: who may import whom, what a file must have, and that each module has its test."""

import ast
import unittest
from pathlib import Path

from common import PROJECT_ROOT

PACKAGES = ("common", "server", "client", "benchmarks")
MAY_IMPORT = {package: {"common", package} for package in PACKAGES}
RULE_BOOKS = (
    "accounts",
    "clients",
    "lockout",
    "logins",
    "names",
    "passwords",
    "housekeeping",
    "registrations",
    "revocations",
    "sessions",
    "postgresql",
    "sqlite",
    "store",
    "tables",
    "watcher",
)
KNOWS_SOCKETS = {
    "socket",
    "ssl",
    "socketserver",
    "common.sockets",
    "common.tls",
    "common.waiting",
    "server.server",
    "server.handler",
    "server.service",
}


def modules(package: str) -> list[Path]:
    return sorted(path for path in (PROJECT_ROOT / package).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Every module that a file imports, also inside functions; `import a.b` and `from a import b` are both a.b."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


class Layout(unittest.TestCase):
    def test_arrows_point_one_way(self) -> None:
        for package in PACKAGES:
            for path in modules(package):
                ours = {name.partition(".")[0] for name in imports(path)} & {*PACKAGES, "tests"}
                self.assertLessEqual(ours, MAY_IMPORT[package], path)

    def test_handlers_do_not_know_the_server_which_finds_them_by_name(self) -> None:
        for path in modules("server/handlers"):
            self.assertFalse({"server.server", "server.service"} & imports(path), path)
        for path in modules("server"):
            if path.name not in ("administration.py",) and path.parent.name != "handlers":
                self.assertFalse([name for name in imports(path) if name.startswith("server.handlers")], path)

    def test_rule_books_know_no_sockets(self) -> None:
        for name in RULE_BOOKS:
            self.assertFalse(imports(PROJECT_ROOT / "server" / f"{name}.py") & KNOWS_SOCKETS, name)

    def test_passlib_is_imported_in_one_place_and_heavy_libraries_only_where_they_are_needed(self) -> None:
        for library, allowed in (
            ("passlib", {"passwords.py"}),
            ("cryptography", {"certificate.py"}),
            ("prompt_toolkit", {"terminal.py"}),
            ("confusable_homoglyphs", {"names.py"}),
        ):
            users = {
                path.name
                for package in PACKAGES
                for path in modules(package)
                if any(name.partition(".")[0] == library for name in imports(path))
            }
            self.assertEqual(allowed, users, library)

    def test_every_module_says_what_it_is_for(self) -> None:
        for package in (*PACKAGES, "tests"):
            for path in modules(package):
                if path.name != "__init__.py" or path.read_text():
                    self.assertTrue(ast.get_docstring(ast.parse(path.read_text())), path)

    def test_no_file_is_too_long_to_read_at_a_sitting(self) -> None:
        for package in PACKAGES:
            for path in modules(package):
                self.assertLessEqual(len(path.read_text().splitlines()), 350, path)

    def test_every_module_has_a_test_file_of_its_own(self) -> None:
        for package in PACKAGES:
            for path in modules(package):
                if path.name == "__init__.py" or path.parent.name == "peers":  # of which one test tries all
                    continue
                place = path.relative_to(PROJECT_ROOT).parent
                name = "main" if path.stem == "__main__" else path.stem
                test = PROJECT_ROOT / "tests" / place / f"test_{name}.py"
                self.assertTrue(test.is_file(), f"{test} is missing")

    def test_no_test_sleeps(self) -> None:
        for path in modules("tests"):
            self.assertFalse({"time.sleep", "asyncio.sleep"} & imports(path), path)
            self.assertNotIn("." + "sleep(", path.read_text(), path)
