"""How a task of ours is ended: cancelled and waited for, whatever it died of."""

import asyncio
import logging
from typing import Any

log = logging.getLogger("paceline.tasks")


async def cancel(*tasks: asyncio.Task[Any] | None, seconds: float | None = None) -> None:
    """Cancel the tasks that there are and wait for their ends, `seconds` at most.

    What one of them died of is logged and not raised: who cleans up has more to end. A cancellation
    of the caller passes through, although the tasks end with the same exception.
    """
    given = {task for task in tasks if task is not None}
    for task in given:
        task.cancel()
    if not given:
        return
    ended, stuck = await asyncio.wait(given, timeout=seconds)
    for task in ended:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the task %s had died", task.get_name(), exc_info=error)
    for task in stuck:
        log.error("not ended after %s s: %s", seconds, task)
