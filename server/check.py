"""`./run.sh check`: is the configuration right? It makes, opens and changes nothing."""

from common.errors import ExitStatus
from common.program import ArgumentParser, run


def main() -> int:
    # Imported here: Ctrl-C while the libraries are being loaded ends the program as it does later.
    from common.yamlfile import shown
    from server.configuration.loading import Overrides, file_path, load, with_environment

    parser = ArgumentParser("./run.sh check", "Check the configuration; nothing is opened or changed.")
    parser.add_argument("--config", metavar="FILE", help="configuration (default: conf/server.yaml)")
    options = parser.parse_args()
    path = file_path(options.config)
    load(path, with_environment(Overrides()))
    print(f"{shown(path)}: the configuration is right")
    return ExitStatus.DONE


if __name__ == "__main__":
    run(main)
