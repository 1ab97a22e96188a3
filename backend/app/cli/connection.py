"""Finds the running server and talks to it; what it refuses becomes a sentence and an exit code."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from pydantic import ValidationError

from app.adapters import data_dir
from app.cli.exits import CommandError, ExitCode
from app.settings import Settings

Params = Mapping[str, str | int | list[str] | None]

# An abort waits up to 10 s for OpenCode, a creation up to 20 s for its list of models.
_TIMEOUT = httpx.Timeout(60, connect=5)
# The server sends a comment every 15 s.
_SILENCE = httpx.Timeout(10, read=45)


@dataclass(frozen=True)
class ServerAddress:
    """Where a server is and how to log in."""

    url: str
    token: str
    host: str | None = None
    """The name it serves, when that is not the one in `url`."""
    hint: str = "Start one with `paceline serve`."

    def headers(self) -> dict[str, str]:
        """Login, and the Host header where it differs."""
        return {"authorization": f"Bearer {self.token}"} | ({"host": self.host} if self.host else {})


def load_settings() -> Settings:
    """The settings; CommandError names each wrong one."""
    try:
        return Settings()
    except ValidationError as error:
        places = [
            f"PACELINE_{'_'.join(str(part) for part in item['loc'][:1]).upper()}: {item['msg']}"
            for item in error.errors()
        ]
        raise CommandError("The settings are wrong:", ExitCode.REFUSED, tuple(places)) from None
    except (OSError, ValueError) as error:
        raise CommandError(f"paceline.toml in the data directory cannot be read: {error}", ExitCode.REFUSED) from None


def find_server(settings: Settings) -> ServerAddress:
    """PACELINE_URL, else the server that wrote `server.json` into the data directory and still lives."""
    url = os.environ.get("PACELINE_URL", "").strip().rstrip("/")
    if url:
        return ServerAddress(url, _token(settings), hint="Check PACELINE_URL, or start one with `paceline serve`.")
    known = running_server(settings.data_dir)
    if known is None:
        raise CommandError(
            f"No Paceline server runs on {settings.data_dir}. "
            "Start one with `paceline serve`, or name a running one in PACELINE_URL.",
            ExitCode.UNREACHABLE,
        )
    return ServerAddress(known.url, _token(settings), known.host)


@dataclass(frozen=True)
class KnownServer:
    """What a server wrote about itself into `server.json`."""

    url: str
    pid: int
    version: str
    host: str | None = None


def running_server(folder: Path) -> KnownServer | None:
    """The server that wrote the file, if its process lives: nobody else gets the token."""
    try:
        found = json.loads((folder / data_dir.SERVER_FILE).read_text(encoding="utf-8"))
        known = KnownServer(str(found["url"]), int(found["pid"]), str(found["version"]), found.get("host"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
    return known if _lives(known.pid) else None


def _lives(pid: int) -> bool:
    if not 0 < pid < 2**31:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _token(settings: Settings) -> str:
    if settings.token is not None:
        return settings.token.get_secret_value()
    file = settings.data_dir / data_dir.TOKEN_FILE
    try:
        found = file.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        found = ""
    if not found:
        raise CommandError(f"There is no token in {file}. Give one in PACELINE_TOKEN.", ExitCode.REFUSED)
    return found


@dataclass
class Connection:
    """Requests to one server. Every failure is a CommandError; answers are the JSON of the API."""

    address: ServerAddress
    find: Callable[[], ServerAddress] | None = None
    """Where the server is now; it may move when it is started again."""
    _client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        """Connects at the first request."""
        self._client = _client_of(self.address)

    def look_again(self) -> None:
        """Go to where the server is now; CommandError while it is nowhere."""
        if self.find is not None and (found := self.find()) != self.address:
            self._client.close()
            self.address, self._client = found, _client_of(found)

    def get(self, path: str, params: Params | None = None) -> Any:
        """GET an answer."""
        return self._send("GET", path, params=params)

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """POST a JSON body."""
        return self._send("POST", path, body=body or {})

    def create(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """POST what creates something, under a key of its own: when the answer was lost, it is asked for once more."""
        headers = {"idempotency-key": uuid4().hex}
        try:
            return self._send("POST", path, body=body or {}, headers=headers)
        except CommandError as error:
            if not isinstance(error.__context__, httpx.ReadError | httpx.RemoteProtocolError):
                raise
        self.look_again()
        return self._send("POST", path, body=body or {}, headers=headers)

    def health(self) -> Any:
        """The server's health, also when it cannot take work."""
        return self._send("GET", "/health", fine=(200, 503))

    @contextmanager
    def events(self, pipeline_id: int, last_event_id: str | None) -> Iterator[Iterator[str]]:
        """The lines of the event stream of one run. httpx's errors pass: the caller connects again."""
        headers = {"last-event-id": last_event_id} if last_event_id else {}
        params = {"pipeline_id": pipeline_id}
        with self._client.stream("GET", "/events", params=params, headers=headers, timeout=_SILENCE) as response:
            if not response.is_success:
                response.read()
                raise _refusal(response)
            yield response.iter_lines()

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def _send(
        self,
        method: str,
        path: str,
        params: Params | None = None,
        body: Mapping[str, Any] | None = None,
        fine: tuple[int, ...] = (),
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        given = {name: value for name, value in (params or {}).items() if value is not None}
        try:
            response = self._client.request(method, path, params=given, json=body, headers=headers)
        except httpx.InvalidURL as error:
            raise CommandError(f"PACELINE_URL is no address: {error}", ExitCode.REFUSED) from None
        except httpx.TimeoutException:
            raise CommandError(f"{self.address.url} does not answer in time.", ExitCode.UNREACHABLE) from None
        except httpx.HTTPError as error:
            raise CommandError(
                f"No Paceline server answers at {self.address.url} ({error}). {self.address.hint}",
                ExitCode.UNREACHABLE,
            ) from None
        if response.is_success or response.status_code in fine:
            return _json_of(response)
        raise _refusal(response)


def _client_of(address: ServerAddress) -> httpx.Client:
    # Proxies of the environment are not for this server.
    return httpx.Client(base_url=address.url, headers=address.headers(), timeout=_TIMEOUT, trust_env=False)


@contextmanager
def connected() -> Iterator[Connection]:
    """A connection to the server that is found, closed at the end."""
    settings = load_settings()
    connection = Connection(find_server(settings), lambda: find_server(settings))
    try:
        yield connection
    finally:
        connection.close()


def _json_of(response: httpx.Response) -> Any:
    if not response.content:
        return None
    try:
        return response.json()
    except ValueError:
        raise CommandError(
            f"{response.request.url.copy_with(query=None)} is not Paceline: it does not answer with JSON.",
            ExitCode.UNREACHABLE,
        ) from None


def _refusal(response: httpx.Response) -> CommandError:
    """The problem document as a sentence and one line for each wrong field."""
    code = ExitCode.REFUSED if response.status_code < 500 else ExitCode.UNREACHABLE
    try:
        problem = response.json()
        sentence = str(problem["detail"])
        errors = list(problem.get("errors", []))
    except (ValueError, KeyError, TypeError, AttributeError):
        return CommandError(f"The server answered {response.status_code} {response.reason_phrase}.", code)
    if response.status_code == 401:
        sentence = f"{sentence} PACELINE_TOKEN, or the file `token` of the server's data directory, holds it."
    return CommandError(sentence, code, tuple(line for item in errors for line in _field_lines(item, sentence)))


def _field_lines(item: Mapping[str, Any], sentence: str) -> Iterator[str]:
    place, message = _place(str(item.get("pointer", ""))), str(item.get("message", ""))
    if message not in sentence:
        yield f"{place}: {message}" if place else message
    elif place:
        yield f"at {place}"
    if item.get("candidates"):
        yield f"  instead: {', '.join(item['candidates'])}"


def _place(pointer: str) -> str:
    """The pointer as a person reads it: fields by name, steps from 1."""
    parts = [part for part in pointer.split("/") if part]
    for index, part in enumerate(parts):
        if part.isdigit() and index and parts[index - 1] in {"step_models", "custom_steps", "steps"}:
            parts[index - 1 : index + 1] = [f"step {int(part) + 1}"]
            break
    return ", ".join(parts)
