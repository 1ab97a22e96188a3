"""Reads a finished (or stopped) turn: which message is the answer, and what all of it cost."""

import asyncio
from collections.abc import Sequence, Set
from dataclasses import dataclass

from app.adapters.opencode_api import OpencodeApi
from app.adapters.opencode_wire import WireMessage, turn_error
from app.schemas.runtime import MessageResponse, Tokens, TranscriptMessage, TurnError


@dataclass(frozen=True)
class TurnMessages:
    """The messages of a session from our prompt on. One prompt per session: the rest of it is the turn.

    A compaction splits a turn: the answer's parent is then a message that OpenCode wrote. So the
    answer is the newest message by the prompt's agent that no compaction wrote.
    """

    message_id: str
    messages: tuple[WireMessage, ...]
    """Our prompt and everything after it; empty when the prompt is not stored."""

    @classmethod
    def find(cls, messages: Sequence[WireMessage], message_id: str) -> "TurnMessages":
        """Cut a session's messages at our prompt."""
        for index, message in enumerate(messages):
            if message.info.id == message_id:
                return cls(message_id, tuple(messages[index:]))
        return cls(message_id, ())

    @property
    def prompt(self) -> WireMessage | None:
        """Our user message."""
        return self.messages[0] if self.messages else None

    @property
    def replies(self) -> tuple[WireMessage, ...]:
        """Every model message of the turn, compactions included."""
        return tuple(message for message in self.messages if message.info.role == "assistant")

    @property
    def answer(self) -> WireMessage | None:
        """The message that answers the prompt, finished or not."""
        agent = self.prompt.info.agent if self.prompt else None
        for message in reversed(self.replies):
            if message.info.is_answer and agent in (None, message.info.agent):
                return message
        return None

    @property
    def has_children(self) -> bool:
        """Whether a sub-agent may have worked in a session of its own."""
        return any(part.type == "subtask" or part.tool == "task" for one in self.messages for part in one.parts)

    @property
    def was_interrupted(self) -> bool:
        """A reply that broke off has others after it: somebody sent the prompt again."""
        return any(not one.info.completed or one.info.is_aborted for one in self.replies[:-1])

    @property
    def is_complete(self) -> bool:
        """The answer is whole: completed, without error, with a proper end."""
        return self.answer is not None and self.answer.info.ended_properly

    @property
    def error(self) -> TurnError | None:
        """The answer's error, or that of whatever ended the turn after it."""
        answer, replies = self.answer, self.replies
        if answer is not None and answer.info.error is not None:
            return turn_error(answer.info.error)
        return turn_error(replies[-1].info.error) if replies else None


async def read_turn(
    api: OpencodeApi, session_id: str, message_id: str, priced: Set[str], stray_error: TurnError | None = None
) -> MessageResponse:
    """The turn as it is stored now, child sessions included.

    `priced` names the models whose prices are known; with any other model in the turn the cost is
    unknown. `stray_error` is an error that OpenCode reported without storing it in a message.
    """
    turn = TurnMessages.find(await api.messages(session_id), message_id)
    children = (await api.family(session_id))[1:] if turn.has_children else []
    nested = await asyncio.gather(*(api.messages(child) for child in children))
    transcript = [_priced(message, priced) for message in turn.messages]
    transcript += [_priced(message, priced, child=True) for messages in nested for message in messages]
    calls = [message for message in transcript if message.role == "assistant"]
    answer = turn.answer
    return MessageResponse(
        session_id=session_id,
        message_id=message_id,
        text="" if answer is None else answer.domain().text,
        agent=answer.info.agent if answer is not None else None,
        used_model=answer.info.model_ref if answer is not None else None,
        finish=answer.info.finish if answer is not None else None,
        error=turn.error or (None if turn.is_complete else stray_error),
        tokens=sum((call.tokens for call in calls), Tokens()),
        cost=_total(calls),
        model_calls=len(calls),
        resent=turn.was_interrupted,
        transcript=tuple(transcript),
    )


def _priced(message: WireMessage, priced: Set[str], *, child: bool = False) -> TranscriptMessage:
    info = message.info
    known = info.role == "assistant" and info.model_ref in priced
    return message.domain(child=child, cost=info.cost if known else None)


def _total(calls: Sequence[TranscriptMessage]) -> float | None:
    """Unknown when nothing was counted, or when a call that used tokens has no known price."""
    counted = [call for call in calls if call.tokens != Tokens()]
    known = [call.cost for call in counted if call.cost is not None]
    return sum(known) if counted and len(known) == len(counted) else None
