"""From a YAML file, the environment and the command line to settings and handlers, or to every problem at once.

It reads and checks; it opens, makes and changes nothing.
"""

import importlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from common import PROJECT_ROOT, yamlfile
from common.addresses import is_local
from common.errors import ConfigurationError, Problem, UsageError
from common.program import environment, port_number
from common.yamlfile import Document, KeyPath
from server.configuration.certificate import is_interrupted
from server.handlers.handler import Handler
from server.settings import HandlerEntry, Section, Settings

LOG = logging.getLogger("porter.server")
_KEPT_UNTIL_RESTART = ("host", "port", "store", "workers", "cpu_affinity")
DEFAULT_FILE = PROJECT_ROOT / "conf" / "server.yaml"


@dataclass(frozen=True)
class Overrides:
    """What the command line or the environment said, which outlives a reload; None where they said nothing."""

    mode: str | None = None
    host: str | None = None
    port: int | None = None
    no_tls: bool = False


@dataclass(frozen=True)
class Choice:
    """A handler of the configuration: its class, and its options checked by it."""

    handler_class: type[Handler]
    options: Section


@dataclass(frozen=True)
class Configuration:
    settings: Settings
    choices: Mapping[str, Choice]

    @property
    def certificate(self) -> Path:
        return PROJECT_ROOT / self.settings.tls.certificate

    @property
    def key(self) -> Path:
        return PROJECT_ROOT / self.settings.tls.key


def with_environment(said: Overrides) -> Overrides:
    """What the command line said, and where it said nothing, the environment; raises UsageError for a bad port."""
    port = environment("PORTER_PORT") if said.port is None else None
    return replace(
        said,
        mode=said.mode or environment("PORTER_MODE"),
        host=said.host or environment("PORTER_HOST"),
        port=said.port if port is None else port_number(port),
    )


def file_path(option: str | None) -> Path:
    """The configuration to read: the option's, or the environment's, or the project's own."""
    named = option or environment("PORTER_CONFIG")
    return Path(named) if named else DEFAULT_FILE


def load(path: Path, overrides: Overrides) -> Configuration:
    """Read and check a configuration.

    Raises ConfigurationError with all that is wrong in it, UsageError for a mode it does not have.
    """
    document = yamlfile.read(path)
    problems = list(document.problems)
    settings = _settings(document, overrides, problems)
    choices: dict[str, Choice] = {}
    if settings is not None:
        for name, entry in settings.handlers.items():
            choice = _choice(name, entry, document, problems)
            if choice is not None:
                choices[name] = choice
        _check_together(settings, choices, document, problems)
    if overrides.mode is not None and settings is not None and overrides.mode not in settings.handlers:
        raise UsageError(f"there is no mode {overrides.mode!r}: {document.file} has {', '.join(settings.handlers)}")
    if problems or settings is None:
        raise ConfigurationError(sorted(problems, key=lambda problem: (problem.line, problem.column)))
    return Configuration(settings, choices)


def _settings(document: Document, overrides: Overrides, problems: list[Problem]) -> Settings | None:
    """The file's values with the overrides in their place; problems of the rest do not hide a handler's."""
    value = dict(document.value)
    for key in ("mode", "host", "port"):
        if (override := getattr(overrides, key)) is not None:
            value[key] = override
    if overrides.no_tls and isinstance(value.get("tls", {}), dict):
        value["tls"] = {**value.get("tls", {}), "enabled": False}
    try:
        return Settings.model_validate(value)
    except ValidationError as error:
        found = _places(document, (), error)
    problems += [document.problem(place, text) for place, text in found.items()]
    # Once more without what is wrong, so that the handlers and their options are looked at as well.
    for first, *rest in found:
        if first == "handlers" and rest and isinstance(value.get(first), dict):
            value[first] = {name: entry for name, entry in value[first].items() if name != rest[0]}
        else:
            value.pop(first, None)
    try:
        return Settings.model_validate(value)
    except ValidationError:
        return None


def _choice(name: str, entry: HandlerEntry, document: Document, problems: list[Problem]) -> Choice | None:
    path: KeyPath = ("handlers", name)
    module, _, attribute = entry.class_.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except Exception as error:  # a module of one's own may fail in any way while it is imported
        text = f"cannot be imported: {type(error).__name__}: {error}"
        problems.append(document.problem((*path, "class"), text))
        return None
    if not (isinstance(found, type) and issubclass(found, Handler)):
        problems.append(document.problem((*path, "class"), "must be a subclass of server.handler.Handler"))
        return None
    if not (isinstance(found.Options, type) and issubclass(found.Options, Section)):
        problems.append(document.problem((*path, "class"), "its Options must be a subclass of Handler.Options"))
        return None
    try:
        return Choice(found, found.Options.model_validate(entry.options))
    except ValidationError as error:
        found_wrong = _places(document, (*path, "options"), error)
        problems += [document.problem(place, text) for place, text in found_wrong.items()]
        return None


def _check_together(
    settings: Settings, choices: Mapping[str, Choice], document: Document, problems: list[Problem]
) -> None:
    """What no single key can say."""
    if settings.mode not in settings.handlers:
        names = ", ".join(settings.handlers)
        problems.append(document.problem(("mode",), f"{settings.mode!r} is not one of the handlers: {names}"))
    try:
        problems += yamlfile.read(PROJECT_ROOT / settings.logging).problems
    except ConfigurationError as error:
        problems += error.problems
    choice = choices.get(settings.mode)
    if choice is not None and choice.handler_class.uses_store:
        from server.store.database import check_url  # what uses the database imports it anyway; echo must not

        if wrong := check_url(settings.store):
            problems.append(document.problem(("store",), wrong))
    _check_tls(settings, choices, document, problems)


def _check_tls(
    settings: Settings, choices: Mapping[str, Choice], document: Document, problems: list[Problem]
) -> None:
    tls = settings.tls
    if tls.enabled:
        paths = {key: PROJECT_ROOT / getattr(tls, key) for key in ("certificate", "key")}
        missing = [key for key, path in paths.items() if not path.exists()]
        if len(missing) == 1 and not is_interrupted(**paths):
            text = f"{getattr(tls, missing[0])} is missing, but the other half of the pair is there"
            problems.append(document.problem(("tls", missing[0]), text))
        return
    choice = choices.get(settings.mode)
    if choice is not None and (wrong := exposes_passwords(settings, choice, settings.host)):
        problems.append(document.problem(("tls", "enabled"), wrong))


def warn_of_restart(changed: Configuration, running: Configuration) -> None:
    """Log what has changed and no reload can follow."""
    for key in _KEPT_UNTIL_RESTART:
        if getattr(changed.settings, key) != getattr(running.settings, key):
            LOG.warning("%s has changed: that takes a restart", key)


def as_reloaded(changed: Configuration, running: Configuration) -> Configuration:
    """`changed`, as far as a running server can follow it."""
    kept = {key: getattr(running.settings, key) for key in _KEPT_UNTIL_RESTART}
    return replace(changed, settings=changed.settings.model_copy(update=kept))


def exposes_passwords(settings: Settings, choice: Choice, host: str) -> str | None:
    """What is wrong with listening on `host`, if others could reach it and passwords would come in clear."""
    tls = settings.tls
    if tls.enabled or tls.allow_plain_login or not choice.handler_class.takes_passwords or _is_local_name(host):
        return None
    return f"passwords would cross the network in clear on {host}; see tls.allow_plain_login"


def _is_local_name(host: str) -> bool:
    try:
        return host == "localhost" or is_local(host)
    except ValueError:  # another name: it may be anywhere
        return False


def _places(document: Document, path: KeyPath, error: ValidationError) -> dict[KeyPath, str]:
    """pydantic's errors at their places; an alternative of a union is one place, told once."""
    found: dict[KeyPath, str] = {}
    for item in error.errors(include_url=False):
        place = _keys(document.value, (*path, *item["loc"]))
        text = _text(item)
        found[place] = f"{found[place]}, or {text[:1].lower()}{text[1:]}" if place in found else text
    return found


def _keys(value: Any, location: KeyPath) -> KeyPath:
    """The part of an error's location that is keys of the file, and the first key that is not there."""
    keys: list[str | int] = []
    for part in location:
        if isinstance(value, (str, int, float, bool)) or (value is None and keys):
            break  # what follows names an alternative of a union, not a key
        keys.append(part)
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            value = {}
    return tuple(keys)


def _text(item: Any) -> str:
    if item["type"] == "extra_forbidden":
        return "unknown key"
    if item["type"] == "missing":
        return "missing"
    if item["type"] == "value_error":  # of a validator of ours, which says what it wants; the value may be secret
        return str(item["ctx"]["error"])
    given = item["input"]
    shown = f", got {given!r}" if isinstance(given, (str, int, float, bool)) or given is None else ""
    return f"{item['msg']}{shown[:60]}"
