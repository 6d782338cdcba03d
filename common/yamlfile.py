"""YAML files whose values keep their position, so that an error can name file, line and column.

Scalars follow YAML 1.2's core schema (`on` and `22:30` are text, `022` is 22), and a key given twice is an error:
PyYAML alone follows YAML 1.1 and silently keeps the last of two. This module does not know what the values mean.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError

from common.errors import ConfigurationError, PorterError, Problem

KeyPath = tuple[str | int, ...]
_MAX_NODES = 10_000
_MAX_BYTES = 1_000_000
_TAG = "tag:yaml.org,2002:"
_SCALARS: dict[str, tuple[re.Pattern[str], Callable[[str], Any]]] = {
    f"{_TAG}null": (re.compile(r"(?:~|null|Null|NULL|)\Z"), lambda text: None),
    f"{_TAG}bool": (re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), lambda text: text.lower() == "true"),
    f"{_TAG}int": (re.compile(r"[-+]?[0-9]+\Z"), int),
    f"{_TAG}float": (re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z"), float),
    f"{_TAG}str": (re.compile(r""), str),
}


class _Loader(yaml.SafeLoader):
    """PyYAML's parser, which recognises the scalars above. None of PyYAML's constructors is used."""

    yaml_implicit_resolvers = {  # noqa: RUF012  # by first character; None means any character
        None: [(tag, pattern) for tag, (pattern, _) in _SCALARS.items()]
    }


@dataclass
class Document:
    """The value of a file, and the position of every key and item in it. Lines and columns count from 1."""

    file: str
    value: Any = None
    positions: dict[KeyPath, tuple[int, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def problem(self, path: KeyPath, text: str | PorterError) -> Problem:
        """Return a problem with the value at `path`. If the key is missing, use the position of its parent."""
        known = path
        while known and known not in self.positions:
            known = known[:-1]
        line, column = self.positions.get(known, (0, 0))
        return Problem(self.file, line, column, ".".join(map(str, path)), text)


def read(path: Path) -> Document:
    """Read a file that holds a mapping or nothing.

    Raise ConfigurationError for a file that cannot be read or is not YAML. Keys given twice are in `problems`:
    the caller reports them together with its own.
    """
    document = Document(relative_path(path))
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            too_large = PorterError("larger than {limit} bytes", limit=_MAX_BYTES)
            raise ConfigurationError([document.problem((), too_large)])
        node = yaml.compose(content, _Loader)
        document.value = {} if node is None else _build(node, (), document, set())
    except OSError as error:
        reason = PorterError("{reason}", reason=error.strerror or error)
        raise ConfigurationError([document.problem((), reason)]) from error
    except RecursionError as error:
        raise ConfigurationError([document.problem((), PorterError("nested too deep"))]) from error
    except yaml.YAMLError as error:
        raise ConfigurationError([_syntax_problem(document, error)]) from error
    if document.value is None:
        document.value = {}
    if not isinstance(document.value, Mapping):
        wrong = PorterError("the file must hold a mapping, key: value")
        raise ConfigurationError([Problem(document.file, 1, 1, "", wrong)])
    return document


def _build(node: yaml.Node, path: KeyPath, document: Document, above: set[int]) -> Any:
    """Return the value of a node, and store its position. `above` holds the ids of the nodes around this one."""
    if id(node) in above or len(document.positions) > _MAX_NODES:
        raise ConstructorError(
            None, None, f"an alias repeats too much, or there are more than {_MAX_NODES} values", node.start_mark
        )
    document.positions.setdefault(path, _position(node))
    inside = above | {id(node)}
    if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
        return _build_mapping(node, path, document, inside)
    if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
        return [_build(item, (*path, index), document, inside) for index, item in enumerate(node.value)]
    return _build_scalar(node)


def _build_mapping(node: yaml.MappingNode, path: KeyPath, document: Document, above: set[int]) -> dict[Any, Any]:
    value: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = _build_scalar(key_node)
        inner = (*path, key if isinstance(key, (str, int)) else str(key))
        if inner in document.positions:
            first_line, _ = document.positions[inner]
            line, column = _position(key_node)
            twice = PorterError("given twice, first in line {line}", line=first_line)
            document.problems.append(Problem(document.file, line, column, ".".join(map(str, inner)), twice))
            continue
        document.positions[inner] = _position(key_node)
        value[key] = _build(value_node, inner, document, above)
    return value


def _build_scalar(node: yaml.Node) -> Any:
    """Return the value of a word or a number. Refuse every other tag (!!timestamp, !!python/object)."""
    pattern, construct = _SCALARS.get(node.tag, (None, None))
    if pattern is None or construct is None or not isinstance(node, yaml.ScalarNode) or not pattern.match(node.value):
        raise ConstructorError(None, None, f"{node.tag} is not allowed here", node.start_mark)
    try:
        return construct(node.value)
    except ValueError as error:  # more digits than Python converts
        raise ConstructorError(None, None, str(error), node.start_mark) from error


def _position(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _syntax_problem(document: Document, error: yaml.YAMLError) -> Problem:
    mark = getattr(error, "problem_mark", None)
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
    text = getattr(error, "problem", None) or " ".join(str(error).split())
    return Problem(document.file, line, column, "", PorterError("not YAML: {text}", text=text))


def relative_path(path: Path) -> str:
    """Return the path relative to the current folder if it is inside it, as a user would type it."""
    try:
        relative = os.path.relpath(path)
    except OSError:  # the current folder was deleted
        return str(path)
    return str(path) if relative.startswith("..") else relative
