"""One server and many clients that all want something at the same moment."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import astuple, dataclass
from itertools import count
from operator import gt
from pathlib import Path
from random import Random
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped]

from app.adapters.database import Database
from app.tests.chaos.invariants import violations
from app.tests.chaos.nursery import Nursery, tasks_of
from app.tests.chaos.watch import Watch
from app.tests.factories import eventually
from app.tests.fake_opencode import FakeOpenCode
from app.tests.live_server import FINAL, SETUP, LiveServer, attached_server

CLIENTS = 8
FILES_MORE, THREADS_MORE, TASKS_MORE, MEGABYTES_MORE = 10, 24, 5, 60
"""What a server may hold more than after its first runs: pools of connections and threads fill up once."""
LOGIN = "owner"
"""Who everybody here is logged in as."""

_numbers: Iterator[int] = count(1)

Call = tuple[str, dict[str, Any]]
"""Path and body of a POST."""


@dataclass(frozen=True)
class Usage:
    """What the server process holds."""

    files: int
    threads: int
    tasks: int
    megabytes: int

    def beyond(self, before: "Usage") -> list[str]:
        """What did not come back to where it was."""
        grown = [now - then for now, then in zip(astuple(self), astuple(before), strict=True)]
        limits = (FILES_MORE, THREADS_MORE, TASKS_MORE, MEGABYTES_MORE)
        return [f"the server grew: {self.since(before)}"] if any(map(gt, grown, limits)) else []

    def since(self, before: "Usage", rounds: int = 0) -> str:
        """The difference as a sentence."""
        after = f"after {rounds} rounds of each race " if rounds else ""
        return (
            f"{after}the server holds {self.files - before.files:+d} files, "
            f"{self.threads - before.threads:+d} threads, "
            f"{self.tasks - before.tasks:+d} tasks, {self.megabytes - before.megabytes:+d} MB"
        )


class Arena:
    """Prepares runs and lets clients loose on them."""

    def __init__(self, server: LiveServer, rng: Random) -> None:
        self.rng = rng
        self._server = server

    @property
    def http(self) -> httpx.AsyncClient:
        """A client that is logged in; each of its open requests has a connection of its own."""
        return self._server.http

    def directory(self) -> Path:
        """A new empty directory."""
        path = self._server.folder / "races" / str(next(_numbers))
        path.mkdir(parents=True)
        return path

    async def create(self, *steps: dict[str, Any], prompt: str = "[[say:A part.]]", **more: Any) -> int:
        """A run of these steps in a directory of its own unless told; its id."""
        body = {"title": "Race", "prompt": prompt, "custom_steps": list(steps), "working_dir": str(self.directory())}
        answer = await self.http.post("/pipelines", json=body | more)
        assert answer.status_code == 201, answer.text
        return int(answer.json()["id"])

    async def until(self, run_id: int, *states: str) -> dict[str, Any]:
        """The run in one of the states."""
        run: dict[str, Any] = {}

        async def there() -> bool:
            run.update((await self.http.get(f"/pipelines/{run_id}")).json())
            await asyncio.sleep(0.1)
            return run["status"] in states

        await eventually(there, 30)
        return run

    async def final(self, run_id: int) -> dict[str, Any]:
        """The run at its end."""
        return await self.until(run_id, *FINAL)

    async def together(self, *calls: Call) -> list[int]:
        """Everything at once, in a random order of sending; the statuses in the order of `calls`."""
        order = list(range(len(calls)))
        self.rng.shuffle(order)
        begin = asyncio.Event()

        async def send(number: int) -> tuple[int, int]:
            path, body = calls[number]
            await begin.wait()
            # A name in the body is nobody's: the actor comes from the login.
            answer = await self.http.post(path, json=body | {"decided_by": "mallory"})
            return number, answer.status_code

        tasks = [asyncio.create_task(send(number)) for number in order]
        begin.set()
        return [status for _, status in sorted(await asyncio.gather(*tasks))]

    async def usage(self, back_to: Usage | None = None) -> Usage:
        """What the server holds once its connections are closed; waits until it is back where it was."""
        process = psutil.Process(self._server.pid)
        usage: list[Usage] = []

        async def back() -> bool:
            # A file, a thread and a connection each end a little after the run that needed them.
            await asyncio.sleep(1)
            tasks = await asyncio.to_thread(tasks_of, process, self._server.folder)
            memory = process.memory_info().rss // 1_000_000
            usage.append(Usage(process.num_fds(), process.num_threads(), tasks, memory))
            return back_to is None or not usage[-1].beyond(back_to)

        with suppress(AssertionError):
            await eventually(back, 15)
        return usage[-1]

    async def events(self, run_id: int) -> list[dict[str, Any]]:
        """The run's audit events in their order."""
        page = (await self.http.get("/audit", params={"pipeline_id": run_id, "limit": 200})).json()
        return list(reversed(page["items"]))


@asynccontextmanager
async def open_arena(
    folder: Path, database_url: str, nursery: Nursery, rng: Random
) -> AsyncIterator[tuple[Arena, list[str]]]:
    """An arena on a migrated database, and the faults that are seen while and after it is used."""
    folder.mkdir()
    faults: list[str] = []
    database = Database(database_url)
    try:
        async with (
            FakeOpenCode(SETUP, pace=1).serve() as opencode,
            attached_server(folder, database_url, opencode, nursery.start) as server,
            Watch(database) as watch,
        ):
            await server.start()
            yield Arena(server, rng), faults

            async def at_rest() -> bool:
                await asyncio.sleep(0.1)
                return await violations(database) == []

            try:
                await eventually(at_rest, 20)
            except AssertionError:
                faults += await violations(database)
            faults += watch.faults
    finally:
        await database.dispose()
