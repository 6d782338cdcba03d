"""What server and client share: the wire, sockets, TLS, errors, YAML and logs. It imports neither of them."""

from pathlib import Path

VERSION = "0.1.0"

PROJECT_ROOT = Path(__file__).resolve().parent.parent
"""The folder of run.sh; relative paths in the configuration start here."""
