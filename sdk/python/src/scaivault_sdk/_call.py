"""A request that has not been sent: what to ask, how to read the answer, and whether asking
twice does harm."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum, auto
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

from ._time import format_time
from .errors import ValidationError
from .models._base import Done, Items, Model

T = TypeVar("T")
ModelT = TypeVar("ModelT", bound=Model)

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Unset(Enum):
    """Stands for an argument that was not given, where ``None`` means something."""

    UNSET = auto()


UNSET = Unset.UNSET


class Repeat(Enum):
    """Whether a request may take effect twice."""

    READ = auto()
    """It changes nothing."""
    HARMLESS = auto()
    """The second time changes nothing, or is refused without effect."""
    HARMFUL = auto()
    """The second time would act again: never repeated when the outcome is unknown."""


@dataclass(frozen=True)
class Call(Generic[T]):
    """One operation with its arguments."""

    method: str
    route: str
    decode: Callable[[Any], T]
    repeat: Repeat = Repeat.READ
    query: tuple[tuple[str, str], ...] = ()
    body: object = field(default=None, repr=False)
    timeout: float | None = None
    """Least time for an attempt, where the server itself waits."""
    anonymous: bool = False
    accepts: tuple[int, ...] = ()
    """Error statuses that are answers of this call all the same."""
    raw: Callable[[bytes], T] | None = None
    """In place of ``decode``, where the answer is no JSON."""
    gone: Callable[[], T] | None = None
    """What "not found" means after an attempt of a removal whose outcome is unknown."""

    def target(self) -> str:
        """Path and query."""
        return (
            f"{self.route}?{urlencode(self.query, quote_via=quote)}" if self.query else self.route
        )

    def content(self) -> bytes | None:
        """The body's bytes."""
        if self.body is None:
            return None
        return json.dumps(self.body, separators=(",", ":"), allow_nan=False).encode()


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page of a list."""

    items: tuple[T, ...]
    cursor: str | None
    has_more: bool


@dataclass(frozen=True)
class Listing(Generic[T]):
    """A paged list: its first call, and the key of its items."""

    route: str
    key: str
    decode: Callable[[Any], T]
    query: tuple[tuple[str, str], ...] = ()

    def call(self, cursor: str | None = None) -> Call[Page[T]]:
        """The call for the page at ``cursor``."""
        query = self.query if cursor is None else (*self.query, ("cursor", cursor))
        return Call("GET", self.route, self._page, query=query)

    def _page(self, body: Any) -> Page[T]:
        body = body if isinstance(body, Mapping) else {}
        items = body.get(self.key)
        cursor = body.get("cursor")
        return Page(
            tuple(self.decode(item) for item in items) if isinstance(items, list) else (),
            cursor if isinstance(cursor, str) and cursor else None,
            bool(body.get("has_more")),
        )


def secret_route(path: str, suffix: str = "", root: str = "/v1/secrets") -> str:
    """The route of a secret. What a URL would read as another route never leaves the client."""
    return f"{root}/{secret_path(path)}{suffix}"


def secret_path(path: str) -> str:
    """A checked, encoded path; the rest of the rules are the server's."""
    segments = path.split("/") if isinstance(path, str) else [""]
    if any(segment in ("", ".", "..") or _CONTROL.search(segment) for segment in segments):
        raise ValidationError(
            "a path is segments of a-z 0-9 - _ joined by single slashes, e.g. app/db",
            code="invalid_path",
            details={"path": path},
        )
    return "/".join(quote(segment, safe="") for segment in segments)


def segment(value: str, what: str = "id") -> str:
    """One segment of a route: an id, a name, a path as one segment."""
    if not isinstance(value, str) or value in ("", ".", "..") or _CONTROL.search(value):
        raise ValidationError(
            f"the {what} is empty or not one", code="invalid_request", details={"fields": {}}
        )
    return quote(value, safe="")


QueryValue = str | int | bool | datetime | Sequence[str] | None


def query(**values: QueryValue) -> tuple[tuple[str, str], ...]:
    """Query parameters; ``None`` is left out. ``from_`` stands for ``from``."""
    pairs = []
    for name, value in values.items():
        if value is None:
            continue
        if isinstance(value, bool):
            text = "true" if value else "false"
        elif isinstance(value, datetime):
            text = format_time(value)
        elif isinstance(value, (str, int)):
            text = str(value)
        else:
            text = ",".join(value)
        pairs.append((name.rstrip("_"), text))
    return tuple(pairs)


def given(**values: Any) -> dict[str, Any]:
    """A body of the arguments that were given: neither ``None`` nor unset."""
    return {k: v for k, v in values.items() if v is not None and v is not UNSET}


def as_list(items: Iterable[T] | None) -> list[T] | None:
    """A list for a body; a text would become its letters."""
    if isinstance(items, str):
        raise TypeError("a list is expected, not a single text")
    return None if items is None else [*items]


def get(route: str, model: type[ModelT], **values: QueryValue) -> Call[ModelT]:
    """A read."""
    return Call("GET", route, model.from_json, query=query(**values))


def get_list(
    route: str, key: str, model: type[ModelT], **values: QueryValue
) -> Call[Items[ModelT]]:
    """A whole list that is not paged."""

    def decode(body: Any) -> Items[ModelT]:
        items = body.get(key) if isinstance(body, Mapping) else body
        return (
            Items(model.from_json(item) for item in items) if isinstance(items, list) else Items()
        )

    return Call("GET", route, decode, query=query(**values))


def act(
    method: str, route: str, model: type[ModelT], repeat: Repeat, body: object = None
) -> Call[ModelT]:
    """A change that is answered with an object."""
    return Call(method, route, model.from_json, repeat=repeat, body=body)


def remove(route: str, body: object = None, **values: QueryValue) -> Call[Done]:
    """A removal without an answer. What is gone after a lost answer was removed by it."""
    return Call(
        "DELETE",
        route,
        lambda _: Done(),
        repeat=Repeat.HARMLESS,
        query=query(**values),
        body=body,
        gone=Done,
    )


def paged(route: str, key: str, model: type[ModelT], **values: QueryValue) -> Listing[ModelT]:
    """A paged list."""
    return Listing(route, key, model.from_json, query=query(**values))


def slow(call: Call[T], seconds: float) -> Call[T]:
    """The same call with at least so much time."""
    return replace(call, timeout=seconds)
