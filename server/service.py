"""The life of the server in a process: start, reload, drain, stop. What is said to clients is not known here."""

import errno
import logging
import os
import socket
import threading
from collections.abc import Callable
from functools import partial

from common import PROJECT_ROOT, VERSION, logs
from common.errors import ConfigurationError, PorterError, Unavailable
from common.writebehind import WriteBehind
from server import certificate
from server.addresses import show_endpoint
from server.configuration import Configuration, exposes_passwords
from server.descriptors import make_room_for
from server.handler import Mode
from server.resources import Resources
from server.server import Plan, Server

LOG = logging.getLogger("porter.server")


class Service:
    """One listening server and what it needs; closed when it is left."""

    def __init__(self, configuration: Configuration) -> None:
        """Open everything and listen; raises Unavailable or ConfigurationError if something cannot be had."""
        self._configuration = configuration
        self._resources = Resources(configuration.settings.store, configuration.settings.registration_limits)
        self._logging = logs.configure(PROJECT_ROOT / configuration.settings.logging)
        self._log_writer = WriteBehind(LOG)
        LOG.info("server started, pid %d, Porter %s", os.getpid(), VERSION)
        make_room_for(configuration.settings.limits.max_connections)
        try:
            plan, self._shown = self._plan(configuration)
            settings = configuration.settings
            self._server = _listen(settings.host, settings.port, plan, self._log_writer.note)
        except PorterError as error:
            LOG.error("cannot start: %s", error)
            self._resources.close()
            self._log_writer.end()
            raise
        self.description = f"{self._server_endpoint()} {self._shown}"
        self._accepting = threading.Thread(target=self._server.serve_forever, name="accept", daemon=True)
        self._accepting.start()
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
        for key in ("host", "port", "store"):
            if getattr(configuration.settings, key) != getattr(self._configuration.settings, key):
                LOG.warning("%s has changed: that takes a restart", key)
        make_room_for(configuration.settings.limits.max_connections)
        self._configuration, self._shown = configuration, shown
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
        LOG.info("server stopped" + (f", {unfinished} connections not finished" if unfinished else ""))
        self._log_writer.end()

    def abandon(self) -> None:
        """Leave everything as it is, for the process to end now."""
        LOG.warning("server stopped at once, %d connections not finished", self.connections)
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


def _listen(host: str, port: int, plan: Plan, note: Callable[[str, str], None]) -> Server:
    """A server on `port`, or, where that is taken, on the next free one."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:  # the latter for what can be no name of a host
        raise Unavailable(f"there is no host {host}: {getattr(error, 'strerror', None) or error}") from error
    for candidate in range(port, 65536 if port else 1):
        try:
            return Server(family, str(address[0]), candidate, plan, note)
        except OSError as error:
            # Two servers can bind one port with SO_REUSEADDR; the second fails when it listens. Both say this.
            if error.errno != errno.EADDRINUSE:
                raise Unavailable(f"cannot listen on {host}, port {candidate}: {error.strerror}") from error
            LOG.warning("port %d is taken", candidate)
    raise Unavailable(f"no port from {port} to 65535 is free on {host}")
