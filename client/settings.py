"""The client's configuration: seven keys, checked without pydantic, which would double the time to start."""

import contextlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from client.trust import authority_problem
from common import PROJECT_ROOT, yamlfile
from common.addresses import may_be_host
from common.errors import ConfigurationError, PorterError, Problem

DEFAULT_FILE = PROJECT_ROOT / "conf" / "client.yaml"
LOGGING_FILE = PROJECT_ROOT / "conf" / "logging.yaml"
_TYPES = {bool: "must be true or false", int: "must be a whole number", str: "must be a text"}
_MOST = {"port": 65535, "max_message": 67_108_864}


@dataclass(frozen=True)
class Settings:
    """The values of conf/client.yaml. `max_message` is in bytes; `ca` is a file, from the project's root."""

    host: str = "127.0.0.1"
    port: int = 9090
    tls: bool = True
    max_message: int = 16_777_216
    ca: str = ""
    status: bool = True
    plain: bool = False


def load(path: Path) -> Settings:
    """Read and check the file; without a file, use the defaults. Raise ConfigurationError with all problems."""
    with contextlib.suppress(OSError):  # a folder that cannot be entered: reading says so
        if not path.exists():
            return Settings()
    document = yamlfile.read(path)
    problems: list[Problem] = list(document.problems)
    wanted = {field.name: field.type for field in fields(Settings)}
    for key, value in document.value.items():
        if key not in wanted:
            unknown = PorterError("unknown key; the keys are {keys}", keys=", ".join(wanted))
            problems.append(document.problem((key,), unknown))
        elif wrong := _check(key, value, wanted[key]):
            got = PorterError("{reason}, got {value!r}", reason=wrong, value=value)
            problems.append(document.problem((key,), got))
    if problems:
        raise ConfigurationError(problems)
    return Settings(**document.value)


def _check(key: str, value: Any, wanted: Any) -> PorterError | None:
    """Return the problem with a value, or None."""
    if type(value) is not wanted:
        return PorterError(_TYPES[wanted])
    if key == "host" and not value:
        return PorterError("must not be empty")
    if key == "host" and not may_be_host(value):
        return PorterError("must be an address or the name of a host")
    if key in _MOST and not 1 <= value <= _MOST[key]:
        return PorterError("must be from 1 to {most}", most=_MOST[key])
    if key == "ca" and value:
        return authority_problem(PROJECT_ROOT / value)
    return None
