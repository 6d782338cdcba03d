"""Finds the texts of the programs that a reader may see in another language, as gettext's own tools would.

`python -m tests.catalogue` writes those without a translation to standard output, and compiles the catalogues.
"""

import ast
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from common import PROJECT_ROOT
from common.language import CATALOGUES, DOMAIN

ERRORS = {
    node.name
    for node in ast.parse((PROJECT_ROOT / "common/errors.py").read_text()).body
    if isinstance(node, ast.ClassDef)
}
PLACES = (
    "server/handlers",
    "server/identity",
    "server/engine",
    "common/wire",
    "client",
    "common/program.py",
    "common/yamlfile.py",
    "examples/demo.py",
)
VERBS = {"text", "plain", "tr", "gettext", "trace", "tell"}
ARGPARSE = (  # what the library says of a command line
    "usage: ",
    "positional arguments",
    "options",
    "show this help message and exit",
    "unrecognized arguments: %s",
    "argument %(argument_name)s: %(message)s",
    "expected one argument",
    "not allowed with argument %s",
    "ignored explicit argument %r",
)
SYSTEM = (  # the reasons that the system and the libraries give for what a user sees most
    *map(
        os.strerror,
        (
            errno.ECONNREFUSED,
            errno.ECONNRESET,
            errno.EHOSTUNREACH,
            errno.ENETUNREACH,
            errno.ETIMEDOUT,
            errno.EPIPE,
            errno.EACCES,
            errno.ENOENT,
            errno.EISDIR,
            errno.ENOTDIR,
            errno.ENOSPC,
            errno.EROFS,
        ),
    ),
    "timed out",
    "Name or service not known",
    "Temporary failure in name resolution",
    "No address associated with hostname",
    "invalid start byte",
    "invalid continuation byte",
    "unexpected end of data",
    "self-signed certificate",
    "certificate has expired",
    "unable to get local issuer certificate",
)
# Of the administrator, and the log.
NOT_SHOWN = {"server/engine/listening.py", "common/wire/proxyheader.py"}


def files() -> Iterator[Path]:
    for place in PLACES:
        path = PROJECT_ROOT / place
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            if str(file.relative_to(PROJECT_ROOT)) not in NOT_SHOWN:
                yield file


def texts() -> dict[str, str]:
    """Return every text, and a file in which it stands."""
    found = dict.fromkeys(ARGPARSE, "argparse") | dict.fromkeys(SYSTEM, "the system")
    constants: dict[str, str] = {}
    trees = {file: ast.parse(file.read_text()) for file in files()}
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                value = node.value
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    constants[node.targets[0].id] = value.value
                elif isinstance(value, ast.Dict) and node.targets[0].id.isupper():
                    for each in value.values:
                        if isinstance(each, ast.Constant) and isinstance(each.value, str) and " " in each.value:
                            found[each.value] = "a table"
    for file, tree in trees.items():
        name = str(file.relative_to(PROJECT_ROOT))
        for node in ast.walk(tree):
            for text in _texts_of(node, constants):
                found[text] = name
        if name.startswith("server/handlers"):
            found |= dict.fromkeys(_commands(tree), name)
    return {text: place for text, place in found.items() if any(letter.isalpha() for letter in _words(text))}


def _texts_of(node: ast.AST, constants: dict[str, str]) -> Iterator[str]:
    """Yield the texts of a call of a verb, or of one that makes an error or a deadline."""
    if not isinstance(node, ast.Call):
        return
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    place = 1 if called == "Deadline" else 0
    arguments = node.args[place + 1 :] if called == "Deadline" else node.args[:1]
    if called in ERRORS or called in VERBS or called == "Deadline":
        for argument in arguments[:1]:
            for each in ast.walk(argument):
                if isinstance(each, ast.Constant) and isinstance(each.value, str):
                    yield each.value
                elif isinstance(each, ast.Name) and each.id in constants:
                    yield constants[each.id]


def printed_in_english() -> Iterator[str]:
    """Yield each text that is printed or asked as it stands in the code."""
    for file in files():
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"print", "print_warning", "input"}:
                for argument in node.args:
                    parts = argument.values if isinstance(argument, ast.JoinedStr) else [argument]
                    for part in parts:
                        if isinstance(part, ast.Constant) and len(str(part.value).split()) > 1:
                            yield f"{file}:{node.lineno}: {part.value!r}"


def _commands(tree: ast.Module) -> Iterator[str]:
    """Yield what /help says of the commands, and of all other lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and (node.name.startswith("do_") or node.name == "reply"):
            yield (ast.get_docstring(node) or "").partition("\n")[0]


def _words(text: str) -> str:
    """Return a text without its placeholders."""
    while "{" in text:
        before, _, rest = text.partition("{")
        text = before + rest.partition("}")[2]
    return text


def read(language: str) -> Catalog:
    with (CATALOGUES / language / "LC_MESSAGES" / f"{DOMAIN}.po").open("rb") as file:
        return read_po(file, locale=language)


def main() -> int:
    for folder in sorted(path for path in CATALOGUES.iterdir() if path.is_dir()):
        catalogue = read(folder.name)
        for text, place in texts().items():
            if not (message := catalogue.get(text)) or not message.string:
                print(f"#: {place}\nmsgid {text!r}\n")
        with (folder / "LC_MESSAGES" / f"{DOMAIN}.mo").open("wb") as file:
            write_mo(file, catalogue)
    return 0


if __name__ == "__main__":
    sys.exit(main())
