"""One client with and without `await`, one that always blocks, one that is always awaited."""

from __future__ import annotations

import asyncio
import gc
import threading
import warnings

import pytest
from conftest import ROOT, Says, Scripted, Vault, error

from scaivault_sdk import AsyncScaiVaultClient, Retry, ScaiVaultClient, SyncScaiVaultClient
from scaivault_sdk.errors import NotAwaitedError, NotFoundError, ValidationError

READ = {"path": "a/b", "version": 3, "data": {"k": "v"}}


def test_outside_a_loop_the_result_is_there_at_once(vault: Vault) -> None:
    client = ScaiVaultClient(vault.url, ROOT)
    client.secrets.write("modes/sync", {"k": "v"})
    secret = client.secrets.read("modes/sync")
    assert secret.data["k"] == "v"
    assert [s.path for s in client.secrets.list("modes/sync")] == ["modes/sync"]
    client.close()


def test_inside_a_loop_it_is_awaited(vault: Vault) -> None:
    async def main() -> None:
        async with ScaiVaultClient(vault.url, ROOT) as client:
            await client.secrets.write("modes/async", {"k": "v"})
            secret = await client.secrets.read("modes/async")
            assert secret.data["k"] == "v"
            found = [s.path async for s in client.secrets.list("modes/async", limit=1)]
            assert found == ["modes/async"]
            with pytest.raises(NotFoundError):
                await client.secrets.read("modes/nothing")

    asyncio.run(main())


def test_one_client_serves_both_and_several_loops(vault: Vault) -> None:
    client = ScaiVaultClient(vault.url, ROOT)

    async def version() -> str:
        found = (await client.system.version()).api_version
        await client.aclose()  # this loop's connections
        return found

    assert client.system.version().api_version == "v1"
    assert asyncio.run(version()) == "v1"
    assert asyncio.run(version()) == "v1"
    assert client.system.version().api_version == "v1"
    client.close()


def test_a_result_may_be_awaited_too(scripted: Scripted) -> None:
    scripted.says(Says(200, READ))
    client = ScaiVaultClient(scripted.url, "skt_test")
    secret = client.secrets.read("a/b")

    async def later() -> int:
        return (await secret).version

    assert asyncio.run(later()) == 3
    client.close()


def test_a_forgotten_await_says_what_to_write(scripted: Scripted) -> None:
    async def main() -> None:
        async with ScaiVaultClient(scripted.url, "skt_test") as client:
            pending = client.secrets.read("a/b")
            with pytest.raises(NotAwaitedError, match="await"):
                _ = pending.data
            with pytest.raises(NotAwaitedError, match="SyncScaiVaultClient"):
                _ = pending["data"]  # type: ignore[index]
            with pytest.raises(NotAwaitedError):
                list(client.secrets.versions("a/b"))
            with pytest.raises(NotAwaitedError, match="async for"):
                list(client.secrets.list())
            with pytest.raises(NotAwaitedError, match="async for"):
                next(iter(client.subscriptions.events("sub_1")))
            assert "not awaited" in repr(pending)
            await asyncio.sleep(0)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        asyncio.run(main())
        gc.collect()
    assert scripted.seen == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_call_that_nobody_awaited_is_warned_of(scripted: Scripted) -> None:
    async def main() -> None:
        async with ScaiVaultClient(scripted.url, "skt_test") as client:
            client.secrets.read("a/b")
            gc.collect()

    with pytest.warns(RuntimeWarning, match=r"Secrets\.read.*never awaited"):
        asyncio.run(main())
    assert scripted.seen == []


def test_the_sync_client_blocks_inside_a_loop(scripted: Scripted) -> None:
    scripted.says(Says(200, READ))

    async def main() -> int:
        with SyncScaiVaultClient(scripted.url, "skt_test") as client:
            return client.secrets.read("a/b").version

    assert asyncio.run(main()) == 3


def test_a_thread_without_a_loop_gets_results_while_another_runs_one(scripted: Scripted) -> None:
    scripted.says(Says(200, READ))
    client = ScaiVaultClient(scripted.url, "skt_test")

    async def main() -> int:
        return (await asyncio.to_thread(client.secrets.read, "a/b")).version

    assert asyncio.run(main()) == 3
    client.close()


def test_the_async_client_makes_tasks_and_retries(scripted: Scripted) -> None:
    scripted.answer = lambda seen: (
        error(503, "service_unavailable")
        if len(scripted.seen) <= 2
        else Says(200, {**READ, "path": seen.path})
    )

    async def main() -> None:
        retry = Retry(backoff_min=0.001, backoff_max=0.002, attempts=9)
        async with AsyncScaiVaultClient(scripted.url, "skt_test", retry=retry) as client:
            task = asyncio.create_task(client.secrets.read("a/b"))
            both = await asyncio.gather(task, client.secrets.read("a/c"))
            assert {secret.path for secret in both} == {"/v1/secrets/a/b", "/v1/secrets/a/c"}
            with pytest.raises(ValidationError):
                await client.secrets.read("../policies")

    asyncio.run(main())


def test_a_call_can_be_cancelled(scripted: Scripted) -> None:
    arrived, release = threading.Event(), threading.Event()

    def hold() -> None:
        arrived.set()
        release.wait(10)

    scripted.says(Says(200, READ, then=hold))

    async def main() -> None:
        async with AsyncScaiVaultClient(scripted.url, "skt_test") as client:
            task = asyncio.create_task(client.secrets.read("a/b"))
            await asyncio.to_thread(arrived.wait, 10)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    release.set()


def test_pages_are_walked_to_the_end(scripted: Scripted) -> None:
    def page(names: list[str], cursor: str | None) -> Says:
        secrets = [{"path": name} for name in names]
        return Says(200, {"secrets": secrets, "cursor": cursor, "has_more": cursor is not None})

    script = [page(["a"], "c 1"), page([], "c2"), page(["b"], None)]
    scripted.says(*script, *script, script[0])
    client = ScaiVaultClient(scripted.url, "skt_test")
    listed = client.secrets.list(limit=1)
    assert [s.path for s in listed] == ["a", "b"]

    async def main() -> list[str]:
        found = [s.path async for s in listed]
        await client.aclose()
        return found

    assert asyncio.run(main()) == ["a", "b"]
    assert next(iter(client.secrets.list().pages())).cursor == "c 1"
    assert scripted.seen[1].path == "/v1/secrets?limit=1&cursor=c%201"
    client.close()


def test_with_options_shares_connections(scripted: Scripted) -> None:
    scripted.says(Says(200, READ), Says(200, READ))
    with SyncScaiVaultClient(scripted.url, "skt_test", tenant_id="tnt_a") as client:
        client.secrets.read("a/b")
        client.with_options(tenant_id="tnt_b").secrets.read("a/b")
        assert client.with_options(timeout=1)._core.blocking is client._core.blocking
    assert [seen.headers["x-tenant-id"] for seen in scripted.seen] == ["tnt_a", "tnt_b"]
    assert scripted.seen[0].headers["authorization"] == "Bearer skt_test"


def test_the_environment_is_looked_at(monkeypatch: pytest.MonkeyPatch, scripted: Scripted) -> None:
    monkeypatch.setenv("SCAIVAULT_URL", scripted.url)
    monkeypatch.setenv("SCAIVAULT_TOKEN", "skt_of_the_environment")
    monkeypatch.setenv("SCAIVAULT_TENANT_ID", "tnt_default")
    scripted.says(Says(200, READ))
    with ScaiVaultClient() as client:
        client.secrets.read("a/b")
    assert scripted.seen[0].headers["authorization"] == "Bearer skt_of_the_environment"
    assert scripted.seen[0].headers["x-tenant-id"] == "tnt_default"
