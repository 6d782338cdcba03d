"""`./run.sh bench`. Only what ends it is here, so that Ctrl-C is heard while the rest is imported."""

from common.program import run


def main() -> int:
    from benchmarks.commandline import main as bench

    return bench()


if __name__ == "__main__":
    run(main)
