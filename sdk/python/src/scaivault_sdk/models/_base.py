"""Typed answers: frozen, tolerant of what they do not know, and awaitable."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, TypeVar, Union

from .._time import parse_time

AnswerT = TypeVar("AnswerT", bound="Answer")
ModelT = TypeVar("ModelT", bound="Model")
ItemT = TypeVar("ItemT")

#: Stands for "this does not decode".
_BAD: Any = object()


class Answer:
    """Anything a call gives back.

    Awaiting it gives itself. So code that awaits every call works wherever it runs: see
    :class:`scaivault_sdk.ScaiVaultClient`.
    """

    def __await__(self: AnswerT) -> Generator[Any, None, AnswerT]:
        return self
        yield  # makes this a generator


class Done(Answer):
    """The call succeeded, and there is nothing to tell."""

    def __repr__(self) -> str:
        return "Done()"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Done)

    def __hash__(self) -> int:
        return hash(Done)


class Items(tuple[ItemT, ...], Answer):
    """A whole list, not paged."""

    __slots__ = ()


class Text(str, Answer):
    """A text."""

    __slots__ = ()


class Content(bytes, Answer):
    """A file's bytes."""

    __slots__ = ()


@dataclass(frozen=True, kw_only=True)
class Model(Answer):
    """A decoded JSON object.

    A field that is missing or not of the expected type has its default; ``extra`` keeps what is
    not known here, so a newer server never breaks a client.
    """

    extra: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_json(cls: type[ModelT], value: object) -> ModelT:
        """Decodes ``value``; never fails."""
        if not isinstance(value, Mapping):
            return cls()
        decoders = _decoders(cls)
        known: dict[str, Any] = {}
        extra: dict[str, Any] = {}
        for name, raw in value.items():
            decode = decoders.get(name)
            decoded = _BAD if decode is None else decode(raw)
            if decoded is _BAD:
                extra[name] = raw
            else:
                known[name] = decoded
        return cls(**known, extra=extra)


Decoder = Callable[[Any], Any]


_DECODERS: dict[type[Any], dict[str, Decoder]] = {}


def _decoders(cls: type[Model]) -> dict[str, Decoder]:
    decoders = _DECODERS.get(cls)
    if decoders is None:
        hints = typing.get_type_hints(cls)
        decoders = {f.name: _decoder(hints[f.name]) for f in fields(cls) if f.name != "extra"}
        _DECODERS[cls] = decoders
    return decoders


def _decoder(hint: Any) -> Decoder:
    origin = typing.get_origin(hint)
    arguments = typing.get_args(hint)
    if origin in (Union, types.UnionType):
        inner = [argument for argument in arguments if argument is not type(None)]
        decode = _decoder(inner[0]) if len(inner) == 1 else _anything
        return lambda raw: None if raw is None else decode(raw)
    if origin is tuple:
        return _list_of(_decoder(arguments[0]))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _map_of(_decoder(arguments[1]))
    if hint is datetime:
        return lambda raw: parse_time(raw) or _BAD
    if hint is bool:
        return lambda raw: raw if isinstance(raw, bool) else _BAD
    if hint is int:
        return lambda raw: raw if isinstance(raw, int) and not isinstance(raw, bool) else _BAD
    if hint is float:
        return lambda raw: (
            float(raw) if isinstance(raw, (int, float)) and not isinstance(raw, bool) else _BAD
        )
    if hint is str:
        return lambda raw: raw if isinstance(raw, str) else _BAD
    if isinstance(hint, type) and issubclass(hint, Model):
        return lambda raw: hint.from_json(raw) if isinstance(raw, Mapping) else _BAD
    if isinstance(hint, type) and issubclass(hint, dict):
        return lambda raw: hint(raw) if isinstance(raw, Mapping) else _BAD
    return _anything


def _anything(raw: Any) -> Any:
    return raw


def _list_of(decode: Decoder) -> Decoder:
    def decode_list(raw: Any) -> Any:
        if not isinstance(raw, list):
            return _BAD
        items = tuple(decode(item) for item in raw)
        return _BAD if any(item is _BAD for item in items) else items

    return decode_list


def _map_of(decode: Decoder) -> Decoder:
    def decode_map(raw: Any) -> Any:
        if not isinstance(raw, Mapping):
            return _BAD
        items = {str(name): decode(item) for name, item in raw.items()}
        return _BAD if any(item is _BAD for item in items.values()) else items

    return decode_map
