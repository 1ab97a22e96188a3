"""Faults between us and OpenCode: a proxy on the loopback interface that withholds what it is told to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from app.adapters.opencode_http import Endpoint, EndpointSource, FixedEndpoint
from app.demo.provider_server import serving

SSE = "text/event-stream"


@asynccontextmanager
async def without_events(source: EndpointSource, until: asyncio.Event | None = None) -> AsyncIterator[FixedEndpoint]:
    """The same server, but its event stream answers 503, for ever or `until` something happens."""
    target = source.endpoint()
    async with httpx.AsyncClient(timeout=60, trust_env=False) as client:

        async def forward(request: Request) -> Response:
            if request.url.path == "/global/event":
                there = until is not None and until.is_set()
                return StreamingResponse(_events(target), media_type=SSE) if there else Response(status_code=503)
            answer = await client.request(
                request.method,
                f"{target.url}{request.url.path}",
                params=dict(request.query_params),
                content=await request.body(),
                headers={**target.headers(), "content-type": "application/json"},
            )
            kind = answer.headers.get("content-type")
            return Response(answer.content, answer.status_code, media_type=kind)

        app = Starlette(routes=[Route("/{path:path}", forward, methods=["GET", "POST"])])
        async with serving(app) as url:
            yield FixedEndpoint(Endpoint(url))


async def _events(target: Endpoint) -> AsyncIterator[bytes]:
    async with (
        httpx.AsyncClient(timeout=None, trust_env=False) as client,
        client.stream("GET", f"{target.url}/global/event", headers=target.headers()) as answer,
    ):
        async for piece in answer.aiter_raw():
            yield piece
