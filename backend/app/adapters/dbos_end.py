"""The end of DBOS: bounded in time, and without taking its threads from everybody else."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from dbos import DBOS

log = logging.getLogger("paceline.engine")


async def destroy_dbos(deadline: float) -> bool:
    """End it; False when it goes on beyond that time of the loop, as its threads do while the database is locked.

    DBOS makes its own executor the default of the loop, again with all that it does, and shuts it
    down: ours is in place before, for whoever needs a thread meanwhile, and after.
    """
    loop = asyncio.get_running_loop()
    ours, thread = ThreadPoolExecutor(thread_name_prefix="paceline"), ThreadPoolExecutor(1, "paceline-stop")
    loop.set_default_executor(ours)
    destroying = loop.run_in_executor(thread, partial(DBOS.destroy, destroy_registry=True))
    thread.shutdown(wait=False)
    await asyncio.wait([destroying], timeout=deadline - loop.time())
    loop.set_default_executor(ours)
    if not destroying.done():
        log.error("DBOS has not ended in time; perhaps the database is locked")
        return False
    await destroying
    return True
