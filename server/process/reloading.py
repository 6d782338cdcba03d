"""Reading the configuration again, for a service that runs: a wrong one changes nothing, and the log says why."""

import logging
from collections.abc import Callable

from common.errors import ConfigurationError, PorterError
from server.configuration.loading import Configuration, Overrides
from server.process.service import Service

LOG = logging.getLogger("porter.server")


def reload(service: Service, load: Callable[[], Configuration], overrides: Overrides) -> None:
    """Never raises."""
    try:
        service.reload(load())
    except ConfigurationError as error:
        for problem in error.problems:
            LOG.error("not reloaded: %s", problem)
    except PorterError as error:
        LOG.error("not reloaded: %s", error)
    except Exception:  # ours or that of a handler being imported: no reason for those who are connected to suffer
        LOG.exception("not reloaded")
    else:
        if overrides.mode is not None:
            LOG.info("the mode stays %s: it was given at the start", overrides.mode)
