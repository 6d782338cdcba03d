"""Many idle clients and one that makes the server compute: a client that talks must hardly notice them."""

import statistics
import time

from common.wire.kinds import Kind
from server.handlers.handler import Handler
from tests.support import PorterTestCase, scaled

IDLE = 1000
COMPUTING = 3.0
LONGEST_MEDIAN = scaled(0.03)


class Computing(Handler):
    """Echoes each line. For the line `compute`, it first keeps the interpreter busy for seconds."""

    def converse(self) -> None:
        while True:
            line = self.hear()
            if line == "compute":
                self.say("begun")
                end = time.monotonic() + COMPUTING
                while time.monotonic() < end:
                    pass
            self.say(line)


class Latency(PorterTestCase):
    def test_an_echo_takes_milliseconds_beside_1000_idle_clients_and_a_computing_one(self) -> None:
        # It took 91 ms at the median while the switch interval grew with the square of the connections.
        server = self.start_process(
            "computing",
            handlers={"computing": {"class": f"{__name__}:Computing"}},
            limits={"max_connections": IDLE + 100, "max_connections_per_address": IDLE + 100},
        )
        for _ in range(IDLE):
            server.connect_raw()
        talking, computing = server.talk(), server.talk()
        talking.say("hello")
        talking.expect(Kind.TEXT, "hello")
        computing.say("compute")
        computing.expect(Kind.TEXT, "begun")
        delays = []
        begin = time.monotonic()
        while (start := time.monotonic()) < begin + COMPUTING * 0.8:
            talking.say("hello")
            talking.expect(Kind.TEXT, "hello")
            if start > begin + 1:  # by then the server has done its periodic work with all clients connected
                delays.append(time.monotonic() - start)
        self.assertLess(statistics.median(delays), LONGEST_MEDIAN)
        computing.expect(Kind.TEXT, "compute")
