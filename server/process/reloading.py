"""Reads the configuration again while the server runs. A wrong one changes nothing, and the log says why.

Whether one process serves or several is not known here.
"""

import logging
from collections.abc import Callable
from dataclasses import replace

from common.errors import ConfigurationError, PorterError, Unavailable
from server.configuration.loading import Configuration, Source, exposes_passwords

LOG = logging.getLogger("porter.server")
_KEPT_UNTIL_RESTART = (
    "host",
    "port",
    "port_taken",
    "store",
    "store_pool",
    "workers",
    "cpu_affinity",
    "control",
    "monitoring",
)

Announce = Callable[[Source, Configuration, Configuration], None]


def announce(source: Source, loaded: Configuration, running: Configuration) -> None:
    """Log which values of the file a reload does not apply, and whether the certificate is about to end."""
    for key in _KEPT_UNTIL_RESTART:
        if getattr(loaded.settings, key) != getattr(running.settings, key):
            LOG.warning("%s has changed: restart the server to apply it", key)
    if source.overrides.mode is not None:
        LOG.info("the mode stays %s: it was given at the start", source.overrides.mode)
    if warning := loaded.certificate_warning():
        LOG.warning("%s", warning)


class Reloader:
    """Loads, checks and applies the configuration again. `running` is the configuration that was applied last."""

    def __init__(
        self,
        source: Source,
        running: Configuration,
        apply: Callable[[Configuration], None],
        announce: Announce = announce,
    ) -> None:
        """Begin with the configuration `running`.

        `apply` must raise a PorterError and change nothing if a configuration cannot be applied. `announce` is called
        after it; workers pass one that logs nothing, because their parent logs for all.
        """
        self.running = running
        self._source = source
        self._apply = apply
        self._announce = announce

    def reload(self) -> None:
        """Apply the file, as it is now, to new connections; never raise."""
        try:
            loaded = self._source.load()
            wanted = _keep_until_restart(loaded, self.running)
            # The file may name another host; until a restart the server listens on the old one.
            if wrong := exposes_passwords(wanted.settings, wanted.chosen):
                raise Unavailable("{reason}", reason=wrong)
            self._apply(wanted)
        except ConfigurationError as error:
            for problem in error.problems:
                LOG.error("not reloaded: %s", problem)
        except PorterError as error:
            LOG.error("not reloaded: %s", error)
        except (Exception, SystemExit):  # a handler's module may fail in any way; open connections must go on
            LOG.exception("not reloaded")
        else:
            running, self.running = self.running, wanted
            self._announce(self._source, loaded, running)


def _keep_until_restart(loaded: Configuration, running: Configuration) -> Configuration:
    """Return `loaded` with the values of `running` that only a restart can change."""
    kept = {key: getattr(running.settings, key) for key in _KEPT_UNTIL_RESTART}
    return replace(loaded, settings=loaded.settings.model_copy(update=kept))
