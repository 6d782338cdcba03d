"""One filter for text that came from elsewhere: what could move a cursor or forge a line is made visible.

Used for everything the client shows and for every line of a log.
"""

import unicodedata

# Control, format and direction characters, surrogates, line and paragraph separators.
_UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# The two joiners are letters' business in Persian, Hindi and emoji, and move nothing.
_SAFE_FORMAT = "\u200c\u200d"


def visible(text: str, keep: str = "") -> str:
    """`text` with each unsafe character written as Python would write it (\\x1b, \\u202e), save those in `keep`."""
    if text.isprintable():  # true of most text, and quick; false for harmless characters as well
        return text
    return "".join(_visible_character(character, keep) for character in text)


def _visible_character(character: str, keep: str) -> str:
    if character in keep or character in _SAFE_FORMAT:
        return character
    if unicodedata.category(character) in _UNSAFE_CATEGORIES:
        return character.encode("unicode_escape").decode("ascii")
    return character
