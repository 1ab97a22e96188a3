"""Work for the durable queue: what a worker is told to do next."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Segment:
    """A piece of a run between two human decisions: from a step to the next gate or the end."""

    pipeline_id: int
    attempt: int
    epoch: int
    start: int
    """`order_index` of the first step to walk."""

    @property
    def workflow_id(self) -> str:
        """Unique and sorted by time of the run: a new decision always makes another id."""
        return f"{self.prefix(self.pipeline_id, self.attempt, self.epoch)}{self.start:03d}"

    @staticmethod
    def prefix(pipeline_id: int, attempt: int, epoch: int | None = None) -> str:
        """What the ids of all segments of one attempt of a run, or of one epoch of it, begin with."""
        return f"run-{pipeline_id:010d}-{attempt:04d}-" + ("" if epoch is None else f"{epoch:06d}-")

    @staticmethod
    def run_of(workflow_id: str) -> int:
        """The run that a segment's id belongs to."""
        return int(workflow_id.split("-")[1])


@dataclass(frozen=True)
class Release:
    """Stop what a finished attempt left running and free its directory."""

    pipeline_id: int
    attempt: int

    @property
    def workflow_id(self) -> str:
        """One release for each attempt of a run."""
        return f"release-{self.pipeline_id:010d}-{self.attempt:04d}"
