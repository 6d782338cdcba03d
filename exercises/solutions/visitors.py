"""A lock, because to read, change and write are three steps; a new file that takes the place of the old one, because
to write is not one step either. `os.replace` is one: each reader sees the old file or the new one, and no half.
"""

import ipaddress
import json
import os
import threading
from pathlib import Path


def canonical(address: str) -> str:
    found = ipaddress.ip_address(address)
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)


class Visitors:
    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._names: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}

    def name_of(self, address: str) -> str | None:
        """Return the name of an address, or None."""
        return self._names.get(canonical(address))

    def introduce(self, address: str, name: str) -> None:
        """Keep the name of an address."""
        with self._lock:
            self._names[canonical(address)] = name
            new = self._file.with_suffix(".new")
            new.write_text(json.dumps(self._names))
            os.replace(new, self._file)
