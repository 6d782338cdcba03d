"""The rules for names: which ones are allowed, equal, or look-alikes. It knows no store and no sockets.

Account names follow RFC 8265 (UsernameCaseMapped), labels RFC 8266 (Nickname), look-alikes UTS #39. Lengths are
checked first, because normalising takes quadratic time in Python before mid-2026 (cpython#149079).
"""

import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import Any

import precis_i18n

from common.errors import Refusal

MOST_CHARACTERS = 64  # so at most 256 bytes
# A user with one of these names, or with a look-alike, could pretend to run the server.
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
# Writing systems that mix several scripts (UTS #39, 5.1).
_ALLOWED_TOGETHER = (
    {"HAN", "HIRAGANA", "KATAKANA"},
    {"HAN", "HANGUL"},
    {"HAN", "BOPOMOFO"},
)


@dataclass(frozen=True)
class AccountName:
    """A name as its owner typed it, and the canonical form by which names are compared."""

    shown: str
    canonical: str


def account_name(typed: str) -> AccountName:
    """Return the name that `typed` means. Raise Refusal if it cannot be a name."""
    shown = _stripped(typed)
    return AccountName(unicodedata.normalize("NFC", shown), _enforce("UsernameCaseMapped", shown))


def label(typed: str) -> str:
    """Return the label that `typed` means in identify mode. Raise Refusal if it cannot be a label."""
    return str(_enforce("NicknameCasePreserved", _stripped(typed)))


def refuse_new(name: AccountName) -> None:
    """Raise Refusal if no user may register this name: it mixes scripts, or is or looks like a reserved name."""
    refuse_mixed_scripts(name)
    if skeletons(name) & _reserved_skeletons():
        raise Refusal("this name is reserved")


def refuse_mixed_scripts(name: AccountName) -> None:
    """Raise Refusal for a name with letters of several scripts: most look-alikes are made that way."""
    from confusable_homoglyphs import categories  # takes 60 ms, and only registrations need it

    scripts = categories.unique_aliases(name.canonical) - _ANY_SCRIPT
    if len(scripts) > 1 and not any(scripts <= allowed for allowed in _ALLOWED_TOGETHER):
        raise Refusal("a name must be written in one script")


def skeletons(name: AccountName) -> frozenset[str]:
    """Return the skeletons of the name as typed, in small letters and in capitals.

    Two names that share a skeleton look alike (UTS #39, 4). The table is that of confusable-homoglyphs.
    """
    return frozenset(map(_skeleton, (name.shown, name.canonical, name.canonical.upper())))


def _stripped(typed: str) -> str:
    name = typed.strip(" ") if len(typed) <= 4 * MOST_CHARACTERS else typed
    if not 1 <= len(name) <= MOST_CHARACTERS:
        raise _wrong_length()
    return name


def _enforce(profile: str, name: str) -> str:
    try:
        enforced: str = _profile(profile).enforce(name)
    except UnicodeEncodeError as error:  # precis_i18n raises this for a text that is not allowed
        raise Refusal(_REASONS.get(error.reason, "a name must not hold such a character")) from None
    if not 1 <= len(enforced) <= MOST_CHARACTERS:
        raise _wrong_length()
    return enforced


_REASONS = {
    "DISALLOWED/spaces": "a name must not hold a space",
    "DISALLOWED/empty": "a name must not be empty",
}


def _wrong_length() -> Refusal:
    return Refusal("a name has 1 to {most} characters", most=MOST_CHARACTERS)


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
    """Return the text that stands for all look-alikes of this character.

    This is a heuristic. The library's table lists look-alikes and prototypes as neighbours of each other and does not
    say which is which. The function guesses it from their number: a prototype has many neighbours, a look-alike has
    only one. If two texts have only each other, the longer one is taken, or else the one with the smaller code point.
    """
    from confusable_homoglyphs.confusables import confusables_data

    neighbours = [entry["c"] for entry in confusables_data.get(character, ())]
    if len(neighbours) != 1:
        return character
    neighbour = str(neighbours[0])
    neighbour_is_prototype = len(confusables_data.get(neighbour, ())) > 1
    if neighbour_is_prototype or len(neighbour) > len(character):
        return neighbour
    return min(character, neighbour)
