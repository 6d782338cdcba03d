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

from common import PROJECT_ROOT, VERSION
from common.errors import ConfigurationError, ExitStatus, PorterError, Unavailable
from common.log import logs
from server.configuration import certificate
from server.configuration.loading import Configuration, Overrides, as_reloaded, exposes_passwords, warn_of_restart
from server.engine.admission import SharedPlaces
from server.engine.listening import listen
from server.machine import Cores
from server.process.lifecycle import Lifecycle, is_gone
from server.process.reloading import reload
from server.process.service import Service, Share
from server.process.signals import HANDLED, Signals
from server.process.workers import Workers

LOG = logging.getLogger("porter.server")

_LONGEST_STOP = 1.4
"""Seconds after the drain at which the parent ends, whatever holds it up."""


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
        work = partial(_serve, load, overrides, share, cores, keeps_to_cores)
        workers = Workers(count, partial(work, configuration), places.clear)

        def end() -> None:
            # Here, since the parent has no threads: what blocks, such as a log that nobody reads, blocks it.
            workers.end()
            if signal.getitimer(signal.ITIMER_REAL)[0] == 0:
                signal.setitimer(signal.ITIMER_REAL, configuration.settings.limits.drain_timeout + _LONGEST_STOP)

        signal.signal(signal.SIGALRM, lambda *_: workers.abandon())
        with Signals((*HANDLED, signal.SIGCHLD), end) as signals:
            description = workers.start(signals)
            if description is not None:
                LOG.info("listening on %s", description)
                print(f"Listening on {description}", flush=True)
            while description is not None:
                number = signals.wait(workers.watch())
                if number in (signal.SIGTERM, signal.SIGINT) or (number == signal.SIGHUP and is_gone(terminal)):
                    break
                if number == signal.SIGHUP and (changed := _checked(load, configuration)):
                    configuration = changed
                    logging_before = _log_anew(configuration, logging_before)
                    workers.reload(partial(work, configuration))
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            workers.stop(signals, configuration.settings.limits.drain_timeout)
    except PorterError as error:
        LOG.error("cannot start: %s", error)
        raise
    LOG.info("server stopped")
    logging.shutdown()
    os._exit(ExitStatus.DONE)


def _share(listener: socket.socket, places: SharedPlaces, hash_threads: int, number: int) -> Share:
    return Share(listener, places.of(number), hash_threads)


def _serve(
    load: Callable[[], Configuration],
    overrides: Overrides,
    share: Callable[[int], Share],
    cores: Cores,
    keeps_to_cores: bool,
    configuration: Configuration,
    number: int,
    workers: Workers,
    say: Callable[[str], None],
) -> NoReturn:
    """What a worker does."""
    if keeps_to_cores:
        cores.keep_to(number)
    with Signals() as signals:
        listener = share(number).listener
        service = Service(configuration, cores, share(number))
        life = Lifecycle(signals, service, partial(reload, service, load, overrides))

        def end_with_parent() -> None:
            workers.wait_for_parents_end()
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # nobody else is left to free the port for the next server
            os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=end_with_parent, name="parent", daemon=True).start()
        say(service.description)
        life.obey(None)


def _checked(load: Callable[[], Configuration], running: Configuration) -> Configuration | None:
    """What the workers are to follow, if it is right; what is wrong is said once, and not by each of them."""
    try:
        loaded = load()
        changed = as_reloaded(loaded, running)
        settings = changed.settings
        if wrong := exposes_passwords(settings, changed.choices[settings.mode], settings.host):
            raise Unavailable(wrong)
        if settings.tls.enabled:
            certificate.ensure(changed.certificate, changed.key)
            certificate.context(changed.certificate, changed.key)
        warn_of_restart(loaded, running)
        return changed
    except ConfigurationError as error:
        for problem in error.problems:
            LOG.error("not reloaded: %s", problem)
    except PorterError as error:
        LOG.error("not reloaded: %s", error)
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
