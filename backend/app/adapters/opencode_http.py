"""A thin HTTP client for OpenCode's V1 API: one request, one checked JSON answer, errors mapped once."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Literal, Protocol

import httpx

from app.errors import OpencodeRefusal, OpencodeUnavailable

Generation = Literal["v1", "v2"]

_TRANSPORT_ERRORS: tuple[tuple[type[httpx.TransportError], str], ...] = (
    (httpx.ConnectError, "nothing listens there; is OpenCode running?"),
    (httpx.ConnectTimeout, "the connection was not accepted in time"),
    (httpx.TimeoutException, "it did not answer in time"),
    (httpx.TransportError, "the connection broke"),
)


@dataclass(frozen=True)
class Endpoint:
    """Where OpenCode listens now. `instance` changes with every new server process."""

    url: str
    password: str | None = None
    username: str = "opencode"
    instance: int = 0

    def headers(self) -> dict[str, str]:
        """Authorization, when a password is set."""
        if not self.password:
            return {}
        token = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        return {"authorization": f"Basic {token}"}


class EndpointSource(Protocol):
    """Knows where OpenCode listens; asked for every request, because a restart moves it."""

    def endpoint(self) -> Endpoint:
        """The current address. Raises `ServerGone` while there is none."""
        ...


@dataclass(frozen=True)
class FixedEndpoint:
    """An address that never changes."""

    at: Endpoint

    def endpoint(self) -> Endpoint:
        """The address."""
        return self.at


class ServerGone(OpencodeUnavailable):
    """The server is known not to run: nothing that ran on it runs any more."""


class TurnLost(OpencodeUnavailable):
    """OpenCode answers, but the turn it worked on is no longer at work: send the prompt again."""


class OpencodeRefused(OpencodeUnavailable):
    """OpenCode answered with an error status; `name` and `reason` are its own words."""

    def __init__(self, path: str, status_code: int, name: str, reason: str) -> None:
        super().__init__(f"OpenCode answered {status_code} to {path}: {reason or name}")
        self.status_code = status_code
        self.name = name
        self.reason = reason

    @property
    def is_final(self) -> bool:
        """Whether the same call would be refused again: a 4xx that is about the call and not about the moment."""
        return 400 <= self.status_code < 500 and self.status_code not in _OF_THE_MOMENT


_PLACES = re.compile(r"\b[A-Z]\w+ at line \d+, column \d+")
_OF_THE_MOMENT = frozenset({408, 409, 425, 429})


@contextmanager
def refusals_end_the_step() -> Iterator[None]:
    """What OpenCode will never do ends the step; every other `OpencodeUnavailable` is an outage and passes."""
    try:
        yield
    except OpencodeRefused as refused:
        if not refused.is_final:
            raise
        said = refused.reason or refused.name
        raise OpencodeRefusal(f"OpenCode refused this step ({refused.status_code}): {said}") from refused


class OpencodeHttp:
    """Sends requests to wherever OpenCode is now. Every failure is an `OpencodeUnavailable`."""

    def __init__(self, source: EndpointSource, timeout: float = 30) -> None:
        self._source = source
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(timeout, connect=5, pool=30),
            limits=httpx.Limits(max_connections=200, max_keepalive_connections=20),
            trust_env=False,
        )

    def endpoint(self) -> Endpoint:
        """The address that the next request goes to."""
        return self._source.endpoint()

    async def get(self, path: str, directory: str | None = None, timeout: float | None = None) -> object:
        """GET a JSON answer; one more try when a kept-alive connection turned out to be dead."""
        try:
            return await self._request("GET", path, directory, None, timeout)
        except _Broken:
            await asyncio.sleep(0.05)
            return await self._request("GET", path, directory, None, timeout)

    async def post(self, path: str, body: Mapping[str, object] | None = None, directory: str | None = None) -> object:
        """POST JSON; None for an empty answer."""
        return await self._request("POST", path, directory, body or {}, None)

    @asynccontextmanager
    async def stream(self, path: str, silence: float) -> AsyncIterator[AsyncIterator[str]]:
        """Lines of an event stream; breaks with `OpencodeUnavailable` after `silence` seconds without a byte."""
        at = self.endpoint()
        timeout = httpx.Timeout(10, read=silence)
        try:
            async with self._client.stream("GET", at.url + path, headers=at.headers(), timeout=timeout) as response:
                kind = response.headers.get("content-type", "")
                if response.status_code != 200 or not kind.startswith("text/event-stream"):
                    await response.aread()
                    _checked(response, at, path)
                    raise OpencodeUnavailable(f"OpenCode at {at.url} sends no events at {path}.")
                yield response.aiter_lines()
        except httpx.TransportError as error:
            raise _unavailable(error, at) from error

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def _request(
        self, method: str, path: str, directory: str | None, body: Mapping[str, object] | None, timeout: float | None
    ) -> object:
        at = self.endpoint()
        try:
            response = await self._client.request(
                method,
                at.url + path,
                params=None if directory is None else {"directory": directory},
                json=body,
                headers=at.headers(),
                timeout=httpx.USE_CLIENT_DEFAULT if timeout is None else timeout,
            )
        except httpx.TransportError as error:
            raise _unavailable(error, at) from error
        return _checked(response, at, path)


class _Broken(OpencodeUnavailable):
    """A connection that had worked before broke under the request."""


def _unavailable(error: httpx.TransportError, at: Endpoint) -> OpencodeUnavailable:
    reason = next(reason for kind, reason in _TRANSPORT_ERRORS if isinstance(error, kind))
    kind = _Broken if isinstance(error, httpx.RemoteProtocolError | httpx.ReadError) else OpencodeUnavailable
    return kind(f"OpenCode at {at.url} does not answer: {reason}")


def _checked(response: httpx.Response, at: Endpoint, path: str) -> object:
    if response.status_code == 401:
        raise OpencodeUnavailable(
            f"OpenCode at {at.url} refuses our password; set PACELINE_OPENCODE_PASSWORD to that server's password."
        )
    if response.status_code == 204 or not response.content:
        return None
    if "json" not in response.headers.get("content-type", ""):
        raise OpencodeUnavailable(
            f"OpenCode at {at.url} answers {path} with a web page and not with JSON: "
            "it is another generation of OpenCode (1.x is needed) or not OpenCode at all."
        )
    try:
        answer: object = response.json()
    except ValueError as error:
        raise OpencodeUnavailable(f"OpenCode at {at.url} answers {path} with broken JSON.") from error
    if response.is_success:
        return answer
    raise _refused(path, response.status_code, answer)


def _refused(path: str, status: int, answer: object) -> OpencodeRefused:
    body = answer if isinstance(answer, Mapping) else {}
    data = body.get("data")
    data = data if isinstance(data, Mapping) else {}
    name = str(body.get("name") or body.get("_tag") or "error")
    reason = _config_faults(data) if name.startswith("Config") else data.get("message") or body.get("message")
    return OpencodeRefused(path, status, name, str(reason or ""))


def _config_faults(data: Mapping[str, object]) -> str:
    """Which configuration file is wrong, and where. OpenCode quotes the whole file, which may hold keys: left out."""
    issues = data.get("issues")
    listed = issues if isinstance(issues, list) else []
    faults = [_issue(issue) for issue in listed if isinstance(issue, Mapping)]
    faults += _PLACES.findall(str(data.get("message") or ""))
    return f"its configuration {data.get('path')} is not valid: {'; '.join(faults) or 'it cannot be read'}"


def _issue(issue: Mapping[str, object]) -> str:
    place = issue.get("path")
    return f"{'.'.join(map(str, place)) if isinstance(place, list) else place}: {issue.get('message')}"


async def probe(endpoint: Endpoint, timeout: float = 5) -> tuple[Generation, str | None]:
    """Generation and version of the server at an address. Raises `OpencodeUnavailable`.

    V1 answers JSON at /global/health; a server that answers a web page there is of the newer kind.
    """
    async with httpx.AsyncClient(timeout=timeout, trust_env=False) as client:
        try:
            response = await client.get(f"{endpoint.url}/global/health", headers=endpoint.headers())
        except httpx.TransportError as error:
            raise _unavailable(error, endpoint) from error
    if response.is_success and "text/html" in response.headers.get("content-type", ""):
        return "v2", None
    answer = _checked(response, endpoint, "/global/health")
    version = answer.get("version") if isinstance(answer, Mapping) else None
    return "v1", None if version is None else str(version)
