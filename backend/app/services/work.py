"""What the durable queue calls: a segment goes to the runner, a release to the releases."""

from dataclasses import dataclass, field
from functools import partial

from app.services.outages import Outages
from app.services.pipeline_runner import PipelineRunner
from app.services.ports import Release, Segment
from app.services.releases import Releases


@dataclass(frozen=True)
class Work:
    """The `WorkHandler` of this process."""

    runner: PipelineRunner
    releases: Releases
    outages: Outages = field(default_factory=Outages)

    async def run_segment(self, segment: Segment) -> str:
        """Walk the segment's steps."""
        return await self.runner.run_segment(segment)

    async def run_release(self, release: Release) -> str:
        """Free the directory of a finished attempt; it can be begun again at any point."""
        return await self.outages.outlast(release.workflow_id, partial(self.releases.run_release, release))

    async def stop_failed_tries(self, release: Release) -> str:
        """Leave no agent at work in a try that is over, of an attempt that goes on."""
        return await self.releases.stop_failed_tries(release)
