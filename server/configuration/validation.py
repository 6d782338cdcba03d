"""Turns pydantic's errors into texts for the keys of a file. It knows neither the keys nor the file."""

from typing import Any

from pydantic import ValidationError

from common.yamlfile import KeyPath

_LONGEST_VALUE = 60


def texts_by_key(value: Any, path: KeyPath, error: ValidationError) -> dict[KeyPath, str]:
    """Return a text for each wrong key of `value`, the mapping in a file. `error` is about the part at `path`.

    pydantic reports an error for each alternative of a union; these become one text.
    """
    found: dict[KeyPath, str] = {}
    for item in error.errors(include_url=False):
        key = _key_path(value, (*path, *item["loc"]))
        text = _text(item)
        found[key] = f"{found[key]}, or {text[:1].lower()}{text[1:]}" if key in found else text
    return found


def _key_path(value: Any, location: KeyPath) -> KeyPath:
    """Return the keys of an error's location that are in the file, and the first one that is not.

    After a word or a number in the file, the rest of a location names an alternative of a union and is not a key.
    """
    keys: list[str | int] = []
    for part in location:
        if isinstance(value, (str, int, float, bool)) or (value is None and keys):
            break
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
    if item["type"] == "value_error":  # from one of our validators: its text is enough, and the value may be secret
        return str(item["ctx"]["error"])
    value = item["input"]
    got = f", got {value!r}" if isinstance(value, (str, int, float, bool)) or value is None else ""
    return f"{item['msg']}{got[:_LONGEST_VALUE]}"
