"""The client's configuration: seven keys, checked without pydantic, which would double the time to start."""

import contextlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from client.trust import authority_problem
from common import PROJECT_ROOT, yamlfile
from common.addresses import may_be_host
from common.errors import ConfigurationError, Problem

DEFAULT_FILE = PROJECT_ROOT / "conf" / "client.yaml"
LOGGING_FILE = PROJECT_ROOT / "conf" / "logging.yaml"
_TYPES = {bool: "true or false", int: "a whole number", str: "a text"}


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
            problems.append(document.problem((key,), f"unknown key; the keys are {', '.join(wanted)}"))
        elif wrong := _check(key, value, wanted[key]):
            problems.append(document.problem((key,), f"{wrong}, got {value!r}"))
    if problems:
        raise ConfigurationError(problems)
    return Settings(**document.value)


def _check(key: str, value: Any, wanted: Any) -> str | None:
    """Return the text of the problem with a value, or None."""
    if type(value) is not wanted:
        return f"must be {_TYPES[wanted]}"
    if key == "host" and not value:
        return "must not be empty"
    if key == "host" and not may_be_host(value):
        return "must be an address or the name of a host"
    if key == "port" and not 1 <= value <= 65535:
        return "must be from 1 to 65535"
    if key == "max_message" and not 1 <= value <= 67_108_864:
        return "must be from 1 to 67108864"
    if key == "ca" and value and (wrong := authority_problem(PROJECT_ROOT / value)):
        return str(wrong)
    return None
