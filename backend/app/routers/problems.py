"""Turns every error into application/problem+json: one handler for the whole tree."""

import errno
import logging
import os
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from app.errors import (
    FieldError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    PacelineError,
    RequestError,
    StorageFull,
    Unauthorized,
    Unavailable,
)
from app.schemas.problem import Problem, ProblemPlace

log = logging.getLogger("paceline.api")

MEDIA_TYPE = "application/problem+json"

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_CLOSED = frozenset(
    {errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ENOTDIR}
)


def problem_of(error: PacelineError) -> dict[str, Any]:
    """The problem document; `detail` of our own defects says nothing that the log should keep."""
    problem = Problem(
        type=f"/docs/errors#{error.code}",
        title=error.title,
        status=error.status,
        code=error.code,
        detail=error.detail,
        errors=[
            ProblemPlace(pointer=item.pointer, message=item.message, candidates=list(item.candidates) or None)
            for item in error.errors
        ],
    )
    return problem.model_dump(exclude_none=True)


def problem_response(error: PacelineError, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The answer for an error of the tree."""
    more = {"www-authenticate": "Bearer"} if isinstance(error, Unauthorized) else {}
    return JSONResponse(
        problem_of(error), status_code=error.status, media_type=MEDIA_TYPE, headers={**(headers or {}), **more}
    )


def add_handlers(app: FastAPI, database_error: Any) -> None:
    """Register the handlers. `database_error` maps a SQLAlchemyError to an error of the tree, or None."""

    async def own(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, PacelineError)
        return problem_response(error)

    async def invalid(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return problem_response(_from_validation(error))

    async def http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        headers = {"allow": ", ".join(_allowed(request))} if error.status_code == 405 else None
        return problem_response(_from_http(error), headers)

    async def database(request: Request, error: Exception) -> JSONResponse:
        known = database_error(error)
        return problem_response(known) if known is not None else await unknown(request, error)

    async def storage(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, OSError)
        known = _from_storage(error)
        if known is None:
            return await unknown(request, error)
        log.warning("%s %s: %s", request.method, request.url.path, error)
        return problem_response(known)

    async def unknown(request: Request, error: Exception) -> JSONResponse:
        log.error("%s %s broke", request.method, request.url.path, exc_info=error)
        return problem_response(PacelineError("Paceline failed. The server's log has the details."))

    app.add_exception_handler(PacelineError, own)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(SQLAlchemyError, database)
    app.add_exception_handler(OSError, storage)
    app.add_exception_handler(Exception, unknown)


def _from_validation(error: RequestValidationError) -> InvalidRequest:
    found = tuple(
        FieldError(_pointer(item["loc"]), item["msg"].removeprefix("Value error, ")) for item in error.errors()
    )
    places = "; ".join(f"{item.pointer or '/'}: {item.message}" for item in found[:3])
    return InvalidRequest(f"The request does not fit: {places}", found)


def _pointer(loc: tuple[int | str, ...]) -> str:
    """A JSON pointer into the body, or /name for a parameter."""
    parts = loc[1:] if loc and loc[0] in {"body", "query", "path", "header"} else loc
    # Names of the union's branches and of pydantic's own checks are no places in the body.
    clean = [str(part) for part in parts if str(part) not in {"agent", "approval", "[key]"} or part is parts[-1]]
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in clean)


def _allowed(request: Request) -> list[str]:
    """Every method of the address: the router itself names those of the first route only."""
    routes = request.app.router.routes
    return [
        method
        for method in ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
        if any(route.matches({**request.scope, "method": method})[0] == Match.FULL for route in routes)
    ]


def _from_storage(error: OSError) -> Unavailable | None:
    """What to tell when the disk is full, read-only or broken; None for what is no matter of the disk."""
    place = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else "its files"
    if error.errno in _FULL:
        return StorageFull(f"There is no space left for {place}; free some and try again. Nothing was stored.")
    if error.errno in _CLOSED:
        return Unavailable(f"Paceline cannot use {place}: {error.strerror}. Mend that and try again.")
    return None


def _from_http(error: HTTPException) -> PacelineError:
    if error.status_code == 404:
        return NotFound("There is nothing at this address. GET /openapi.json lists every path.")
    if error.status_code == 405:
        return MethodNotAllowed("This address does not take that method.")
    if error.status_code < 500:
        return _AnyRequestError(str(error.detail), error.status_code)
    return PacelineError(str(error.detail))


class _AnyRequestError(RequestError):
    """What FastAPI itself refuses, with the status it chose."""

    def __init__(self, detail: str, status: int) -> None:
        super().__init__(detail)
        self.status = status  # type: ignore[misc]
