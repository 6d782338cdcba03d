"""A server of several processes: what the parent does from the start to the stop, and what a worker does.

How processes are started and watched is in workers.py; how one serves, in service.py and lifecycle.py.
"""

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable
from functools import partial
from typing import NoReturn

from common import PROJECT_ROOT, VERSION, logs
from common.errors import ConfigurationError, ExitStatus, PorterError
from server import certificate
from server.affinity import Cores
from server.configuration import Configuration, Overrides
from server.lifecycle import Lifecycle, is_gone
from server.listening import listen
from server.places import SharedPlaces
from server.reloading import reload
from server.service import Service, Share
from server.signals import HANDLED, Signals
from server.workers import Workers

LOG = logging.getLogger("porter.server")


def supervise(
    configuration: Configuration,
    load: Callable[[], Configuration],
    overrides: Overrides,
    count: int,
    cores: Cores,
    terminal: int | None,
) -> NoReturn:
    """Serve with `count` workers until a signal ends it; raises Unavailable or ConfigurationError at the start."""
    settings = configuration.settings
    logging_before = logs.configure(PROJECT_ROOT / settings.logging)
    LOG.info("server started, pid %d, %d workers, Porter %s", os.getpid(), count, VERSION)
    try:
        if settings.tls.enabled:
            certificate.ensure(configuration.certificate, configuration.key)  # once, and not by each
        listener = listen(settings.host, settings.port)
        places = SharedPlaces(count)
        share = partial(_share, listener, places, max(1, len(cores) // count))
        keeps_to_cores = settings.cpu_affinity == "auto"
        work = partial(_serve, configuration, load, overrides, share, cores, keeps_to_cores)
        workers = Workers(count, work, places.clear)
        with Signals((*HANDLED, signal.SIGCHLD)) as signals:
            description = workers.start()
            LOG.info("listening on %s", description)
            print(f"Listening on {description}", flush=True)
            drain_timeout = settings.limits.drain_timeout
            while True:
                number = signals.wait(workers.watch())
                if number in (signal.SIGTERM, signal.SIGINT) or (number == signal.SIGHUP and is_gone(terminal)):
                    break
                if number == signal.SIGHUP and (changed := _checked(load)):
                    drain_timeout = changed.settings.limits.drain_timeout
                    logging_before = _log_anew(changed, logging_before)
                    workers.reload()
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            LOG.info("stopping, %d workers", count)
            workers.stop(signals, drain_timeout)
    except PorterError as error:
        LOG.error("cannot start: %s", error)
        raise
    LOG.info("server stopped")
    logging.shutdown()
    os._exit(ExitStatus.DONE)


def _share(listener: socket.socket, places: SharedPlaces, hash_threads: int, number: int) -> Share:
    return Share(listener, places.of(number), hash_threads)


def _serve(
    configuration: Configuration,
    load: Callable[[], Configuration],
    overrides: Overrides,
    share: Callable[[int], Share],
    cores: Cores,
    keeps_to_cores: bool,
    number: int,
    workers: Workers,
    say: Callable[[str], None],
) -> NoReturn:
    """What a worker does."""
    if keeps_to_cores:
        cores.keep_to(number)
    with Signals() as signals:
        service = Service(configuration, cores, share(number))
        life = Lifecycle(signals, service, partial(reload, service, load, overrides))

        def end_with_parent() -> None:
            workers.wait_for_parents_end()
            os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=end_with_parent, name="parent", daemon=True).start()
        say(service.description)
        life.obey(None)


def _checked(load: Callable[[], Configuration]) -> Configuration | None:
    """The configuration, if it is right; what is wrong is said once, and not by each worker."""
    try:
        return load()
    except ConfigurationError as error:
        for problem in error.problems:
            LOG.error("not reloaded: %s", problem)
    except Exception:  # that of a handler being imported
        LOG.exception("not reloaded")
    return None


def _log_anew(configuration: Configuration, before: dict[str, object]) -> dict[str, object]:
    """Follow the configuration of the log; what is wrong with it, the workers say."""
    try:
        return logs.configure(PROJECT_ROOT / configuration.settings.logging)
    except ConfigurationError:
        logs.apply(before)
        return before
