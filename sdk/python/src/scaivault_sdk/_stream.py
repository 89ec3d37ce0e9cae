"""A subscription's events as a stream, over as many connections as it takes.

As in :mod:`._exchange` nothing here does input or output: :func:`streamed` yields what it needs,
and a driver does it. What it has for the caller it yields as an :class:`~.models.Event`.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ._call import Call
from ._exchange import (
    Effect,
    Response,
    Send,
    Session,
    Sleep,
    exchange,
    refusal,
    request,
    should_renew,
    token_of,
)
from .errors import (
    InternalServerError,
    InvalidResponseError,
    RateLimitError,
    ScaiVaultError,
    ServiceUnavailableError,
    TransportError,
    error_from,
)
from .models.events import Event

#: The server shows a sign of life every 15 seconds, at most every 60.
SILENCE = 75.0
#: Events that are acknowledged together at most.
TOGETHER = 50
#: More than any event: what is longer is no stream of this server.
FRAME_MAX = 1_048_576


@dataclass(frozen=True)
class Open:
    """Send this; answered with a :class:`Response` as soon as its head is there. The body is in it
    only when it is no stream."""

    send: Send


@dataclass(frozen=True)
class Read:
    """The next piece of the open stream; ``None`` at its end."""

    timeout: float


StreamEffect = Effect | Open | Read | Event
StreamSteps = Generator[StreamEffect, Any, None]


@dataclass(frozen=True)
class StreamPlan:
    """What to read, and how long."""

    route: str
    ack: Callable[[Sequence[str]], Call[Any]]
    since: str | None
    acknowledge: bool
    give_up_after: float
    for_seconds: float | None


@dataclass
class Frame:
    """What one blank line ended."""

    event: str = ""
    data: list[str] = field(default_factory=list)
    retry: float | None = None


class Frames:
    """Frames out of pieces of bytes, wherever those were cut."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._lines: list[str] = []

    def take(self, piece: bytes) -> list[Frame]:
        """The frames that this piece completes."""
        text = self._rest + self._decoder.decode(piece)
        # A carriage return at the end may be half of a line's end.
        cut = len(text) - 1 if text.endswith("\r") else len(text)
        *lines, rest = re.split("\r\n|\n|\r", text[:cut])
        self._rest = rest + text[cut:]
        frames = []
        for line in lines:
            if line:
                self._lines.append(line)
            elif self._lines:
                frames.append(_frame(self._lines))
                self._lines = []
        if len(self._rest) + sum(map(len, self._lines)) > FRAME_MAX:
            raise InvalidResponseError(
                f"an event of the stream is longer than {FRAME_MAX} characters",
                code="invalid_response",
            )
        return frames


def _frame(lines: Sequence[str]) -> Frame:
    frame = Frame()
    for line in lines:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            frame.event = value
        elif name == "data":
            frame.data.append(value)
        elif name == "retry" and re.fullmatch("[0-9]{1,6}", value):
            frame.retry = int(value) / 1_000
    return frame


def streamed(plan: StreamPlan, session: Session, done: list[str]) -> StreamSteps:
    """The events. In ``done`` are those that the caller has come back from and the server does not
    know of yet: whoever ends this early acknowledges them."""
    ends = None if plan.for_seconds is None else session.clock() + plan.for_seconds
    alive = session.clock()
    last, hint, failures = plan.since, 0.0, 0
    refused: str | None = None
    while True:
        token: str | None = None
        try:
            token = yield from token_of(session, refused)
            left = math.inf if ends is None else ends - session.clock()
            yield Open(_opening(plan, session, token, last, left))
            frames = Frames()
            ended: str | None = None
            while ended is None:
                if done:
                    yield from exchange(plan.ack(tuple(done)), session)
                    done.clear()
                silence = max(session.timeout, SILENCE)
                left = silence if ends is None else min(silence, ends - session.clock())
                if left <= 0:
                    return
                piece: bytes | None = yield Read(left)
                if piece is None:
                    break
                alive, failures, refused = session.clock(), 0, None
                for frame in frames.take(piece):
                    hint = hint if frame.retry is None else frame.retry
                    if frame.event == "stream.end":
                        ended = _reason(frame)
                    elif event := _event(frame):
                        last = event.event_id
                        yield event
                        if plan.acknowledge:
                            done.append(event.event_id)
                        if len(done) >= TOGETHER:
                            yield from exchange(plan.ack(tuple(done)), session)
                            done.clear()
            failure = _end(ended)
        except ScaiVaultError as error:
            failure = error
        now = session.clock()
        if ends is not None and now >= ends:
            return
        if should_renew(failure, session, token, refused):
            refused = token
            continue
        if not isinstance(failure, _COME_AGAIN):
            raise failure
        failures += 1
        backoff = min(
            session.retry.backoff_min * 2 ** min(failures - 1, 16), session.retry.backoff_max
        )
        least = max(backoff, hint if failures == 1 else 0.0, failure.retry_after or 0.0)
        # A little late, so that clients do not return all at once.
        pause = least * (1 + session.random() / 2)
        if now + pause - alive >= plan.give_up_after:
            raise failure
        if ends is not None and now + pause >= ends:
            return
        yield Sleep(pause)


_COME_AGAIN = (TransportError, RateLimitError, ServiceUnavailableError, InternalServerError)


def _opening(plan: StreamPlan, session: Session, token: str, last: str | None, left: float) -> Send:
    call: Call[None] = Call("GET", plan.route, lambda _: None, timeout=SILENCE)
    send = request(call, session, token, left)
    headers = {**send.headers, "accept": "text/event-stream"}
    if last is not None:
        headers["last-event-id"] = last
    return replace(send, headers=headers)


def check_opened(response: Response, session: Session) -> None:
    """Raises for what is no stream of events."""
    kind = response.headers.get("content-type", "")
    if response.status == 200 and kind.startswith("text/event-stream"):
        return
    if 200 <= response.status < 300:
        raise InvalidResponseError(
            "the answer is no stream of events: is the URL right?",
            code="invalid_response",
            request_id=response.headers.get("x-request-id"),
            status=response.status,
        )
    raise refusal(response, session)


def _event(frame: Frame) -> Event | None:
    if not frame.data:
        return None
    try:
        body = json.loads("\n".join(frame.data))
    except (ValueError, RecursionError):
        body = None
    event = Event.from_json(body)
    if not event.event_id:
        raise InvalidResponseError("an event of the stream is not one", code="invalid_response")
    return event


def _reason(frame: Frame) -> str:
    try:
        body = json.loads("\n".join(frame.data))
    except (ValueError, RecursionError):
        return "stopping"
    reason = body.get("reason") if isinstance(body, Mapping) else None
    return reason if isinstance(reason, str) else "stopping"


#: Statuses of the reasons with which the server ends a stream: those of a new request's refusal.
_STATUS = (
    (re.compile("token_|authentication_"), 401),
    (re.compile(".*_not_found$"), 404),
    (re.compile("rate_limited$"), 429),
    (re.compile("internal_error$"), 500),
    (re.compile("service_unavailable$"), 503),
)


def _end(reason: str | None) -> ScaiVaultError:
    if reason is None or reason == "stopping":
        return TransportError("the stream ended", code="connection_lost")
    status = next((status for pattern, status in _STATUS if pattern.match(reason)), 403)
    message = f"the server ended the stream: {reason}"
    return error_from(status, {"error": {"code": reason, "message": message}})
