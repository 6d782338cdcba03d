"""The files for administrators, against the programs that read them, and against real lines of the log."""

import os
import re
import shutil
import subprocess
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import yaml

from common import PROJECT_ROOT
from common.wire.kinds import Kind
from server.settings import Settings
from tests.support import PATIENCE, QUICK_HASHES, PorterTestCase, wait_until

DEPLOY = PROJECT_ROOT / "deploy"
_Test = TypeVar("_Test", bound=Callable[..., object])
PATH = f"{os.environ['PATH']}:/usr/sbin"


def needs(program: str) -> Callable[[_Test], _Test]:
    """Leave a test out where a program of an administrator is not installed."""
    return unittest.skipIf(shutil.which(program, path=PATH) is None, f"{program} is not installed")


class Deployment(PorterTestCase):
    def run_tool(self, *command: str) -> str:
        """Run a tool and return what it says; it must be content."""
        environment = {**os.environ, "PATH": PATH, "LC_ALL": "C"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=PATIENCE)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        return done.stdout + done.stderr

    @needs("haproxy")
    def test_haproxy_takes_its_configuration(self) -> None:
        self.run_tool("haproxy", "-c", "-f", str(DEPLOY / "haproxy.cfg"))

    @needs("promtool")
    def test_prometheus_takes_the_alerts_and_each_names_a_metric_that_is_there(self) -> None:
        self.run_tool("promtool", "check", "rules", str(DEPLOY / "alerts.yml"))
        exposition = (PROJECT_ROOT / "server/monitoring/exposition.py").read_text()
        for name in set(re.findall(r"porter_[a-z_]+", (DEPLOY / "alerts.yml").read_text())):
            self.assertIn(re.sub(r"_(total|bucket)$", "", name), exposition)

    @needs("systemd-analyze")
    def test_systemd_takes_the_unit_and_finds_little_exposed(self) -> None:
        text = (DEPLOY / "porter.service").read_text()
        self.assertNotIn("~@resources", text)
        unit = self.write("porter.service", text.replace("/opt/porter/.venv/bin/python", "/bin/true"))
        self.write("porter.socket", (DEPLOY / "porter.socket").read_text())
        self.assertEqual("", self.run_tool("systemd-analyze", "verify", str(unit)))
        found = self.run_tool("systemd-analyze", "security", "--offline=true", str(unit))
        level = re.search(r"Overall exposure level for porter.service: ([\d.]+)", found)
        assert level is not None, found
        self.assertLess(float(level[1]), 2.0)

    def test_the_configuration_for_a_fleet_has_only_keys_that_there_are(self) -> None:
        Settings.model_validate(yaml.safe_load((DEPLOY / "server.yaml").read_text()))

    def test_the_compose_file_names_only_what_it_has(self) -> None:
        compose: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
        services = compose["services"]
        self.assertEqual({"a", "b", "balancer", "db"}, set(services))
        for service in services.values():
            self.assertLessEqual(set(service.get("depends_on", ())), set(services))
            self.assertLessEqual(set(service.get("secrets", ())), set(compose["secrets"]))
            self.assertTrue("image" in service or (PROJECT_ROOT / service["build"]["dockerfile"]).exists())

    def test_the_image_is_made_of_files_that_there_are(self) -> None:
        lines = (DEPLOY / "Dockerfile").read_text().splitlines()
        for line in lines:
            if line.startswith("COPY") and ". ." not in line:
                self.assertTrue((PROJECT_ROOT / line.split()[1]).exists(), line)
        self.assertIn("USER porter", lines)

    @needs("fail2ban-regex")
    def test_fail2ban_finds_each_guess_in_a_real_log(self) -> None:
        with self.server("auth", handlers={"auth": {"options": QUICK_HASHES}}) as server:
            server.talk().register("Alice")
            guesser = server.talk("127.0.0.9")
            guesser.give_token()
            for _ in range(3):
                guesser.fail("Alice")
            late = server.talk("127.0.0.9")
            late.give_token()
            late.fail("Alice")
            late.answer(Kind.ASK, "not a name")
            late.expect(Kind.ERROR)
        log = str(self.folder / "server.log")
        found = self.run_tool("fail2ban-regex", log, str(DEPLOY / "fail2ban-filter.conf"), "--print-all-matched")
        self.assertRegex(found, r"Lines: \d+ lines, 0 ignored, 4 matched")

    @needs("logrotate")
    def test_after_logrotate_the_server_writes_another_file(self) -> None:
        text = (DEPLOY / "logrotate.conf").read_text().replace("/var/log/porter", str(self.folder))
        rotation = self.write("logrotate.conf", text)
        rotation.chmod(0o600)
        with self.server("echo") as server:
            client = server.connect()
            client.send_message("before")
            client.receive_message()
            server.log.wait_for("message sent")
            log = self.folder / "server.log"
            wait_until(lambda: "message sent, 6 bytes" in log.read_text(), "the first lines")
            self.run_tool("logrotate", "--force", "--state", str(self.folder / "state"), str(rotation))
            client.send_message("afterwards")
            client.receive_message()
            wait_until(lambda: log.exists() and "message sent, 10 bytes" in log.read_text(), "another file")
        self.assertIn("message sent, 6 bytes", Path(f"{log}.1").read_text())
