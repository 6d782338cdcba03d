"""YAML files whose values remember where they stood, so that an error can name file, line and column.

Scalars follow YAML 1.2's core schema (`on`, `022` and `22:30` are text), and a key given twice is an error: PyYAML
itself would take YAML 1.1's and keep the last. What the values mean is not known here.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from common.errors import ConfigurationError, Problem

KeyPath = tuple[str | int, ...]
_MOST_NODES = 10_000
_MOST_BYTES = 1_000_000


class _Loader(yaml.SafeLoader):
    """SafeLoader with YAML 1.2's scalars instead of YAML 1.1's; only its parser is used, none of its constructors."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


_TAG = "tag:yaml.org,2002:"
_SCALARS: dict[str, tuple[str, str, Callable[[str], Any]]] = {
    "bool": (r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF", lambda text: text.lower() == "true"),
    "null": (r"^(?:~|null|Null|NULL|)$", "~nN", lambda text: None),
    "int": (r"^[-+]?[0-9]+$", "-+0123456789", int),
    "float": (r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$", "-+.0123456789", float),
}
for _name, (_pattern, _first, _) in _SCALARS.items():
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(_pattern), [*_first, *([""] if _name == "null" else [])])


@dataclass
class Document:
    """A file's value, and the place of every key and item in it; lines and columns count from 1."""

    file: str
    value: Any = None
    places: dict[KeyPath, tuple[int, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def problem(self, path: KeyPath, text: str) -> Problem:
        """A problem with what stands at `path`, or, where nothing does, with what would hold it."""
        known = path
        while known and known not in self.places:
            known = known[:-1]
        line, column = self.places.get(known, (0, 0))
        return Problem(self.file, line, column, ".".join(map(str, path)), text)


def read(path: Path) -> Document:
    """Read a file that holds a mapping or nothing.

    Raises ConfigurationError for a file that cannot be read or is no YAML. Keys given twice are left in
    `problems`, for the caller to report with its own.
    """
    document = Document(shown(path))
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise ConfigurationError([Problem(document.file, 0, 0, "", f"larger than {_MOST_BYTES} bytes")])
        loader = _Loader(content)
        try:
            node = loader.get_single_node()
            if node is not None:
                document.value = _build(loader, node, (), document, set())
        finally:
            loader.dispose()
    except OSError as error:
        raise ConfigurationError([Problem(document.file, 0, 0, "", error.strerror or str(error))]) from error
    except RecursionError as error:
        raise ConfigurationError([Problem(document.file, 0, 0, "", "nested too deep")]) from error
    except yaml.YAMLError as error:
        raise ConfigurationError([_syntax_problem(document, error)]) from error
    if document.value is None:
        document.value = {}
    if not isinstance(document.value, Mapping):
        raise ConfigurationError([Problem(document.file, 1, 1, "", "the file must hold a mapping, key: value")])
    return document


def _build(loader: _Loader, node: yaml.Node, path: KeyPath, document: Document, above: set[int]) -> Any:
    """The value of a node; fills in places and problems. `above` are the nodes that this one stands in."""
    if id(node) in above or len(document.places) > _MOST_NODES:
        raise yaml.constructor.ConstructorError(None, None, "an alias repeats too much", node.start_mark)
    document.places.setdefault(path, _place(node))
    inside = above | {id(node)}
    if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
        return _build_mapping(loader, node, path, document, inside)
    if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
        return [_build(loader, item, (*path, index), document, inside) for index, item in enumerate(node.value)]
    return _build_scalar(node)


def _build_scalar(node: yaml.Node) -> Any:
    """The value of a word or a number, but of no other tag (!!timestamp, !!python/object)."""
    if isinstance(node, yaml.ScalarNode) and node.tag == _TAG + "str":
        return str(node.value)
    pattern, _, construct = _SCALARS.get(node.tag.removeprefix(_TAG), ("(?!)", "", str))
    if not isinstance(node, yaml.ScalarNode) or not re.match(pattern, node.value):
        raise yaml.constructor.ConstructorError(None, None, f"{node.tag} is not for here", node.start_mark)
    try:
        return construct(node.value)
    except ValueError as error:  # more digits than Python converts
        raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from error


def _build_mapping(
    loader: _Loader, node: yaml.MappingNode, path: KeyPath, document: Document, above: set[int]
) -> dict[Any, Any]:
    value: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = _build_scalar(key_node)
        inner = (*path, key if isinstance(key, (str, int)) else str(key))
        if inner in document.places:
            first_line, _ = document.places[inner]
            line, column = _place(key_node)
            text = f"given twice, first in line {first_line}"
            document.problems.append(Problem(document.file, line, column, ".".join(map(str, inner)), text))
            continue
        document.places[inner] = _place(key_node)
        value[key] = _build(loader, value_node, inner, document, above)
    return value


def _place(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _syntax_problem(document: Document, error: yaml.YAMLError) -> Problem:
    mark = getattr(error, "problem_mark", None)
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
    text = getattr(error, "problem", None) or " ".join(str(error).split())
    return Problem(document.file, line, column, "", f"not YAML: {text}")


def shown(path: Path) -> str:
    """The path as a person at this prompt would write it."""
    try:
        relative = os.path.relpath(path)
    except OSError:  # the folder we stand in is gone
        return str(path)
    return str(path) if relative.startswith("..") else relative
