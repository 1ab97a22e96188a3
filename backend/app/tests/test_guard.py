"""What is refused before routing, what needs no login, and what every answer carries."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from app.tests.app_fixtures import Api

PAGE = {"origin": "http://127.0.0.1"}


@pytest.fixture
def api(sqlite_api: Api) -> Api:
    """On SQLite alone: nothing here depends on the database."""
    return sqlite_api


def anonymous(api: Api, host: str = "127.0.0.1") -> httpx.AsyncClient:
    """A client without a token."""
    transport = httpx.ASGITransport(api.app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=f"http://{host}")


@asynccontextmanager
async def browser(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the browser's login."""
    async with anonymous(api) as client:
        answer = await client.post("/login", json={"token": "test-token"})
        assert answer.status_code == 204
        yield client


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/pipelines"),
        ("POST", "/pipelines"),
        ("GET", "/events"),
        ("GET", "/models"),
        ("GET", "/health/opencode"),
        ("POST", "/health/opencode/start"),
        ("GET", "/openapi.json"),
        ("GET", "/nothing/here"),
        ("DELETE", "/login"),
        ("POST", "/ui/"),
        ("GET", "/uix"),
    ],
)
async def test_everything_but_the_page_and_health_needs_a_login(api: Api, method: str, path: str) -> None:
    async with anonymous(api) as client:
        answer = await client.request(method, path)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
        wrong = await client.request(method, path, headers={"authorization": "Bearer wrong"})
        assert wrong.status_code == 401


async def test_page_health_and_login_are_open(api: Api) -> None:
    async with anonymous(api) as client:
        assert (await client.get("/health")).json()["status"] == "ok"
        assert (await client.get("/")).headers["location"] == "/ui/"
        assert (await client.get("/ui/runs/17")).headers["content-type"].startswith("text/html")
        assert (await client.post("/login", json={"token": "wrong"})).status_code == 401


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.", "[::2]", ""])
async def test_a_foreign_host_is_refused_even_with_the_token(api: Api, host: str) -> None:
    answer = await api.http.get("/health", headers={"host": host})
    assert (answer.status_code, answer.json()["code"]) == (421, "misdirected_host")


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "LOCALHOST", "localhost:1", "[::1]:8000"])
async def test_loopback_names_are_served(api: Api, host: str) -> None:
    assert (await api.http.get("/health", headers={"host": host})).status_code == 200


async def test_the_cookie_logs_a_browser_in_and_out(api: Api) -> None:
    async with browser(api) as client:
        assert (await client.get("/pipelines")).status_code == 200
        assert "test-token" not in str(client.cookies.jar)
        answer = await client.delete("/login", headers=PAGE)
        assert answer.status_code == 204
        assert (await client.get("/pipelines")).status_code == 401


async def test_the_cookie_is_for_our_page_alone(api: Api) -> None:
    async with anonymous(api) as client:
        cookie = (await client.post("/login", json={"token": "test-token"})).headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"origin": "http://127.0.0.1", "sec-fetch-site": "cross-site"}, 403),
        (PAGE, 422),
    ],
)
async def test_a_write_with_the_cookie_must_come_from_our_page(
    api: Api, headers: dict[str, str], status: int
) -> None:
    async with browser(api) as client:
        assert (await client.post("/pipelines", json={}, headers=headers)).status_code == status


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_a_body_must_be_declared_as_json(api: Api, media_type: str) -> None:
    answer = await api.http.post("/pipelines", content=b"{}", headers={"content-type": media_type})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


async def test_a_decision_needs_no_body(api: Api) -> None:
    run = (await api.create()).json()
    assert (await api.http.post(f"/pipelines/{run['id']}/approve")).status_code == 409
    ignored = {"comment": "x", "decided_by": "somebody else"}
    assert (await api.http.post(f"/pipelines/{run['id']}/approve", json=ignored)).status_code == 409


async def test_unknown_addresses_and_methods_are_problems_never_pages(api: Api) -> None:
    for method, path, status, code in (
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/pipelines/999999", 404, "not_found"),
        ("GET", "/pipelines/x", 422, "invalid_request"),
        ("GET", "/pipelines/99999999999", 422, "invalid_request"),
        ("DELETE", "/pipelines", 405, "method_not_allowed"),
        ("GET", "/pipelines?cursor=zzz", 422, "invalid_request"),
        ("GET", "/pipelines?limit=201", 422, "invalid_request"),
        ("GET", "/events?pipeline_id=0", 422, "invalid_request"),
    ):
        answer = await api.http.request(method, path)
        assert (answer.status_code, answer.json()["code"]) == (status, code), path
        assert answer.headers["content-type"] == "application/problem+json"


async def test_every_answer_forbids_framing_sniffing_and_other_origins(api: Api) -> None:
    async with anonymous(api) as client:
        for path in ("/ui/", "/health", "/pipelines"):
            headers = (await client.get(path)).headers
            assert "default-src 'self'" in headers["content-security-policy"]
            assert "unsafe" not in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert "frame-ancestors 'none'" in headers["content-security-policy"]


async def test_broken_json_is_a_422_with_a_sentence(api: Api) -> None:
    for body in (b"{", b"[]", b'"x"', b"\xff\xfe", b'{"title": "\\ud800", "prompt": "x", "template": "two_steps"}'):
        answer = await api.http.post("/pipelines", content=body, headers={"content-type": "application/json"})
        assert answer.status_code in (400, 422), body
        assert answer.json()["detail"]


@pytest.mark.parametrize("path", ["a%00b", "x" * 300, "..%2f..%2fmain.py", "%2e%2e/main.py", "assets/none.js"])
async def test_odd_addresses_below_the_page_never_break(api: Api, path: str) -> None:
    async with anonymous(api) as client:
        answer = await client.get(f"/ui/{path}")
    assert answer.status_code in (200, 503), "the page, or that it is not built"
    assert "import" not in answer.text


@pytest.mark.parametrize("other", ['prefs={"a":1}', "flag", "a=b=c", "ü=1"])
async def test_cookies_of_other_servers_do_not_hide_ours(api: Api, other: str) -> None:
    async with anonymous(api) as client:
        await client.post("/login", json={"token": "test-token"})
        ours = "; ".join(f"{cookie.name}={cookie.value}" for cookie in client.cookies.jar)
        for line in (f"{other}; {ours}", f"{ours}; {other}"):
            client.cookies.clear()
            assert (await client.get("/pipelines", headers={b"cookie": line.encode()})).status_code == 200, line


async def test_a_body_that_broke_off_decides_nothing(api: Api) -> None:
    run = (await api.create(template="gated")).json()
    sent: list[Any] = []
    messages = iter([{"type": "http.request", "body": b'{"com', "more_body": True}, {"type": "http.disconnect"}])
    headers = [(b"host", b"127.0.0.1"), (b"authorization", b"Bearer test-token"), (b"content-length", b"200")]
    path = f"/pipelines/{run['id']}/abort"
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
             "headers": headers, "scheme": "http", "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1),
             "http_version": "1.1", "root_path": ""}  # fmt: skip

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message)

    await api.app(scope, receive, send)
    assert sent == []
    assert (await api.http.get(f"/pipelines/{run['id']}")).json()["status"] == "pending"
