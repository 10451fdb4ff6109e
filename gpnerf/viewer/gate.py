"""Who may talk to the viewer's server, and how much: browsers that opened its own page, few of them, small messages.

A browser sends every page's scripts to every address, also to a viewer on the reader's own machine; what tells is the
header Origin, which scripts cannot set. viser looks at none, and has no hook for it: it listens by `serve` of the
package websockets, in whose place the gate stands while the server is made.
"""

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from gpnerf.errors import UserError
from gpnerf.viewer.messages import is_welcome

_VISITORS = 8  # each has a thread, and all share one renderer
_RATE, _BURST = 120, 240  # messages a second, and at once
_LARGEST_PORT = 65535
_LARGEST = 2**16  # bytes; a camera takes 300

_log = logging.getLogger(__name__)


def require_address(host: str, port: int) -> None:
    """Raise `UserError` for a place where no server can listen: viser would look for a free port there for ever."""
    try:
        for family, kind, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[:1]:
            with socket.socket(family, kind) as tried:
                tried.bind((address[0], 0))
    except (OSError, OverflowError, UnicodeError) as error:
        raise UserError(
            f"--host {host} --port {port}: expected an address of this machine ({error}); mend it"
        ) from error
    if not 0 <= port <= _LARGEST_PORT:
        raise UserError(f"--port: expected 0 to {_LARGEST_PORT}, found {port}")


class Gate:
    """The rules for visitors of a server that listens on `host`."""

    def __init__(self, host: str) -> None:
        self._names = {"localhost", host.lower(), socket.gethostname().lower()}
        self._visitors = 0
        self._in_place = False

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Inside, a server that is made lets visitors in by these rules.

        Raises:
            UserError: this version of viser listens by other means, so that nobody would keep the gate.
        """
        from websockets.asyncio import server

        listen = server.serve

        def serve(handler: Any, *place: Any, **options: Any) -> Any:
            self._in_place = True
            rules = {"max_size": _LARGEST, "process_request": self._guarded(options.get("process_request"))}
            return listen(self._counted(handler), *place, **options | rules)

        server.serve = serve  # type: ignore[misc, assignment]
        try:
            yield
        finally:
            server.serve = listen  # type: ignore[misc]
        if not self._in_place:
            raise UserError("viser: expected a version that listens by websockets' serve, found another; install 1.1")

    def admits(self, origin: str | None, host: str | None) -> bool:
        """Whether a page from `origin` may connect to this server, which the browser calls `host`.

        Programs that are no browser send no origin. A name that is not this machine's could have been made to lead
        here by whoever owns it, so that its pages would count as the viewer's own.
        """
        if origin is None:
            return True
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        return parts.scheme in ("http", "https") and parts.netloc == host and self._is_own(parts.hostname or "")

    def _is_own(self, name: str) -> bool:
        with suppress(ValueError):
            ipaddress.ip_address(name)
            return True
        return name in self._names

    def _guarded(self, answer: Callable[..., Any] | None) -> Callable[..., Any]:
        """Answers requests as `answer` does, but refuses connections that may not be."""

        def process_request(connection: Any, request: Any) -> Any:
            if not any("websocket" in value.lower() for value in request.headers.get_all("Upgrade")):
                return answer(connection, request) if answer else None
            origins, hosts = request.headers.get_all("Origin"), request.headers.get_all("Host")
            if len(origins) > 1 or len(hosts) != 1 or not self.admits(next(iter(origins), None), hosts[0]):
                _log.warning("a page of %s was refused", ascii(origins)[:100])
                return connection.respond(HTTPStatus.FORBIDDEN, "only the viewer's own page may connect\n")
            if self._visitors >= _VISITORS:
                return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, f"{_VISITORS} visitors are here already\n")
            return None

        return process_request

    def _counted(self, handler: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
        async def handle(connection: Any) -> None:
            self._visitors += 1
            connection.recv = _slow_and_plain(connection.recv)
            try:
                await handler(connection)
            finally:
                self._visitors -= 1

        return handle


def _slow_and_plain(receive: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Passes on the messages that are welcome, no faster than a page sends them; the sender has to wait."""
    free_at = 0.0

    async def recv(*args: Any, **options: Any) -> Any:
        nonlocal free_at
        while True:
            raw = await receive(*args, **options)
            now = asyncio.get_running_loop().time()
            free_at = max(free_at, now - _BURST / _RATE) + 1 / _RATE
            if free_at > now:
                await asyncio.sleep(free_at - now)
            if is_welcome(raw):
                return raw

    return recv
