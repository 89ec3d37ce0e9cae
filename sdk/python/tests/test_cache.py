"""Secrets in memory: fresh, stale, refreshed, acknowledged."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from conftest import ROOT, Says, Scripted, Seen, Vault, error, until

from scaivault_sdk import (
    AsyncScaiVaultClient,
    Retry,
    ScaiVaultClient,
    Secret,
    SecretCache,
    SyncScaiVaultClient,
)
from scaivault_sdk.errors import SecretNotFoundError, ServiceUnavailableError


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Api:
    """One secret behind a scripted server, and a subscription that nobody may make."""

    def __init__(self, scripted: Scripted) -> None:
        self.version = 1
        self.refuses: Says | None = None
        self.reads = 0
        self.acks: list[Any] = []
        self.hold: threading.Event | None = None
        scripted.answer = self._answer

    def _answer(self, seen: Seen) -> Says:
        if seen.path.endswith("/ack"):
            self.acks.append(seen.json())
            return Says(200, {})
        if seen.path.startswith("/v1/subscriptions"):
            return error(403, "insufficient_scope")
        self.reads += 1
        if self.hold:
            self.hold.wait(10)
        if self.refuses:
            return self.refuses
        return Says(200, {"path": "a/b", "version": self.version, "data": {"n": self.version}})


@pytest.fixture
def api(scripted: Scripted) -> Api:
    return Api(scripted)


def cache_of(client: SyncScaiVaultClient, clock: Clock, **options: Any) -> SecretCache[Any]:
    session = replace(client._core.session, clock=clock)
    client._core = replace(client._core, session=session)
    return client.cache(**{"max_age": 60, "stale_limit": 600, **options})


def test_it_is_read_once_while_fresh(api: Api, client: SyncScaiVaultClient) -> None:
    clock = Clock()
    cache = cache_of(client, clock)
    assert cache.get("a/b").data["n"] == 1
    api.version = 2
    clock.now += 59
    assert cache.get("a/b").data["n"] == 1
    clock.now += 2
    assert cache.get("a/b").data["n"] == 2
    assert api.reads == 2
    assert [ack["version"] for ack in api.acks] == [1, 2]
    assert {ack["status"] for ack in api.acks} == {"applied"}


def test_the_last_good_value_outlives_the_server(api: Api, client: SyncScaiVaultClient) -> None:
    clock = Clock()
    cache = cache_of(client, clock)
    cache.get("a/b")
    api.refuses = error(503, "service_unavailable")
    clock.now += 61
    assert cache.get("a/b").version == 1
    asked = api.reads
    assert cache.get("a/b").version == 1
    assert api.reads == asked, "a server that is away is not asked by every reader"
    clock.now += 31
    assert cache.get("a/b").version == 1
    assert api.reads > asked
    clock.now += 600
    with pytest.raises(ServiceUnavailableError):
        cache.get("a/b")
    api.refuses = None
    assert cache.get("a/b").version == 1


def test_what_the_server_says_for_certain_is_raised(api: Api, client: SyncScaiVaultClient) -> None:
    clock = Clock()
    cache = cache_of(client, clock)
    cache.get("a/b")
    clock.now += 61
    api.refuses = error(404, "secret_not_found")
    with pytest.raises(SecretNotFoundError):
        cache.get("a/b")
    api.refuses = error(503, "service_unavailable")
    with pytest.raises(ServiceUnavailableError):
        cache.get("a/b")


def test_many_readers_share_one_read(api: Api, client: SyncScaiVaultClient) -> None:
    api.hold = threading.Event()
    cache = cache_of(client, Clock())
    with ThreadPoolExecutor(16) as pool:
        reads = [pool.submit(cache.get, "a/b") for _ in range(16)]
        api.hold.set()
        assert [read.result(10).version for read in reads] == [1] * 16
    assert api.reads == 1


def test_without_the_scope_only_age_counts(api: Api, client: SyncScaiVaultClient) -> None:
    cache = cache_of(client, Clock())
    cache.get("a/b")
    until(lambda: cache._watcher and not cache._watcher.is_alive(), "the watcher gives up")
    assert not cache.watching


def test_a_listener_that_fails_is_acknowledged_as_failed(
    api: Api, client: SyncScaiVaultClient
) -> None:
    clock = Clock()
    cache = cache_of(client, clock)
    seen: list[int] = []

    def listener(secret: Secret) -> None:
        seen.append(secret.version)
        raise ValueError(f"cannot use {secret.data['n']}")

    cache.on_change("a/b", listener)
    cache.get("a/b")
    api.version = 2
    clock.now += 61
    cache.get("a/b")
    assert seen == [2]
    assert api.acks[-1] == {
        "version": 2,
        "status": "failed",
        "detail": "the application raised ValueError",
    }


def test_the_async_client_awaits_its_cache(api: Api, scripted: Scripted) -> None:
    async def main() -> None:
        async with AsyncScaiVaultClient(scripted.url, "skt_test") as client:
            cached = client.cached("a/b", max_age=60)
            both = await asyncio.gather(cached.get(), cached.get())
            assert [secret.version for secret in both] == [1, 1]
            assert api.reads == 1
        async with ScaiVaultClient(scripted.url, "skt_test") as either:
            assert (await either.cached("a/b").get()).version == 1

    asyncio.run(main())


def test_a_rotation_reaches_the_cache(vault: Vault, root: SyncScaiVaultClient) -> None:
    policy = root.rotation_policies.create("cache", "30d", auto_generate=True)
    root.secrets.write("cache/key", {"value": "by hand"}, rotation_policy_id=policy.id)
    with SyncScaiVaultClient(vault.url, ROOT) as client:
        cache = client.cache(max_age=3600, poll_timeout=2)
        changes: list[int] = []
        cache.on_change("cache/key", lambda secret: changes.append(secret.version))
        assert cache.get("cache/key").version == 1
        until(lambda: cache.watching, "the cache watches")
        root.secrets.rotate("cache/key")
        until(lambda: cache.get("cache/key").version == 2, "the new version is served")
        root.secrets.write("cache/other", {"value": "1"})
        assert cache.get("cache/other").version == 1
        until(lambda: "cache/other" in cache._watched, "the new path is watched")
        root.secrets.write("cache/other", {"value": "2"})
        until(lambda: cache.get("cache/other").data["value"] == "2", "a write is served too")

        def applied() -> bool:
            consumers = root.secrets.consumers("cache/key")
            return any(c.version == 2 and c.applied_at is not None for c in consumers)

        until(applied, "the new version is acknowledged")
        assert changes == [2]
        mine = cache._subscription_id
        assert mine in [s.id for s in root.subscriptions.list()]
    assert mine not in [s.id for s in root.subscriptions.list()]


def test_a_restart_of_the_server_is_survived(own_vault: Vault) -> None:
    with SyncScaiVaultClient(own_vault.url, ROOT, retry=Retry(attempts=1)) as client:
        client.secrets.write("app/db", {"password": "one"})
        cache = client.cache(max_age=0.01, poll_timeout=1)
        assert cache.get("app/db").data["password"] == "one"
        until(lambda: cache.watching, "the cache watches")
        own_vault.stop(9)
        assert cache.get("app/db").data["password"] == "one"
        own_vault.start(own_vault.url.removeprefix("http://"))
        client.secrets.write("app/db", {"password": "two"})
        until(lambda: cache.get("app/db").data["password"] == "two", "the new value is served")
        until(lambda: cache.watching, "the cache watches again")
