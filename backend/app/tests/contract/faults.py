"""Faults between us and OpenCode: a proxy on the loopback interface that withholds what it is told to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.adapters.opencode_http import Endpoint, EndpointSource, FixedEndpoint
from app.demo.provider_server import serving


@asynccontextmanager
async def without_events(source: EndpointSource) -> AsyncIterator[FixedEndpoint]:
    """The same server, but its event stream answers 503."""
    target = source.endpoint()
    async with httpx.AsyncClient(timeout=60, trust_env=False) as client:

        async def forward(request: Request) -> Response:
            if request.url.path == "/global/event":
                return Response(status_code=503)
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
