"""Patience with a database that is locked, full, read-only or away: work waits for it and then goes on."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

log = logging.getLogger("paceline.outages")

T = TypeVar("T")

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 5.0
SAY_EVERY = 12
"""Tries between two lines in the log."""


def _any_operational(error: Exception) -> bool:
    return isinstance(error, OperationalError | PoolTimeout)


class Outages:
    """Repeats a piece of work until the database lets it through.

    The work must read where it stands before it writes: what failed at its commit may have been
    stored all the same, when the connection broke behind it.
    """

    def __init__(self, is_outage: Callable[[Exception], bool] = _any_operational) -> None:
        """`is_outage` tells a database that cannot work now from a defect of ours, which is raised."""
        self.is_outage = is_outage

    async def outlast(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        """The result of `work`, however long that takes; only cancellation and other errors end it."""
        pause, tries = FIRST_PAUSE_SECONDS, 0
        while True:
            try:
                return await work()
            except Exception as error:
                if not self.is_outage(error):
                    raise
                if tries % SAY_EVERY == 0:
                    log.warning("%s waits for the database: %s", name, getattr(error, "orig", None) or error)
            tries += 1
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
