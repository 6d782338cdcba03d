"""The house: which room never knows which, that no import runs in a circle, and what each file must have."""

import ast
import unittest
from graphlib import TopologicalSorter
from pathlib import Path

from common import PROJECT_ROOT

PACKAGES = ("common", "server", "client", "benchmarks")

# A room, and what it never knows. A name stands for the module or the package, and for all that is in it.
NEVERS = {
    "common": "server client benchmarks tests",
    "common.wire": "common.log common.yamlfile common.program",
    "common.log": "common.wire common.program socket",
    "server": "client benchmarks tests",
    "server.settings": "server.machine server.configuration server.handlers server.engine server.store",
    "server.machine": "server.settings server.engine server.process",
    "server.store": "server.identity server.handlers server.engine server.process common.wire socket",
    "server.identity": "server.handlers server.engine server.process server.configuration common.wire socket ssl",
    "server.handlers": "server.engine server.process server.configuration socket ssl",
    "server.configuration": "server.engine server.process socket",
    "server.engine": "server.handlers server.identity server.store server.process server.configuration",
    "server.process": "server.administration server.identity server.store",
    "server.administration": "server.engine server.process common.wire socket",
    "server.bus": "server.handlers server.identity server.engine server.process server.configuration socket",
    "server.control": "server.handlers server.identity server.engine server.process server.store server.bus",
    "client": "server benchmarks tests pydantic sqlalchemy",
    "benchmarks": "server client tests",
}
HEAVY = {  # a library, and the only file that imports it
    "passlib": "server/identity/passwords.py",
    "cryptography": "server/configuration/certificate.py",
    "prompt_toolkit": "client/editor.py",
    "confusable_homoglyphs": "server/identity/names.py",
    "matplotlib": "benchmarks/chart.py",
}


def files(package: str) -> list[Path]:
    """The files of a package or a module."""
    path = PROJECT_ROOT / package.replace(".", "/")
    return sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]


def module(path: Path) -> str:
    return ".".join(path.relative_to(PROJECT_ROOT).with_suffix("").parts)


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


def is_in(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


class Layout(unittest.TestCase):
    def test_no_room_knows_what_it_must_never_know(self) -> None:
        for room, nevers in NEVERS.items():
            for path in files(room):
                known = {name for name in imports(path) for never in nevers.split() if is_in(name, never)}
                self.assertEqual(set(), known, f"{path} must not import this")

    def test_each_never_names_something_that_could_be_imported(self) -> None:
        ours = {module(path).removesuffix(".__init__") for package in (*PACKAGES, "tests") for path in files(package)}
        for room, nevers in NEVERS.items():
            self.assertIn(room, ours)
            for never in nevers.split():
                if never.partition(".")[0] in PACKAGES:
                    self.assertIn(never, ours)

    def test_no_import_runs_in_a_circle(self) -> None:
        ours = {module(path): path for package in PACKAGES for path in files(package)}
        arrows = {name: {taken for taken in imports(path) if taken in ours} for name, path in ours.items()}
        TopologicalSorter(arrows).prepare()  # raises CycleError, which names the circle
        rooms = {name.rpartition(".")[0] or name for name in ours}
        between: dict[str, set[str]] = {room: set() for room in rooms}
        for name, taken in arrows.items():
            room = name.rpartition(".")[0]
            if room.count("."):  # a package's own files may use its rooms, and be used by them
                between[room] |= {other.rpartition(".")[0] for other in taken} - {room, room.partition(".")[0]}
        TopologicalSorter(between).prepare()

    def test_a_heavy_library_is_imported_in_one_place(self) -> None:
        for library, only in HEAVY.items():
            users = {
                str(path.relative_to(PROJECT_ROOT))
                for package in PACKAGES
                for path in files(package)
                if any(is_in(name, library) for name in imports(path))
            }
            self.assertEqual({only}, users, library)

    def test_every_module_says_what_it_is_for(self) -> None:
        for package in (*PACKAGES, "tests"):
            for path in files(package):
                if path.name != "__init__.py" or path.read_text():
                    self.assertTrue(ast.get_docstring(ast.parse(path.read_text())), path)

    def test_no_file_is_too_long_to_read_at_a_sitting(self) -> None:
        for package in PACKAGES:
            for path in files(package):
                self.assertLessEqual(len(path.read_text().splitlines()), 400, path)

    def test_no_function_has_more_than_five_parameters(self) -> None:
        for package in PACKAGES:
            for path in files(package):
                for node in ast.walk(ast.parse(path.read_text())):
                    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                        given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                        names = [argument.arg for argument in given if argument.arg not in ("self", "cls")]
                        self.assertLessEqual(len(names), 5, f"{path}: {node.name}")

    def test_every_package_has_tests_of_its_own(self) -> None:
        for package in PACKAGES:
            for folder in {path.parent for path in files(package) if path.name != "__init__.py"}:
                place = PROJECT_ROOT / "tests" / folder.relative_to(PROJECT_ROOT)
                # The peers of a comparison are programs of others' making; one test tries them all. So it is with the
                # migrations of the store, which Alembic runs.
                is_tried = folder.name == "peers" or "migrations" in folder.parts
                self.assertTrue(is_tried or list(place.glob("test_*.py")), f"{place} has no tests")

    def test_no_test_sleeps(self) -> None:
        for path in files("tests"):
            self.assertFalse({"time.sleep", "asyncio.sleep"} & imports(path), path)
            self.assertNotIn("." + "sleep(", path.read_text(), path)
