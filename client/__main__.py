"""Starts the client: run.sh calls `python -m client`. The work is in commandline.py."""

from common.language import of_reader
from common.program import run


def main() -> int:
    # Imported here: so Ctrl-C ends the program without a traceback also while the libraries are loaded.
    from client import commandline

    return commandline.main()


if __name__ == "__main__":
    run(main, of_reader())
