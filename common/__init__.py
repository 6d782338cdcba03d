"""The parts that server and client share: wire, sockets, TLS, errors, YAML, logs. They import neither of them."""

from pathlib import Path

VERSION = "0.1.0"

PROJECT_ROOT = Path(__file__).resolve().parent.parent
"""The folder of run.sh. Relative paths in the configuration start here."""
