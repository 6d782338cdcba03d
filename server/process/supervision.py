"""A server of several processes: what the parent does from start to stop, and what each worker does.

It does not know how processes are started and watched (workers.py), and how one serves (service.py, lifecycle.py).
"""

import contextlib
import logging
import math
import os
import signal
import socket
import threading
from collections.abc import Callable
from functools import partial
from typing import NoReturn

from common import PROJECT_ROOT, VERSION
from common.errors import ExitStatus, PorterError
from common.log.logs import Logging
from common.log.writebehind import behind
from server.bus.memory import Ring
from server.configuration import certificate
from server.configuration.loading import Configuration, Source
from server.counts import SharedCounts
from server.engine.admission import SharedSlots
from server.machine import cores
from server.monitoring.watching import health
from server.process import budget, systemd
from server.process.lifecycle import WORKER, Lifecycle, Terminal
from server.process.placement import Placement
from server.process.reloading import Reloader
from server.process.service import Service, Share, log_listening, suggest_writing_behind
from server.process.signals import HANDLED, Signals
from server.process.watch import listen_for_watchers
from server.process.workers import ORDERS, Workers

LOG = logging.getLogger("porter.server")


class Supervisor:
    """The parent of the workers: opens what they share, and serves no clients. It has no threads, so it may fork."""

    def __init__(self, source: Source, configuration: Configuration, count: int) -> None:
        """Listen, for `count` workers. Raise Unavailable or ConfigurationError if that is not possible."""
        settings = configuration.settings
        self._source = source
        self._hash_threads = max(1, len(cores()) // count)
        self._logging = Logging(behind)
        self._logging.configure(PROJECT_ROOT / settings.logging)
        LOG.info("server started, pid %d, %d workers, Porter %s", os.getpid(), count, VERSION)
        self._slots = SharedSlots(count)
        self._ring = Ring(count)
        self._counts = SharedCounts(count)
        self._workers = Workers(count, self._work, self._forget)
        self._reloader = Reloader(source, configuration, self._apply)
        try:
            if settings.tls.enabled:
                certificate.ensure(configuration.certificate, configuration.key)  # once, for all workers
            self._monitor = listen_for_watchers(settings.monitoring)
            self._is_handed = systemd.handed_host() is not None
            self._listener = systemd.listener(settings)
        except PorterError as error:
            LOG.error("cannot start: %s", error)
            raise

    def run(self, terminal: Terminal) -> NoReturn:
        """Serve until a signal ends the server. Raise Unavailable if a worker cannot start."""
        signal.signal(signal.SIGALRM, lambda *_: self._workers.abandon())
        with Signals((*HANDLED, signal.SIGCHLD), self._end) as signals:
            try:
                description = self._workers.start(signals)
            except PorterError as error:
                LOG.error("cannot start: %s", error)
                raise
            if description is not None:
                log_listening(description, self._listener, self._reloader.running)
                suggest_writing_behind(self._logging, self._reloader.running.settings.logging)
                print(f"Listening on {description}", flush=True)
                systemd.notify("READY=1")
                self._watch(signals, terminal)
            # Only closed, and not shut down: the workers still accept during `readiness_delay`, and a socket of the
            # service manager goes on listening.
            self._listener.close()
            self._workers.stop(signals, self._drain_timeout)
        LOG.info("server stopped")
        logging.shutdown()
        os._exit(ExitStatus.DONE)

    @property
    def _drain_timeout(self) -> float:
        settings = self._reloader.running.settings
        return settings.limits.drain_timeout + settings.monitoring.readiness_delay

    def _watch(self, signals: Signals, terminal: Terminal) -> None:
        """Replace workers and reload on HUP, until a signal ends the server."""
        watchdog = systemd.watchdog_seconds() or math.inf
        reload = systemd.told(self._reloader.reload)
        while True:
            left = self._workers.watch()
            seconds = min(watchdog, math.inf if left is None else left)
            number = terminal.wait(signals, None if seconds == math.inf else seconds)
            if number in (signal.SIGTERM, signal.SIGINT):
                systemd.notify("STOPPING=1")
                return
            if number == signal.SIGHUP:
                reload()
            if watchdog < math.inf and not health(self._counts):
                systemd.notify("WATCHDOG=1")

    def _end(self) -> None:
        """Make the workers drain. The signal handler calls this, in the middle of any other code.

        The parent has no threads: if something blocks, such as a log that nobody reads, the whole parent blocks. So a
        timer of the kernel ends it in time.
        """
        self._workers.end()
        if signal.getitimer(signal.ITIMER_REAL)[0] == 0:
            signal.setitimer(signal.ITIMER_REAL, self._drain_timeout + budget.PARENT)

    def _forget(self, number: int) -> None:
        """Free what a worker that has ended had taken, and forget what it had open."""
        self._slots.clear(number)
        self._counts.clear_gauges(number)

    def _apply(self, configuration: Configuration) -> None:
        """Make the workers apply a configuration, after a check that is done once for all of them."""
        if configuration.settings.tls.enabled:
            certificate.ensure(configuration.certificate, configuration.key)
            certificate.context(configuration.certificate, configuration.key)
        self._logging.configure(PROJECT_ROOT / configuration.settings.logging)
        self._workers.reload()

    def _work(self, number: int, report: Callable[[str], None], orders: int) -> NoReturn:
        """Serve, in a worker, with the configuration that the parent had when it forked."""
        configuration = self._reloader.running
        is_placed = configuration.settings.cpu_affinity == "auto"
        with Signals() as signals, Placement(number) if is_placed else contextlib.nullcontext():
            share = Share(
                self._listener,
                self._slots.of(number),
                self._hash_threads,
                self._ring.of(number),
                self._counts.of(number),
                self._monitor,
            )
            service = Service(configuration, share)
            reloader = Reloader(self._source, configuration, service.apply, announce=_announce_nothing)
            lifecycle = Lifecycle(signals, service, reloader.reload, WORKER)
            follow = partial(self._follow_parent, signals, orders)
            threading.Thread(target=follow, name="parent", daemon=True).start()
            report(service.description)
            lifecycle.obey(Terminal())

    def _follow_parent(self, signals: Signals, orders: int) -> None:
        """Pass the parent's orders on, in a thread of a worker, and end this worker when the parent has ended."""
        while order := os.read(orders, 1):
            signals.post(ORDERS[order])
        if not self._is_handed:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)  # frees the port for the next server
        signals.post(signal.SIGTERM)


def _announce_nothing(_source: Source, _loaded: Configuration, _running: Configuration) -> None:
    """Log nothing: the parent logs it, once for all workers."""
