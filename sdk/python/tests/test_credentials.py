"""Tokens that are fetched, renewed and shared."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from conftest import Says, Scripted, Seen, error

from scaivault_sdk import AsyncScaiVaultClient, SyncScaiVaultClient
from scaivault_sdk.errors import AuthenticationError, ConfigurationError, ServiceUnavailableError

READ = {"path": "a/b", "version": 1, "data": {}}


class Issuer:
    """A token endpoint and the API behind it, in one scripted server."""

    def __init__(self, scripted: Scripted) -> None:
        self.issued = 0
        self.life = 3600
        self.refuses: Says | None = None
        self.accepted: set[str] = set()
        self.hold: threading.Event | None = None
        scripted.answer = self._answer
        self.scripted = scripted

    def _answer(self, seen: Seen) -> Says:
        if seen.path == "/oauth/token":
            if self.hold:
                self.hold.wait(10)
            if self.refuses:
                return self.refuses
            self.issued += 1
            token = f"token-{self.issued}"
            self.accepted.add(f"Bearer {token}")
            return Says(200, {"access_token": token, "expires_in": self.life})
        if seen.headers["authorization"] not in self.accepted:
            return error(401, "token_expired")
        return Says(200, READ)

    def asked(self) -> list[Seen]:
        return [seen for seen in self.scripted.seen if seen.path == "/oauth/token"]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def issuer(scripted: Scripted) -> Issuer:
    return Issuer(scripted)


def make(issuer: Issuer, clock: Clock | None = None) -> SyncScaiVaultClient:
    client = SyncScaiVaultClient(
        issuer.scripted.url,
        client_id="svc",
        client_secret="hunter2&=",
        token_url=issuer.scripted.url + "/oauth/token",
        scope="secrets:read secrets:list",
        sleep=lambda _: None,
    )
    if clock is not None:
        session = replace(client._core.session, clock=clock)
        client._core = replace(client._core, session=session)
        client._make_groups()
    return client


def test_a_token_is_asked_for_once_and_kept(issuer: Issuer) -> None:
    with make(issuer) as client:
        client.secrets.read("a/b")
        client.secrets.read("a/b")
    [asked] = issuer.asked()
    assert parse_qs(asked.body.decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": ["svc"],
        "client_secret": ["hunter2&="],
        "scope": ["secrets:read secrets:list"],
    }


def test_it_is_renewed_before_it_ends(issuer: Issuer) -> None:
    clock = Clock()
    with make(issuer, clock) as client:
        client.secrets.read("a/b")
        clock.now += 3600 - 61
        client.secrets.read("a/b")
        assert issuer.issued == 1
        clock.now += 2
        client.secrets.read("a/b")
        assert issuer.issued == 2


def test_while_it_works_a_failed_renewal_harms_nobody(issuer: Issuer) -> None:
    clock = Clock()
    with make(issuer, clock) as client:
        client.secrets.read("a/b")
        issuer.refuses = Says(400, {"error": "temporarily_unavailable"})
        clock.now += 3550
        client.secrets.read("a/b")
        client.secrets.read("a/b")
        assert len(issuer.asked()) == 2, "not asked again at once"
        clock.now += 49
        client.secrets.read("a/b")
        clock.now += 2
        with pytest.raises(AuthenticationError) as caught:
            client.secrets.read("a/b")
        assert caught.value.code == "token_request_failed"
        assert "hunter2" not in str(caught.value)


def test_one_that_is_refused_is_replaced_once(issuer: Issuer) -> None:
    with make(issuer) as client:
        client.secrets.read("a/b")
        issuer.accepted.clear()
        client.secrets.write("a/b", {})
        assert issuer.issued == 2
        issuer.accepted.clear()
        issuer.life = 1
        original = issuer._answer

        def never(seen: Seen) -> Says:
            said = original(seen)
            issuer.accepted.clear()
            return said

        issuer.scripted.answer = never
        with pytest.raises(AuthenticationError):
            client.secrets.read("a/b")
        assert issuer.issued == 3


def test_many_threads_share_one_request(issuer: Issuer) -> None:
    issuer.hold = threading.Event()
    with make(issuer) as client, ThreadPoolExecutor(16) as pool:
        reads = [pool.submit(client.secrets.read, "a/b") for _ in range(16)]
        issuer.hold.set()
        assert [read.result(10).version for read in reads] == [1] * 16
    assert issuer.issued == 1


def test_many_tasks_share_one_request_even_when_the_first_is_cancelled(issuer: Issuer) -> None:
    issuer.hold = threading.Event()

    async def main() -> None:
        async with AsyncScaiVaultClient(
            issuer.scripted.url,
            client_id="svc",
            client_secret="x",
            token_url=issuer.scripted.url + "/oauth/token",
        ) as client:
            first = asyncio.create_task(client.secrets.read("a/b"))
            await asyncio.sleep(0)
            others = [asyncio.create_task(client.secrets.read("a/b")) for _ in range(8)]
            await asyncio.sleep(0)
            first.cancel()
            others[0].cancel()
            await asyncio.sleep(0)
            assert issuer.hold is not None
            issuer.hold.set()
            done = await asyncio.gather(*others[1:])
            assert [secret.version for secret in done] == [1] * 7

    asyncio.run(main())
    assert len(issuer.asked()) <= 2


def test_a_token_endpoint_that_is_away_is_asked_again(issuer: Issuer) -> None:
    with make(issuer) as client:
        issuer.refuses = Says(503, b"")
        with pytest.raises(ServiceUnavailableError):
            client.secrets.read("a/b")
        assert len(issuer.asked()) == 4


def test_a_token_file_is_read_again_when_it_changes(scripted: Scripted, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("skt_one\n")
    scripted.answer = lambda _: Says(200, READ)
    with SyncScaiVaultClient(scripted.url, token_file=file) as client:
        client.secrets.read("a/b")
        new = tmp_path / "new"
        new.write_text("skt_two\n")
        new.replace(file)
        client.secrets.read("a/b")
        file.unlink()
        with pytest.raises(ConfigurationError):
            client.secrets.read("a/b")
    sent = [seen.headers["authorization"] for seen in scripted.seen]
    assert sent == ["Bearer skt_one", "Bearer skt_two"]
