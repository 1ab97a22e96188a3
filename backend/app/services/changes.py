"""What a run has changed in its directory, and whether that is still what somebody was shown."""

from app.errors import StaleDiff
from app.schemas.pipeline import DiffResponse
from app.services.ports import GitReader
from app.services.run_queries import RunQueries

DIFF_LIMIT_BYTES = 1_000_000


class RunChanges:
    """Compares a run's directory with its base commit. Reads only, and only the directory as it is now."""

    def __init__(self, queries: RunQueries, git: GitReader) -> None:
        """`queries` knows where a run works."""
        self._queries = queries
        self._git = git

    async def of(self, pipeline_id: int) -> DiffResponse:
        """The diff with its digest, untracked files included; without a repository the reason why there is none."""
        directory, base = await self._queries.place(pipeline_id)
        state = await self._git.state(directory)
        if not state.is_repository:
            return DiffResponse.nothing(f"{directory} is no git repository, so changes cannot be shown.")
        diff = await self._git.diff(directory, base, DIFF_LIMIT_BYTES)
        return DiffResponse(
            available=True, reason=None, base=diff.base, digest=diff.digest, text=diff.text, files=diff.files,
            additions=diff.additions, deletions=diff.deletions, truncated=diff.truncated,
        )  # fmt: skip

    async def require_seen(self, pipeline_id: int, seen: str) -> None:
        """StaleDiff when a run that waits at a gate has other changes than those of the digest `seen`.

        In any other state the decision itself says what forbids it.
        """
        if await self._queries.status(pipeline_id) != "waiting_for_approval":
            return
        if (await self.of(pipeline_id)).digest != seen:
            raise StaleDiff(
                f"The files of run {pipeline_id} have changed since the changes were shown to you. "
                "Nothing was decided: look at the changes again."
            )
