"""Task 7: the names of addresses, in a file.

A server has a thread for each client, and somebody may read the file at any moment. An IPv6 socket shows a client
with IPv4 as `::ffff:192.0.2.1`; it is the same client as `192.0.2.1`.
"""

import json
from pathlib import Path


class Visitors:
    def __init__(self, file: Path) -> None:
        self._file = file

    def name_of(self, address: str) -> str | None:
        """Return the name of an address, or None."""
        return self._names().get(address)

    def introduce(self, address: str, name: str) -> None:
        """Keep the name of an address."""
        names = self._names()
        names[address] = name
        self._file.write_text(json.dumps(names))

    def _names(self) -> dict[str, str]:
        names: dict[str, str] = json.loads(self._file.read_text()) if self._file.exists() else {}
        return names
