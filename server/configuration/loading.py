"""Turns a YAML file, the environment and the command line into settings and handlers, or into a list of problems.

It reads and checks; it opens, makes and changes nothing.
"""

import importlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from common import PROJECT_ROOT, yamlfile
from common.addresses import is_local
from common.errors import ConfigurationError, Problem, UsageError
from common.program import environment, environment_port, port_from
from common.yamlfile import Document, KeyPath
from server.configuration.certificate import expiry_warning, find_problems
from server.configuration.validation import texts_by_key
from server.handlers.handler import Handler
from server.settings import HandlerEntry, Section, Settings

DEFAULT_FILE = PROJECT_ROOT / "conf" / "server.yaml"
_OPTIONS: dict[KeyPath, str] = {
    ("mode",): "MODE",
    ("host",): "--host",
    ("port",): "--port",
    ("tls", "enabled"): "--no-tls",
}
_COMMANDS = frozenset(
    {"help", "client", "test", "check", "users", "clients", "top", "store", "reset", "demo", "completion"}
    | {"bench", "fuzz", "lint"}
)
_VARIABLES: dict[KeyPath, str] = {("mode",): "PORTER_MODE", ("host",): "PORTER_HOST", ("port",): "PORTER_PORT"}


@dataclass(frozen=True)
class Overrides:
    """The values that the command line or the environment gives, which outlive a reload; None means not given.

    `variables` are the keys whose values the environment gives.
    """

    mode: str | None = None
    host: str | None = None
    port: int | None = None
    no_tls: bool = False
    variables: frozenset[KeyPath] = frozenset()

    def origin(self, key: KeyPath) -> str | None:
        """Return the option or the variable that gave the value of a key, or None if the file did."""
        if key in self.variables:
            return _VARIABLES[key]
        given = {"mode": self.mode, "host": self.host, "port": self.port, "tls": self.no_tls or None}
        return None if given.get(str(key[0])) is None else _OPTIONS.get(key)


def with_environment(overrides: Overrides) -> Overrides:
    """Return the overrides of the command line, with those of the environment where the command line has none.

    Raise UsageError, which names the variable, if PORTER_PORT is not a port.
    """
    found = {key: value for key, name in _VARIABLES.items() if (value := environment(name)) is not None}
    if environment_port() is None:
        found.pop(("port",), None)
    taken = {key: value for key, value in found.items() if overrides.origin(key) is None}
    values: dict[str, Any] = {str(key[0]): value for key, value in taken.items()}
    if "port" in values:
        values["port"] = port_from("PORTER_PORT", values["port"])
    return replace(overrides, variables=frozenset(taken), **values)


@dataclass(frozen=True)
class Choice:
    """A handler that the configuration names: its class, and its options, which the class has checked."""

    handler_class: type[Handler]
    options: Section


@dataclass(frozen=True)
class Configuration:
    settings: Settings
    choices: Mapping[str, Choice]

    @property
    def chosen(self) -> Choice:
        """Return the handler of the mode."""
        return self.choices[self.settings.mode]

    @property
    def certificate(self) -> Path:
        return PROJECT_ROOT / self.settings.tls.certificate

    @property
    def key(self) -> Path:
        return PROJECT_ROOT / self.settings.tls.key

    def certificate_warning(self) -> str | None:
        """Return a sentence if TLS is on and its certificate has expired or will soon, otherwise None."""
        return expiry_warning(self.certificate, self.key) if self.settings.tls.enabled else None


@dataclass(frozen=True)
class Source:
    """Where a configuration comes from. It can be loaded any number of times."""

    file: Path
    overrides: Overrides = Overrides()

    def load(self) -> Configuration:
        """Read and check the configuration.

        Raise ConfigurationError with every problem that it has, or UsageError if the command line or the environment
        names a mode that it does not have.
        """
        _add_import_folders(self.file)
        return _Checks(yamlfile.read(self.file), self.overrides).configuration()


def _add_import_folders(file: Path) -> None:
    """Let handlers lie in a folder of the caller's PYTHONPATH, which run.sh passes on, or beside the user's file.

    The folders come last, so that nothing in them is taken for a library or for a module of Porter.
    """
    folders = os.environ.get("PORTER_PYTHONPATH", "").split(os.pathsep)
    if file != DEFAULT_FILE:
        folders.append(str(file.parent))
    for folder in folders:
        if folder and os.path.abspath(folder) not in sys.path:
            sys.path.append(os.path.abspath(folder))
    importlib.invalidate_caches()  # a module may have been written since the last load


def file_path(option: str | None) -> Path:
    """Return the file to read: that of the option, or else of PORTER_CONFIG, or else conf/server.yaml."""
    named = option or environment("PORTER_CONFIG")
    if not option and named and not os.path.isfile(named):
        raise ConfigurationError([Problem(f"PORTER_CONFIG={named}", 0, 0, "", "there is no such file")])
    return Path(named) if named else DEFAULT_FILE


def exposes_passwords(settings: Settings, choice: Choice) -> str | None:
    """Return a problem if passwords would cross a network without encryption, otherwise None."""
    tls = settings.tls
    if tls.enabled or tls.allow_plain_login or not choice.handler_class.takes_passwords or _is_local(settings.host):
        return None
    return f"passwords would cross the network unencrypted on {settings.host}; use TLS, or see tls.allow_plain_login"


def _is_local(host: str) -> bool:
    try:
        return host == "localhost" or is_local(host)
    except ValueError:  # a host name, which can be any machine
        return False


class _Checks:
    """Checks one document and collects every problem."""

    def __init__(self, document: Document, overrides: Overrides) -> None:
        self._document = document
        self._overrides = overrides
        self._problems = list(document.problems)

    def configuration(self) -> Configuration:
        settings = self._settings()
        choices: dict[str, Choice] = {}
        if settings is not None:
            for name, entry in settings.handlers.items():
                choice = self._choice(name, entry)
                if choice is not None:
                    choices[name] = choice
            self._check_together(settings, choices)
        if self._problems or settings is None:
            raise ConfigurationError(sorted(self._problems, key=lambda problem: (problem.line, problem.column)))
        return Configuration(settings, choices)

    def _add(self, key: KeyPath, text: str) -> None:
        """Add a problem, at the key's position in the file, or at the option or variable that gave the value."""
        origin = self._overrides.origin(key)
        in_file = self._document.problem(key, text)
        self._problems.append(in_file if origin is None else Problem(origin, 0, 0, "", text))

    def _settings(self) -> Settings | None:
        """Return the file's values with the overrides in their place, or None if they cannot be used.

        A problem elsewhere does not hide the problems of the handlers.
        """
        value = dict(self._document.value)
        for key in ("mode", "host", "port"):
            if (override := getattr(self._overrides, key)) is not None:
                value[key] = override
        if self._overrides.no_tls and isinstance(value.get("tls", {}), dict):
            value["tls"] = {**value.get("tls", {}), "enabled": False}
        try:
            return Settings.model_validate(value)
        except ValidationError as error:
            found = texts_by_key(value, (), error)
        for path, text in found.items():
            self._add(path, text)
        # Validate once more without the wrong values, so that the handlers and their options are checked as well.
        for first, *rest in found:
            if first == "handlers" and rest and isinstance(value.get(first), dict):
                value[first] = {name: entry for name, entry in value[first].items() if name != rest[0]}
            else:
                value.pop(first, None)
        try:
            return Settings.model_validate(value)
        except ValidationError:
            return None

    def _choice(self, name: str, entry: HandlerEntry) -> Choice | None:
        key: KeyPath = ("handlers", name)
        if name in _COMMANDS:
            self._add(key, f"{name} is a command of run.sh: choose another name for the mode")
        module, _, attribute = entry.class_.partition(":")
        try:
            found: Any = importlib.import_module(module)
            for part in attribute.split("."):
                found = getattr(found, part)
        except (Exception, SystemExit) as error:  # a user's module may fail in any way while it is imported
            self._add((*key, "class"), f"cannot be imported: {type(error).__name__}: {error}")
            return None
        if not (isinstance(found, type) and issubclass(found, Handler)):
            self._add((*key, "class"), "must be a subclass of server.handler.Handler")
            return None
        if not (isinstance(found.Options, type) and issubclass(found.Options, Section)):
            self._add((*key, "class"), "its Options must be a subclass of Handler.Options")
            return None
        if not (found.converses or found.answers):
            self._add((*key, "class"), f"{found.__name__} has neither converse nor answer: that is what a mode does")
            return None
        try:
            return Choice(found, found.Options.model_validate(entry.options))
        except ValidationError as error:
            for path, text in texts_by_key(self._document.value, (*key, "options"), error).items():
                self._add(path, text)
            return None

    def _check_together(self, settings: Settings, choices: Mapping[str, Choice]) -> None:
        """Check the rules that concern more than one key, or another file."""
        named = self._document.value.get("handlers")
        if settings.mode not in {*settings.handlers, *(named if isinstance(named, dict) else ())}:
            self._check_mode(settings)
        try:
            self._problems += yamlfile.read(PROJECT_ROOT / settings.logging).problems
        except ConfigurationError as error:
            self._problems += error.problems
        choice = choices.get(settings.mode)
        is_used = choice is not None and choice.handler_class.uses_store
        if is_used or settings.store != Settings().store:
            from server.store.database import check_url  # imported only for a mode that uses the database

            if wrong := check_url(settings.store):
                self._add(("store",), wrong)
        if settings.tls.enabled:
            self._check_certificate(settings)
        elif choice is not None and (wrong := exposes_passwords(settings, choice)):
            self._add(("tls", "enabled"), wrong)

    def _check_mode(self, settings: Settings) -> None:
        known = ", ".join(settings.handlers)
        if self._overrides.mode is None:
            self._add(("mode",), f"{settings.mode!r} is not one of the handlers: {known}")
            return
        origin = self._overrides.origin(("mode",))
        raise UsageError(
            "{origin}there is no mode {mode!r}: {file} has {known}",
            origin="" if origin == _OPTIONS["mode",] else f"{origin}: ",
            mode=settings.mode,
            file=self._document.file,
            known=known,
        )

    def _check_certificate(self, settings: Settings) -> None:
        paths = {key: PROJECT_ROOT / getattr(settings.tls, key) for key in ("certificate", "key")}
        for key, text in find_problems(**paths).items():
            self._add(("tls", key), text)
