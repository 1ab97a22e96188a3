"""What every request passes before routing: host, size, media type, login, origin; and what every answer carries."""

import hashlib
import hmac
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import (
    ForbiddenOrigin,
    MisdirectedHost,
    PacelineError,
    PayloadTooLarge,
    Unauthorized,
    UnsupportedMediaType,
)
from app.routers.problems import problem_response

COOKIE = "paceline_session"
BODY_LIMIT = 8_000_000
_OPEN = {("GET", "/"), ("HEAD", "/"), ("GET", "/health"), ("HEAD", "/health"), ("POST", "/login")}
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_HEADERS = {
    "content-security-policy": (
        "default-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'; object-src 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class ClientGone(Exception):
    """The connection broke before the whole body had come."""


class Login:
    """One token for one owner. The cookie is derived from it, so that a leaked cookie is no API token."""

    def __init__(self, token: str) -> None:
        """`token` is the API token of this server."""
        self._token = token.encode()
        self.cookie_value = hmac.new(self._token, b"paceline cookie", hashlib.sha256).hexdigest()

    def is_token(self, text: str) -> bool:
        """Compares in constant time."""
        return hmac.compare_digest(text.encode("utf-8", "replace"), self._token)

    def is_cookie(self, text: str) -> bool:
        """Compares in constant time."""
        return hmac.compare_digest(text.encode("utf-8", "replace"), self.cookie_value.encode())


class RequestGuard:
    """ASGI middleware. Sets `scope["paceline_actor"]` for the routes behind it."""

    def __init__(self, app: ASGIApp, login: Login, allowed_hosts: Iterable[str]) -> None:
        """`allowed_hosts` are host names without port, `[::1]` in brackets."""
        self._app = app
        self._login = login
        self._hosts = frozenset(host.lower() for host in allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on with the body read and the actor known."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if not scope["path"].startswith("/ui/assets/"):
                    headers.setdefault("cache-control", "no-store")
            await send(message)

        try:
            headers = Headers(scope=scope)
            self._check_host(headers)
            scope["paceline_actor"] = self._actor(scope, headers)
            receive = await self._checked_body(scope, headers, receive)
        except ClientGone:
            return
        except PacelineError as error:
            await problem_response(error)(scope, receive, send_guarded)
            return
        await self._app(scope, receive, send_guarded)

    def _check_host(self, headers: Headers) -> None:
        hosts = headers.getlist("host")
        name = _without_port(hosts[0]).lower() if len(hosts) == 1 else ""
        if name not in self._hosts:
            raise MisdirectedHost(f"The host name {name!r} is not served. Add it to PACELINE_ALLOWED_HOSTS.")

    def _actor(self, scope: Scope, headers: Headers) -> str:
        authorization = headers.get("authorization")
        if authorization is not None:
            scheme, _, token = authorization.partition(" ")
            if scheme.lower() == "bearer" and self._login.is_token(token.strip()):
                return "owner"
            raise Unauthorized("The token is wrong. It stands in the file `token` of the data directory.")
        cookie = _cookie(headers)
        if cookie is not None and self._login.is_cookie(cookie):
            if scope["method"] not in _SAFE:
                _check_origin(headers)
            return "owner"
        if (scope["method"], scope["path"]) in _OPEN or _is_page(scope):
            return "anonymous"
        raise Unauthorized("Log in: send the token as `Authorization: Bearer …`, or open the address that was printed.")

    async def _checked_body(self, scope: Scope, headers: Headers, receive: Receive) -> Receive:
        """Read the body up to the limit, so that no route ever sees more."""
        if scope["method"] in _SAFE:
            return receive
        size = headers.get("content-length", "0")
        if size.isascii() and size.isdigit() and int(size) > BODY_LIMIT:
            raise PayloadTooLarge(f"The body is larger than {BODY_LIMIT} bytes.")
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                # Half a body is no decision: whoever sent it is gone and asks again.
                raise ClientGone
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > BODY_LIMIT:
                raise PayloadTooLarge(f"The body is larger than {BODY_LIMIT} bytes.")
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if body and media_type != "application/json":
            raise UnsupportedMediaType("Send the body as `Content-Type: application/json`.")
        return _Replay(bytes(body), receive)


class _Replay:
    """Hands out a body that was read already, then whatever comes next."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def _is_page(scope: Scope) -> bool:
    return scope["method"] in _SAFE and (scope["path"] == "/ui" or scope["path"].startswith("/ui/"))


def _cookie(headers: Headers) -> str | None:
    # Tolerant as browsers are: other servers on this host may have set whatever they like.
    return cookie_parser("; ".join(headers.getlist("cookie"))).get(COOKIE)


def _check_origin(headers: Headers) -> None:
    """A browser names the page's origin with every write; ours has the host that was asked for."""
    origin = urlsplit(headers.get("origin", ""))
    if origin.netloc == "" or origin.netloc.lower() != headers.get("host", "").lower():
        raise ForbiddenOrigin("Writes with the browser's login must come from Paceline's own page.")
    if headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise ForbiddenOrigin("Writes with the browser's login must come from Paceline's own page.")
