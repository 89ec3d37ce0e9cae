"""Where tokens come from: a text, a file that others renew, or an OAuth token endpoint."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from ._call import Repeat
from ._exchange import Response, Send, Session, Sleep, Steps, Wait
from ._retry import retry_after
from .errors import AuthenticationError, ConfigurationError, ScaiVaultError, error_from

#: A token is renewed when this much of its life is left, in seconds, but at most a fifth of it.
_MARGIN = 60.0
#: A renewal that failed while the old token still works is tried again so much later.
_RENEW_AGAIN = 5.0


def checked(token: str) -> str:
    """A token that can be a header."""
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigurationError("the token is empty, or cannot be sent in a header")
    return token


class StaticToken:
    """One token, as given."""

    renewable = False

    def __init__(self, token: str) -> None:
        self._token = checked(token)

    def token(self, session: Session, refused: str | None) -> Steps[str]:
        """It."""
        return self._token
        yield  # makes this a generator


class TokenFile:
    """A token in a file, read again when the file changes."""

    renewable = True

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._seen: tuple[tuple[int, int, int], str] | None = None

    def token(self, session: Session, refused: str | None) -> Steps[str]:
        """What the file holds now."""
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            seen = self._seen
            if seen is None or seen[0] != stamp or seen[1] == refused:
                seen = (stamp, checked(self._path.read_text(encoding="utf-8")))
                self._seen = seen
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"the token file {self._path} cannot be read: {type(error).__name__}"
            ) from None
        return seen[1]
        yield  # makes this a generator


@dataclass(frozen=True)
class _Token:
    value: str = field(repr=False)
    renew_at: float
    ends_at: float


class ClientCredentials:
    """OAuth 2.0 client credentials.

    The token is renewed before it ends. Callers that come together share one request, and go on
    with the old token while it still works.
    """

    renewable = True

    def __init__(
        self, token_url: str, client_id: str, client_secret: str, scope: str | None = None
    ) -> None:
        self._url = token_url
        form = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": client_secret,
        }
        if scope:
            form["scope"] = scope
        self._form = urlencode(form).encode()
        self._lock = threading.Lock()
        self._held: _Token | None = None
        self._flight: Future[BaseException | None] | None = None

    def token(self, session: Session, refused: str | None) -> Steps[str]:
        """The token that is held, or a new one."""
        while True:
            with self._lock:
                now = session.clock()
                held = self._held
                if held is not None and (held.value == refused or now >= held.ends_at):
                    held = None
                if held is not None and now < held.renew_at:
                    return held.value
                flight = self._flight
                if flight is None:
                    mine: Future[BaseException | None] = Future()
                    self._flight = mine
            if flight is None:
                return (yield from self._renew(session, mine, held))
            if held is not None:
                return held.value
            trouble = yield Wait(flight)
            if isinstance(trouble, ScaiVaultError):
                raise trouble

    def _renew(
        self, session: Session, flight: Future[BaseException | None], held: _Token | None
    ) -> Steps[str]:
        trouble: BaseException | None = None
        try:
            fresh = yield from self._fetch(session)
            with self._lock:
                self._held = fresh
            return fresh.value
        except BaseException as error:
            trouble = error
            if held is None or not isinstance(error, ScaiVaultError):
                raise
            with self._lock:
                self._held = _Token(held.value, session.clock() + _RENEW_AGAIN, held.ends_at)
            return held.value
        finally:
            # Also when the caller went away: then another one of those that wait goes on.
            with self._lock:
                self._flight = None
            flight.set_result(trouble)

    def _fetch(self, session: Session) -> Steps[_Token]:
        began = session.clock()
        attempt = 0
        while True:
            attempt += 1
            try:
                asked = session.clock()
                response = yield Send(
                    "POST",
                    self._url,
                    {
                        "accept": "application/json",
                        "content-type": "application/x-www-form-urlencoded",
                        "user-agent": session.user_agent,
                    },
                    self._form,
                    session.timeout,
                )
                return _token_of(response, asked, session)
            except ScaiVaultError as error:
                failure = error
            left = session.retry.deadline - (session.clock() - began)
            # Asking twice makes two tokens, which harms nobody.
            pause = session.retry.pause(
                failure, Repeat.HARMLESS, attempt, left=left, random=session.random()
            )
            if pause is None:
                raise failure
            yield Sleep(pause)


def _token_of(response: Response, asked: float, session: Session) -> _Token:
    try:
        body: Any = json.loads(response.content)
    except ValueError:
        body = None
    if response.status == 200 and isinstance(body, Mapping):
        token = body.get("access_token")
        if isinstance(token, str) and token:
            life = body.get("expires_in", 3600)
            seconds = float(life) if isinstance(life, (int, float)) and life > 0 else 3600.0
            ends_at = asked + seconds
            return _Token(checked(token), ends_at - min(_MARGIN, seconds / 5), ends_at)
    if response.status == 429 or response.status >= 500:
        raise error_from(
            response.status, None, retry_after=retry_after(response.headers, session.wall_clock())
        )
    reason = body.get("error") if isinstance(body, Mapping) else None
    raise AuthenticationError(
        "the token endpoint gave no token: "
        + (reason if isinstance(reason, str) and len(reason) < 100 else f"{response.status}"),
        code="token_request_failed",
        status=response.status,
    )
