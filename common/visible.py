"""The filter for text from the other side: it escapes each character that could move a cursor or forge a line.

The client uses it for everything it shows, and the log for every line. The filter knows neither of them.
"""

import re
from functools import cache

# Control, format and direction characters, surrogates, line and paragraph separators: Unicode's Cc, Cf, Cs, Zl, Zp.
# The two joiners are allowed: Persian, Hindi and emoji need them, and they move nothing.
_UNSAFE = (
    "\x00-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u2064\u2066-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f"
)
_SLICE = 65536


def visible(text: str, keep: str = "") -> str:
    """Return `text` with each unsafe character escaped as in Python (\\x1b, \\u202e), except those in `keep`."""
    if text.isprintable():  # fast, and true for most text; it is also false for some harmless characters
        return text
    unsafe = _unsafe_pattern(keep)
    # Work in slices: for millions of unsafe characters the pieces alone would take a gigabyte.
    slices = (text[start : start + _SLICE] for start in range(0, len(text), _SLICE))
    return "".join(unsafe.sub(_escape, part) for part in slices)


@cache
def _unsafe_pattern(keep: str) -> re.Pattern[str]:
    return re.compile(f"(?:(?![{re.escape(keep)}])[{_UNSAFE}])+" if keep else f"[{_UNSAFE}]+")


def _escape(run: re.Match[str]) -> str:
    return run[0].encode("unicode_escape").decode("ascii")
