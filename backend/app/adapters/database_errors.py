"""Which failures of the database are nobody's mistake, and the sentence that says so."""

import sqlite3

from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.errors import DatabaseUnavailable, StorageFull, Unavailable

_LOCKED = "The database is locked by other work; try again."
_READ_ONLY = "The database cannot be written to; check the permissions of its file and folder."
_BROKEN = "The database file cannot be read; check the disk, or restore a backup."
FULL = "There is no space left for the database; free some and try again."
_GONE = "The database server does not answer; check that it runs and try again."

# What the engine's own waiting for a lock is not for.
_SHORT = frozenset({_LOCKED})

_SQLITE = {
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_PERM: _READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: "The database file cannot be opened; check that its folder exists and is yours.",
    sqlite3.SQLITE_IOERR: _BROKEN,
    sqlite3.SQLITE_CORRUPT: _BROKEN,
    sqlite3.SQLITE_NOTADB: _BROKEN,
}

# The beginnings of PostgreSQL's SQLSTATE codes, the longer ones first.
_POSTGRES = {
    "25006": _READ_ONLY,
    # This process stood still in the middle of a transaction, and the server has ended it.
    "25P03": _GONE,
    "55P03": _LOCKED,
    "40": _LOCKED,
    "53": "The database server has no resources left; try again later.",
    "57P": _GONE,
    "08": _GONE,
    "58": "The database server reports an error of its system; look into its log.",
    "28": "The database server refuses the login; check PACELINE_DATABASE_URL.",
    "3D": "The database named in PACELINE_DATABASE_URL does not exist; create it.",
}


def as_unavailable(error: SQLAlchemyError) -> Unavailable | None:
    """What to tell the caller when the database is locked, read-only, full or gone; None for a defect of ours."""
    if isinstance(error, PoolTimeout):
        return DatabaseUnavailable(_LOCKED)
    if not isinstance(error, DBAPIError):
        return None
    if isinstance(error.orig, sqlite3.Error):
        return _from_sqlite(error.orig)
    sqlstate = getattr(error.orig, "sqlstate", None)
    if sqlstate is None:
        gone = isinstance(error, OperationalError) or error.connection_invalidated
        return DatabaseUnavailable(_GONE) if gone else None
    return _from_sqlstate(sqlstate)


def sqlite_failure(error: sqlite3.Error) -> Unavailable:
    """What to tell about a failure of SQLite itself, for code that uses it without SQLAlchemy."""
    return _from_sqlite(error) or DatabaseUnavailable(f"SQLite says: {error}.")


def is_lasting(error: SQLAlchemyError) -> bool:
    """True for an outage that is more than a lock: full, read-only, broken or gone."""
    known = as_unavailable(error)
    return known is not None and known.detail not in _SHORT


def _from_sqlite(error: sqlite3.Error) -> Unavailable | None:
    primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if primary == sqlite3.SQLITE_FULL:
        return StorageFull(FULL)
    sentence = _SQLITE.get(primary)
    return DatabaseUnavailable(sentence) if sentence else None


def _from_sqlstate(sqlstate: str) -> Unavailable | None:
    if sqlstate == "53100":
        return StorageFull(FULL)
    for prefix, sentence in _POSTGRES.items():
        if sqlstate.startswith(prefix):
            return DatabaseUnavailable(sentence)
    return None
