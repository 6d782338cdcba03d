"""How long the parts of a stop may take, in seconds after the drain. The drain itself may take `drain_timeout`.

docs/operations.md promises that the process ends two seconds after the drain at most, even if something hangs. Each
part must end before the part that waits for it, so the order below is a rule. A busy machine needs the gaps.
"""

CLOSING = 0.7
"""A process closes what it has opened. A part that hangs is left behind."""

LAST_WORDS = 0.3
"""Then the process writes the last lines of the log."""

WORKERS = 1.2
"""The parent waits so long for its workers; then it kills them."""

PARENT = 1.4
"""The parent ends, even if something in it hangs."""

PROMISED = 2.0

assert CLOSING + LAST_WORDS < WORKERS < PARENT < PROMISED
