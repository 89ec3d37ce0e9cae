"""Answers are typed, tolerant, and do not show values."""

from __future__ import annotations

import dataclasses
import json
import pprint
from datetime import datetime, timedelta, timezone

import pytest

from scaivault_sdk import models
from scaivault_sdk._time import UNKNOWN_TIME, format_duration, format_time, parse_time
from scaivault_sdk.models import Model, NewToken, Rotation, Secret, SecretInfo

ALL = [
    kind
    for name in models.__all__
    if isinstance(kind := getattr(models, name), type) and issubclass(kind, Model)
]


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("junk", [None, 1, "x", [], True, {"a": 1}, {"id": "x"}])
def test_no_answer_fails_to_decode(kind: type[Model], junk: object) -> None:
    decoded = kind.from_json({field.name: junk for field in dataclasses.fields(kind)})
    assert isinstance(decoded, kind)
    assert isinstance(kind.from_json(junk), kind)
    repr(decoded)


def test_what_is_not_known_is_kept() -> None:
    secret = SecretInfo.from_json({"path": "a/b", "version": "three", "colour": "red"})
    assert secret.path == "a/b"
    assert secret.version == 0
    assert secret.extra == {"version": "three", "colour": "red"}


def test_answers_are_frozen_and_nested() -> None:
    rotation = Rotation.from_json(
        {"id": "rtn_1", "trouble": {"kind": "k", "remedy": ["x"]}, "new_version": None}
    )
    assert rotation.trouble is not None and rotation.trouble.remedy == ("x",)
    with pytest.raises(dataclasses.FrozenInstanceError):
        rotation.id = "other"  # type: ignore[misc]


def test_values_are_in_no_repr() -> None:
    secret = Secret.from_json(
        {"path": "a/b", "version": 1, "data": {"password": "hunter2"}, "future_data": "hunter2"}
    )
    for shown in (repr(secret), str(secret), f"{secret.data}", pprint.pformat(secret)):
        assert "hunter2" not in shown
    assert secret.data["password"] == "hunter2"
    assert json.dumps(secret.data) == '{"password": "hunter2"}'
    assert "<1 secret field>" in repr(secret.data)
    assert "skt_x" not in repr(NewToken.from_json({"token": "skt_x"}))


def test_metadata_keeps_keys_of_ones_own() -> None:
    info = SecretInfo.from_json({"metadata": {"tags": ["a"], "owner": "o", "team": "t"}})
    assert info.metadata.tags == ("a",)
    assert info.metadata.owner == "o"
    assert info.metadata.description is None
    assert info.metadata["team"] == "t"


def test_times_are_aware() -> None:
    utc = timezone.utc
    for text, time in [
        ("2026-04-23T14:00:00Z", datetime(2026, 4, 23, 14, tzinfo=utc)),
        ("2026-04-23T14:00:00.123456Z", datetime(2026, 4, 23, 14, 0, 0, 123456, utc)),
        ("2026-04-23T14:00:00.123456789Z", datetime(2026, 4, 23, 14, 0, 0, 123456, utc)),
        ("2026-04-23T16:00:00+02:00", datetime(2026, 4, 23, 14, tzinfo=utc)),
    ]:
        assert parse_time(text) == time
    for text in ("", "yesterday", "2026-04-23", "2026-13-23T14:00:00Z", None, 5):
        assert parse_time(text) is None
    assert SecretInfo.from_json({"created_at": "soon"}).created_at == UNKNOWN_TIME


def test_times_and_durations_of_requests() -> None:
    assert format_time(datetime(2026, 1, 2, 3, tzinfo=timezone.utc)) == "2026-01-02T03:00:00Z"
    with pytest.raises(ValueError, match="time zone"):
        format_time(datetime(2026, 1, 2))
    assert format_duration(timedelta(days=1, milliseconds=1)) == "86401s"
    assert format_duration("90d") == "90d"
