"""YAML files: values, positions, and all kinds of errors."""

from common.errors import ConfigurationError
from common.yamlfile import Document, read
from tests.support import PorterTestCase


class YamlFiles(PorterTestCase):
    def read(self, text: str) -> Document:
        return read(self.write("file.yaml", text))

    def problem(self, text: str) -> str:
        with self.assertRaises(ConfigurationError) as caught:
            self.read(text)
        return str(caught.exception)

    def test_scalars_follow_yaml_1_2(self) -> None:
        document = self.read("a: 022\nb: 22:30\nc: on\nd: 2026-11-22\ne: 1e3\nf: true\ng: ~\nh: 1.5\ni: no\n")
        wanted = {"a": 22, "b": "22:30", "c": "on", "d": "2026-11-22", "e": 1000.0}
        self.assertEqual({**wanted, "f": True, "g": None, "h": 1.5, "i": "no"}, document.value)

    def test_every_key_and_item_has_its_position(self) -> None:
        positions = self.read("a:\n  b: [1, {c: 2}]\n").positions
        self.assertEqual((1, 1), positions["a",])
        self.assertEqual((2, 3), positions["a", "b"])
        self.assertEqual((2, 10), positions["a", "b", 1])
        self.assertEqual((2, 11), positions["a", "b", 1, "c"])

    def test_a_problem_has_the_position_of_its_key_or_of_the_mapping_that_lacks_it(self) -> None:
        document = self.read("a:\n  b: 1\n")
        self.assertEqual((2, 3), (document.problem(("a", "b"), "x").line, document.problem(("a", "b"), "x").column))
        self.assertEqual(1, document.problem(("a", "missing"), "x").line)

    def test_a_key_given_twice_is_a_problem_and_the_first_stays(self) -> None:
        document = self.read("a: 1\nb:\n  c: 1\n  c: 2\n")
        self.assertEqual({"a": 1, "b": {"c": 1}}, document.value)
        self.assertIn("file.yaml:4:3: b.c: given twice, first in line 3", str(document.problems[0]))

    def test_an_empty_file_is_an_empty_mapping(self) -> None:
        self.assertEqual({}, self.read("# nothing\n").value)

    def test_a_text_that_is_not_yaml_is_reported_with_its_position(self) -> None:
        self.assertIn("file.yaml:2:1: not YAML:", self.problem("a: [\n"))
        self.assertIn("not YAML", self.problem("a: \x00\n"))
        for tagged in (
            "!!python/object:os.system {}",
            "!!timestamp x",
            "!!float abc",
            "!!bool x",
            "!!set {a}",
            "!!binary x",
        ):
            with self.subTest(tagged):
                self.problem(f"a: {tagged}\n")
        self.assertIn("nested too deep", self.problem("a: " + "[" * 3000))
        self.assertNotIn("\n", self.problem("a: \xff\x00\n"))

    def test_a_list_or_a_word_is_no_configuration(self) -> None:
        self.assertIn("must hold a mapping", self.problem("- a\n"))
        self.assertIn("must hold a mapping", self.problem("word\n"))

    def test_a_missing_file_is_reported(self) -> None:
        with self.assertRaisesRegex(ConfigurationError, "No such file"):
            read(self.folder / "none.yaml")

    def test_aliases_that_repeat_too_much_are_refused(self) -> None:
        self.assertIn("an alias repeats", self.problem("a: &a [1, *a]\n"))
        bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
        for level in range(1, 9):
            bomb += f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n"
        self.assertIn("an alias repeats", self.problem(bomb))

    def test_numbers_of_absurd_length_and_odd_keys_are_refused(self) -> None:
        self.assertIn("not YAML", self.problem(f"a: {'9' * 5000}\n"))
        self.assertIn("not YAML", self.problem("? [a]\n: 1\n"))
        self.assertIn("larger than", self.problem("#" * 1_000_001))

    def test_keys_that_are_not_strings_are_kept(self) -> None:
        self.assertEqual({None: 1, 5: 2}, self.read("~: 1\n5: 2\n").value)
        self.assertEqual({1: 1}, self.read("1: 1\n1.0: 2\n").value | {1: 1})
