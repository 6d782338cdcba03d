"""`./run.sh check`: checks the configuration. It makes, opens and changes nothing."""

from common.errors import ExitStatus
from common.program import ArgumentParser, foreign_port_warning, print_warning, run

_DESCRIPTION = """\
Check the configuration and print every problem with its file, line and column.
Nothing is opened or changed. The exit status is 0 if all is right, and 78 if not.
"""


def main() -> int:
    # Imported here, inside `run`: Ctrl-C while the libraries load must end the program as it does later.
    from common.yamlfile import relative_path
    from server.configuration.loading import Overrides, Source, file_path, with_environment

    parser = ArgumentParser("./run.sh check", _DESCRIPTION)
    parser.add_argument("--config", metavar="FILE", help="configuration file (default: conf/server.yaml)")
    options = parser.parse_args()
    path = file_path(options.config)
    configuration = Source(path, with_environment(Overrides())).load()
    for warning in (configuration.certificate_warning(), foreign_port_warning()):
        if warning is not None:
            print_warning(str(warning))
    print(f"{relative_path(path)}: the configuration is right")
    return ExitStatus.DONE


if __name__ == "__main__":
    run(main)
