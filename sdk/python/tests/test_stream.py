"""The stream of events: over broken connections, to its end."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest
from conftest import ROOT, Says, Scripted, Seen, Vault, error, until

from scaivault_sdk import AsyncScaiVaultClient, ScaiVaultClient, SyncScaiVaultClient, errors
from scaivault_sdk._stream import Frames

SSE = {"content-type": "text/event-stream"}


def event(n: int) -> str:
    data = {"event_id": f"evt_{n}", "event_type": "secret.updated", "data": {"n": n}}
    return f"id: evt_{n}\nevent: secret.updated\ndata: {json.dumps(data)}\n\n"


def end(reason: str) -> str:
    return f'event: stream.end\ndata: {{"reason": "{reason}"}}\n\n'


def stream(*parts: str) -> Says:
    return Says(200, "".join(parts).encode(), SSE)


def ids(events: Any, most: int = 99) -> list[str]:
    seen = []
    for one in events:
        seen.append(one.event_id)
        if len(seen) >= most:
            break
    return seen


def test_a_broken_connection_goes_on_behind_the_last_event(
    scripted: Scripted, client: SyncScaiVaultClient, pauses: list[float]
) -> None:
    scripted.says(
        stream("retry: 3000\n\n", event(1)),
        Says(None),
        error(503, "service_unavailable", retry_after="7"),
        stream(event(2), end("stopping")),
        stream(": \n\n", event(3)),
    )
    events = client.subscriptions.stream("sub_1", acknowledge=False)
    assert ids(events, 3) == ["evt_1", "evt_2", "evt_3"]
    last = [seen.headers.get("last-event-id") for seen in scripted.seen]
    assert last == [None, "evt_1", "evt_1", "evt_1", "evt_2"]
    assert 3.0 <= pauses[0] <= 4.5
    assert 0.5 <= pauses[1] <= 0.75
    assert 7.0 <= pauses[2] <= 10.5
    assert 3.0 <= pauses[3] <= 4.5


@pytest.mark.parametrize("size", [1, 2, 7, 1_000])
def test_events_are_put_together_from_whatever_pieces_they_come_in(size: int) -> None:
    whole = ("retry: 3000\r\n\r\n: \u00fc\r\n\r\n" + event(1)).encode()
    whole += event(2).replace("\n", "\r\n").encode()
    frames = Frames()
    found = [
        frame for at in range(0, len(whole), size) for frame in frames.take(whole[at : at + size])
    ]
    assert [frame.retry for frame in found][:1] == [3.0]
    data = [json.loads(frame.data[0])["event_id"] for frame in found if frame.data]
    assert data == ["evt_1", "evt_2"]
    with pytest.raises(errors.InvalidResponseError):
        frames.take(b"data: " + b"x" * 2_000_000)


def test_what_the_body_ran_for_is_acknowledged_and_nothing_else(
    scripted: Scripted, client: SyncScaiVaultClient
) -> None:
    acks: list[Any] = []

    def answer(seen: Seen) -> Says:
        if seen.method == "POST":
            acks.append(seen.json())
            return Says(200, {"acknowledged": 1})
        return stream(event(1), event(2), event(3))

    scripted.answer = answer
    with pytest.raises(ValueError, match="not processed"):
        for one in client.subscriptions.stream("sub_1"):
            if one.event_id == "evt_3":
                raise ValueError("not processed")
    assert acks == [{"event_ids": ["evt_1", "evt_2"]}]


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("token_revoked", errors.AuthenticationError),
        ("token_expired", errors.TokenExpiredError),
        ("subscription_not_found", errors.NotFoundError),
        ("tenant_suspended", errors.PermissionDeniedError),
    ],
)
def test_what_a_new_request_would_be_refused_for_ends_it(
    scripted: Scripted,
    client: SyncScaiVaultClient,
    pauses: list[float],
    reason: str,
    kind: type[Exception],
) -> None:
    scripted.says(stream(event(1), end(reason)))
    with pytest.raises(kind):
        ids(client.subscriptions.stream("sub_1", acknowledge=False))
    scripted.says(error(404, "subscription_not_found"))
    with pytest.raises(errors.NotFoundError):
        ids(client.subscriptions.stream("sub_1"))
    scripted.says(Says(200, {}))
    with pytest.raises(errors.InvalidResponseError):
        ids(client.subscriptions.stream("sub_1"))
    assert pauses == []


def test_it_gives_up_after_its_time(scripted: Scripted) -> None:
    slept: list[float] = []
    scripted.answer = lambda _: error(503, "service_unavailable")
    with SyncScaiVaultClient(scripted.url, "skt_test", sleep=slept.append) as client:
        object.__setattr__(client._core.session, "clock", lambda: sum(slept))
        with pytest.raises(errors.ServiceUnavailableError):
            ids(client.subscriptions.stream("sub_1", give_up_after=60))
        assert 30 < sum(slept) < 60
        assert ids(client.subscriptions.stream("sub_1", for_seconds=20)) == []


def test_the_tenant_in_the_path(scripted: Scripted) -> None:
    with SyncScaiVaultClient(
        scripted.url, "skt_test", tenant_id="tnt_a", tenant_in="path"
    ) as client:
        scripted.says(Says(200, {}), Says(200, {}), stream(event(1)))
        client.whoami()
        client.system.health()
        ids(client.subscriptions.stream("sub_1", acknowledge=False), 1)
    paths = [seen.path for seen in scripted.seen]
    stream_of = "/v1/t/tnt_a/subscriptions/sub_1/stream"
    assert paths == ["/v1/t/tnt_a/auth/whoami", "/v1/health", stream_of]
    assert all("x-tenant-id" not in seen.headers for seen in scripted.seen)


def test_the_real_servers_stream_outlives_the_server(own_vault: Vault) -> None:
    with SyncScaiVaultClient(
        own_vault.url, ROOT, sleep=lambda _: threading.Event().wait(0.05) and None
    ) as client:
        made = client.subscriptions.create("s", ["s/**"], ["secret.created"], ttl="2h")
        assert made.ttl == "2h"
        arrived: list[str | None] = []
        ended: list[BaseException | None] = []

        def read() -> None:
            try:
                for one in client.subscriptions.stream(made.id):
                    arrived.append(one.path)
            except errors.ScaiVaultError as failure:
                ended.append(failure)

        reader = threading.Thread(target=read)
        reader.start()
        client.secrets.write("s/1", {})
        until(lambda: len(arrived) == 1, "the first event")
        own_vault.stop(signal.SIGKILL)
        own_vault.start(own_vault.url.replace("http://", ""))
        client.secrets.write("s/2", {})
        until(lambda: len(arrived) == 2, "the event after the restart")
        until(
            lambda: not client.subscriptions.poll(made.id, timeout=0).events,
            "both are acknowledged",
        )
        client.subscriptions.delete(made.id)
        reader.join(30)
        assert isinstance(ended[0], errors.NotFoundError)
        assert arrived == ["s/1", "s/2"]


@pytest.mark.parametrize("kind", [AsyncScaiVaultClient, ScaiVaultClient])
def test_it_is_walked_and_cancelled_in_an_event_loop(
    vault: Vault, kind: Callable[..., Any]
) -> None:
    async def go() -> list[str]:
        async with kind(vault.url, ROOT) as client:
            made = await client.subscriptions.create("a", ["as/**"], ["secret.created"])
            await client.secrets.write(f"as/{kind.__name__.lower()}", {})
            seen = []

            async def read() -> None:
                async for one in client.subscriptions.stream(made.id):
                    seen.append(one.event_type)

            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(read(), 1.0)
            left = [one async for one in client.subscriptions.stream(made.id, for_seconds=0.2)]
            assert left == []
            await client.subscriptions.delete(made.id)
            return seen

    assert asyncio.run(go()) == ["secret.created"]
