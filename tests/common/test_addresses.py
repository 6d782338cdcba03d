"""Addresses: each client has one spelling, and each network is one source."""

import unittest

from common.addresses import canonical, format_endpoint, format_peer, is_local, source


class Addresses(unittest.TestCase):
    def test_one_client_has_one_spelling(self) -> None:
        for host, wanted in (
            ("127.0.0.1", "127.0.0.1"),
            ("::ffff:127.0.0.1", "127.0.0.1"),
            ("FE80:0:0::1%eth0", "fe80::1"),
            ("2001:0db8::0001", "2001:db8::1"),
        ):
            self.assertEqual(wanted, canonical(host))

    def test_a_text_that_is_no_address_raises_value_error(self) -> None:
        self.assertRaises(ValueError, canonical, "localhost")

    def test_ipv6_addresses_with_the_same_first_64_bits_are_one_source(self) -> None:
        self.assertEqual(source("2001:db8::1"), source("2001:db8::ffff:1"))
        self.assertNotEqual(source("2001:db8::1"), source("2001:db8:0:1::1"))
        self.assertEqual("10.0.0.1", source("::ffff:10.0.0.1"))

    def test_only_loopback_is_local(self) -> None:
        for host, local in (
            ("127.0.0.9", True),
            ("::1", True),
            ("0.0.0.0", False),
            ("::", False),
            ("10.0.0.1", False),
        ):
            self.assertEqual(local, is_local(host))

    def test_a_peer_is_shown_with_its_port(self) -> None:
        self.assertEqual("127.0.0.1:5", format_peer(("::ffff:127.0.0.1", 5, 0, 0)))
        self.assertEqual("[::1]:5", format_peer(("::1", 5, 0, 0)))
        self.assertEqual("[::1]:80", format_endpoint("::1", 80))
