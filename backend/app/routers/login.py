"""The browser's login: a token once, a cookie from then on."""

from typing import cast

from fastapi import APIRouter, Request, Response

from app.errors import Unauthorized
from app.routers.guard import COOKIE, Login
from app.schemas.system import LoginRequest

router = APIRouter(prefix="/login", tags=["login"])

_YEAR = 365 * 24 * 3600


@router.post("", status_code=204)
async def login(body: LoginRequest, request: Request, response: Response) -> None:
    """Exchange the token for an HttpOnly cookie."""
    known = cast(Login, request.app.state.login)
    if not known.is_token(body.token):
        raise Unauthorized("The token is wrong. `paceline serve` prints the address with the right one.")
    response.set_cookie(
        COOKIE, known.cookie_value, max_age=_YEAR, httponly=True, samesite="strict", path="/"
    )


@router.delete("", status_code=204)
async def logout(response: Response) -> None:
    """Forget the cookie."""
    response.delete_cookie(COOKIE, httponly=True, samesite="strict", path="/")
