"""The texts of the programs in the language of their reader, by gettext's catalogues. Code and log stay English.

A text is a template for `str.format`: `{name}` stands for a value. A text without a translation is shown in English.
"""

import gettext
import os
from pathlib import Path

from common.errors import ConfigurationError, PorterError

CATALOGUES = Path(__file__).parent / "locale"
DOMAIN = "porter"


class Language:
    """Puts texts into one language, by its code, for example `ru`."""

    def __init__(self, code: str) -> None:
        self.code = code
        self._catalogue = gettext.translation(DOMAIN, CATALOGUES, [code], fallback=True)

    def text(self, template: str, **values: object) -> str:
        """Return a text with its values. If just one is a number, the text has the form for it (1 слово, 5 слов)."""
        numbers = [value for value in values.values() if isinstance(value, int)]
        found = self._catalogue.ngettext(template, template, numbers[0]) if len(numbers) == 1 else template
        return (self.plain(template) if found == template else found).format(**values)

    def plain(self, text: str) -> str:
        """Return a text that has no values."""
        return self._catalogue.gettext(text) if text else ""

    def bind(self) -> None:
        """Let the libraries of this program look for their own texts in the same catalogue: argparse does."""
        if self.code != ENGLISH.code:
            gettext.bindtextdomain(DOMAIN, CATALOGUES)
            gettext.textdomain(DOMAIN)

    def error(self, error: PorterError) -> str:
        """Return the text of an error, and of the errors among its values. A `reason` may be a text of the system."""
        if isinstance(error, ConfigurationError):
            return "\n".join(f"{problem.place}{self._value(problem.text)}" for problem in error.problems)
        values = {
            key: self._value(value) if key == "reason" or isinstance(value, PorterError) else value
            for key, value in error.values.items()
        }
        return self.text(error.template, **values)

    def _value(self, value: object) -> str:
        return self.error(value) if isinstance(value, PorterError) else self.plain(str(value))


ENGLISH = Language("en")


def of_reader() -> Language:
    """Return the language of the reader, as the locale says, or English if there is no catalogue for it."""
    chosen = (os.environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    code = next((value for value in chosen if value), "C")
    code = code.partition(".")[0].partition("_")[0]
    return Language(code if code.isalpha() and (CATALOGUES / code).is_dir() else ENGLISH.code)
