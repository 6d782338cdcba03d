"""The command line of `./run.sh completion`: a script with which a shell completes commands and options.

A test compares the words with what `--help` of each command says.
"""

import argparse

from common.errors import ExitStatus
from common.program import ArgumentParser, run

_COMMON = "--help --version"
WORDS = {
    "": f"echo identify auth chat --host --port --config --no-tls --no-input {_COMMON}",
    "client": "--host --port --verbose --no-tls --no-input --timeout --follow --accept-new --pin --ca "
    f"--reconnect --plain --forget --no-save --password-stdin --password-file {_COMMON}",
    "users": f"list add password disable enable remove logout export import addresses forget --config {_COMMON}",
    "clients": f"list kick --config {_COMMON}",
    "top": f"--once --config {_COMMON}",
    "store": f"version check upgrade backup --config {_COMMON}",
    "reset": f"--yes --config {_COMMON}",
    "check": f"--config {_COMMON}",
    "completion": f"bash zsh fish {_COMMON}",
    "man": _COMMON,
    "bench": "--host --port --no-tls --work --connections --depth --size --rate --seconds --warmup --processes "
    f"--name --password-file --json --plot --compare --curve --failover --rounds {_COMMON}",
    "demo": f"echo identify auth chat tls --auto {_COMMON}",
    "help": "",
    "test": "--long",
    "lint": "",
    "fuzz": "",
}
"""The words that may follow each command; those without a command are modes and the server's options."""

_BASH = """\
_porter() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} words
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="{first}"
    else
        case ${{COMP_WORDS[1]}} in
{cases}
        *) words="{server}" ;;
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _porter run.sh ./run.sh
"""
_ZSH = "autoload -U +X bashcompinit && bashcompinit\n"


def bash() -> str:
    cases = "\n".join(f'        {name}) words="{words}" ;;' for name, words in WORDS.items() if name)
    first = " ".join([*filter(None, WORDS), WORDS[""]])
    return _BASH.format(first=first, cases=cases, server=WORDS[""])


def zsh() -> str:
    return _ZSH + bash()


def fish() -> str:
    commands = " ".join(filter(None, WORDS))
    lines = [f"complete -c run.sh -n __fish_use_subcommand -a '{commands}'"]
    for name, words in WORDS.items():
        when = f"__fish_seen_subcommand_from {name}" if name else f"not __fish_seen_subcommand_from {commands}"
        for word in words.split():
            kind = f"-l {word.removeprefix('--')}" if word.startswith("--") else f"-a {word}"
            lines.append(f"complete -c run.sh -n '{when}' {kind}")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = ArgumentParser(
        "./run.sh completion", "Print a completion script: source <(./run.sh completion bash), for example."
    )
    parser.add_argument("shell", choices=["bash", "zsh", "fish"])
    options: argparse.Namespace = parser.parse_args()
    print({"bash": bash, "zsh": zsh, "fish": fish}[options.shell](), end="")
    return ExitStatus.DONE


if __name__ == "__main__":
    run(main)
