"""Starts `./run.sh bench`. The rest is imported inside `main`, so that Ctrl-C works during the imports."""

from common.program import run


def main() -> int:
    from benchmarks.commandline import main as bench

    return bench()


if __name__ == "__main__":
    run(main)
