"""What DBOS logs: passed on to our own log, without the alarms over things that we do on purpose."""

import logging
from collections.abc import Callable

from dbos import error as dbos_error

_PARKED = ("was cancelled during execution", "is no longer owned by this execution")


class _OnPurpose(logging.Filter):
    def __init__(self, closing: Callable[[], bool]) -> None:
        super().__init__()
        self._closing = closing

    def filter(self, record: logging.LogRecord) -> bool:
        """False for what follows from our own stop or cancel."""
        message = record.getMessage()
        if message.startswith("Asyncio task cancelled"):
            return False
        if record.levelno == logging.WARNING and any(part in message for part in _PARKED):
            return False
        error = record.exc_info[1] if record.exc_info else None
        return not (self._closing() or isinstance(error, dbos_error.DBOSAwaitedWorkflowCancelledError))


def quiet_dbos(closing: Callable[[], bool]) -> None:
    """Send DBOS's records the way of all others, and drop those of our own doing.

    `closing` tells whether the engine is being stopped: then nothing that DBOS says is news.
    """
    logger = logging.getLogger("dbos")
    for old in [known for known in logger.filters if isinstance(known, _OnPurpose)]:
        logger.removeFilter(old)
    logger.addFilter(_OnPurpose(closing))
    if not logger.handlers:
        # DBOS would add a console of its own and stop propagation.
        logger.addHandler(logging.NullHandler())
