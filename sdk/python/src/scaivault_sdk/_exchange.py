"""One call with its attempts, as a generator of effects.

Nothing here does input or output. The generator yields what it needs (:class:`Send`,
:class:`Sleep`, :class:`Wait`), and a driver does it, blocking or not. So there is one
implementation of retries, tokens and caching for every kind of client.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from ._call import Call, Repeat, segment
from ._retry import Retry, is_uncertain, retry_after
from .errors import (
    AuthenticationError,
    ConfigurationError,
    ConflictError,
    InvalidResponseError,
    NotFoundError,
    ScaiVaultError,
    TransportError,
    error_from,
)

T = TypeVar("T")


@dataclass(frozen=True)
class Send:
    """Send this request; answered with a :class:`Response`, or a ``TransportError`` is thrown."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    content: bytes | None = field(repr=False)
    timeout: float


@dataclass(frozen=True)
class Response:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class Sleep:
    """Wait so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Wait:
    """Wait for somebody else's work."""

    future: Future[Any]


Effect = Send | Sleep | Wait
Steps = Generator[Effect, Any, T]


class Credentials(Protocol):
    """Where the token comes from."""

    def token(self, session: Session, refused: str | None) -> Steps[str]:
        """The token to send. ``refused`` is one that the server did not accept."""

    @property
    def renewable(self) -> bool:
        """Whether asking again may give another one."""


@dataclass(frozen=True)
class Session:
    """What every call of a client has in common."""

    base_url: str
    credentials: Credentials | None
    tenant: str | None
    tenant_in: str
    """How the tenant is named: by a ``header``, or before the route, in the ``path``."""
    timeout: float
    retry: Retry
    user_agent: str
    clock: Callable[[], float]
    """Monotonic seconds."""
    wall_clock: Callable[[], float]
    """Unix time."""
    random: Callable[[], float]


def exchange(call: Call[T], session: Session) -> Steps[T]:
    """Sends ``call`` until it is answered or must not be repeated."""
    began = session.clock()
    deadline = max(session.retry.deadline, call.timeout or 0)
    attempt = 0
    uncertain = False
    refused: str | None = None
    while True:
        token = None
        if not call.anonymous:
            token = yield from token_of(session, refused)
        attempt += 1
        left = deadline - (session.clock() - began)
        try:
            response = yield request(call, session, token, left)
            return _answer(call, response, session)
        except ScaiVaultError as error:
            failure = error
        if should_renew(failure, session, token, refused):
            # The request was refused before anything was done: it does not count.
            refused, attempt = token, attempt - 1
            continue
        if uncertain and isinstance(failure, NotFoundError) and call.gone is not None:
            return call.gone()
        if uncertain and isinstance(failure, ConflictError):
            failure.outcome_unknown = True
        if call.repeat is not Repeat.READ and is_uncertain(failure):
            uncertain = True
        left = deadline - (session.clock() - began)
        pause = session.retry.pause(
            failure, call.repeat, attempt, left=left, random=session.random()
        )
        if pause is None:
            failure.outcome_unknown = failure.outcome_unknown or (
                uncertain and not isinstance(failure, (NotFoundError, ConflictError))
            )
            raise failure
        yield Sleep(pause)


def token_of(session: Session, refused: str | None) -> Steps[str]:
    """The token to send."""
    if session.credentials is None:
        raise ConfigurationError(
            "this call needs a token: give token, token_file or client_id and client_secret,"
            " or set SCAIVAULT_TOKEN"
        )
    return (yield from session.credentials.token(session, refused))


def should_renew(
    failure: ScaiVaultError, session: Session, token: str | None, refused: str | None
) -> bool:
    """Whether another token may help."""
    return (
        isinstance(failure, AuthenticationError)
        and failure.status == 401
        and token is not None
        and refused is None
        and session.credentials is not None
        and session.credentials.renewable
    )


def request(call: Call[Any], session: Session, token: str | None, left: float) -> Send:
    """What is sent for a call."""
    headers = {"accept": "application/json", "user-agent": session.user_agent}
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    target = call.target()
    if session.tenant is not None and not call.anonymous:
        if session.tenant_in == "path":
            target = target.replace("/v1/", f"/v1/t/{segment(session.tenant)}/", 1)
        else:
            headers["x-tenant-id"] = session.tenant
    content = call.content()
    if content is not None:
        headers["content-type"] = "application/json"
    timeout = max(session.timeout, call.timeout or 0)
    return Send(
        call.method,
        session.base_url + target,
        headers,
        content,
        max(0.001, min(timeout, left)),
    )


def _answer(call: Call[T], response: Response, session: Session) -> T:
    body = _json(response.content)
    request_id = response.headers.get("x-request-id")
    if 200 <= response.status < 300:
        if call.raw is not None:
            return call.raw(response.content)
        if body is _NOT_JSON:
            raise InvalidResponseError(
                "the answer is not JSON: is the URL right?",
                code="invalid_response",
                request_id=request_id,
                status=response.status,
            )
        return call.decode(body)
    has_error = isinstance(body, Mapping) and "error" in body
    if response.status in call.accepts and isinstance(body, Mapping) and not has_error:
        return call.decode(body)
    raise refusal(response, session)


def refusal(response: Response, session: Session) -> ScaiVaultError:
    """The error that an answer stands for."""
    return error_from(
        response.status,
        _json(response.content),
        request_id=response.headers.get("x-request-id"),
        retry_after=retry_after(response.headers, session.wall_clock()),
    )


_NOT_JSON: Any = object()


def _json(content: bytes) -> Any:
    if not content:
        return None
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return _NOT_JSON


def not_sent(reason: str) -> TransportError:
    """The error of a request that never left."""
    return TransportError(f"the connection failed: {reason}", code="connection_failed")
