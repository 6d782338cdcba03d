"""The rules for names: which ones are allowed, equal, or look-alikes. It knows no store and no sockets.

Account names follow RFC 8265 (UsernameCaseMapped), labels RFC 8266 (Nickname), look-alikes UTS #39. precis-i18n has
the contextual rules of RFC 8264, and none of the rules of UAX #31 and UTS #39 for combining marks: those are here.
Lengths are checked first, because normalising takes quadratic time in Python before mid-2026 (cpython#149079).
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
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
_MOST_MARKS = 4  # in a row, on one letter (UTS #39, 5.4)
_ZWNJ, _ZWJ = "\u200c", "\u200d"
_JOINERS = str.maketrans("", "", _ZWNJ + _ZWJ)
_DOT_TWICE = re.compile("(?<=[ij])\u0307")  # a dot above a letter that has one already


@dataclass(frozen=True)
class AccountName:
    """A name as its owner typed it, and the canonical form by which names are compared."""

    shown: str
    canonical: str


def account_name(typed: str) -> AccountName:
    """Return the name that `typed` means. Raise Refusal if it cannot be a name.

    The rules for new names are not applied: the owner of an older account must be able to log in.
    """
    shown = _stripped(typed)
    return AccountName(unicodedata.normalize("NFC", shown), _enforce("UsernameCaseMapped", shown))


def label(typed: str) -> str:
    """Return the label that `typed` means in identify mode. Raise Refusal if it cannot be a label."""
    enforced = _enforce("NicknameCasePreserved", _stripped(typed))
    _refuse_loose_marks(enforced)
    return enforced


def refuse_new(name: AccountName) -> None:
    """Raise Refusal if no user may register this name: it is malformed, or is or looks like a reserved name."""
    refuse_malformed(name)
    if skeletons(name) & _reserved_skeletons():
        raise Refusal("this name is reserved")


def refuse_malformed(name: AccountName) -> None:
    """Raise Refusal for a name that not even an administrator may give to a new account.

    It has letters of several scripts, as most look-alikes have, or marks and joiners where they do not belong.
    """
    _refuse_loose_marks(name.canonical)
    from confusable_homoglyphs import categories  # takes 60 ms, and only registrations need it

    scripts = categories.unique_aliases(name.canonical) - _ANY_SCRIPT
    if len(scripts) > 1 and not any(scripts <= allowed for allowed in _ALLOWED_TOGETHER):
        raise Refusal("a name must be written in one script")


def skeletons(name: AccountName) -> frozenset[str]:
    """Return the skeletons of the name as typed, in small letters and in capitals.

    Two names that share a skeleton look alike (UTS #39, 4). The table is that of confusable-homoglyphs.
    """
    return frozenset(map(_skeleton, (name.shown, name.canonical, name.canonical.upper())))


def _refuse_loose_marks(name: str) -> None:
    """Raise Refusal for a combining mark without a letter, for too many on one, and for a joiner that joins nothing.

    A mark without a letter is drawn over the text in front of the name, in a list or in a greeting.
    """
    decomposed = unicodedata.normalize("NFD", name)  # so that the marks of a letter like U+1EC5 are counted as well
    if _is_mark(decomposed[0]):
        raise Refusal("a name must not begin with a combining mark")
    marks = 0
    for before, character in pairwise(decomposed):
        if _is_mark(character) and before in (" ", _ZWNJ, _ZWJ):
            raise Refusal("a combining mark in a name must follow a letter")
        marks = marks + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        if marks > _MOST_MARKS or (marks and character == before):
            raise Refusal("a letter of a name has at most {most} combining marks, all different", most=_MOST_MARKS)
    # precis-i18n allows ZWNJ after a virama also where nothing follows that it could separate.
    for before, character in pairwise(decomposed + " "):
        if before == _ZWNJ and not unicodedata.category(character).startswith("L"):
            raise Refusal(_NOT_ALLOWED)


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("M")


def _stripped(typed: str) -> str:
    name = typed.strip(" ") if len(typed) <= 4 * MOST_CHARACTERS else typed
    if not 1 <= len(name) <= MOST_CHARACTERS:
        raise _wrong_length()
    return name


def _enforce(profile: str, name: str) -> str:
    try:
        enforced: str = _profile(profile).enforce(name)
    except UnicodeEncodeError as error:  # precis_i18n raises this for a text that is not allowed
        raise Refusal(_REASONS.get(error.reason, _NOT_ALLOWED)) from None
    if not 1 <= len(enforced) <= MOST_CHARACTERS:
        raise _wrong_length()
    return enforced


_NOT_ALLOWED = "a name must not hold such a character"
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
    seen = _DOT_TWICE.sub("", unicodedata.normalize("NFD", name).translate(_JOINERS))
    prototypes = "".join(map(_prototype, seen))
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
