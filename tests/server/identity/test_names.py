"""Names: which are allowed, when two are the same, and when they look alike."""

import contextlib
import time
import unicodedata
import unittest
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from common.errors import Refusal
from server.identity.names import account_name, label, refuse_mixed_scripts, refuse_new, skeletons
from tests.support import scaled


class AccountNames(unittest.TestCase):
    def test_spellings_of_one_name_have_one_canonical_form(self) -> None:
        for one, other in (
            ("Alice", "aLICE"),
            ("Ａlice", "alice"),
            ("é", "e\u0301"),
            (" bob ", "bob"),
            ("ＢＯＢ", "bob"),
        ):
            self.assertEqual(account_name(one).canonical, account_name(other).canonical)

    def test_a_name_is_shown_as_it_was_typed(self) -> None:
        self.assertEqual("Alice", account_name(" Alice ").shown)

    def test_an_impossible_name_is_refused_with_a_reason(self) -> None:
        for typed in (
            "",
            "   ",
            "a b",
            "a\nb",
            "a\x00b",
            "a\u202eb",
            "a\u200bb",
            "\ud800",
            "x" * 65,
            "x" * 100_000,
            "\ufe0f",
        ):
            with self.subTest(typed[:20]), self.assertRaises(Refusal) as caught:
                account_name(typed)
            self.assertTrue(str(caught.exception))

    def test_64_characters_are_allowed(self) -> None:
        self.assertEqual("x" * 64, account_name("x" * 64).canonical)

    def test_scripts_may_be_mixed_only_if_they_belong_together(self) -> None:
        for good in ("alice1_", "алиса", "山田たろう", "김철수", "Ελένη", "müller"):
            refuse_mixed_scripts(account_name(good))
        for bad in ("аlice", "alιce", "боb"):
            with self.subTest(bad), self.assertRaisesRegex(Refusal, "one script"):
                refuse_mixed_scripts(account_name(bad))

    def test_names_that_look_alike_share_a_skeleton(self) -> None:
        for one, other in (
            ("coco", "сосо"),
            ("paypal", "paypaI"),
            ("alice", "a1ice"),
            ("o0o", "ООО"),
            ("modern", "rnodem"),
            ("alice", "AL1CE"),
            ("AlICE", "alice"),
        ):
            with self.subTest(other):
                self.assertTrue(skeletons(account_name(one)) & skeletons(account_name(other)))

    def test_other_names_share_no_skeleton(self) -> None:
        names = ["alice", "bob", "carol", "dave", "eve", "алиса", "боб", "山田"]
        for one, other in combinations(names, 2):
            self.assertFalse(skeletons(account_name(one)) & skeletons(account_name(other)), (one, other))

    @given(st.text(max_size=80))
    def test_any_text_is_refused_or_has_a_stable_canonical_form(self, typed: str) -> None:
        try:
            name = account_name(typed)
        except Refusal:
            return
        self.assertEqual(name.canonical, account_name(name.canonical).canonical)
        self.assertTrue(1 <= len(name.canonical) <= 64)
        self.assertTrue(skeletons(name))

    @given(st.text(min_size=1, max_size=40))
    def test_composition_and_outer_spaces_do_not_change_the_name(self, typed: str) -> None:
        try:
            name = account_name(unicodedata.normalize("NFC", typed))
        except Refusal:
            return
        spelled = unicodedata.normalize("NFD", typed)
        if len(spelled) <= 64:
            self.assertEqual(name.canonical, account_name(f" {spelled}  ").canonical)

    @given(st.text(st.sampled_from("abcxyzABCXYZ0189-._~"), min_size=1, max_size=64))
    def test_case_and_width_do_not_change_the_name(self, typed: str) -> None:
        canonical = account_name(typed).canonical
        for spelled in (typed.swapcase(), typed.upper(), "".join(chr(ord(char) + 0xFEE0) for char in typed)):
            self.assertEqual(canonical, account_name(spelled).canonical)

    def test_a_name_that_looks_like_a_reserved_one_cannot_be_registered(self) -> None:
        latin = ("root", "ROOT", "r00t", "admin", "adrnin", "ADMlN", "ADM1N", "ADMINlSTRATOR")
        for reserved in (*latin, "\u0430dmin", "\u0455\u0443\u0455\u0442\u0435m"):
            with self.subTest(reserved), self.assertRaises(Refusal):
                refuse_new(account_name(reserved))
        for good in ("alice", "roots", "administratrix"):
            refuse_new(account_name(good))

    def test_no_text_costs_much_time(self) -> None:
        start = time.process_time()
        # The last ones meet rules that look at the whole string for each of its characters.
        for typed in (
            "a" + "\u0301\u0316" * 30_000,
            " " * 65_000,
            "\u0390" * 64,
            "ﷺ" * 64,
            "\u30fb" * 64,
            "\u0660" * 64,
        ):
            for rule in (account_name, label):
                with contextlib.suppress(Refusal):
                    rule(typed)
        self.assertLess(time.process_time() - start, scaled(0.1))


class Labels(unittest.TestCase):
    def test_inner_spaces_are_allowed_and_outer_and_double_ones_removed(self) -> None:
        self.assertEqual("Bob the Builder", label("  Bob   the Builder "))

    def test_scripts_may_be_mixed(self) -> None:
        self.assertEqual("Боб Smith", label("Боб Smith"))

    def test_an_impossible_label_is_refused(self) -> None:
        for typed in ("", "  ", "a\nb", "a\x1bb", "a\u202eb", "x" * 65):
            with self.subTest(typed), self.assertRaises(Refusal):
                label(typed)
