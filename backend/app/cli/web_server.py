"""Serves the application over HTTP: bound before anything starts, told to stop by signals, gone within seconds."""

import asyncio
import contextlib
import ipaddress
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

from app.cli.exits import CommandError, ExitCode

if TYPE_CHECKING:
    # A server that may not start shall say so before it has read half a framework.
    from fastapi import FastAPI

log = logging.getLogger("paceline.server")

KEEP_ALIVE_SECONDS = 75
"""Longer than clients keep a connection (httpx 5 s): a request never meets one that is just being closed."""
GRACE_SECONDS = 3
"""For requests that are being answered when the server is told to stop."""
LAST_RESORT_SECONDS = 9.5
"""A shutdown that hangs is cut off: nothing is lost by it, the next start goes on from the rows and finds OpenCode."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens; callers wait until it is served.

    CommandError says what to do when the address is taken or not this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    except OSError as error:
        raise CommandError(f"{host!r} is no address to listen on: {error.strerror}.", ExitCode.REFUSED) from None
    try:
        listener.bind(address)
        # Only this finds out that somebody else has bound the same port and not listened yet.
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise CommandError(
            f"Cannot listen on {host} port {port}: {error.strerror}. "
            "Choose another port with --port, or any free one with --port 0.",
            ExitCode.REFUSED,
        ) from None
    return listener


def is_loopback(host: str) -> bool:
    """True when nobody outside this machine can reach that address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class WebServer(uvicorn.Server):
    """A uvicorn that leaves signals to us and calls `ready` when it answers, `stopping` when it is told to end."""

    def __init__(self, app: "FastAPI", ready: Callable[[], None], stopping: Callable[[], None]) -> None:
        """`app` must have been started already: its lifespan is not ours."""
        super().__init__(
            uvicorn.Config(
                app,
                lifespan="off",
                ws="none",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )
        self._ready = ready
        self._stopping = stopping

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """`stopped_by_signals` has them."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        if not self.should_exit:
            self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """End the open streams and stop; a second time changes nothing."""
        if not self.should_exit:
            self.should_exit = True
            self._stopping()


async def serve_app(
    app: "FastAPI", listener: socket.socket, ready: Callable[[], None], last_resort: float = LAST_RESORT_SECONDS
) -> None:
    """Start the app, serve it until a signal comes, stop it. What its start raises passes through."""

    def stopping() -> None:
        services = getattr(app.state, "services", None)
        if services is not None:
            services.broker.close()

    server = WebServer(app, ready, stopping)
    with stopped_by_signals(lambda number: server.handle_exit(number, None), last_resort):
        async with app.router.lifespan_context(app):
            await server.serve(sockets=[listener])


@contextlib.contextmanager
def stopped_by_signals(stop: Callable[[int], None], last_resort: float) -> Iterator[None]:
    """Call `stop` in the running loop at the first Ctrl-C, SIGTERM or hang-up; ignore all further ones.

    The process ends after `last_resort` seconds, whatever is still being stopped. Signals stay ignored
    afterwards, so that a second Ctrl-C cannot break what is cleaned up.
    """
    loop = asyncio.get_running_loop()
    told = threading.Event()

    def handle(number: int, _frame: FrameType | None) -> None:
        if not told.is_set():
            told.set()
            _arm(last_resort)
            loop.call_soon_threadsafe(stop, number)

    for number in _SIGNALS:
        # `nohup` has told us to ignore a hang-up. Scripts start us in the background with Ctrl-C ignored
        # too, but who sends it to us by our pid means it.
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handle)
    try:
        yield
    finally:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)


def _arm(seconds: float) -> None:
    def give_up() -> None:
        log.error("the shutdown took too long and was cut off; the next start goes on from what is stored")
        os._exit(ExitCode.FAILED)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
