"""The bus: what several processes hear of each other, in which order, and what a fault costs; over each carrier."""

import itertools
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

from common.errors import StoreUnavailable, Unavailable
from server.bus.bus import MOST, Bus, Carrier
from server.bus.memory import Ring
from server.bus.rows import Rows
from server.store.database import Store
from tests.server.store_case import Pgbouncer, Postgres, StoreTestCase, needs_pgbouncer, needs_postgres
from tests.support import PATIENCE, PorterTestCase, wait_until


class Hearer:
    """Hears a topic, and waits for what it expects."""

    def __init__(self, bus: Bus, topic: str = "news") -> None:
        self.heard: list[tuple[str, str]] = []
        self._changed = threading.Condition()
        bus.subscribe(topic, self._hear)

    def _hear(self, origin: str, text: str) -> None:
        with self._changed:
            self.heard.append((origin, text))
            self._changed.notify_all()

    def texts(self) -> list[str]:
        return [text for _, text in self.heard if text]

    def wait_for_texts(self, count: int) -> None:
        self.wait_for(lambda: len(self.texts()) == count)

    def wait_for(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE), self.heard[-20:]


class Behaviour:
    def carrier(self: Any, number: int) -> Carrier:
        raise NotImplementedError

    def bus(self: Any, number: int) -> Bus:
        bus = Bus(self.carrier(number))
        self.addCleanup(bus.close)
        return bus

    def test_all_hear_all_each_its_own_too_in_one_order(self: Any) -> None:
        buses = [self.bus(number) for number in range(2)]
        hearers = [Hearer(bus) for bus in buses]

        def say(bus: Bus, name: str) -> None:
            for number in range(100):
                bus.publish("news", f"{name}{number}")

        threads = [threading.Thread(target=say, args=[bus, name]) for bus, name in zip(buses, "ab", strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for hearer in hearers:
            hearer.wait_for_texts(200)
        self.assertEqual(hearers[0].texts(), hearers[1].texts())
        for name in "ab":
            said = [text for text in hearers[0].texts() if text.startswith(name)]
            self.assertEqual([f"{name}{number}" for number in range(100)], said)

    def test_what_is_published_has_been_heard_here_and_what_is_posted_soon_will_be(self: Any) -> None:
        bus = self.bus(0)
        hearer = Hearer(bus)
        bus.publish("news", "now")
        self.assertEqual(["now"], hearer.texts())
        bus.post("news", "soon")
        hearer.wait_for(lambda: hearer.texts() == ["now", "soon"])

    def test_a_topic_is_heard_by_those_who_have_subscribed_it(self: Any) -> None:
        bus = self.bus(0)
        news, sport = Hearer(bus), Hearer(bus, "sport")
        bus.publish("sport", "goal")
        bus.publish("news", "elections")
        self.assertEqual((["elections"], ["goal"]), (news.texts(), sport.texts()))

    def test_whoever_comes_later_hears_what_was_kept_and_that_it_begins(self: Any) -> None:
        first = self.bus(0)
        self.bus_hearer = Hearer(first)
        first.publish("news", "early")
        second = self.bus(1)
        hearer = Hearer(second)
        hearer.wait_for(lambda: hearer.heard[-2:] == [(first.origin, "early"), (second.origin, "")])
        self.bus_hearer.wait_for(lambda: (second.origin, "") in self.bus_hearer.heard)

    def test_more_than_is_read_at_a_time_is_heard_whole(self: Any) -> None:
        bus = self.bus(0)
        hearer = Hearer(bus)
        for number in range(2 * MOST + 1):
            bus.post("news", str(number))
        bus.carry()
        self.assertEqual([str(number) for number in range(2 * MOST + 1)], hearer.texts())
        late = Hearer(self.bus(1))
        late.wait_for_texts(2 * MOST + 1)

    def test_a_text_that_is_too_long_or_none_is_an_error_of_the_mode(self: Any) -> None:
        bus = self.bus(0)
        hearer = Hearer(bus)
        for text in ("", "x" * 1_048_577, "\ud800"):
            self.assertRaises(ValueError, bus.publish, "news", text)
            self.assertRaises(ValueError, bus.post, "news", text)
        bus.publish("news", "\0\u017c" * 300_000)
        self.assertEqual(["\u017c" * 300_000], [text.replace("\0", "") for text in hearer.texts()])

    def test_a_mode_that_fails_to_hear_costs_the_others_nothing(self: Any) -> None:
        bus = self.bus(0)

        def fail(_origin: str, text: str) -> None:
            if text:
                raise RuntimeError(text)

        bus.subscribe("other", fail)
        hearer = Hearer(bus)
        with self.assertLogs("porter.server", "ERROR") as log:
            bus.publish("other", "fault")
            bus.publish("news", "still here")
        self.assertEqual(["still here"], hearer.texts())
        self.assertIn("the mode other failed to hear", log.output[0])

    def test_a_mode_that_fails_to_hear_again_and_again_is_counted_in_the_log(self: Any) -> None:
        bus = Bus(self.carrier(0))

        def fail(_origin: str, text: str) -> None:
            if text:
                raise RuntimeError(text)

        bus.subscribe("other", fail)
        with self.assertLogs("porter.server", "ERROR") as log:
            for _ in range(30):
                bus.publish("other", "fault")
            bus.close()
        self.assertEqual(11, len(log.output))
        self.assertIn("(20 more times within 60 seconds)", log.output[-1])

    def test_while_the_carrier_fails_what_is_published_is_an_error_and_what_is_posted_waits(self: Any) -> None:
        carrier = self.carrier(0)
        bus = Bus(carrier)
        self.addCleanup(bus.close)
        hearer = Hearer(bus)
        hearer.wait_for(lambda: len(hearer.heard) > 0)
        works, tries = carrier.append, itertools.count()

        def fail(_entries: object) -> None:
            next(tries)
            raise StoreUnavailable("no database")

        with self.assertLogs("porter.server") as log:
            carrier.append = fail
            for _ in range(20):
                with self.assertRaisesRegex(Unavailable, "no database"):
                    bus.publish("news", "lost")
            bus.post("news", "kept")
            carrier.append = works
            hearer.wait_for(lambda: hearer.texts() == ["kept"])
        self.assertLess(next(tries), 10)  # of two that wait, the second one is told at once
        self.assertEqual(
            ["what is said here is not heard elsewhere: no database", "what is said here is heard elsewhere again"],
            [record.getMessage() for record in log.records],
        )

    def test_a_line_that_was_carried_before_the_carrier_failed_is_an_error_and_heard_all_the_same(self: Any) -> None:
        carrier = self.carrier(0)
        bus = Bus(carrier)
        self.addCleanup(bus.close)
        hearer = Hearer(bus)
        hearer.wait_for(lambda: len(hearer.heard) > 0)
        works = carrier.after

        def fail(_number: int) -> list[Any]:
            raise StoreUnavailable("no database")

        with self.assertLogs("porter.server"):
            carrier.after = fail
            self.assertRaisesRegex(Unavailable, "no database", bus.publish, "news", "carried")
            carrier.after = works
            hearer.wait_for(lambda: hearer.texts() == ["carried"])

    def test_when_the_numbers_go_back_the_rest_is_heard(self: Any) -> None:
        bus = self.bus(0)
        hearer = Hearer(bus)
        hearer.wait_for(lambda: len(hearer.heard) > 0)
        bus._last = 10**9  # what another copy of the database had
        bus.post("news", "heard")
        hearer.wait_for(lambda: hearer.texts() == ["heard"] or bus._last < 10**9)
        bus.publish("news", "and now")
        self.assertIn("and now", hearer.texts())

    def test_what_is_posted_last_is_carried_at_the_end(self: Any) -> None:
        hearer = Hearer(self.bus(1))
        with closing(Bus(self.carrier(0))) as bus:
            bus.post("news", "goodbye")
        hearer.wait_for(lambda: hearer.texts() == ["goodbye"])


class InMemory(Behaviour, PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.ring = Ring(2)
        self.addCleanup(self.ring.close)

    def carrier(self, number: int) -> Carrier:
        return self.ring.of(number)


@needs_postgres
class InRows(Postgres, Behaviour, StoreTestCase):
    def carrier(self, number: int) -> Carrier:
        store = Store(self.store_url())
        self.addCleanup(store.close)
        return Rows(store)


@needs_pgbouncer
class InRowsBehindPgbouncer(Pgbouncer, Behaviour, StoreTestCase):
    carrier = InRows.carrier

    def test_that_no_notice_comes_through_is_said_once(self) -> None:
        with self.assertLogs("porter.server", "INFO") as log:
            bus = self.bus(0)
            hearer = Hearer(self.bus(1))
            bus.publish("news", "heard all the same")
            hearer.wait_for(lambda: hearer.texts() == ["heard all the same"])
            for _ in range(3):
                bus.publish("news", "more")
            hearer.wait_for_texts(4)
            wait_until(lambda: "".join(log.output).count("pooler") == 2, "that there is one, from each process")
