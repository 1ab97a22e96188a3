"""The outside as the services see it: small Protocols, implemented in adapters, joined in main.py."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Protocol

from sqlalchemy.orm import Session

from app.errors import Unavailable
from app.schemas.git import GitDiff as GitDiff
from app.schemas.git import GitState as GitState
from app.schemas.requests import AskedRequest, EarlierRequests, RequestReply
from app.schemas.runtime import (
    LiveEvent,
    MessageResponse,
    ModelEntry,
    RuntimeAgent,
    RuntimeHealth,
    SessionBinding,
)
from app.schemas.work import Release as Release
from app.schemas.work import Segment as Segment


class AgentRuntime(Protocol):
    """Runs one prompt in one session of an agent server. Implemented by `OpenCodeClient`."""

    def new_message_id(self) -> str:
        """An id for our user message, unique on the server and in order of time."""
        ...

    async def create_session(self, binding: SessionBinding) -> str:
        """Create a session with title, metadata and permission rules, bind it, return its id."""
        ...

    def attach_session(self, session_id: str, binding: SessionBinding) -> None:
        """Bind a session that an earlier attempt at the same step created."""
        ...

    async def time_left(self, session_id: str) -> float:
        """Seconds of its wall clock that the step of a bound session has left; outages count, questions do not."""
        ...

    async def send_message(
        self, session_id: str, prompt: str, agent: str | None = None, model: str | None = None
    ) -> MessageResponse:
        """Send the prompt under the bound message id and wait until the turn has ended.

        Idempotent: a completed answer is adopted, a running one joined, an interrupted one sent
        again under the same message id. Raises a `StepFailure` when a bound limit is passed (the
        session then still runs: the caller decides and calls `stop_session`), `UnknownModel`,
        `UnknownOpencodeAgent` or `OpencodeRefusal` when the server refuses the prompt for good,
        `OpencodeUnavailable` when the server is gone. All sends of a step share its wall clock.
        Cancelling it never aborts the session.
        """
        ...

    async def read_turn(self, session_id: str) -> MessageResponse:
        """What a bound session's turn has produced so far, without waiting.

        Raises `OpencodeRefusal` when the server will never tell, such as for a session that it has forgotten.
        """
        ...

    async def stop_session(self, session_id: str, directory: str) -> bool:
        """End whatever runs in the session and its children; True when it is proven idle."""
        ...

    async def list_models(self, directory: str) -> Sequence[ModelEntry]:
        """Every model OpenCode lists for the directory, unconnected providers included."""
        ...

    async def list_agents(self, directory: str) -> Sequence[RuntimeAgent]:
        """The agents OpenCode knows in the directory."""
        ...

    async def default_model(self, directory: str) -> str | None:
        """`provider/model` that the configuration names for prompts without a model, if it does."""
        ...


class RequestDesk(Protocol):
    """Whom the runtime asks when an agent asks. Implemented by `services.requests.AgentRequests`."""

    async def earlier(self, binding: SessionBinding) -> EarlierRequests:
        """What this try at the step has asked so far, of earlier processes too."""
        ...

    async def reply_to(self, binding: SessionBinding, asked: AskedRequest) -> RequestReply | None:
        """The answer, as soon as there is one; None when nobody shall answer. May wait for days."""
        ...

    async def withdraw(self, binding: SessionBinding, opencode_ids: Collection[str]) -> None:
        """These requests are no longer open in the runtime."""
        ...


class RuntimeServer(Protocol):
    """The OpenCode server itself: attach to it, start it, say how it is."""

    async def start(self) -> None:
        """Attach to or start the server; returns at once, `wait_ready` tells when it answers."""
        ...

    async def wait_ready(self, seconds: float) -> bool:
        """True as soon as it answers, False when the time is over."""
        ...

    async def health(self) -> RuntimeHealth:
        """Ask it now (bounded to a few seconds); never raises."""
        ...

    def trouble(self) -> str | None:
        """Why it cannot be used, as last seen and without asking; None while it answers."""
        ...

    async def stop(self, *, keep_running: bool = False) -> None:
        """End a server of ours with its children, unless it shall go on without us."""
        ...


class Engine(Protocol):
    """Durable queue. Work enqueued in a transaction exists exactly if that transaction commits."""

    def enqueue_segment(self, db: Session, segment: Segment, delay: timedelta | None = None) -> None:
        """Enqueue inside the caller's open transaction (call through `AsyncSession.run_sync`).

        Until the `delay` is over it holds no memory and no place among the active steps.
        """
        ...

    def enqueue_release(self, db: Session, release: Release, delay: timedelta | None = None) -> None:
        """Enqueue the release of a run's directory inside the caller's open transaction."""
        ...

    async def checkpoint(self, name: str, step: Callable[[], Awaitable[str]]) -> str:
        """Run a step whose outcome is recorded: a recovered segment gets the record and runs nothing."""
        ...

    async def live_workflows(self) -> set[str]:
        """Ids of all segments and releases that are enqueued or running."""
        ...

    async def holders(self) -> dict[str, str | None]:
        """The same ids, each with the worker that has taken it up; None while it waits for one."""
        ...

    async def segments_in_line(self) -> Sequence[int]:
        """Runs whose segments nobody has taken up yet, in the order in which they will be."""
        ...

    async def cancel(self, workflow_id: str) -> None:
        """Take enqueued or hung work away. Not for abort: that is a decision in the rows."""
        ...


class Places(Protocol):
    """The places of this process for steps at work."""

    def away(self, run: int) -> AbstractContextManager[None]:
        """While this lasts the run takes no place: its agent waits for a person."""
        ...


class ServerLock(Protocol):
    """What keeps servers off a database that they cannot share."""

    async def keep(self) -> None:
        """Make sure that it is still held; raises when it is not."""
        ...


class Colleagues(Protocol):
    """The servers that share the database, as one of them sees it. Implemented in services/workers.py."""

    me: str
    """This server, as the queue knows it."""
    shared: bool
    """Whether there can be others at all."""

    async def living(self) -> set[str]:
        """Names of the workers whose work is nobody else's; this one is always among them."""
        ...

    async def permit(self, release: Release) -> None:
        """Wait until this server counts as living; to be asked before anything is sent for an attempt."""
        ...

    def suspects(self) -> set[Release]:
        """Attempts that were permitted something before this server stopped counting as living."""
        ...

    def settled(self, release: Release) -> None:
        """That one is no longer suspect: what came too late has been ended."""
        ...


class Storage(Protocol):
    """How the database's storage is, told without trying."""

    def problem(self) -> Unavailable | None:
        """What keeps it from storing anything now: locked, full, read-only, gone."""
        ...

    def explain(self, error: Exception) -> Unavailable | None:
        """What to tell about a failure that is nobody's mistake; None for a defect of ours."""
        ...


class WorkHandler(Protocol):
    """What the engine calls when enqueued work is due."""

    async def run_segment(self, segment: Segment) -> str:
        """Walk the segment's steps; returns a word for the engine's record."""
        ...

    async def run_release(self, release: Release) -> str:
        """Stop the attempt's session, wait for its segments, free the directory."""
        ...


class Releaser(Protocol):
    """What ends the work of attempts, and of tries, that are over."""

    async def run_release(self, release: Release) -> str:
        """Stop the attempt's session, wait for its segments, free the directory."""
        ...

    async def stop_failed_tries(self, release: Release) -> str:
        """Stop the sessions of tries that failed, of an attempt that goes on."""
        ...


class GitReader(Protocol):
    """Reads repositories, never writes to them."""

    async def state(self, directory: str) -> GitState:
        """Branch, commit and number of changed files."""
        ...

    async def commit(self, directory: str) -> str | None:
        """The commit that is checked out; None when there is none or it cannot be said. Never raises."""
        ...

    async def is_branch_name(self, name: str) -> bool:
        """Git's own rules for branch names."""
        ...

    async def diff(self, directory: str, base: str | None, limit: int) -> GitDiff:
        """What changed in the working tree since `base`."""
        ...


LiveSink = Callable[[LiveEvent], None]
"""Takes live events from the runtime; must not block or raise."""


class WorkingDirs(Protocol):
    """Resolves the directory of a run."""

    def resolve(self, working_dir: str) -> str:
        """The real path, below an allowed root; InvalidWorkingDir otherwise."""
        ...

    def new_workspace(self, name: str | None = None) -> str:
        """A new empty directory of our own; its real path."""
        ...

    def is_workspace(self, path: str) -> bool:
        """True for a directory that `new_workspace` made."""
        ...

    def neutral(self) -> str:
        """A directory of our own without any project, for questions that concern none."""
        ...
