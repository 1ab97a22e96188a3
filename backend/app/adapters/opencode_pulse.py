"""Whether a server that lives still answers: a busy one is told from one that hangs by patience alone."""

import asyncio
from dataclasses import dataclass

from app.adapters.opencode_http import Endpoint, FixedEndpoint, OpencodeHttp, OpencodeRefused
from app.errors import OpencodeUnavailable


@dataclass(frozen=True)
class PulseTiming:
    """Seconds, and questions.

    Sixty prompts begun at once in a directory that was never used kept a healthy server from answering
    for 6.6 s, on two cores with a load of 13. Three questions of 10 s in a row are far from that, and end
    a server that hangs within some 35 s. Questions are counted, not time alone: when this process itself
    was stopped or the machine slept, one of them is lost and the next one is answered.
    """

    every: float = 3
    patience: float = 10
    strikes: int = 3

    @property
    def in_all(self) -> float:
        """How long a server is silent at least when it counts as hung."""
        return self.patience * self.strikes


async def until_silent(at: Endpoint, timing: PulseTiming) -> None:
    """Return when the server has left `strikes` questions in a row without any answer; maybe never."""
    http = OpencodeHttp(FixedEndpoint(at))
    silent = 0
    try:
        while silent < timing.strikes:
            await asyncio.sleep(timing.every)
            try:
                await http.get("/global/health", timeout=timing.patience)
            except OpencodeRefused:
                silent = 0
            except OpencodeUnavailable:
                silent += 1
            else:
                silent = 0
    finally:
        await http.aclose()
