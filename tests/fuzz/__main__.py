"""`./run.sh fuzz TARGET [SECONDS]`: atheris leads a target to code not reached yet, for a minute or so."""

import sys

from tests.fuzz import targets

_SECONDS = 60


def main() -> int:
    if len(sys.argv) < 2 or sys.argv[1] not in targets.TARGETS or not "".join(sys.argv[2:3] or ["1"]).isdigit():
        print(f"usage: ./run.sh fuzz {'|'.join(targets.TARGETS)} [SECONDS]", file=sys.stderr)
        return 64
    import atheris

    target = targets.TARGETS[sys.argv[1]]
    seconds = sys.argv[2] if len(sys.argv) > 2 else str(_SECONDS)
    atheris.instrument_all()
    atheris.Setup([sys.argv[0], f"-max_total_time={seconds}", "-max_len=4096"], target)
    atheris.Fuzz()  # ends the process
    return 0


if __name__ == "__main__":
    sys.exit(main())
