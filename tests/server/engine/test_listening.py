"""The listening socket. test_service.py also tests taken ports and unknown hosts."""

import shutil
import socket
import subprocess
import sys
import unittest
from unittest import mock

from common.errors import Unavailable
from server.engine.listening import listen, reachable_at
from tests.support import PATIENCE, PorterTestCase, environment


class Listening(PorterTestCase):
    def test_listen_takes_the_port_or_the_next_free_one(self) -> None:
        with listen("127.0.0.1", 0) as first:
            port = first.getsockname()[1]
            with self.assertLogs("porter.server", "WARNING") as logged, listen("127.0.0.1", port) as second:
                self.assertGreater(second.getsockname()[1], port)
            self.assertIn(f"port {port} is taken", logged.output[0])
            with socket.create_connection(("127.0.0.1", port)):
                first.accept()[0].close()

    def test_another_process_cannot_share_the_port(self) -> None:
        with listen("127.0.0.1", 0) as first, socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            self.assertRaises(OSError, other.bind, first.getsockname())

    def test_an_unknown_host_is_unavailable(self) -> None:
        with self.assertRaisesRegex(Unavailable, "there is no host"):
            listen("a..b", 0)

    def test_the_addresses_of_a_name_are_tried_until_one_can_be_used(self) -> None:
        for unusable in ((socket.AF_INET, ("192.0.2.99", 0)), (999, ("nowhere", 0))):
            found = [(family, socket.SOCK_STREAM, 6, "", address) for family, address in (unusable, LOOPBACK)]
            with mock.patch.object(socket, "getaddrinfo", return_value=found), listen("name", 0) as listener:
                self.assertEqual("127.0.0.1", listener.getsockname()[0])

    def test_the_error_is_that_of_the_first_address_if_none_can_be_used(self) -> None:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"192.0.2.{number}", 0)) for number in (98, 99)]
        with (
            mock.patch.object(socket, "getaddrinfo", return_value=found),
            self.assertRaisesRegex(Unavailable, "cannot listen on name, port 0: Cannot assign"),
        ):
            listen("name", 0)

    def test_only_a_socket_on_all_addresses_is_reached_at_another_one(self) -> None:
        with listen("127.0.0.1", 0) as listener:
            self.assertEqual([], reachable_at(listener))
        with listen("0.0.0.0", 0) as listener:
            for address in reachable_at(listener):
                host, _, port = address.partition(":")
                with socket.create_connection((host, int(port)), PATIENCE):
                    listener.accept()[0].close()


LOOPBACK = (socket.AF_INET, ("127.0.0.1", 0))


def _can_make_network() -> bool:
    trial = ["unshare", "--user", "--map-root-user", "--net", "ip", "link", "set", "lo", "up"]
    return all(map(shutil.which, ("unshare", "ip"))) and not subprocess.run(trial, capture_output=True).returncode


@unittest.skipUnless(_can_make_network(), "no network can be made here (unshare --net, ip)")
class OtherNetworks(PorterTestCase):
    """Networks that this machine need not have. A program in a network of its own listens there."""

    def run_there(self, setup: str, *code: str) -> str:
        imports = ["import socket", "from server.engine.listening import endpoint, listen, reachable_at"]
        program = "\n".join([*imports, *code])
        command = ["unshare", "--user", "--map-root-user", "--net", "sh", "-ec", f'{setup}; exec "$@"', "sh"]
        command += [sys.executable, "-P", "-c", program]
        done = subprocess.run(command, env=environment(self.folder), capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        return done.stdout

    def test_an_address_of_one_interface_is_listened_on_and_shown_with_the_interface(self) -> None:
        printed = self.run_there(
            "ip link set lo up; ip addr add fe80::5/64 dev lo nodad",
            "with listen('fe80::5%lo', 9090) as listener, socket.create_connection(('fe80::5%lo', 9090)):",
            "    print(endpoint(listener))",
        )
        self.assertEqual("[fe80::5%lo]:9090\n", printed)

    def test_all_addresses_include_those_of_ipv4_where_the_system_keeps_ipv6_to_itself(self) -> None:
        self.run_there(
            "ip link set lo up; echo 1 > /proc/sys/net/ipv6/bindv6only",
            "with listen('::', 9090):",
            "    for host in ('127.0.0.1', '::1'):",
            "        socket.create_connection((host, 9090)).close()",
        )

    def test_the_addresses_for_others_are_those_on_the_way_out(self) -> None:
        printed = self.run_there(
            "ip link set lo up; ip addr add 10.1.2.3/8 dev lo; ip addr add fd00::5/64 dev lo nodad;"
            "ip route add default dev lo; ip -6 route add default dev lo",
            "for host in ('::', '0.0.0.0', '10.1.2.3'):",
            "    with listen(host, 9090) as listener:",
            "        print(*reachable_at(listener))",
        )
        self.assertEqual("10.1.2.3:9090 [fd00::5]:9090\n10.1.2.3:9090\n\n", printed)

    def test_without_a_way_out_there_is_no_address_for_others(self) -> None:
        code = ("with listen('::', 9090) as listener:", "    print(*reachable_at(listener))")
        self.assertEqual("\n", self.run_there("ip link set lo up", *code))
