"""Starts the client, which commandline.py does: `python -m client`, as run.sh calls it."""

from common.program import run


def main() -> int:
    # Imported here: Ctrl-C while the libraries are being loaded ends the program as it does later.
    from client import commandline

    return commandline.main()


if __name__ == "__main__":
    run(main)
