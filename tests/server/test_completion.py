"""./run.sh completion: the words are those of --help, and the shells take the scripts."""

import re
import shutil
import subprocess

from benchmarks import commandline as bench
from client import commandline as client
from examples import demo
from server import check, commandline, completion, manual
from server.administration import reset, store, users
from server.control import clients, top
from tests.support import PATIENCE, PorterTestCase, call_program

PROGRAMS = {
    "": commandline,
    "client": client,
    "users": users,
    "clients": clients,
    "top": top,
    "store": store,
    "reset": reset,
    "check": check,
    "completion": completion,
    "man": manual,
    "bench": bench,
    "demo": demo,
}


class Completion(PorterTestCase):
    def script(self, shell: str) -> str:
        status, out, errors = call_program(completion.main, shell)
        self.assertEqual((0, ""), (status, errors))
        return out

    def complete(self, *words: str) -> set[str]:
        """Return what bash offers after these words, of which the last may be incomplete."""
        line = " ".join(f"'{word}'" for word in words)
        code = f"{self.script('bash')}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _porter"
        code += '; echo "${COMPREPLY[@]}"'
        done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        return set(done.stdout.split())

    def test_the_options_are_those_of_the_help(self) -> None:
        for name, program in PROGRAMS.items():
            usage = call_program(program.main, "--help")[1]
            shown = set(re.findall(r"(?m)^  (?:-\w(?: [A-Z]+)?, )?(--[a-z-]+)", usage))
            words = {word for word in completion.WORDS[name].split() if word.startswith("--")}
            self.assertEqual(shown, words, name)

    def test_bash_offers_commands_and_then_their_options(self) -> None:
        self.assertEqual({"client", "clients"}, self.complete("./run.sh", "cl"))
        self.assertEqual({"--reconnect"}, self.complete("./run.sh", "client", "--re"))
        self.assertEqual({"list", "logout"}, self.complete("./run.sh", "users", "l"))
        self.assertEqual({"--host"}, self.complete("./run.sh", "auth", "--ho"))

    def test_other_shells_take_their_scripts(self) -> None:
        for shell in ("zsh", "fish"):
            script = self.script(shell)
            self.assertIn("reconnect", script)
            if shutil.which(shell) is not None:
                path = self.write(f"completion.{shell}", script)
                done = subprocess.run([shell, "-n", str(path)], capture_output=True, text=True, timeout=PATIENCE)
                self.assertEqual((0, ""), (done.returncode, done.stderr))

    def test_an_unknown_shell_is_wrong_usage(self) -> None:
        self.assertEqual(64, call_program(completion.main, "cmd.exe")[0])
