"""What the durable queue calls: a segment goes to the runner, a release to the releases."""

from dataclasses import dataclass

from app.services.pipeline_runner import PipelineRunner
from app.services.ports import Release, Segment
from app.services.releases import Releases


@dataclass(frozen=True)
class Work:
    """The `WorkHandler` of this process."""

    runner: PipelineRunner
    releases: Releases

    async def run_segment(self, segment: Segment) -> str:
        """Walk the segment's steps."""
        return await self.runner.run_segment(segment)

    async def run_release(self, release: Release) -> str:
        """Free the directory of a finished attempt."""
        return await self.releases.run_release(release)
