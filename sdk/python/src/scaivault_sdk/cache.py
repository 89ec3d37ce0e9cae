"""Secrets kept in memory, refreshed when they are rotated."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from ._call import get, remove, secret_path, secret_route
from ._exchange import Session, Sleep, Steps, Wait, exchange
from ._modes import Core, Group, ModeT, operation
from ._retry import Retry
from .errors import (
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ScaiVaultError,
    SecretExpiredError,
    ServiceUnavailableError,
    TransportError,
)
from .models import Done, Event, PolledEvents, Secret
from .resources.events import Subscriptions
from .resources.secrets import Secrets

#: The server is away, or busy: what is held is still the best answer.
_AWAY = (TransportError, ServiceUnavailableError, InternalServerError, RateLimitError)
#: The server says that there is no value for this caller: nothing is served any more.
_GONE = (NotFoundError, PermissionDeniedError, SecretExpiredError)
_EVENTS = ("secret.created", "secret.updated", "secret.rotated", "secret.deleted")
#: The most patterns of a subscription; with more paths it takes all the caller may see.
_PATTERNS_MAX = 100
#: While the server is away, it is asked again after so many seconds.
_ASK_AGAIN = (1.0, 30.0)
#: With a value in hand a reader waits no longer than this for a server that may be away.
_HURRY = Retry(attempts=2, deadline=5.0)

Listener = Callable[[Secret], object]


@dataclass
class _Entry:
    max_age: float
    secret: Secret | None = field(default=None, repr=False)
    loaded_at: float = 0.0
    ticket: int = 0
    failures: int = 0
    ask_again_at: float = 0.0
    flight: Future[BaseException | None] | None = None
    listeners: list[Listener] = field(default_factory=list)


class SecretCache(Group[ModeT]):
    """Secrets kept in memory.

    - A value is served from memory for ``max_age`` seconds, then read again by whoever asks.
    - A thread in the background polls a subscription and reads a secret again as soon as it was
      written or rotated. Without the scopes for that (``subscriptions:read`` and
      ``subscriptions:write``) ``watching`` is false, and ``max_age`` alone decides.
    - While the server is away, the last good value is served until it is ``stale_limit`` seconds
      old. What the server says for certain (not found, denied, expired) is raised at once.
    - A version is acknowledged when it is in use: when every listener has taken it without an
      exception, or at once where there are none.

    Close it, or the client: that deletes the subscription.
    """

    def __init__(
        self,
        core: Core,
        *,
        max_age: float = 300.0,
        stale_limit: float = 3600.0,
        subscribe: bool = True,
        subscription_id: str | None = None,
        acknowledge: bool = True,
        poll_timeout: int = 10,
    ) -> None:
        super().__init__(core)
        self._max_age = max_age
        self._stale_limit = stale_limit
        self._subscribe = subscribe
        self._own = subscription_id is None
        self._subscription_id = subscription_id
        self._acknowledge = acknowledge
        self._poll_timeout = poll_timeout
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}
        self._tickets = 0
        self._watched: frozenset[str] = frozenset()
        self._watcher: threading.Thread | None = None
        self._closed = threading.Event()
        self._watching = False

    @property
    def watching(self) -> bool:
        """Whether events refresh what is held."""
        return self._watching

    @operation
    def get(self, path: str) -> Steps[Secret]:
        """The secret, from memory where that is fresh."""
        secret_path(path)
        while True:
            with self._lock:
                entry = self._entry(path)
                now = self._session.clock()
                held = entry.secret
                age = now - entry.loaded_at
                if held is not None and not self._closed.is_set():
                    waits = now < entry.ask_again_at and age < self._stale_limit
                    if age < entry.max_age or waits:
                        return held
                flight = entry.flight
                if flight is None:
                    mine: Future[BaseException | None] = Future()
                    entry.flight = mine
            if flight is None:
                secret = yield from self._lead(path, entry, mine)
                self._start()
                return secret
            trouble = yield Wait(flight)
            if isinstance(trouble, ScaiVaultError):
                raise trouble

    def on_change(self, path: str, listener: Listener) -> None:
        """Calls ``listener`` with every new version of ``path``, in whatever thread found it.
        When it raises, the version is acknowledged as ``failed``."""
        with self._lock:
            self._entry(path).listeners.append(listener)

    def forget(self, path: str) -> None:
        """Drops what is held of ``path``."""
        with self._lock:
            self._entries.pop(path, None)

    @operation
    def close(self) -> Steps[Done]:
        """Ends the watch and drops everything that is held."""
        self._closed.set()
        with self._lock:
            self._entries.clear()
            own = self._subscription_id if self._own else None
            self._subscription_id = None if self._own else self._subscription_id
        if own is not None:
            try:
                yield from exchange(remove(f"/v1/subscriptions/{own}"), self._hurried)
            except ScaiVaultError:
                pass
        return Done()

    def __enter__(self) -> SecretCache[ModeT]:
        return self

    def __exit__(self, *_: object) -> None:
        self._core.run(_closing(self))

    async def __aenter__(self) -> SecretCache[ModeT]:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._core.arun(_closing(self))

    # -- reading

    @property
    def _session(self) -> Session:
        return self._core.session

    @property
    def _hurried(self) -> Session:
        return replace(self._session, retry=_HURRY, timeout=min(self._session.timeout, 5.0))

    def _entry(self, path: str) -> _Entry:
        entry = self._entries.get(path)
        if entry is None:
            entry = self._entries[path] = _Entry(self._max_age)
        return entry

    def set_max_age(self, path: str, max_age: float) -> None:
        """Another age for this path."""
        with self._lock:
            self._entry(path).max_age = max_age

    def _lead(
        self, path: str, entry: _Entry, flight: Future[BaseException | None]
    ) -> Steps[Secret]:
        """Reads for all that wait; serves what is held while the server is away."""
        trouble: BaseException | None = None
        try:
            with self._lock:
                held = entry.secret
            session = self._session if held is None else self._hurried
            try:
                return (yield from self._read(path, entry, session))
            except _AWAY:
                with self._lock:
                    held = entry.secret
                    age = self._session.clock() - entry.loaded_at
                    if held is None or age >= self._stale_limit:
                        raise
                    entry.ask_again_at = self._session.clock() + _growing(entry.failures)
                    entry.failures += 1
                return held
        except BaseException as error:
            trouble = error
            raise
        finally:
            with self._lock:
                entry.flight = None
            flight.set_result(trouble)

    def _read(self, path: str, entry: _Entry, session: Session) -> Steps[Secret]:
        with self._lock:
            self._tickets += 1
            ticket = self._tickets
        try:
            secret = yield from exchange(get(secret_route(path), Secret), session)
        except _GONE:
            with self._lock:
                entry.secret = None
            raise
        with self._lock:
            before = entry.secret
            if ticket < entry.ticket and before is not None:
                # A read that began later was answered sooner.
                return before
            entry.secret = secret
            entry.ticket = ticket
            entry.loaded_at = self._session.clock()
            entry.failures = 0
            entry.ask_again_at = 0.0
            listeners = tuple(entry.listeners)
        if before is None or (before.version, before.updated_at) != (
            secret.version,
            secret.updated_at,
        ):
            yield from self._adopt(secret, () if before is None else listeners)
        return secret

    def _adopt(self, secret: Secret, listeners: Iterable[Listener]) -> Steps[None]:
        status, detail = "applied", None
        for listener in listeners:
            try:
                listener(secret)
            except Exception as error:
                # Its text could hold a value.
                status, detail = "failed", f"the application raised {type(error).__name__}"
        if not self._acknowledge:
            return
        call = _build(Secrets.ack, secret.path, secret.version, status=status, detail=detail)
        try:
            yield from exchange(call, self._hurried)
        except ScaiVaultError:
            pass

    # -- watching

    def _start(self) -> None:
        with self._lock:
            if self._watcher is not None or not self._subscribe or self._closed.is_set():
                return
            self._watcher = threading.Thread(
                target=self._watch_here, name="scaivault-cache", daemon=True
            )
            self._watcher.start()

    def _watch_here(self) -> None:
        # Connections of its own: it ends them, whatever becomes of the client meanwhile.
        driver = self._core.blocking.another()
        try:
            driver.run(self._watch(), self._closed.wait)
        finally:
            driver.close()

    def _watch(self) -> Steps[None]:
        failures = 0
        while not self._closed.is_set():
            try:
                yield from self._follow()
                self._watching = True
                yield from self._poll_once()
                failures = 0
            except PermissionDeniedError:
                self._watching = False
                return
            except Exception as error:
                # Whatever it is: what is held goes on, and max_age is there besides.
                if isinstance(error, NotFoundError) and self._own:
                    with self._lock:
                        self._subscription_id = None
                    self._watched = frozenset()
                self._watching = False
                yield Sleep(_growing(failures))
                failures += 1
        self._watching = False

    def _follow(self) -> Steps[None]:
        """Brings the subscription to the paths that are held. A path that is new in it is read
        again, because what happened before it was is not told."""
        with self._lock:
            paths = frozenset(self._entries)
            known = self._subscription_id
        if paths == self._watched and known is not None:
            return
        patterns = sorted(paths) if 0 < len(paths) <= _PATTERNS_MAX else ["**"]
        if known is None:
            name = f"sdk-cache-{socket.gethostname()[:60]}-{os.getpid()}-{uuid4().hex[:8]}"
            made = yield from exchange(
                _build(Subscriptions.create, name, patterns, _EVENTS), self._session
            )
            with self._lock:
                self._subscription_id = made.id
                closed = self._closed.is_set()
            if closed:
                yield from exchange(remove(f"/v1/subscriptions/{made.id}"), self._hurried)
                return
        elif self._own:
            yield from exchange(_build(Subscriptions.update, known, paths=patterns), self._session)
        for path in sorted(paths - self._watched):
            yield from self._refresh(path)
        self._watched = paths

    def _poll_once(self) -> Steps[None]:
        subscription_id = self._subscription_id
        if subscription_id is None or self._closed.is_set():
            return
        # Not repeated here: the caller's loop does that.
        session = replace(self._session, retry=Retry(attempts=1))
        answer: PolledEvents = yield from exchange(
            _build(Subscriptions.poll, subscription_id, timeout=self._poll_timeout), session
        )
        for path in dict.fromkeys(_paths(answer.events)):
            yield from self._refresh(path)
        if answer.events:
            ids = [event.event_id for event in answer.events]
            yield from exchange(_build(Subscriptions.ack, subscription_id, ids), self._session)

    def _refresh(self, path: str) -> Steps[None]:
        with self._lock:
            entry = self._entries.get(path)
        if entry is None or (entry.secret is None and not entry.listeners):
            return
        try:
            yield from self._read(path, entry, self._session)
        except _GONE:
            # The next one who asks is told why.
            pass


class CachedSecret(Group[ModeT]):
    """One secret of a cache."""

    def __init__(self, core: Core, cache: SecretCache[ModeT], path: str) -> None:
        super().__init__(core)
        self._cache: SecretCache[ModeT] = cache
        self.path = path

    @operation
    def get(self) -> Steps[Secret]:
        """The secret, from memory where that is fresh."""
        steps: Steps[Secret] = _build(SecretCache.get, self.path, of=self._cache)
        return (yield from steps)

    def on_change(self, listener: Listener) -> None:
        """Calls ``listener`` with every new version."""
        self._cache.on_change(self.path, listener)


def _build(method: Any, *args: Any, of: Any = None, **kwargs: Any) -> Any:
    """The call that an operation stands for."""
    return method.build(of, *args, **kwargs)


def _closing(cache: SecretCache[Any]) -> Steps[Done]:
    steps: Steps[Done] = _build(SecretCache.close, of=cache)
    return (yield from steps)


def _paths(events: Iterable[Event]) -> Iterable[str]:
    return (event.path for event in events if event.path is not None)


def _growing(failures: int) -> float:
    first, most = _ASK_AGAIN
    return float(min(first * 2 ** min(failures, 10), most))
