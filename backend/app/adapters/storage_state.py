"""How the storage of the database is: what the last failure was, and whether there is space left."""

import os
import time
from pathlib import Path

from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import SQLAlchemyError

from app.adapters.database import Database, parse_url
from app.adapters.database_errors import FULL, as_unavailable
from app.errors import StorageFull, Unavailable

FRESH_SECONDS = 15.0
"""A failure is news for so long: waiting work tries every few seconds. A commit ends it before, but not
that there is no space: within a quota, say, what is small may still fit in."""
LEAST_BYTES = 65_536
"""With less, SQLite can no longer write its journal."""


class StorageState:
    """Listens to the database's own connections; asks the file system when it is a file."""

    def __init__(self, database: Database) -> None:
        """Make one for each database: it registers listeners."""
        self._failure: Unavailable | None = None
        self._failed_at = 0.0
        url = parse_url(database.url)
        path = url.database if url.get_backend_name() == "sqlite" else None
        self._folder = Path(path).parent if path and not path.startswith(("file:", ":")) else None
        event.listen(database.engine.sync_engine, "handle_error", self._note_failure)
        database.on_write = self._note_success

    def explain(self, error: Exception) -> Unavailable | None:
        """What to tell about a failure that is nobody's mistake; None for a defect of ours."""
        return as_unavailable(error) if isinstance(error, SQLAlchemyError) else None

    def is_outage(self, error: Exception) -> bool:
        """True when the same work can succeed later."""
        return self.explain(error) is not None

    def problem(self) -> Unavailable | None:
        """What keeps the database from storing anything right now, as far as is known without trying."""
        if self._disk_is_full():
            return StorageFull(FULL)
        return self._failure if time.monotonic() - self._failed_at < FRESH_SECONDS else None

    def _disk_is_full(self) -> bool:
        return self._folder is not None and _free_bytes(self._folder) < LEAST_BYTES

    def _note_failure(self, context: ExceptionContext) -> None:
        error = context.sqlalchemy_exception
        known = as_unavailable(error) if error is not None else None
        if known is None or (isinstance(known, StorageFull) and self._disk_is_full()):
            # The file system tells of a full disk by itself, and at once when there is space again.
            return
        self._failure, self._failed_at = known, time.monotonic()

    def _note_success(self) -> None:
        if not isinstance(self._failure, StorageFull):
            self._failure = None


def _free_bytes(folder: Path) -> float:
    try:
        stat = os.statvfs(folder)
    except OSError:
        # Gone or unreadable: the database itself says what is wrong.
        return float("inf")
    return stat.f_bavail * stat.f_frsize
