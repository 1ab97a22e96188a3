"""Requests of agents: the policy answers them, or a person does; whoever waits for the answer waits here."""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import nullcontext, suppress
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.errors import FieldError, InvalidRequest, NotFound, StaleEpoch
from app.models import AgentRequest, Attempt
from app.schemas.permissions import ExactRule, PermissionRule, decide
from app.schemas.requests import (
    AgentRequestResponse,
    AnswerRequest,
    AskedRequest,
    EarlierRequests,
    Question,
    RequestDetails,
    RequestPage,
    RequestReply,
)
from app.schemas.runtime import SessionBinding
from app.services import request_transitions, run_locks
from app.services.paging import cut_page, older_than
from app.services.ports import Places
from app.services.units import unit

POLL_SECONDS = 1.0
"""How often a waiting row is looked at: answers given by another server, and deadlines, ring no bell here."""

BY_POLICY = "Denied by the permissions of this step. Go on without it, or finish and say what is missing."
BY_PERSON = "A person denied this. Go on without it, or finish with what you have and say what is missing."
BY_DEADLINE = "Nobody answered in time, so this is denied. Go on without it, or finish and say what is missing."


class AgentRequests:
    """The `RequestDesk` of the runtime, and the use cases of those who answer. No session stays open while it waits."""

    def __init__(
        self,
        sessions: async_sessionmaker[AsyncSession],
        reads: async_sessionmaker[AsyncSession],
        deadline_seconds: float,
        places: Places | None = None,
    ) -> None:
        """`deadline_seconds` is given to each new request; the reconciler denies what is overdue.

        Who waits for a person leaves its place in `places` for that long.
        """
        self._places = places
        self._sessions = sessions
        self._reads = reads
        self._deadline_seconds = deadline_seconds
        self._bells: dict[int, asyncio.Event] = {}

    # For the runtime

    async def earlier(self, binding: SessionBinding) -> EarlierRequests:
        """What this try at the step has asked so far: open requests, and for how long a person was asked."""
        # A step that is tried again stays in the same attempt of its run, but each try has a clock of its own.
        began = select(Attempt.started_at).where(
            Attempt.step_id == binding.step_id, Attempt.message_id == binding.message_id
        )
        query = select(AgentRequest).where(
            AgentRequest.step_id == binding.step_id,
            AgentRequest.pipeline_attempt == binding.attempt,
            AgentRequest.asked_at >= began.scalar_subquery(),
        )
        async with self._reads() as db:
            rows = (await db.scalars(query.order_by(AgentRequest.asked_at))).all()
        pending = frozenset(row.opencode_id for row in rows if row.status == "pending")
        answered = max((row.answered_at for row in rows if row.answered_at is not None), default=None)
        return EarlierRequests(pending=pending, waited=_seconds(rows), answered_at=answered)

    async def reply_to(self, binding: SessionBinding, asked: AskedRequest) -> RequestReply | None:
        """What to answer: at once by policy, or when a person has; None when it is no longer ours to answer.

        The same request asked again, after a restart, is the same row: an answer given meanwhile is returned.
        """
        try:
            row = await self._known_or_by_policy(binding, asked)
            if isinstance(row, RequestReply):
                return row
            row = row or await self._ask(binding, asked)
            with self._places.away(binding.pipeline_id) if self._places else nullcontext():
                return _reply_of(await self._decided(row, binding))
        except StaleEpoch:
            return None

    async def withdraw(self, binding: SessionBinding, opencode_ids: Collection[str]) -> None:
        """Cancel what is still open here and no longer asked over there."""
        with suppress(StaleEpoch):
            async with unit(self._sessions, "withdraw") as db:
                run = await run_locks.guard(db, binding.pipeline_id, binding.epoch)
                for step in run.steps:
                    for request in step.open_requests:
                        if request.opencode_id in opencode_ids:
                            request_transitions.withdraw(db, run, request)

    async def _known_or_by_policy(
        self, binding: SessionBinding, asked: AskedRequest
    ) -> AgentRequest | RequestReply | None:
        """The row that exists already, or the policy's answer, or None when a person has to be asked."""
        remembered = select(AgentRequest.tool, AgentRequest.patterns).where(
            AgentRequest.pipeline_id == binding.pipeline_id, AgentRequest.remember
        )
        async with self._reads() as db:
            row = await _find(db, asked)
            lasting = (await db.execute(remembered)).all()
        if row is not None:
            return row
        rules: list[PermissionRule] = list(binding.permissions)
        for tool, patterns in lasting:
            # Not validated again: a command may be longer than a pattern in the registry.
            rules += [ExactRule.model_construct(tool=tool, pattern=one, action="allow") for one in patterns or ("*",)]
        action = decide(rules, asked.tool, asked.patterns)
        if action == "deny":
            return RequestReply(reply="reject", message=BY_POLICY)
        # Nobody but a person can answer a question: to allow them is to pass them on.
        return RequestReply(reply="once") if action == "allow" and asked.kind == "permission" else None

    async def _ask(self, binding: SessionBinding, asked: AskedRequest) -> AgentRequest:
        async with unit(self._sessions, "ask-person") as db:
            run = await run_locks.guard(db, binding.pipeline_id, binding.epoch)
            step = next(step for step in run.steps if step.id == binding.step_id)
            known = await _find(db, asked)
            return known or await request_transitions.ask(
                db, run, step, asked, binding.directory, self._deadline_seconds
            )

    async def _decided(self, row: AgentRequest, binding: SessionBinding) -> AgentRequest:
        """The row once it is no longer open. StaleEpoch when the run has gone on without this segment."""
        bell = self._bells.setdefault(row.id, asyncio.Event())
        try:
            while True:
                async with self._reads() as db:
                    await run_locks.check_epoch(db, binding.pipeline_id, binding.epoch)
                    now = (await db.scalars(select(AgentRequest).where(AgentRequest.id == row.id))).one_or_none()
                if now is None:
                    raise StaleEpoch(f"request {row.id} is gone")
                if now.status != "pending":
                    return now
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await bell.wait()
                bell.clear()
        finally:
            self._bells.pop(row.id, None)

    # For those who answer

    async def answer(self, pipeline_id: int, request_id: int, actor: str, given: AnswerRequest) -> None:
        """Decide an open request. NotFound, InvalidRequest when it does not fit, StateConflict when it is decided."""
        async with unit(self._sessions, "answer-agent") as db:
            run = await run_locks.lock_run(db, pipeline_id)
            request = (
                await db.scalars(
                    select(AgentRequest).where(AgentRequest.id == request_id, AgentRequest.pipeline_id == pipeline_id)
                )
            ).one_or_none()
            if request is None:
                raise NotFound(f"Run {pipeline_id} has no request {request_id}. `paceline requests` lists them.")
            request_transitions.require_open(request)
            _check(request, given)
            request.remember = given.remember
            answers = tuple(tuple(chosen) for chosen in given.answers or ())
            reply = RequestReply(reply=given.reply, message=given.message or "", answers=answers)
            request_transitions.answer(db, run, request, actor, reply)
        bell = self._bells.get(request_id)
        if bell is not None:
            bell.set()

    async def page(
        self, *, status: str | None, pipeline_id: int | None, limit: int, cursor: str | None
    ) -> RequestPage:
        """Requests of all runs or of one, newest first."""
        query = select(AgentRequest).where(older_than(AgentRequest.id, cursor)).order_by(AgentRequest.id.desc())
        if status is not None:
            query = query.where(AgentRequest.status == status)
        if pipeline_id is not None:
            query = query.where(AgentRequest.pipeline_id == pipeline_id)
        async with self._reads() as db:
            rows = (await db.scalars(query.limit(limit + 1))).all()
        page, next_cursor = cut_page(rows, limit)
        return RequestPage(items=[request_response(row) for row in page], next_cursor=next_cursor)


def request_response(row: AgentRequest) -> AgentRequestResponse:
    """The row as the API shows it."""
    names = (
        "id", "pipeline_id", "step_id", "kind", "tool", "patterns", "sub_agent", "status", "reply", "message",
        "answers", "remember", "answered_by", "asked_at", "answered_at", "deadline",
    )  # fmt: skip
    return AgentRequestResponse(
        **{name: getattr(row, name) for name in names},
        attempt=row.pipeline_attempt,
        details=RequestDetails.model_validate(row.details),
    )


async def _find(db: AsyncSession, asked: AskedRequest) -> AgentRequest | None:
    found = await db.scalars(select(AgentRequest).where(AgentRequest.opencode_id == asked.opencode_id))
    return found.one_or_none()


def _reply_of(row: AgentRequest) -> RequestReply:
    """What OpenCode is told about a decided row. A cancelled one that is asked all the same must not hang."""
    if row.status == "answered":
        answers = tuple(tuple(chosen) for chosen in row.answers or ())
        return RequestReply(reply="once", answers=answers)
    return RequestReply(reply="reject", message=BY_DEADLINE if row.status == "expired" else row.message or BY_PERSON)


def _check(request: AgentRequest, given: AnswerRequest) -> None:
    """Whether the answer fits to what was asked."""
    if given.reply == "reject":
        return
    if request.kind == "permission" and given.answers:
        raise _misfit("/answers", "A permission is allowed or rejected; answers belong to a question.")
    if request.kind == "question":
        if given.remember:
            raise _misfit("/remember", "An answer to a question cannot be remembered; only a permission can.")
        questions = RequestDetails.model_validate(request.details).questions
        if len(given.answers or []) != len(questions):
            raise _misfit("/answers", f"Give one list of answers for each of the {len(questions)} questions.")
        for index, (question, chosen) in enumerate(zip(questions, given.answers or [], strict=True)):
            _check_choice(f"/answers/{index}", question, chosen)


def _check_choice(pointer: str, question: Question, chosen: Sequence[str]) -> None:
    """Whether the answers to one question keep to what it allows."""
    name = repr(question.question)
    if not chosen:
        raise _misfit(pointer, f"The question {name} has no answer; give one, or reject the request.")
    if len(chosen) > 1 and not question.multiple:
        raise _misfit(pointer, f"The question {name} takes one answer.")
    labels = [option.label for option in question.options]
    own = [text for text in chosen if text not in labels]
    if own and labels and not question.custom:
        raise _misfit(pointer, f"The question {name} takes only its options: {', '.join(labels)}.", tuple(labels))


def _misfit(pointer: str, detail: str, candidates: tuple[str, ...] = ()) -> InvalidRequest:
    return InvalidRequest(detail, (FieldError(pointer, detail, candidates),))


def _seconds(rows: Sequence[AgentRequest]) -> float:
    """How long at least one of the requests, in the order in which they were asked, was open."""
    total, until = 0.0, datetime.min.replace(tzinfo=UTC)
    for row in rows:
        ended = row.answered_at or datetime.now(UTC)
        total += max(0.0, (ended - max(row.asked_at, until)).total_seconds())
        until = max(until, ended)
    return total
