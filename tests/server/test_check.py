"""./run.sh check: a right and a wrong configuration, and no side effects."""

from tests.support import PorterTestCase, run_program


class Check(PorterTestCase):
    tls = True

    def test_a_right_configuration_gives_status_0_and_creates_nothing(self) -> None:
        path = self.write_configuration(mode="auth")
        before = {p: p.stat().st_mtime_ns for p in self.folder.rglob("*")}
        done = run_program(self.folder, "server.check", "--config", path.name)
        self.assertEqual(
            (0, "server.yaml: the configuration is right\n", ""), (done.returncode, done.stdout, done.stderr)
        )
        self.assertEqual(before, {p: p.stat().st_mtime_ns for p in self.folder.rglob("*")})

    def test_a_wrong_configuration_gives_status_78_with_every_problem(self) -> None:
        self.write("server.yaml", "prot: 1\nmode: nosuch\n")
        done = run_program(self.folder, "server.check", PORTER_CONFIG="server.yaml")
        self.assertEqual((78, "", 2), (done.returncode, done.stdout, done.stderr.count("\n")))

    def test_the_projects_own_configuration_is_right(self) -> None:
        self.assertEqual(0, run_program(self.folder, "server.check").returncode)
