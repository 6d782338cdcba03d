"""The entry point of `python -m server`, which run.sh calls. commandline.py does the work."""

from common.program import run


def main() -> int:
    # Imported here, inside `run`: Ctrl-C while the libraries load must end the program as it does later.
    from server import commandline

    return commandline.main()


if __name__ == "__main__":
    run(main)
