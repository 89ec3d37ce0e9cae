"""Doing what an exchange asks for: blocking, or inside an event loop. Both over httpx."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import httpx

from ._exchange import Response, Send, Session, Sleep, Steps, Wait, exchange, not_sent
from ._stream import Open, Read, StreamPlan, check_opened, streamed
from .errors import RequestTimeoutError, ScaiVaultError, TransportError
from .models.events import Event

T = TypeVar("T")

#: The connection is there within this time, or the server is away.
_CONNECT_SECONDS = 10.0


@dataclass(frozen=True)
class Tls:
    """Whom to trust, and who we are."""

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None

    def context(self) -> ssl.SSLContext:
        """Certificates to trust besides the system's, and a client certificate."""
        context = httpx.create_ssl_context()
        if self.ca_file:
            context.load_verify_locations(self.ca_file)
        if self.cert_file:
            context.load_cert_chain(self.cert_file, self.key_file)
        return context


class BlockingDriver:
    """Does everything in the calling thread. Safe to share between threads."""

    def __init__(self, tls: ssl.SSLContext, sleep: Callable[[float], None] = time.sleep) -> None:
        self._tls = tls
        self._sleep = sleep
        self._lock = threading.Lock()
        self._http: httpx.Client | None = None

    def run(self, steps: Steps[T], sleep: Callable[[float], object] | None = None) -> T:
        """Runs ``steps`` to their end."""
        try:
            effect = next(steps)
            while True:
                try:
                    outcome: Any = None
                    if isinstance(effect, Send):
                        outcome = self._send(effect)
                    elif isinstance(effect, Sleep):
                        (sleep or self._sleep)(effect.seconds)
                    else:
                        outcome = effect.future.result()
                except Exception as error:
                    effect = steps.throw(error)
                else:
                    effect = steps.send(outcome)
        except StopIteration as stop:
            value: T = stop.value
            return value
        finally:
            steps.close()

    def stream(self, plan: StreamPlan, session: Session) -> Generator[Event, None, None]:
        """The events of a stream."""
        done: list[str] = []
        steps = streamed(plan, session, done)
        pieces: Any = iter(())
        with ExitStack() as opened:
            try:
                effect = next(steps)
                while True:
                    try:
                        outcome: Any = None
                        if isinstance(effect, Event):
                            yield effect
                        elif isinstance(effect, Open):
                            opened.close()
                            pieces = self._open(effect.send, session, opened)
                        elif isinstance(effect, Read):
                            outcome = _piece(pieces)
                        elif isinstance(effect, Send):
                            outcome = self._send(effect)
                        elif isinstance(effect, Sleep):
                            self._sleep(effect.seconds)
                        else:
                            outcome = effect.future.result()
                    except ScaiVaultError as error:
                        effect = steps.throw(error)
                    else:
                        effect = steps.send(outcome)
            except StopIteration:
                return
            finally:
                steps.close()
                # What cannot be acknowledged now comes again.
                if done:
                    try:
                        self.run(exchange(plan.ack(tuple(done)), session))
                    except ScaiVaultError:
                        pass

    def _open(self, send: Send, session: Session, opened: ExitStack) -> Iterator[bytes]:
        try:
            answer = opened.enter_context(self._client().stream(**_arguments(send)))
            content = b"" if _is_stream(answer) else answer.read()
        except (httpx.HTTPError, httpx.InvalidURL, RuntimeError) as error:
            raise _failure(error) from None
        check_opened(_response_of(answer, content), session)
        return answer.iter_bytes()

    def _client(self) -> httpx.Client:
        with self._lock:
            if self._http is None:
                self._http = httpx.Client(verify=self._tls)
            return self._http

    def _send(self, request: Send) -> Response:
        http = self._client()
        try:
            answer = http.request(**_arguments(request))
        except (httpx.HTTPError, httpx.InvalidURL, RuntimeError) as error:
            raise _failure(error) from None
        return _response(answer)

    def another(self) -> BlockingDriver:
        """The same with connections of its own."""
        return BlockingDriver(self._tls, self._sleep)

    def close(self) -> None:
        """Closes the connections; the next call opens new ones."""
        with self._lock:
            http, self._http = self._http, None
        if http is not None:
            http.close()


class AwaitingDriver:
    """Does everything inside the running event loop; each loop has its own connections."""

    def __init__(
        self, tls: ssl.SSLContext, sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep
    ) -> None:
        self._tls = tls
        self._sleep = sleep
        self._http: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient] = (
            WeakKeyDictionary()
        )

    async def run(self, steps: Steps[T]) -> T:
        """Runs ``steps`` to their end."""
        try:
            effect = next(steps)
            while True:
                try:
                    outcome: Any = None
                    if isinstance(effect, Send):
                        outcome = await self._send(effect)
                    elif isinstance(effect, Sleep):
                        await self._sleep(effect.seconds)
                    else:
                        outcome = await _shared(effect)
                except Exception as error:
                    effect = steps.throw(error)
                else:
                    effect = steps.send(outcome)
        except StopIteration as stop:
            value: T = stop.value
            return value
        finally:
            steps.close()

    async def stream(self, plan: StreamPlan, session: Session) -> AsyncGenerator[Event, None]:
        """The events of a stream."""
        done: list[str] = []
        steps = streamed(plan, session, done)
        pieces: Any = None
        async with AsyncExitStack() as opened:
            try:
                effect = next(steps)
                while True:
                    try:
                        outcome: Any = None
                        if isinstance(effect, Event):
                            yield effect
                        elif isinstance(effect, Open):
                            await opened.aclose()
                            pieces = await self._open(effect.send, session, opened)
                        elif isinstance(effect, Read):
                            outcome = await _apiece(pieces, effect.timeout)
                        elif isinstance(effect, Send):
                            outcome = await self._send(effect)
                        elif isinstance(effect, Sleep):
                            await self._sleep(effect.seconds)
                        else:
                            outcome = await _shared(effect)
                    except ScaiVaultError as error:
                        effect = steps.throw(error)
                    else:
                        effect = steps.send(outcome)
            except StopIteration:
                return
            finally:
                steps.close()
                # What cannot be acknowledged now comes again.
                if done:
                    try:
                        await self.run(exchange(plan.ack(tuple(done)), session))
                    except ScaiVaultError:
                        pass

    async def _open(
        self, send: Send, session: Session, opened: AsyncExitStack
    ) -> AsyncIterator[bytes]:
        try:
            answer = await opened.enter_async_context(self._client().stream(**_arguments(send)))
            content = b"" if _is_stream(answer) else await answer.aread()
        except (httpx.HTTPError, httpx.InvalidURL, RuntimeError) as error:
            raise _failure(error) from None
        check_opened(_response_of(answer, content), session)
        return answer.aiter_bytes()

    def _client(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        http = self._http.get(loop)
        if http is None:
            http = self._http[loop] = httpx.AsyncClient(verify=self._tls)
        return http

    async def _send(self, request: Send) -> Response:
        http = self._client()
        try:
            answer = await http.request(**_arguments(request))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _failure(error) from None
        return _response(answer)

    async def close(self) -> None:
        """Closes this loop's connections; the next call opens new ones."""
        http = self._http.pop(asyncio.get_running_loop(), None)
        if http is not None:
            await http.aclose()


async def _shared(wait: Wait) -> Any:
    # Shielded: one who stops waiting must not cancel it for the others.
    return await asyncio.shield(asyncio.wrap_future(wait.future))


def _arguments(request: Send) -> dict[str, Any]:
    return {
        "method": request.method,
        "url": request.url,
        "headers": dict(request.headers),
        "content": request.content,
        "timeout": httpx.Timeout(request.timeout, connect=min(request.timeout, _CONNECT_SECONDS)),
        # A redirect would carry the token elsewhere.
        "follow_redirects": False,
    }


def _response(answer: httpx.Response) -> Response:
    return _response_of(answer, answer.content)


def _response_of(answer: httpx.Response, content: bytes) -> Response:
    # httpx looks header names up in any case; a dict does not, and these are lower.
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return Response(answer.status_code, headers, content)


def _is_stream(answer: httpx.Response) -> bool:
    return str(answer.headers.get("content-type", "")).startswith("text/event-stream")


def _piece(pieces: Iterator[bytes]) -> bytes | None:
    try:
        return next(pieces, None)
    except (httpx.HTTPError, RuntimeError) as error:
        raise _failure(error) from None


async def _apiece(pieces: AsyncIterator[bytes], timeout: float) -> bytes | None:
    async def one() -> bytes | None:
        async for piece in pieces:
            return piece
        return None

    try:
        return await asyncio.wait_for(one(), timeout)
    except asyncio.TimeoutError:
        raise RequestTimeoutError("no answer in time", code="request_timeout") from None
    except (httpx.HTTPError, RuntimeError) as error:
        raise _failure(error) from None


def _failure(error: Exception) -> TransportError:
    kind = type(error).__name__
    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)):
        return not_sent(str(error) or kind)
    if isinstance(error, (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.ProxyError)):
        return not_sent(kind)
    if isinstance(error, httpx.TimeoutException):
        return RequestTimeoutError("no answer in time", code="request_timeout")
    if isinstance(error, RuntimeError) and not isinstance(error, httpx.HTTPError):
        return not_sent("the client was closed meanwhile")
    return TransportError(f"the connection broke: {kind}", code="connection_lost")
