"""What is repeated, when, and what is not."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from conftest import Says, Scripted, error

from scaivault_sdk import Retry, SyncScaiVaultClient
from scaivault_sdk._call import Repeat
from scaivault_sdk._retry import retry_after
from scaivault_sdk.errors import (
    InternalServerError,
    NotFoundError,
    RateLimitError,
    RequestTimeoutError,
    ServiceUnavailableError,
    TransportError,
    VersionConflictError,
)

READ = {"path": "a/b", "version": 1, "data": {"k": "v"}}
WRITTEN = {"path": "a/b", "version": 1, "metadata": {}}


def test_rate_limited_waits_for_retry_after(
    scripted: Scripted, client: SyncScaiVaultClient, pauses: list[float]
) -> None:
    scripted.says(error(429, "rate_limited", Retry_After="7"), Says(200, READ))
    assert client.secrets.read("a/b").version == 1
    assert len(pauses) == 1 and 7 <= pauses[0] <= 7.25


def test_a_refused_write_is_repeated(
    scripted: Scripted, client: SyncScaiVaultClient, pauses: list[float]
) -> None:
    scripted.says(error(429, "rate_limited", Retry_After="1"), Says(201, WRITTEN))
    assert client.secrets.write("a/b", {"k": "v"}).version == 1
    assert [seen.body for seen in scripted.seen] == [b'{"data":{"k":"v"}}'] * 2


def test_retry_after_past_the_deadline_is_told_at_once(
    scripted: Scripted, client: SyncScaiVaultClient, pauses: list[float]
) -> None:
    scripted.says(error(429, "rate_limited", Retry_After="3600"))
    with pytest.raises(RateLimitError) as caught:
        client.secrets.read("a/b")
    assert caught.value.retry_after == 3600
    assert pauses == []


def test_unavailable_backs_off_and_honours_retry_after(
    scripted: Scripted, client: SyncScaiVaultClient, pauses: list[float]
) -> None:
    scripted.says(
        error(503, "service_unavailable"),
        error(503, "service_unavailable"),
        error(503, "service_unavailable", Retry_After="2"),
        Says(200, READ),
    )
    client.secrets.read("a/b")
    assert 0.125 <= pauses[0] <= 0.25
    assert 0.25 <= pauses[1] <= 0.5
    assert 2 <= pauses[2] <= 2.25


def test_attempts_are_bounded(scripted: Scripted, client: SyncScaiVaultClient) -> None:
    scripted.says(*[error(503, "service_unavailable")] * 4)
    with pytest.raises(ServiceUnavailableError) as caught:
        client.secrets.read("a/b")
    assert not caught.value.outcome_unknown
    assert len(scripted.seen) == 4


def test_internal_error_is_repeated_once(scripted: Scripted, client: SyncScaiVaultClient) -> None:
    scripted.says(*[error(500, "internal_error")] * 2)
    with pytest.raises(InternalServerError):
        client.secrets.read("a/b")
    assert len(scripted.seen) == 2


def test_not_found_is_not_repeated(scripted: Scripted, client: SyncScaiVaultClient) -> None:
    scripted.says(error(404, "secret_not_found"))
    with pytest.raises(NotFoundError):
        client.secrets.read("a/b")
    assert len(scripted.seen) == 1


@pytest.mark.parametrize(
    "answer",
    [error(503, "service_unavailable", Retry_After="1"), error(500, "internal_error"), Says(None)],
)
def test_a_write_of_unknown_outcome_is_not_repeated(
    scripted: Scripted, client: SyncScaiVaultClient, answer: Says
) -> None:
    scripted.says(answer)
    with pytest.raises((ServiceUnavailableError, InternalServerError, TransportError)) as caught:
        client.secrets.write("a/b", {"k": "v"})
    assert caught.value.outcome_unknown
    assert "not known" in str(caught.value)
    assert len(scripted.seen) == 1


@pytest.mark.parametrize("answer", [error(503, "service_unavailable"), Says(None)])
def test_a_guarded_write_of_unknown_outcome_is_repeated(
    scripted: Scripted, client: SyncScaiVaultClient, answer: Says
) -> None:
    scripted.says(answer, Says(201, WRITTEN))
    assert client.secrets.write("a/b", {"k": "v"}, cas=0).version == 1
    assert scripted.seen[0].body == scripted.seen[1].body


def test_a_conflict_after_an_unknown_outcome_says_so(
    scripted: Scripted, client: SyncScaiVaultClient
) -> None:
    conflict = error(409, "version_conflict")
    conflict.body["error"]["details"] = {"current_version": 4}
    scripted.says(Says(None), conflict)
    with pytest.raises(VersionConflictError) as caught:
        client.secrets.write("a/b", {"k": "v"}, cas=3)
    assert caught.value.outcome_unknown
    assert caught.value.current_version == 4


def test_a_plain_conflict_is_certain(scripted: Scripted, client: SyncScaiVaultClient) -> None:
    scripted.says(error(409, "version_conflict"))
    with pytest.raises(VersionConflictError) as caught:
        client.secrets.write("a/b", {"k": "v"}, cas=3)
    assert not caught.value.outcome_unknown


def test_what_is_gone_after_a_lost_answer_was_removed(
    scripted: Scripted, client: SyncScaiVaultClient
) -> None:
    scripted.says(Says(None), error(404, "policy_not_found"))
    client.policies.delete("pol_1")
    scripted.says(Says(None), error(404, "secret_not_found"))
    assert client.secrets.delete("a/b").path == "a/b"
    scripted.says(error(404, "policy_not_found"))
    with pytest.raises(NotFoundError):
        client.policies.delete("pol_1")


def test_a_read_survives_a_cut_connection(scripted: Scripted, client: SyncScaiVaultClient) -> None:
    scripted.says(Says(None), Says(None), Says(200, READ))
    assert client.secrets.read("a/b").data["k"] == "v"


def test_a_proxy_in_front_speaks_for_a_server_that_is_away(
    scripted: Scripted, client: SyncScaiVaultClient
) -> None:
    scripted.says(Says(502, b"<html>bad gateway</html>"), Says(200, READ))
    client.secrets.read("a/b")
    scripted.says(Says(502, b"<html>bad gateway</html>"))
    with pytest.raises(ServiceUnavailableError) as caught:
        client.secrets.write("a/b", {"k": "v"})
    assert caught.value.outcome_unknown


def test_a_server_that_is_not_there_was_never_asked() -> None:
    pauses: list[float] = []
    client = SyncScaiVaultClient("http://127.0.0.1:1", "skt_test", sleep=pauses.append)
    with client, pytest.raises(TransportError) as caught:
        client.secrets.write("a/b", {"k": "v"})
    assert caught.value.code == "connection_failed"
    assert not caught.value.outcome_unknown
    assert len(pauses) == 3


def test_silence_ends(scripted: Scripted) -> None:
    import threading

    done = threading.Event()
    scripted.says(Says(200, READ, then=lambda: done.wait(10)))
    with (
        SyncScaiVaultClient(
            scripted.url, "skt_test", timeout=0.2, retry=Retry(attempts=1)
        ) as client,
        pytest.raises(RequestTimeoutError),
    ):
        client.secrets.read("a/b")
    done.set()


def test_no_pause_runs_past_the_deadline() -> None:
    retry = Retry(deadline=10)
    busy = RateLimitError("m", code="rate_limited", retry_after=5.0)
    assert retry.pause(busy, Repeat.READ, 1, left=6, random=0) == 5
    assert retry.pause(busy, Repeat.READ, 1, left=5, random=0) is None
    assert retry.pause(busy, Repeat.READ, 4, left=6, random=0) is None


def test_backoff_grows_to_its_bound() -> None:
    retry = Retry(attempts=99, deadline=1e9)
    away = ServiceUnavailableError("m", code="service_unavailable")
    longest = [retry.pause(away, Repeat.READ, n, left=1e9, random=1) for n in range(1, 8)]
    shortest = [retry.pause(away, Repeat.READ, n, left=1e9, random=0) for n in range(1, 8)]
    assert longest == [0.25, 0.5, 1, 2, 4, 5, 5]
    assert shortest == [0.125, 0.25, 0.5, 1, 2, 2.5, 2.5]


def test_retry_after_is_seconds_or_a_date() -> None:
    now = datetime(2026, 1, 1, tzinfo=timezone.utc)
    date = format_datetime(now + timedelta(seconds=30), usegmt=True)
    for text, seconds in [("12", 12), (date, 30), ("", None), ("soon", None), ("-3", None)]:
        assert retry_after({"retry-after": text}, now.timestamp()) == seconds
    past = format_datetime(now - timedelta(seconds=30), usegmt=True)
    assert retry_after({"retry-after": past}, now.timestamp()) == 0
    assert retry_after({}, now.timestamp()) is None
