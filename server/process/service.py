"""The server in one process: start, apply a configuration, drain, stop. It knows nothing of messages."""

import ipaddress
import logging
import os
import socket
import threading
import time
from dataclasses import dataclass
from functools import partial
from weakref import WeakKeyDictionary

from common import PROJECT_ROOT, VERSION
from common.errors import PorterError, StoreUnavailable, Unavailable
from common.language import Language
from common.log.logs import Logging
from common.log.writebehind import WriteBehind, behind, writers
from common.wire.tls import write_keys
from server.bus.memory import SharedMemory
from server.configuration import certificate
from server.configuration.loading import Configuration
from server.control.serving import Control
from server.counts import Count, Counts, SharedCounts
from server.engine.admission import Slots
from server.engine.listening import endpoint, reachable_at
from server.engine.plan import Plan, Proxies
from server.engine.server import Server
from server.handlers.resources import Mode, Resources
from server.machine import make_room_for
from server.monitoring.watching import health, readiness
from server.process import systemd
from server.process.roll import Roll
from server.process.watch import Watch, listen_for_watchers

LOG = logging.getLogger("porter.server")


@dataclass(frozen=True)
class Share:
    """What a worker gets from its parent: the common listener, its slots, hashing threads, and the common memory."""

    listener: socket.socket
    slots: Slots
    hash_threads: int
    memory: SharedMemory
    counts: Counts
    monitor: socket.socket | None


class Service:
    """A listening server and all that it needs, open until `close`."""

    def __init__(self, configuration: Configuration, share: Share | None = None) -> None:
        """Open everything and listen. Raise Unavailable or ConfigurationError if that is not possible.

        Only one of several workers gets a `share`.
        """
        self._name = "worker" if share else "server"
        hash_threads = share.hash_threads if share else None
        settings = configuration.settings
        self._configuration = configuration
        memory = share.memory if share else None
        self._resources = Resources(
            settings.store, settings.registration_limits, hash_threads, memory, settings.store_pool
        )
        self._logging = Logging(behind)
        self._counts = share.counts if share else SharedCounts().of(0)
        self._lost: WeakKeyDictionary[WriteBehind, int] = WeakKeyDictionary()  # records, as far as they are counted
        self._is_draining = False
        self._fingerprint = ""  # of the certificate that was loaded last
        self._speaks_for_all = share is None or share.memory.origin == "0"
        try:
            self._configure_log(configuration)
        except PorterError:
            self._end_log()
            raise
        LOG.info("%s started, pid %d, Porter %s", self._name, os.getpid(), VERSION)
        make_room_for(settings.limits.max_connections)
        try:
            plan, self._summary = self._plan(configuration)
            listener = share.listener if share else systemd.listener(settings)
            self._monitor = share.monitor if share else listen_for_watchers(settings.monitoring)
            self._server = Server(listener, plan, share.slots if share else None, self._counts)
        except PorterError as error:
            LOG.error("cannot start: %s", error)
            self._resources.close()
            self._end_log()
            raise
        self.description = f"{endpoint(listener)} {self._summary}"
        self._control = Control(PROJECT_ROOT / settings.control, Roll(self._server).answer)
        self._serving = threading.Thread(target=self._server.serve_forever, name="watch", daemon=True)
        self._serving.start()
        if share is None:
            log_listening(self.description, listener, configuration)
            suggest_writing_behind(self._logging, settings.logging)
        self._counts.set(Count.TURNED_AT, int(time.monotonic()))
        self._counts.set(Count.PID, os.getpid())
        self._monitoring = Watch(self._monitor, self._counts.all_rows, self) if self._monitor else None
        self._compare_certificates()
        for writer in writers(LOG):
            writer.drain()  # a script that reads `Listening on` must find the pid in the log

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def drain_timeout(self) -> float:
        return self._configuration.settings.limits.drain_timeout

    @property
    def connections(self) -> int:
        return len(self._server.connections)

    def apply(self, configuration: Configuration) -> None:
        """Give new connections another configuration; open connections keep the old one.

        Raise Unavailable or ConfigurationError, and change nothing, if that is not possible.
        """
        plan, summary = self._plan(configuration)
        self._configure_log(configuration)
        make_room_for(configuration.settings.limits.max_connections)
        self._configuration, self._summary = configuration, summary
        self._server.take_plan(plan)
        LOG.info("reloaded %s", summary)
        self._compare_certificates()

    @property
    def stop_seconds(self) -> float:
        """Return how long a stop may take until its last connection is gone."""
        return self.drain_timeout + self._configuration.settings.monitoring.readiness_delay

    @property
    def is_healthy(self) -> bool:
        return not health(self._counts.all_rows)

    @property
    def unready(self) -> str:
        """Return why a balancer should send nobody here, or an empty text."""
        most = self._configuration.settings.limits.max_connections
        return readiness(self._counts.all_rows, most, is_draining=self._is_draining)

    def note_counts(self) -> None:
        """Bring the counts of this process up to this moment."""
        self._server.note_counts()
        self._counts.set(Count.STORE_IS_DOWN, not self._resources.store_is_up)
        for writer in writers(LOG):
            lost = writer.lost_in_all
            self._counts.add(Count.RECORDS_LOST, lost - self._lost.get(writer, 0))
            self._lost[writer] = lost

    def stop_listening(self) -> None:
        """Accept no more connections, after `readiness_delay` in which a balancer can learn of it."""
        self._is_draining = True
        if self._monitoring is not None:
            time.sleep(self._configuration.settings.monitoring.readiness_delay)
        self._server.stop_listening()  # before the log line, which may wait for the disk
        LOG.info("stopping, %d connections open", self.connections)

    def drain(self) -> None:
        """Let the connections finish, and cut those that take longer than `drain_timeout`."""
        cut = self._server.drain(self.drain_timeout)
        if cut:
            LOG.warning("%d connections cut: they took longer than drain_timeout", cut)

    def close(self) -> None:
        """Close everything after the drain. A connection that does not end even when it is cut is left behind."""
        unfinished = self.connections
        self._control.close()
        if self._monitoring is not None:
            self._monitoring.close()
        self._server.shutdown()
        self._serving.join()
        self._server.server_close()
        self._resources.close()
        LOG.info(f"{self._name} stopped" + (f", {unfinished} connections not finished" if unfinished else ""))
        self._end_log()

    def abandon(self) -> None:
        """Log that the process ends now; leave everything as it is."""
        LOG.warning("%s stopped at once, %d connections not finished", self._name, self.connections)

    def _configure_log(self, configuration: Configuration) -> None:
        """Set up the log, and start a thread that writes it. Raise Unavailable if the present log hangs."""
        for writer in writers(LOG):
            # To close a handler that hangs would hang, too, and hold the lock of the whole logging module.
            if not writer.drain():
                raise Unavailable("the log hangs: check the file or pipe that it is written to")
        try:
            self._logging.configure(PROJECT_ROOT / configuration.settings.logging)
        finally:
            for writer in writers(LOG):
                writer.start()

    def _compare_certificates(self) -> None:
        """Warn if other servers on the same store show other certificates: behind one address, clients meet both."""
        uses_store = self._configuration.chosen.handler_class.uses_store
        if not (self._fingerprint and uses_store and self._resources.is_shared and self._speaks_for_all):
            return
        try:
            differing = self._resources.enlist(f"{os.uname().nodename}:{self.port}", self._fingerprint)
        except StoreUnavailable as error:
            LOG.warning("cannot see which certificates the other servers show: %s", error)
        else:
            if differing:
                LOG.warning("other servers on this store show another certificate: %s", ", ".join(differing))

    def _end_log(self) -> None:
        for writer in writers(LOG):
            writer.stop()

    def _plan(self, configuration: Configuration) -> tuple[Plan, str]:
        """Return what new connections get, and a summary for the log: `(auth, TLS SHA256:...)`."""
        settings = configuration.settings
        choice = configuration.chosen
        tls = None
        summary = f"({settings.mode}, no TLS)"
        if settings.tls.enabled:
            certificate.ensure(configuration.certificate, configuration.key)
            tls, fingerprint = certificate.context(configuration.certificate, configuration.key)
            summary = f"({settings.mode}, TLS {fingerprint})"
            self._fingerprint = fingerprint
            if said := write_keys(tls):
                LOG.warning("%s", said)
        language = Language(settings.language)
        self._resources.registration_limits = settings.registration_limits
        self._resources.language = language
        try:
            shared = choice.handler_class.prepare(choice.options, self._resources)
        except PorterError:
            raise
        except (Exception, SystemExit) as error:  # a user's handler may fail in any way
            LOG.exception("the handler of mode %s could not be prepared", settings.mode)
            raise Unavailable(
                "the mode {mode} cannot be prepared: {fault}: {reason}",
                mode=settings.mode,
                fault=type(error).__name__,
                reason=error,
            ) from error
        mode = Mode(settings.mode, choice.options, settings.limits, shared, self._counts, language)
        networks = tuple(ipaddress.ip_network(text) for text in settings.proxy_protocol.trusted)
        proxies = Proxies(networks, settings.proxy_protocol.timeout)
        handler = partial(choice.handler_class, mode=mode)
        return Plan(handler, settings.limits, tls, proxies=proxies, language=language), summary


def log_listening(description: str, listener: socket.socket, configuration: Configuration) -> None:
    """Log that the server listens, what others can type to reach it, and whether its certificate is about to end."""
    LOG.info("listening on %s", description)
    if addresses := reachable_at(listener):
        LOG.info("others reach it at %s", ", ".join(addresses))
    if warning := configuration.certificate_warning():
        LOG.warning("%s", warning)


def suggest_writing_behind(logging_: Logging, file: str) -> None:
    """Log how a logging.yaml is written today, if this one is older. A thread runs its handlers all the same."""
    if logging_.is_adapted:
        LOG.info("%s names no common.log.writebehind.WriteBehind; conf/logging.yaml shows how it is used", file)
