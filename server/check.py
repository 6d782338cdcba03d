"""`./run.sh check`: is the configuration right? It makes, opens and changes nothing."""

from pathlib import Path

from common.errors import ExitStatus
from common.program import ArgumentParser, environment, run
from common.yamlfile import shown
from server.configuration import DEFAULT_FILE, Overrides, load


def main() -> int:
    parser = ArgumentParser("./run.sh check", "Check the configuration; nothing is opened or changed.")
    parser.add_argument("--config", metavar="FILE", help="configuration (default: conf/server.yaml)")
    options = parser.parse_args()
    file = options.config or environment("PORTER_CONFIG")
    path = Path(file) if file else DEFAULT_FILE
    load(path, Overrides(mode=environment("PORTER_MODE")))
    print(f"{shown(path)}: the configuration is right")
    return ExitStatus.DONE


if __name__ == "__main__":
    run(main)
