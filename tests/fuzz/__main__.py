"""Runs `./run.sh fuzz TARGET [SECONDS]`: atheris looks for inputs that reach new code, by default for a minute."""

import sys

import atheris

with atheris.instrument_imports(include=["common", "server"]):
    from tests.fuzz.targets import TARGETS

_SECONDS = "60"


def main() -> int:
    name, seconds = [*sys.argv[1:], "", ""][:2]
    if name not in TARGETS or not (seconds or _SECONDS).isdigit():
        print(f"usage: ./run.sh fuzz {'|'.join(TARGETS)} [SECONDS]", file=sys.stderr)
        return 64
    atheris.Setup([sys.argv[0], f"-max_total_time={seconds or _SECONDS}", "-max_len=4096"], TARGETS[name])
    atheris.Fuzz()  # ends the process
    return 0


if __name__ == "__main__":
    sys.exit(main())
