"""One filter for text that came from elsewhere: what could move a cursor or forge a line is made visible.

Used for everything the client shows and for every line of a log.
"""

import re
from functools import cache

# Control, format and direction characters, surrogates, line and paragraph separators: Unicode's Cc, Cf, Cs, Zl, Zp,
# without the two joiners, which are letters' business in Persian, Hindi and emoji, and move nothing.
_UNSAFE = (
    "\x00-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u2064\u2066-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f"
)
_SLICE = 65536


def visible(text: str, keep: str = "") -> str:
    """`text` with each unsafe character written as Python would write it (\\x1b, \\u202e), save those in `keep`."""
    if text.isprintable():  # true of most text, and quick; false for harmless characters as well
        return text
    unsafe = _unsafe(keep)
    # In slices: of a text of millions of unsafe characters the pieces alone would take a gigabyte.
    slices = (text[start : start + _SLICE] for start in range(0, len(text), _SLICE))
    return "".join(unsafe.sub(_escaped, part) for part in slices)


@cache
def _unsafe(keep: str) -> re.Pattern[str]:
    return re.compile(f"(?:(?![{re.escape(keep)}])[{_UNSAFE}])+" if keep else f"[{_UNSAFE}]+")


def _escaped(run: re.Match[str]) -> str:
    return run[0].encode("unicode_escape").decode("ascii")
