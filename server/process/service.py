"""The life of the server in a process: start, reload, drain, stop. What is said to clients is not known here."""

import logging
import os
import socket
import threading
from dataclasses import dataclass
from functools import partial

from common import PROJECT_ROOT, VERSION
from common.addresses import show_endpoint
from common.errors import ConfigurationError, PorterError, Unavailable
from common.log import logs
from common.log.writebehind import WriteBehind
from server.configuration import certificate
from server.configuration.loading import Configuration, as_reloaded, exposes_passwords, warn_of_restart
from server.engine.admission import Places
from server.engine.listening import listen
from server.engine.server import Plan, Server
from server.handlers.handler import Mode
from server.handlers.resources import Resources
from server.machine import Cores, make_room_for

LOG = logging.getLogger("porter.server")


@dataclass(frozen=True)
class Share:
    """What one worker gets of what all have together: the socket, the places, the cores for hashing."""

    listener: socket.socket
    places: Places
    hash_threads: int


class Service:
    """One listening server and what it needs; closed when it is left."""

    def __init__(self, configuration: Configuration, cores: Cores | None = None, share: Share | None = None) -> None:
        """Open everything and listen; raises Unavailable or ConfigurationError if something cannot be had.

        `cores` are those for hashing. A worker, one of several, gets its `share` of what they have together.
        """
        self._is_worker = share is not None
        self._name = "worker" if share else "server"
        hash_threads = share.hash_threads if share else None
        settings = configuration.settings
        self._configuration = configuration
        self._resources = Resources(settings.store, settings.registration_limits, hash_threads, cores)
        self._logging = logs.configure(PROJECT_ROOT / settings.logging)
        self._log_writer = WriteBehind(LOG)
        LOG.info("%s started, pid %d, Porter %s", self._name, os.getpid(), VERSION)
        make_room_for(configuration.settings.limits.max_connections)
        try:
            plan, self._shown = self._plan(configuration)
            listener = share.listener if share else listen(settings.host, settings.port)
            self._server = Server(listener, plan, self._log_writer.note, share.places if share else None)
        except PorterError as error:
            LOG.error("cannot start: %s", error)
            self._resources.close()
            self._log_writer.end()
            raise
        self.description = f"{self._server_endpoint()} {self._shown}"
        self._accepting = threading.Thread(target=self._server.serve_forever, name="accept", daemon=True)
        self._accepting.start()
        if not self._is_worker:
            LOG.info("listening on %s", self.description)
        self._log_writer.flush()  # whoever reads that it listens finds the pid in the log

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def drain_timeout(self) -> float:
        return self._configuration.settings.limits.drain_timeout

    @property
    def connections(self) -> int:
        return len(self._server.connections)

    def reload(self, configuration: Configuration) -> None:
        """Give new connections another configuration; open ones keep theirs.

        Raises what starting raises, and changes nothing then.
        """
        choice = configuration.choices[configuration.settings.mode]
        # The file may name another host, but until a restart this is the one that is listened on.
        if wrong := exposes_passwords(configuration.settings, choice, str(self._server.server_address[0])):
            raise Unavailable(wrong)
        plan, shown = self._plan(configuration)
        with self._log_writer.detached():
            try:
                self._logging = logs.configure(PROJECT_ROOT / configuration.settings.logging)
            except ConfigurationError:
                logs.apply(self._logging)
                raise
        if not self._is_worker:
            warn_of_restart(configuration, self._configuration)
        make_room_for(configuration.settings.limits.max_connections)
        self._configuration, self._shown = as_reloaded(configuration, self._configuration), shown
        self._server.take_plan(plan)
        LOG.info("reloaded %s", shown)

    def stop_listening(self) -> None:
        self._server.close_listener()  # before a line in the log, which may have to wait for the disk
        LOG.info("stopping, %d connections open", self.connections)
        self._server.stop_listening()
        self._accepting.join()

    def drain(self) -> None:
        """Let the connections finish, and cut those that have not within `drain_timeout`."""
        cut = self._server.drain(self.drain_timeout)
        if cut:
            LOG.warning("%d connections cut, they took too long", cut)

    def close(self) -> None:
        """Free what is left after the drain; connections that have not ended even by being cut are left behind."""
        unfinished = self.connections
        self._server.server_close()
        self._resources.close()
        self._log_writer.flush()  # a reload may be at it, and this line would overtake what came before
        LOG.info(f"{self._name} stopped" + (f", {unfinished} connections not finished" if unfinished else ""))
        self._log_writer.end()

    def abandon(self) -> None:
        """Leave everything as it is, for the process to end now."""
        LOG.warning("%s stopped at once, %d connections not finished", self._name, self.connections)
        self._log_writer.flush()

    def _plan(self, configuration: Configuration) -> tuple[Plan, str]:
        """What new connections get, and how it is shown: `(auth, TLS SHA256:...)`."""
        settings = configuration.settings
        choice = configuration.choices[settings.mode]
        tls = None
        shown = f"({settings.mode}, no TLS)"
        if settings.tls.enabled:
            certificate.ensure(configuration.certificate, configuration.key)
            tls, fingerprint = certificate.context(configuration.certificate, configuration.key)
            shown = f"({settings.mode}, TLS {fingerprint})"
        self._resources.registration_limits = settings.registration_limits
        try:
            shared = choice.handler_class.prepare(choice.options, self._resources)
        except PorterError:
            raise
        except Exception as error:  # a handler of one's own may fail in any way
            LOG.exception("the handler of mode %s could not be prepared", settings.mode)
            raise Unavailable(f"mode {settings.mode} cannot be had: {type(error).__name__}: {error}") from error
        mode = Mode(settings.mode, choice.options, settings.limits, shared)
        return Plan(partial(choice.handler_class, mode=mode), settings.limits, tls), shown

    def _server_endpoint(self) -> str:
        host, port = self._server.server_address[:2]
        return show_endpoint(str(host), int(port))
