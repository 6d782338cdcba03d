"""The fuzzer's targets, with inputs of hypothesis and with inputs that once failed."""

import unittest
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from common.wire.framing import encode
from server.settings import Settings
from tests.endurance import LONG
from tests.fuzz import targets

EXAMPLES = 5000 if LONG else 100
FRAMES = st.lists(st.text(max_size=20).map(encode) | st.binary(max_size=8), max_size=8).map(b"".join)
MESSAGES = st.builds("{} {}".format, st.sampled_from(["TEXT", "TOKEN", "ASK", "SECRET", ""]), st.text()).map(
    str.encode
)
KEYS = st.sampled_from([*Settings.model_fields, "auth", "echo", "class", "options", "enabled", "max_message"])
VALUES: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
YAML = st.dictionaries(KEYS, VALUES, max_size=5).map(lambda value: repr(value).encode("utf-8", "replace"))


class Targets(unittest.TestCase):
    def check(self, target: Callable[[bytes], None], likely: st.SearchStrategy[bytes]) -> None:
        @settings(max_examples=EXAMPLES, deadline=None, derandomize=not LONG, database=None)
        @given(likely | st.binary(max_size=300))
        def run(data: bytes) -> None:
            target(data)

        run()

    def test_framing(self) -> None:
        self.check(targets.framing, FRAMES)

    def test_kinds(self) -> None:
        self.check(targets.kinds, MESSAGES)

    def test_configuration(self) -> None:
        self.check(targets.configuration, YAML)
        for text in (
            "port: " + "9" * 5000,
            "&a [*a, *a]",
            "a: !!python/object/apply:os.system [x]",
            "port: !!timestamp 2001-99-99",
            "[" * 2000,
            "? {a: b}\n: c",
            "mode: \ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
            "%TAG ! tag:x,2000:\n--- !a b",
            "\ufeffmode: echo",
        ):
            targets.configuration(text.encode("latin-1", "replace"))

    def test_tokens(self) -> None:
        self.check(targets.tokens, st.text(st.sampled_from("abcXYZ019-_"), min_size=43, max_size=43).map(str.encode))
        targets.tokens(targets._sessions()[1].encode())

    def test_names(self) -> None:
        self.check(targets.names, st.text(max_size=80).map(str.encode))
