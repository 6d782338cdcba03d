"""The rules for names: which may be had, and when two are the same or look alike. It knows no store and no sockets.

Account names follow RFC 8265 (UsernameCaseMapped), labels RFC 8266 (Nickname), look-alikes UTS #39. Lengths are
checked first: normalising is quadratic in Python before mid-2026 (cpython#149079).
"""

import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import Any

import precis_i18n

from common.errors import Refusal

MOST_CHARACTERS = 64  # and so 256 bytes
# Who bears one of these, or what looks like it, could pass for somebody who runs the server.
_RESERVED = (
    "admin",
    "administrator",
    "moderator",
    "operator",
    "porter",
    "root",
    "server",
    "support",
    "system",
)
_ANY_SCRIPT = {"COMMON", "INHERITED"}
# Writing systems that use several scripts at once (UTS #39, 5.1).
_SCRIPTS_TOGETHER = (
    {"HAN", "HIRAGANA", "KATAKANA"},
    {"HAN", "HANGUL"},
    {"HAN", "BOPOMOFO"},
)


@dataclass(frozen=True)
class AccountName:
    shown: str
    canonical: str


def account_name(typed: str) -> AccountName:
    """The name that `typed` means, for looking it up; raises Refusal for what can be no name."""
    shown = _checked(typed)
    return AccountName(unicodedata.normalize("NFC", shown), _enforce("UsernameCaseMapped", shown))


def label(typed: str) -> str:
    """The label that `typed` means for identify; raises Refusal for what can be none."""
    return str(_enforce("NicknameCasePreserved", _checked(typed)))


def refuse_new(name: AccountName) -> None:
    """Raise Refusal for a name that nobody may register, whether or not it exists."""
    refuse_mixed_scripts(name)
    if skeletons(name) & _reserved_skeletons():
        raise Refusal("that name is reserved")


def refuse_mixed_scripts(name: AccountName) -> None:
    """Raise Refusal for a new name of more than one script: most look-alikes are made that way."""
    from confusable_homoglyphs import categories  # 60 ms, and only who registers needs it

    scripts = categories.unique_aliases(name.canonical) - _ANY_SCRIPT
    if len(scripts) > 1 and not any(scripts <= together for together in _SCRIPTS_TOGETHER):
        raise Refusal("a name must be written in one script")


def skeletons(name: AccountName) -> frozenset[str]:
    """What the name looks like, as typed, in small letters and in capitals; two that share one look alike.

    The skeletons of UTS #39, 4, by the table of confusable-homoglyphs.
    """
    return frozenset(map(_skeleton, (name.shown, name.canonical, name.canonical.upper())))


def _checked(typed: str) -> str:
    name = typed.strip(" ") if len(typed) <= 4 * MOST_CHARACTERS else typed
    if not 1 <= len(name) <= MOST_CHARACTERS:
        raise Refusal(f"a name has 1 to {MOST_CHARACTERS} characters")
    return name


def _enforce(profile: str, name: str) -> str:
    try:
        enforced: str = _profile(profile).enforce(name)
    except UnicodeEncodeError as error:  # how precis_i18n says no
        raise Refusal(
            f"not a name: {_REASONS.get(error.reason, 'it has a character that names may not have')}"
        ) from None
    if not 1 <= len(enforced) <= MOST_CHARACTERS:
        raise Refusal(f"a name has 1 to {MOST_CHARACTERS} characters")
    return enforced


_REASONS = {"DISALLOWED/spaces": "it has a space", "DISALLOWED/empty": "it is empty"}


@cache
def _reserved_skeletons() -> frozenset[str]:
    return frozenset(map(_skeleton, (*_RESERVED, *map(str.upper, _RESERVED))))


@cache
def _profile(name: str) -> Any:
    return precis_i18n.get_profile(name)


def _skeleton(name: str) -> str:
    prototypes = "".join(map(_prototype, unicodedata.normalize("NFD", name)))
    return unicodedata.normalize("NFD", prototypes).casefold()


def _prototype(character: str) -> str:
    """The character that stands for all that look like this one.

    The library's table joins each look-alike with its prototype in both directions: a prototype has many
    neighbours, a look-alike only one. Of a lone pair, the longer or else the smaller one stands for both.
    """
    from confusable_homoglyphs.confusables import confusables_data

    neighbours = [entry["c"] for entry in confusables_data.get(character, ())]
    if len(neighbours) != 1:
        return character
    (neighbour,) = neighbours
    if len(confusables_data.get(neighbour, ())) > 1:
        return str(neighbour)
    return str(max((character, neighbour), key=lambda text: (len(text), -ord(text[0]))))
