"""Accounts as lines of JSON, to take them from one store to another; without their tokens.

It does not know where the lines come from, and not how accounts are stored.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

from common.errors import Refusal, UsageError
from server.identity.names import AccountName, account_name
from server.identity.passwords import damage

_LONGEST = 65_536  # characters of a line
_LATEST = 32_503_680_000  # seconds: the year 3000
_TYPES = {"name": str, "password_hash": str, "disabled": bool, "created": float}


@dataclass(frozen=True)
class Exported:
    """An account on its way. `created` is in seconds since 1970."""

    name: str
    password_hash: str
    disabled: bool
    created: float

    def line(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False)


def read(lines: Iterable[str]) -> Iterator[tuple[AccountName, Exported]]:
    """Yield the accounts of lines of JSON. Raise UsageError with the number of the first line that is wrong."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield _read(line)
            except (ValueError, Refusal) as error:
                raise UsageError("line {number}: {reason}", number=number, reason=error) from None


def _read(line: str) -> tuple[AccountName, Exported]:
    """Return the account of a line. Raise ValueError or Refusal if it is none."""
    if len(line) > _LONGEST:
        raise ValueError(f"longer than {_LONGEST} characters")
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError("this is not JSON") from None
    if not isinstance(found, dict) or set(found) != set(_TYPES):
        raise ValueError(f"an account has {', '.join(_TYPES)}, and nothing else")
    for key, wanted in _TYPES.items():
        value = found[key]
        right = type(value) in (int, float) if wanted is float else type(value) is wanted
        if not right:
            raise ValueError(f"{key} has a wrong type")
    if not 0 <= found["created"] < _LATEST:  # neither inf nor nan, and a year that can be printed
        raise ValueError("created is no time in seconds since 1970")
    if wrong := damage(found["password_hash"]):
        raise ValueError(f"the password hash cannot be used: {wrong}")
    return account_name(found["name"]), Exported(**found)
