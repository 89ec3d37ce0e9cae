"""One definition of each operation, three kinds of client.

A method of a group builds a :class:`~scaivault_sdk._call.Call`. Its decorator sends it as the
client at hand does: at once, as something to await, or as the situation asks for. Type checkers
see the method's own parameters, and the result that this kind of client gives.
"""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Coroutine,
    Generator,
    Iterator,
)
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, final, overload

from ._call import Call, Listing, Page
from ._exchange import Session, Steps, exchange
from .errors import NotAwaitedError, ScaiVaultError

if TYPE_CHECKING:
    from ._drivers import AwaitingDriver, BlockingDriver
    from ._stream import StreamPlan
    from .models.events import Event, PolledEvents

P = ParamSpec("P")
T = TypeVar("T")


@final
class Blocking:
    """Results at once, in the calling thread."""


@final
class Awaiting:
    """Results to await."""


@final
class Either:
    """Inside a running event loop results to await, elsewhere results at once."""


ModeT = TypeVar("ModeT", Blocking, Awaiting, Either)


@dataclass(frozen=True)
class Core:
    """What a client's groups share."""

    mode: type[Blocking] | type[Awaiting] | type[Either]
    session: Session
    blocking: BlockingDriver
    awaiting: AwaitingDriver

    def with_session(self, **changes: Any) -> Core:
        """The same connections, other settings."""
        return replace(self, session=replace(self.session, **changes))

    def awaits(self) -> bool:
        """Whether a call made here and now is one to await."""
        if self.mode is Either:
            return _in_loop()
        return self.mode is Awaiting

    def steps(self, plan: Call[T] | Steps[T]) -> Steps[T]:
        """The effects of a plan."""
        return exchange(plan, self.session) if isinstance(plan, Call) else plan

    def run(self, plan: Call[T] | Steps[T]) -> T:
        """Does it now."""
        return self.blocking.run(self.steps(plan))

    async def arun(self, plan: Call[T] | Steps[T]) -> T:
        """Does it in the running event loop."""
        return await self.awaiting.run(self.steps(plan))


def _in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class Group(Generic[ModeT]):
    """Operations that belong together."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._core.session.base_url}>"


class Pending(Coroutine[Any, Any, T]):
    """A call that is made when it is awaited: a coroutine that says so when it is forgotten."""

    __slots__ = ("_coroutine", "_name")

    def __init__(self, coroutine: Coroutine[Any, Any, T], name: str) -> None:
        self._coroutine = coroutine
        self._name = name

    def __await__(self) -> Generator[Any, Any, T]:
        return self._coroutine.__await__()

    def send(self, value: Any) -> Any:
        """As any coroutine."""
        return self._coroutine.send(value)

    def throw(self, *arguments: Any) -> Any:
        """As any coroutine."""
        return self._coroutine.throw(*arguments)

    def close(self) -> None:
        """As any coroutine."""
        self._coroutine.close()

    def __repr__(self) -> str:
        return f"<{self._name}(…): not awaited yet>"

    if not TYPE_CHECKING:  # a type checker is to see that these are not there

        def __getattr__(self, name: str) -> Any:
            raise self._forgotten(f".{name}")

        def __getitem__(self, key: object) -> Any:
            raise self._forgotten("an item of it")

        def __iter__(self) -> Any:
            raise self._forgotten("its items")

    def _forgotten(self, what: str) -> NotAwaitedError:
        return NotAwaitedError(
            f"{what} of {self._name}() was asked for before it was awaited: inside a running"
            " event loop write `await`, or use SyncScaiVaultClient, which blocks"
        )


class operation(Generic[P, T]):
    """Makes a method of one that builds a call."""

    def __init__(self, build: Callable[Concatenate[Any, P], Call[T] | Steps[T]]) -> None:
        self.build = build
        functools.update_wrapper(self, build)  # type: ignore[arg-type]

    @overload
    def __get__(self, group: None, owner: Any = None) -> operation[P, T]: ...
    @overload
    def __get__(self, group: Group[Blocking], owner: Any = None) -> Callable[P, T]: ...
    @overload
    def __get__(self, group: Group[Awaiting], owner: Any = None) -> Callable[P, Pending[T]]: ...
    @overload
    def __get__(self, group: Group[Either], owner: Any = None) -> Callable[P, T]: ...
    def __get__(self, group: Any, owner: Any = None) -> Any:
        if group is None:
            return self
        build = self.build
        core: Core = group._core

        @functools.wraps(build)
        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            if not core.awaits():
                return core.run(build(group, *args, **kwargs))

            async def later() -> T:
                return await core.arun(build(group, *args, **kwargs))

            # So that Python's own warning about a forgotten await names the operation.
            name = f"{type(group).__name__}.{build.__name__}"
            later.__qualname__ = name
            return Pending(later(), name)

        return call


class _Walk(Generic[T]):
    """A paged list that is fetched while it is walked, as often as it is walked."""

    def __init__(self, core: Core, listing: Callable[[], Listing[T]]) -> None:
        self._core = core
        self._listing = listing

    def _pages(self) -> Iterator[Page[T]]:
        listing = self._listing()
        page = self._core.run(listing.call())
        yield page
        while page.has_more and page.cursor:
            page = self._core.run(listing.call(page.cursor))
            yield page

    async def _apages(self) -> AsyncIterator[Page[T]]:
        listing = self._listing()
        page = await self._core.arun(listing.call())
        yield page
        while page.has_more and page.cursor:
            page = await self._core.arun(listing.call(page.cursor))
            yield page


class Pages(_Walk[T]):
    """The items of all pages: walk it with ``for``."""

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            yield from page.items

    def pages(self) -> Iterator[Page[T]]:
        """Page by page. A page may be empty and not be the last."""
        _refuse_to_block(self._core)
        return self._pages()


class AsyncPages(_Walk[T]):
    """The items of all pages: walk it with ``async for``."""

    async def __aiter__(self) -> AsyncIterator[T]:
        async for page in self._apages():
            for item in page.items:
                yield item

    def pages(self) -> AsyncIterator[Page[T]]:
        """Page by page. A page may be empty and not be the last."""
        return self._apages()


class EitherPages(_Walk[T]):
    """The items of all pages: walk it with ``for``, or in an event loop with ``async for``."""

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            yield from page.items

    async def __aiter__(self) -> AsyncIterator[T]:
        async for page in self._apages():
            for item in page.items:
                yield item

    def pages(self) -> Iterator[Page[T]]:
        """Page by page, with ``for``."""
        _refuse_to_block(self._core)
        return self._pages()

    def async_pages(self) -> AsyncIterator[Page[T]]:
        """Page by page, with ``async for``."""
        return self._apages()


def _refuse_to_block(core: Core, instead: str = "async for") -> None:
    if core.mode is Either and _in_loop():
        raise NotAwaitedError(
            f"inside a running event loop write `{instead}`, or use SyncScaiVaultClient,"
            " which blocks"
        )


class listing(Generic[P, T]):
    """Makes a method of one that builds a paged list."""

    def __init__(self, build: Callable[Concatenate[Any, P], Listing[T]]) -> None:
        self._build = build
        functools.update_wrapper(self, build)  # type: ignore[arg-type]

    @overload
    def __get__(self, group: None, owner: Any = None) -> listing[P, T]: ...
    @overload
    def __get__(self, group: Group[Blocking], owner: Any = None) -> Callable[P, Pages[T]]: ...
    @overload
    def __get__(self, group: Group[Awaiting], owner: Any = None) -> Callable[P, AsyncPages[T]]: ...
    @overload
    def __get__(self, group: Group[Either], owner: Any = None) -> Callable[P, EitherPages[T]]: ...
    def __get__(self, group: Any, owner: Any = None) -> Any:
        if group is None:
            return self
        build = self._build
        core: Core = group._core
        kinds: dict[Any, type[_Walk[Any]]] = {Blocking: Pages, Awaiting: AsyncPages}

        @functools.wraps(build)
        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            walk = kinds.get(core.mode, EitherPages)
            return walk(core, lambda: build(group, *args, **kwargs))

        return call


class Feed:
    """A subscription's events: polled, handed out, and acknowledged when they were processed."""

    def __init__(
        self,
        poll: Callable[[], Call[PolledEvents]],
        ack: Callable[[list[str]], Call[Any]],
        until_idle: bool,
    ) -> None:
        self._poll = poll
        self._ack = ack
        self._until_idle = until_idle
        self._waiting: deque[Event] = deque()
        self._done: list[str] = []
        self._idle = False

    def wanted(self) -> tuple[Call[Any], Callable[[Any], None]] | None:
        """The next call, and what takes its answer; ``None`` when there is an event."""
        if self._waiting or (self._idle and self._until_idle):
            return self.farewell() if self._idle else None
        return self.farewell() or (self._poll(), self._polled)

    def farewell(self) -> tuple[Call[Any], Callable[[Any], None]] | None:
        """The call that acknowledges what was processed."""
        if not self._done:
            return None
        done, self._done = self._done, []
        return self._ack(done), lambda _: None

    def event(self) -> Event | None:
        """The next event; ``None`` at the end."""
        return self._waiting.popleft() if self._waiting else None

    def processed(self, event: Event) -> None:
        """The caller has come back for the next one."""
        self._done.append(event.event_id)

    def _polled(self, answer: PolledEvents) -> None:
        self._waiting.extend(answer.events)
        self._idle = not answer.events


class _Events:
    def __init__(self, core: Core, feed: Callable[[], Feed]) -> None:
        self._core = core
        self._feed = feed

    def _walk(self) -> Generator[Event, None, None]:
        _refuse_to_block(self._core)
        feed = self._feed()
        try:
            while True:
                while wanted := feed.wanted():
                    wanted[1](self._core.run(wanted[0]))
                event = feed.event()
                if event is None:
                    return
                yield event
                feed.processed(event)
        finally:
            # What cannot be acknowledged now comes again.
            if farewell := feed.farewell():
                try:
                    self._core.run(farewell[0])
                except ScaiVaultError:
                    pass

    async def _awalk(self) -> AsyncGenerator[Event, None]:
        feed = self._feed()
        try:
            while True:
                while wanted := feed.wanted():
                    wanted[1](await self._core.arun(wanted[0]))
                event = feed.event()
                if event is None:
                    return
                yield event
                feed.processed(event)
        finally:
            if farewell := feed.farewell():
                try:
                    await self._core.arun(farewell[0])
                except ScaiVaultError:
                    pass


class Events(_Events):
    """Events as they come: walk it with ``for``."""

    def __iter__(self) -> Generator[Event, None, None]:
        return self._walk()


class AsyncEvents(_Events):
    """Events as they come: walk it with ``async for``."""

    def __aiter__(self) -> AsyncGenerator[Event, None]:
        return self._awalk()


class EitherEvents(_Events):
    """Events as they come: walk it with ``for``, or in an event loop with ``async for``."""

    def __iter__(self) -> Generator[Event, None, None]:
        return self._walk()

    def __aiter__(self) -> AsyncGenerator[Event, None]:
        return self._awalk()


class _Stream:
    def __init__(self, core: Core, plan: Callable[[], StreamPlan]) -> None:
        self._core = core
        self._plan = plan

    def _walk(self) -> Generator[Event, None, None]:
        _refuse_to_block(self._core)
        return self._core.blocking.stream(self._plan(), self._core.session)

    def _awalk(self) -> AsyncGenerator[Event, None]:
        return self._core.awaiting.stream(self._plan(), self._core.session)


class Stream(_Stream):
    """Events as they are streamed: walk it with ``for``."""

    def __iter__(self) -> Generator[Event, None, None]:
        return self._walk()


class AsyncStream(_Stream):
    """Events as they are streamed: walk it with ``async for``."""

    def __aiter__(self) -> AsyncGenerator[Event, None]:
        return self._awalk()


class EitherStream(_Stream):
    """Events as they are streamed: walk it with ``for``, or in an event loop with ``async for``."""

    def __iter__(self) -> Generator[Event, None, None]:
        return self._walk()

    def __aiter__(self) -> AsyncGenerator[Event, None]:
        return self._awalk()


class streaming(Generic[P]):
    """Makes a method of one that says which stream to read."""

    def __init__(self, build: Callable[Concatenate[Any, P], StreamPlan]) -> None:
        self._build = build
        functools.update_wrapper(self, build)  # type: ignore[arg-type]

    @overload
    def __get__(self, group: None, owner: Any = None) -> streaming[P]: ...
    @overload
    def __get__(self, group: Group[Blocking], owner: Any = None) -> Callable[P, Stream]: ...
    @overload
    def __get__(self, group: Group[Awaiting], owner: Any = None) -> Callable[P, AsyncStream]: ...
    @overload
    def __get__(self, group: Group[Either], owner: Any = None) -> Callable[P, EitherStream]: ...
    def __get__(self, group: Any, owner: Any = None) -> Any:
        if group is None:
            return self
        build = self._build
        core: Core = group._core
        kinds: dict[Any, type[_Stream]] = {Blocking: Stream, Awaiting: AsyncStream}

        @functools.wraps(build)
        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            return kinds.get(core.mode, EitherStream)(core, lambda: build(group, *args, **kwargs))

        return call


class feed(Generic[P]):
    """Makes a method of one that builds a feed of events."""

    def __init__(self, build: Callable[Concatenate[Any, P], Feed]) -> None:
        self._build = build
        functools.update_wrapper(self, build)  # type: ignore[arg-type]

    @overload
    def __get__(self, group: None, owner: Any = None) -> feed[P]: ...
    @overload
    def __get__(self, group: Group[Blocking], owner: Any = None) -> Callable[P, Events]: ...
    @overload
    def __get__(self, group: Group[Awaiting], owner: Any = None) -> Callable[P, AsyncEvents]: ...
    @overload
    def __get__(self, group: Group[Either], owner: Any = None) -> Callable[P, EitherEvents]: ...
    def __get__(self, group: Any, owner: Any = None) -> Any:
        if group is None:
            return self
        build = self._build
        core: Core = group._core
        kinds: dict[Any, type[_Events]] = {Blocking: Events, Awaiting: AsyncEvents}

        @functools.wraps(build)
        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            return kinds.get(core.mode, EitherEvents)(core, lambda: build(group, *args, **kwargs))

        return call
