"""Texts in the language of their reader: none is forgotten, none has lost a value, and numbers have their forms."""

import gettext
import re
import unittest
from string import Formatter

from common.errors import ConfigurationError, Problem, Refusal, UsageError
from common.language import CATALOGUES, DOMAIN, ENGLISH, Language
from tests.catalogue import printed_in_english, read, texts

RUSSIAN = Language("ru")


def values(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name} | set(
        re.findall(r"%(?:\(\w+\))?\w", template)
    )


class Catalogues(unittest.TestCase):
    def test_each_text_is_translated(self) -> None:
        for folder in CATALOGUES.iterdir():
            catalogue = read(folder.name)
            for text, place in texts().items():
                message = catalogue.get(text)
                self.assertTrue(
                    message and message.string and all(message.string), f"{folder.name}, {place}: {text!r}"
                )

    def test_nothing_is_printed_past_the_catalogue(self) -> None:
        self.assertEqual([], list(printed_in_english()))

    def test_each_translation_has_the_values_of_its_text(self) -> None:
        for folder in CATALOGUES.iterdir():
            for message in read(folder.name):
                if message.id:
                    text = str(message.id if isinstance(message.id, str) else message.id[0])
                    forms = [message.string] if isinstance(message.string, str) else list(message.string or ())
                    for form in forms:
                        self.assertEqual(values(text), values(form), text)
                        self.assertEqual(text.endswith(" "), form.endswith(" "), text)

    def test_what_is_read_is_what_is_written(self) -> None:
        """`python -m tests.catalogue` compiles a catalogue after a change."""
        for folder in CATALOGUES.iterdir():
            compiled = folder / "LC_MESSAGES" / f"{DOMAIN}.mo"
            with compiled.open("rb") as file:
                found = dict(gettext.GNUTranslations(file)._catalog)  # type: ignore[attr-defined]
            for message in read(folder.name):
                if isinstance(message.id, str) and message.id:
                    self.assertEqual(message.string, found.get(message.id))
                elif message.id:
                    forms = [found.get((message.id[0], number)) for number in range(len(message.string or ()))]
                    self.assertEqual(list(message.string or ()), forms)


class Texts(unittest.TestCase):
    def test_a_text_has_the_form_for_its_number(self) -> None:
        forms = [
            RUSSIAN.text("one address may register {most} names in an hour, and no more", most=n) for n in (1, 2, 5)
        ]
        for form, wanted in zip(forms, ("1 имя", "2 имени", "5 имён"), strict=True):
            self.assertIn(wanted, form)

    def test_an_error_and_those_in_it_are_translated(self) -> None:
        inner = Refusal("a password has at least {least} characters", least=8)
        outer = UsageError("{origin}: {reason}", origin="--x", reason=inner)
        self.assertEqual("--x: в пароле не меньше 8 символов", RUSSIAN.error(outer))
        self.assertEqual(str(outer), ENGLISH.error(outer))

    def test_a_reason_of_the_system_is_translated(self) -> None:
        refused = UsageError("{origin}: {reason}", origin="No such file or directory", reason="Connection refused")
        self.assertEqual("No such file or directory: в соединении отказано", RUSSIAN.error(refused))

    def test_the_problems_of_a_file_are_translated(self) -> None:
        problems = [Problem("a.yaml", 3, 5, "port", UsageError("nested too deep")), Problem("b.yaml", 0, 0, "", "x")]
        error = ConfigurationError(problems)
        self.assertEqual("a.yaml:3:5: port: слишком глубокая вложенность\nb.yaml: x", RUSSIAN.error(error))
        self.assertEqual(str(error), ENGLISH.error(error))

    def test_a_text_without_a_translation_is_shown_in_english(self) -> None:
        self.assertEqual("3 words", RUSSIAN.text("{count} words", count=3))
        self.assertEqual("x", Language("xx").text("x"))
