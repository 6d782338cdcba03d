"""The pictures of the documents tell the truth: the conversation, the rooms, the states of a connection."""

import re
import unittest
from xml.etree import ElementTree

from common import PROJECT_ROOT
from tests.test_layout import files, imports

SVG = "{http://www.w3.org/2000/svg}"


def texts(picture: str, kind: str) -> list[ElementTree.Element]:
    """Return the texts of a kind, which can be selected in each picture."""
    root = ElementTree.parse(PROJECT_ROOT / "docs" / picture).getroot()
    return [text for text in root.iter(f"{SVG}text") if text.get("class") == kind]


class Conversation(unittest.TestCase):
    def test_it_is_the_one_that_is_played(self) -> None:
        shown = ["".join(line.itertext()) for line in texts("conversation.svg", "line")]
        page = (PROJECT_ROOT / "README.md").read_text()
        blocks = re.findall(r"^```console (?:server|client)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
        self.assertEqual(shown, [line for block in blocks for line in block.splitlines()][: len(shown)])
        self.assertGreater(len(shown), 15)


class Rooms(unittest.TestCase):
    def setUp(self) -> None:
        places = {text.text or "": float(text.get("y", "")) for text in texts("rooms.svg", "room")}
        rooms = {path.parent.name for path in (PROJECT_ROOT / "server").glob("*/__init__.py")}
        self.places = {room: y for room, y in places.items() if room in rooms}
        self.rooms = rooms
        self.known: dict[str, set[str]] = {room: set() for room in rooms}
        for room in rooms:
            for path in files(f"server.{room}"):
                self.known[room] |= {name.split(".")[1] for name in imports(path) if name.startswith("server.")}
            self.known[room] = self.known[room] & rooms - {room}

    def test_each_room_of_the_server_is_drawn(self) -> None:
        self.assertEqual(self.rooms, set(self.places))

    def test_each_room_knows_only_those_below_it(self) -> None:
        for room, known in self.known.items():
            for other in known:
                self.assertLess(self.places[room], self.places[other], f"{room} knows {other}")

    def test_each_arrow_is_an_import_and_each_import_follows_arrows(self) -> None:
        root = ElementTree.parse(PROJECT_ROOT / "docs/rooms.svg").getroot()
        drawn: dict[str, set[str]] = {room: set() for room in self.rooms}
        for path in root.iter(f"{SVG}path"):
            if arrow := path.get("id"):
                start, end = arrow.split("-")
                self.assertIn(end, self.known[start], arrow)
                drawn[start].add(end)
        for room in sorted(self.rooms, key=self.places.__getitem__, reverse=True):  # the lowest first
            drawn[room] |= {further for other in drawn[room] for further in drawn[other]}
            self.assertLessEqual(self.known[room], drawn[room], room)


class States(unittest.TestCase):
    def test_what_the_picture_of_the_states_calls_code_is_code(self) -> None:
        code = "".join(path.read_text() for room in ("engine", "handlers") for path in files(f"server.{room}"))
        code += (PROJECT_ROOT / "server/settings.py").read_text()
        names = [text.text or "" for text in texts("states.svg", "code")]
        self.assertGreater(len(names), 7)
        for name in names:
            self.assertRegex(code, rf"\b(def {name}\(|{name}: )")
