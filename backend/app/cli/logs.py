"""Logs on standard error: lines for people on a terminal, one JSON object a line elsewhere; never the token."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

MASK = "********"

# What they say at `info` is of use only to those who work on them.
_QUIET = ("alembic", "asyncio", "dbos", "httpcore", "httpx", "uvicorn.access", "uvicorn.error", "watchfiles")


def log_to_stderr(level: str, secrets: tuple[str, ...], stream: TextIO | None = None) -> None:
    """Send all records of the standard library there; `secrets` are masked wherever they stand in a line."""
    target = stream or sys.stderr
    handler = logging.StreamHandler(target)
    handler.setFormatter(_formatter(secrets, pretty=target.isatty()))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(root.level, logging.WARNING))


def _is_news(record: logging.LogRecord) -> bool:
    """False for errors that our own handler has logged already, and for the end of nothing."""
    return not record.getMessage().startswith(("Exception in ASGI application", "Cancel 0 "))


def _formatter(secrets: tuple[str, ...], *, pretty: bool) -> logging.Formatter:
    before: list[structlog.typing.Processor] = [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if pretty
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    shaping: list[structlog.typing.Processor] = [] if pretty else [structlog.processors.format_exc_info]
    inner = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=before,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _without_color, *shaping, last],
    )
    return _Masking(inner, tuple(secret for secret in secrets if secret))


class _Masking(logging.Formatter):
    """Formats by another formatter and masks secrets in the finished line, tracebacks included."""

    def __init__(self, inner: logging.Formatter, secrets: tuple[str, ...]) -> None:
        super().__init__()
        self._inner = inner
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = self._inner.format(record)
        for secret in self._secrets:
            line = line.replace(secret, MASK)
        return line


def _without_color(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop uvicorn's second copy of its message."""
    event.pop("color_message", None)
    return event
