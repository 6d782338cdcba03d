"""TLS: contexts of 1.2 or newer, handshakes that fail, and the fingerprint as ssh prints one.

The tests that both kinds of socket share are in test_sockets.py.
"""

import contextlib
import hashlib
import random
import socket
import ssl
import subprocess
import threading
import warnings

from common.errors import ConnectionLost, DeadlineExceeded, HandshakeFailed, MessageStalled
from common.wire.framing import encode
from common.wire.sockets import MessageSocket, Timeouts
from common.wire.tls import client_context, fingerprint, server_context
from server.configuration.certificate import ensure
from tests.support import PATIENCE, PorterTestCase, scaled, secure_pair


class Tls(PorterTestCase):
    def test_the_fingerprint_is_sha256_in_base64_without_padding(self) -> None:
        self.assertEqual("SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU", fingerprint(b""))

    def test_the_der_form_of_a_certificate_is_that_of_openssl(self) -> None:
        certificate, key = self.folder / "c.pem", self.folder / "k.pem"
        ensure(certificate, key)
        command = ["openssl", "x509", "-in", str(certificate), "-outform", "DER"]
        der = subprocess.run(command, capture_output=True, check=True).stdout
        self.assertEqual(der, ssl.PEM_cert_to_DER_cert(certificate.read_text()))
        self.assertEqual(32, len(hashlib.sha256(der).digest()))

    def test_the_oldest_accepted_version_is_tls_1_2(self) -> None:
        certificate, key = self.folder / "c.pem", self.folder / "k.pem"
        ensure(certificate, key)
        for context in (server_context(certificate, key), client_context()):
            self.assertEqual(ssl.TLSVersion.TLSv1_2, context.minimum_version)

    def test_a_key_that_does_not_match_its_certificate_is_an_error(self) -> None:
        ensure(self.folder / "a.pem", self.folder / "ak.pem")
        ensure(self.folder / "b.pem", self.folder / "bk.pem")
        with self.assertRaises(ssl.SSLError):
            server_context(self.folder / "a.pem", self.folder / "bk.pem")


class Channel(PorterTestCase):
    """Tests after the handshake that only TLS needs."""

    def setUp(self) -> None:
        super().setUp()
        self.ours, self.theirs = secure_pair(self.folder)
        self.addCleanup(self.ours.close)
        self.addCleanup(self.theirs.close)

    def records(self, *texts: str) -> bytes:
        """Return the bytes that the peer sends for these messages, one record each."""
        assert self.theirs.tls is not None
        return b"".join(self.theirs.tls.encipher(encode(text)) for text in texts)

    def write_wire(self, data: bytes) -> None:
        """Send bytes as they are, without another layer of TLS."""
        self.theirs.socket.sendall(data)

    def test_an_end_without_close_notify_is_a_lost_connection(self) -> None:
        self.theirs.socket.shutdown(socket.SHUT_RDWR)
        with self.assertRaisesRegex(ConnectionLost, "without close_notify"):
            self.ours.receive_message()

    def test_a_close_notify_right_after_a_message_is_the_end_although_the_socket_is_open(self) -> None:
        data = self.records("last")
        assert self.theirs.tls is not None
        self.write_wire(data + self.theirs.tls.goodbye())
        self.assertEqual("last", self.ours.receive_message())
        self.assertIsNone(self.ours.receive_message())
        self.assertEqual([], list(self.ours.receive_waiting()))

    def test_part_of_a_record_counts_as_a_message_that_has_begun(self) -> None:
        self.ours.timeouts = Timeouts(idle=PATIENCE, message=scaled(0.05))
        self.write_wire(self.records("hello")[:10])
        with self.assertRaises(MessageStalled):
            self.ours.receive_message()

    def test_records_in_pieces_are_put_together(self) -> None:
        data = self.records("one", "two", "three")
        for piece in (data[:3], data[3:40], data[40:]):
            self.write_wire(piece)
        self.assertEqual(["one", "two", "three"], [self.ours.receive_message() for _ in range(3)])

    def test_messages_of_any_size_in_pieces_of_any_size_arrive_unchanged(self) -> None:
        chance = random.Random(1)
        for _ in range(40):
            texts = [
                "\u00e9" * chance.randrange(20) + "x" * chance.choice((0, 1, 1000, 16383, 65000)) for _ in range(5)
            ]
            wire = self.records(*texts)
            writing = threading.Thread(
                target=self.write_in_pieces, args=[wire, chance.choice((7, 900, 20_000, 300_000))]
            )
            writing.start()
            self.assertEqual(texts, [self.ours.receive_message() for _ in texts])
            writing.join(PATIENCE)

    def write_in_pieces(self, wire: bytes, size: int) -> None:
        for start in range(0, len(wire), size):
            self.theirs.socket.setblocking(True)
            self.theirs.socket.sendall(wire[start : start + size])

    def test_a_peer_that_has_ended_its_side_still_gets_every_answer(self) -> None:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(version):
                ours, theirs = secure_pair(self.folder, version)
                self.addCleanup(ours.close)
                self.addCleanup(theirs.close)
                theirs.send_message("last")
                theirs.end_sending()
                self.assertEqual(["last", None], [ours.receive_message(), ours.receive_message()])
                for number in range(3):
                    ours.send_message(f"answer {number}")
                    self.assertEqual(f"answer {number}", theirs.receive_message())
                ours.finish(linger=0)
                self.assertIsNone(theirs.receive_message())

    def test_a_record_that_was_changed_on_the_way_ends_the_connection(self) -> None:
        data = bytearray(self.records("pay 10"))
        data[-1] ^= 1
        self.write_wire(bytes(data))
        with self.assertRaisesRegex(ConnectionLost, "(?i)bad record mac|decryption failed"):
            self.ours.receive_message()


class Handshakes(PorterTestCase):
    def secured(self) -> tuple[MessageSocket, socket.socket]:
        certificate, key = self.folder / "c.pem", self.folder / "k.pem"
        ensure(certificate, key)
        first, second = socket.socketpair()
        self.addCleanup(second.close)
        ours = MessageSocket(first)
        self.context = server_context(certificate, key)
        self.addCleanup(ours.close)
        return ours, second

    def test_the_handshake_waits_for_a_silent_peer_until_the_timeout(self) -> None:
        ours, _ = self.secured()
        with self.assertRaisesRegex(
            DeadlineExceeded, f"the TLS handshake was not complete after {scaled(0.05):g} seconds"
        ):
            ours.handshake(self.context, scaled(0.05))

    def test_a_peer_that_does_not_speak_tls_has_its_own_message(self) -> None:
        ours, theirs = self.secured()
        theirs.sendall(encode("TEXT hello"))
        with self.assertRaisesRegex(HandshakeFailed, "does not speak TLS"):
            ours.handshake(self.context, PATIENCE)

    def test_nothing_is_sent_in_clear_after_a_failure(self) -> None:
        ours, theirs = self.secured()
        theirs.sendall(encode("TEXT hello"))
        with self.assertRaises(HandshakeFailed):
            ours.handshake(self.context, PATIENCE)
        with self.assertRaises(ConnectionLost):
            ours.send_message("secret")
        ours.finish(linger=0)
        self.assertNotIn(b"secret", theirs.recv(1000))

    def test_other_failures_have_the_message_of_openssl(self) -> None:
        ours, theirs = self.secured()
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        with warnings.catch_warnings(action="ignore"):  # an old version is what this test needs
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")

        def try_old() -> None:
            with contextlib.suppress(OSError):
                old.wrap_socket(theirs).close()

        trying = threading.Thread(target=try_old)
        trying.start()
        with self.assertRaisesRegex(HandshakeFailed, "unsupported protocol"):
            ours.handshake(self.context, PATIENCE)
        ours.finish(linger=0)
        trying.join(PATIENCE)

    def test_suites_with_cbc_are_refused_and_those_with_gcm_are_served(self) -> None:
        for suites, is_served in (("ECDHE+AES:!AESGCM", False), ("ECDHE+AESGCM", True)):
            ours, theirs = self.secured()
            client = MessageSocket(theirs)
            self.addCleanup(client.close)
            context = client_context()
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers(suites)

            def greet(client: MessageSocket = client, context: ssl.SSLContext = context) -> None:
                with contextlib.suppress(HandshakeFailed):
                    client.handshake(context, PATIENCE)
                    client.send_message("hello")

            greeting = threading.Thread(target=greet)
            greeting.start()
            if is_served:
                ours.handshake(self.context, PATIENCE)
                self.assertEqual("hello", ours.receive_message())
            else:
                with self.assertRaisesRegex(HandshakeFailed, "no shared cipher"):
                    ours.handshake(self.context, PATIENCE)
            greeting.join(PATIENCE)

    def test_a_peer_that_goes_away_is_a_lost_connection_or_a_failed_handshake(self) -> None:
        ours, theirs = self.secured()
        theirs.close()
        with self.assertRaises((ConnectionLost, HandshakeFailed)):
            ours.handshake(self.context, PATIENCE)

    def test_messages_right_after_the_handshake_are_received(self) -> None:
        ours, theirs = self.secured()
        context = client_context()
        context.maximum_version = ssl.TLSVersion.TLSv1_3
        arrived, leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(arrived, leaving)

        def talk() -> None:
            with contextlib.suppress(ssl.SSLWantReadError):
                tls.do_handshake()
            theirs.sendall(leaving.read())
            while True:
                arrived.write(theirs.recv(16384))
                with contextlib.suppress(ssl.SSLWantReadError):
                    tls.do_handshake()
                    break
            tls.write(encode("first"))
            tls.write(encode("second"))
            theirs.sendall(leaving.read())

        talking = threading.Thread(target=talk)
        talking.start()
        ours.handshake(self.context, PATIENCE)
        self.assertEqual(["first", "second"], [ours.receive_message() for _ in range(2)])
        talking.join(PATIENCE)

    def test_a_key_update_is_answered_and_does_not_begin_a_message(self) -> None:
        certificate, key = self.folder / "c.pem", self.folder / "k.pem"
        ensure(certificate, key)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            command = ["openssl", "s_client", "-connect", f"127.0.0.1:{listener.getsockname()[1]}"]
            nowhere = subprocess.DEVNULL
            client = subprocess.Popen(command, bufsize=0, stdin=subprocess.PIPE, stdout=nowhere, stderr=nowhere)
            self.addCleanup(client.wait, PATIENCE)
            assert client.stdin is not None
            self.addCleanup(client.stdin.close)
            ours = MessageSocket(listener.accept()[0])
            self.addCleanup(ours.close)
        ours.handshake(server_context(certificate, key), PATIENCE)
        client.stdin.write(encode("before"))
        self.assertEqual("before", ours.receive_message())
        client.stdin.write(b"K\n")  # a command for s_client: send new keys and ask for new ones
        ours.timeouts = Timeouts(idle=scaled(0.3), message=scaled(0.05))
        with self.assertRaisesRegex(DeadlineExceeded, "no message came for"):
            ours.receive_message()
        ours.timeouts = Timeouts(idle=PATIENCE)
        client.stdin.write(encode("after"))
        self.assertEqual("after", ours.receive_message())

    def test_a_client_reports_a_server_without_tls(self) -> None:
        first, second = socket.socketpair()
        self.addCleanup(second.close)
        client = MessageSocket(first)
        self.addCleanup(client.close)
        second.sendall(encode("ERROR this is TLS, but the connection is plain"))
        with self.assertRaisesRegex(HandshakeFailed, "does not speak TLS"):
            client.handshake(client_context(), PATIENCE)
