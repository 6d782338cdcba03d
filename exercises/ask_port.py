"""Task 4: ask for a port until the answer is one. An empty answer means the default.

`read` shows a question and returns the answer, as `input` does; `show` shows a text, as `print` does. A port is a
number from 1 to 65535; say so after each wrong answer. Spaces around it do no harm. Do you know all that `int()`
takes for a number?
"""

from collections.abc import Callable


def ask_port(read: Callable[[str], str], show: Callable[[str], object], default: int = 9090) -> int:
    return int(read(f"Port [{default}]: ") or default)
