"""./run.sh check: right, wrong, and without side effects."""

from tests.support import PorterTestCase, run_program


class Check(PorterTestCase):
    tls = True

    def test_a_right_configuration_is_0_and_nothing_is_made(self) -> None:
        path = self.write_configuration(mode="auth")
        before = {p: p.stat().st_mtime_ns for p in self.folder.rglob("*")}
        done = run_program(self.folder, "server.check", "--config", path.name)
        self.assertEqual(
            (0, "server.yaml: the configuration is right\n", ""), (done.returncode, done.stdout, done.stderr)
        )
        self.assertEqual(before, {p: p.stat().st_mtime_ns for p in self.folder.rglob("*")})

    def test_a_wrong_one_is_78_with_all_problems(self) -> None:
        self.write("server.yaml", "prot: 1\nmode: nosuch\n")
        done = run_program(self.folder, "server.check", PORTER_CONFIG="server.yaml")
        self.assertEqual((78, "", 2), (done.returncode, done.stdout, done.stderr.count("\n")))

    def test_the_project_s_own_is_right(self) -> None:
        self.assertEqual(0, run_program(self.folder, "server.check").returncode)
