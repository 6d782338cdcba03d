"""Many threads introduce visitors, while another one reads the file all the time."""

import json
import tempfile
import threading
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from exercises import tried


class Visitors(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = Path(folder.name) / "visitors.json"
        self.visitors = tried("visitors").Visitors(self.file)

    def test_a_name_is_known_after_a_restart(self) -> None:
        self.assertIsNone(self.visitors.name_of("192.0.2.1"))
        self.visitors.introduce("192.0.2.1", "Алиса")
        self.assertEqual("Алиса", tried("visitors").Visitors(self.file).name_of("192.0.2.1"))

    def test_an_address_has_one_name_in_each_of_its_spellings(self) -> None:
        self.visitors.introduce("::ffff:192.0.2.1", "Alice")
        self.visitors.introduce("2001:DB8::0:1", "Bob")
        self.assertEqual("Alice", self.visitors.name_of("192.0.2.1"))
        self.assertEqual("Bob", self.visitors.name_of("2001:db8::1"))

    def test_nothing_is_lost_and_no_half_file_is_seen(self) -> None:
        self.visitors.introduce("192.0.2.0", "somebody")
        done = threading.Event()
        broken: list[str] = []

        def read() -> None:
            while not done.is_set():
                text = self.file.read_text()
                try:
                    json.loads(text)
                except ValueError:
                    broken.append(text)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            with ThreadPoolExecutor(8) as pool:
                list(
                    pool.map(lambda n: self.visitors.introduce(f"10.0.{n // 250}.{n % 250}", f"name {n}"), range(500))
                )
        finally:
            done.set()
            reader.join()
        self.assertEqual([], broken[:1])
        again = tried("visitors").Visitors(self.file)
        for number in range(500):
            self.assertEqual(f"name {number}", again.name_of(f"10.0.{number // 250}.{number % 250}"))
