"""`int()` takes "+9", "1_000", " 7 " and Arabic digits, so the digits are checked before it is asked."""

from collections.abc import Callable


def ask_port(read: Callable[[str], str], show: Callable[[str], object], default: int = 9090) -> int:
    while True:
        answer = read(f"Port [{default}]: ").strip()
        if not answer:
            return default
        if answer.isascii() and answer.isdigit() and len(answer) <= 5 and 1 <= int(answer) <= 65535:
            return int(answer)
        show(f"a port is a number from 1 to 65535, not {answer[:40]!r}")
