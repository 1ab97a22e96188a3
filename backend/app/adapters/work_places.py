"""The places of this process for steps at work; a step whose agent asks a person lends its place to another."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager


class WorkPlaces:
    """One event loop. Keys are the ids of runs.

    Whoever comes back from a person takes its place at once, because its agent goes on by itself: for
    that long more than `limit` may be at work, and nothing new begins until they are fewer.
    """

    def __init__(self, limit: int) -> None:
        """`limit`: how many may be at work at once."""
        self.limit = limit
        self.changed = asyncio.Event()
        """Set whenever somebody goes to a person or comes back."""
        self._holders: Counter[int] = Counter()
        self._away: Counter[int] = Counter()
        self._free = asyncio.Event()

    @property
    def at_work(self) -> int:
        """Holders that are not away."""
        return sum(count for run, count in self._holders.items() if not self._away[run])

    @asynccontextmanager
    async def hold(self, run: int) -> AsyncIterator[None]:
        """Wait for a place and keep it."""
        while self.at_work >= self.limit:
            self._free.clear()
            await self._free.wait()
        self._holders[run] += 1
        try:
            yield
        finally:
            self._drop(self._holders, run)

    @contextmanager
    def away(self, run: int) -> Iterator[None]:
        """While this lasts the run takes no place. It may be entered more than once for a run."""
        self._away[run] += 1
        self._tell()
        try:
            yield
        finally:
            self._drop(self._away, run)

    def _drop(self, counter: Counter[int], run: int) -> None:
        counter[run] -= 1
        if not counter[run]:
            del counter[run]
        self._tell(changed=counter is self._away)

    def _tell(self, *, changed: bool = True) -> None:
        self._free.set()
        if changed:
            self.changed.set()
