"""Turns OpenCode's events of a running step into what people watch: text, tool cards, state."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

from app.adapters.opencode_events import Event
from app.adapters.opencode_wire import WireInfo, WireMessage, WirePart, WireStatus
from app.schemas.runtime import LiveEvent, LiveState, SessionBinding

Sink = Callable[[LiveEvent], None]


class LiveFeed:
    """Shows the step's own session; what sub-agents say is in the transcript afterwards."""

    def __init__(self, session_id: str, binding: SessionBinding, sink: Sink) -> None:
        self._session_id = session_id
        self._binding = binding
        self._sink = sink
        self._hidden: set[str] = {binding.message_id}
        self._kinds: dict[str, str] = {}
        self._shown: tuple[str, str | None] | None = None

    def hear(self, event: Event) -> None:
        """Take in one event of the turn."""
        if event.session != self._session_id:
            return
        raw = event.properties
        if event.type == "message.updated":
            self._message(raw.get("info"))
        elif event.type == "message.part.updated":
            part = raw.get("part")
            if isinstance(part, Mapping):
                self._part(WirePart.model_validate(part))
        elif event.type == "message.part.delta":
            self._delta(raw)
        elif event.type == "session.status":
            status = WireStatus.model_validate(raw.get("status") or {})
            self.state(_STATES.get(status.type, "busy"), status.message or None)

    def show(self, messages: Iterable[WireMessage]) -> None:
        """Send everything that is stored so far, whole: for the start of a join and after a gap in the events."""
        for message in messages:
            self._hide(message.info)
            for part in message.parts:
                self._part(part)

    def state(self, state: LiveState, detail: str | None = None) -> None:
        """Say what the step does now; repetitions are dropped."""
        if self._shown != (state, detail):
            self._shown = (state, detail)
            self._send(type="state", state=state, detail=detail)

    def _message(self, raw: object) -> None:
        if isinstance(raw, Mapping):
            self._hide(WireInfo.model_validate(raw))

    def _hide(self, info: WireInfo) -> None:
        if not info.is_answer:
            self._hidden.add(info.id)

    def _part(self, part: WirePart) -> None:
        if part.message_id in self._hidden:
            return
        if part.type == "tool":
            self._send(type="tool", part_id=part.id, tool=part.tool_call())
        elif part.type in ("text", "reasoning"):
            self._kinds[part.id] = part.type
            if part.text:
                self._send(type="delta", part_id=part.id, kind=part.type, text=part.text)

    def _delta(self, raw: Mapping[str, object]) -> None:
        if raw.get("messageID") in self._hidden or raw.get("field") != "text":
            return
        part = str(raw.get("partID"))
        self._send(type="delta", part_id=part, kind=self._kinds.get(part, "text"), delta=str(raw.get("delta", "")))

    def _send(self, **values: object) -> None:
        binding = self._binding
        self._sink(
            LiveEvent.model_validate(
                {"pipeline_id": binding.pipeline_id, "step_id": binding.step_id, "at": datetime.now(UTC), **values}
            )
        )


_STATES: Mapping[str, LiveState] = {"busy": "busy", "retry": "retry", "idle": "idle"}
