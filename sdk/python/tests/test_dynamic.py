"""Credentials on request, at a real PostgreSQL; and what becomes of a lease while it is in use."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import ROOT, Says, Scripted, Vault, error, psql, until

from scaivault_sdk import AsyncScaiVaultClient, Retry, ScaiVaultClient, SyncScaiVaultClient
from scaivault_sdk.errors import (
    EngineFailedError,
    EngineInUseError,
    InvalidConfigError,
    LeaseEndedError,
    NotAwaitedError,
    NotFoundError,
    ServiceUnavailableError,
    TransportError,
    ValidationError,
)

MAKE = (
    "CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';"
    ' GRANT SELECT ON orders_python TO "{{name}}"'
)
READ = "SELECT id FROM orders_python"


def config() -> dict[str, Any]:
    settings = {"host": os.environ["PGHOST"], "port": int(os.environ["PGPORT"])}
    return {
        "plugin": "postgresql",
        "root_credentials_path": "dynamic/python",
        "settings": {**settings, "database": "postgres"},
    }


@pytest.fixture(scope="module")
def vault(binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    """A server of this module's own: targets and policies of engines are in nobody's way."""
    vault = Vault(binary, tmp_path_factory.mktemp("dynamic") / "data")
    vault.start()
    yield vault
    vault.stop()


@pytest.fixture(scope="module")
def engine(vault: Vault) -> str:
    """An engine with a role whose leases live for an hour, and one whose live for seconds."""
    psql("CREATE TABLE orders_python (id int); INSERT INTO orders_python VALUES (42)")
    psql("CREATE ROLE vault_python LOGIN CREATEROLE PASSWORD 'of-the-root'")
    psql("GRANT pg_signal_backend, pg_read_all_stats TO vault_python")
    psql("GRANT SELECT ON orders_python TO vault_python WITH GRANT OPTION")
    with SyncScaiVaultClient(vault.url, ROOT) as root:
        root.secrets.write(
            "dynamic/python", {"username": "vault_python", "password": "of-the-root"}
        )
        made = root.dynamic.create_engine("python", "database", config(), max_ttl="8h")
        assert (made.type, made.plugin, made.default_ttl) == ("database", "postgresql", "1h")
        role = root.dynamic.create_role("python", "reader", creation_statements=[MAKE])
        assert role.creation_statements == (MAKE,) and role.owned_objects == "keep"
        root.dynamic.put_role(
            "python", "brief", {"creation_statements": [MAKE], "default_ttl": "3s"}
        )
    return "python"


def gone(account: str) -> None:
    look = f"SELECT count(*) FROM pg_roles WHERE rolname = '{account}'"
    until(lambda: psql(look) == "0", "the account is gone")


def test_every_operation_at_a_database(root: SyncScaiVaultClient, engine: str) -> None:
    dynamic = root.dynamic
    assert engine in [one.name for one in dynamic.engines()]
    assert dynamic.update_engine(engine, description="d").description == "d"
    assert dynamic.engine(engine).max_ttl == "8h"
    health = dynamic.health(engine)
    assert health.healthy and health.trouble is None and health.manager == "vault_python"
    assert dynamic.update_role(engine, "reader", {"max_ttl": "2h"}).max_ttl == "2h"
    assert {role.name for role in dynamic.roles(engine)} == {"reader", "brief"}
    assert dynamic.role(engine, "reader").default_ttl is None

    made = dynamic.generate(engine, "reader", ttl="10m")
    assert made.username and made.password and 590 < made.ttl <= 600
    assert made.data["password"] == made.password
    assert made.password not in repr(made)
    assert psql(READ, made.username, made.password) == "42"
    renewed = dynamic.renew(made.lease_id, increment="30m")
    assert renewed.expires_at > made.expires_at
    lease = dynamic.lease(made.lease_id)
    assert (lease.account, lease.status) == (made.username, "active")
    found = dynamic.leases(engine=engine, role="reader", status=["active", "creating"])
    assert made.lease_id in [one.id for one in found]
    with pytest.raises(EngineInUseError):
        dynamic.delete_engine(engine)
    assert dynamic.revoke(made.lease_id).cause == "asked"
    gone(made.username)
    with pytest.raises(PermissionError):
        psql(READ, made.username, made.password)
    with pytest.raises(LeaseEndedError):
        dynamic.renew(made.lease_id)
    assert dynamic.sweep(engine).found == ()
    dynamic.generate(engine, "reader")
    assert dynamic.revoke_all(engine, role="reader").revoked == 1


def test_the_root_credential_rotates(root: SyncScaiVaultClient, engine: str) -> None:
    rotation = root.dynamic.rotate_root(engine)
    assert rotation.secret_path == "dynamic/python"
    until(
        lambda: root.secrets.read("dynamic/python").data["password"] != "of-the-root",
        "nobody knows it any more",
    )
    with root.dynamic.credentials(engine, "reader") as cred:
        assert psql(READ, cred.username, cred.password) == "42"
    with pytest.raises(ValidationError):
        root.dynamic.public_key(engine)


def test_what_is_no_json(client: SyncScaiVaultClient, scripted: Scripted) -> None:
    scripted.says(Says(200, b"ssh-ed25519 AAAA x\n"), Says(200, b"SSHKRL\n\x00\xff"))
    assert client.dynamic.public_key("bastion") == "ssh-ed25519 AAAA x\n"
    assert client.dynamic.revocation_list("bastion") == b"SSHKRL\n\x00\xff"
    scripted.says(error(404, "engine_not_found"))
    with pytest.raises(NotFoundError):
        client.dynamic.revocation_list("nothing")


def test_errors_by_code(root: SyncScaiVaultClient, engine: str) -> None:
    dynamic = root.dynamic
    wrong = {**config(), "settings": {**config()["settings"], "database": "nowhere"}}
    with pytest.raises(InvalidConfigError) as refused:
        dynamic.create_engine("wrong", "database", wrong)
    assert refused.value.trouble
    with pytest.raises(NotFoundError) as missing:
        dynamic.generate("nothing", "reader")
    assert missing.value.code == "engine_not_found"
    with pytest.raises(ValidationError):
        dynamic.generate(engine, "reader", ttl="soon")
    broken = "CREATE ROLE \"{{name}}\" PASSWORD '{{password}}' NONSENSE"
    dynamic.put_role(engine, "broken", {"creation_statements": [broken]})
    with pytest.raises(EngineFailedError) as failed:
        dynamic.generate(engine, "broken")
    assert failed.value.trouble and not failed.value.outcome_unknown
    dynamic.delete_role(engine, "broken")


def test_a_credential_for_a_block(root: SyncScaiVaultClient, engine: str) -> None:
    with pytest.raises(ZeroDivisionError), root.dynamic.credentials(engine, "brief") as cred:
        first = cred.expires_at
        assert psql(READ, cred.username, cred.password) == "42"
        assert cred.password not in repr(cred)
        # More than two terms are over, and it is as good as new.
        began = time.monotonic()
        until(lambda: time.monotonic() - began > 7 and cred.expires_at > first, "it was renewed")
        assert psql(READ, cred.username, cred.password) == "42"
        assert not cred.ended and cred.trouble is None
        raise ZeroDivisionError
    assert root.dynamic.lease(cred.lease_id).cause == "asked"
    gone(cred.username)
    with pytest.raises(RuntimeError, match="another"), cred:
        pass


def test_a_credential_for_an_asynchronous_block(vault: Vault, engine: str) -> None:
    async def main() -> str:
        async with (
            AsyncScaiVaultClient(vault.url, ROOT) as client,
            client.dynamic.credentials(engine, "brief", ttl="2s") as cred,
        ):
            first = cred.expires_at
            assert await asyncio.to_thread(psql, READ, cred.username, cred.password) == "42"
            await asyncio.to_thread(until, lambda: cred.expires_at != first, "it was renewed")
            return cred.username

    gone(asyncio.run(asyncio.wait_for(main(), 30)))


def test_the_client_of_either_kind(vault: Vault, engine: str) -> None:
    client = ScaiVaultClient(vault.url, ROOT)
    with client.dynamic.credentials(engine, "reader") as cred:
        account = cred.username
        assert psql(READ, account, cred.password) == "42"
    gone(account)

    async def main() -> str:
        with (
            pytest.raises(NotAwaitedError, match="async with"),
            client.dynamic.credentials(engine, "reader"),
        ):
            pass
        async with client.dynamic.credentials(engine, "reader") as cred:
            account = cred.username
        await client.aclose()
        return account

    gone(asyncio.run(main()))


def test_a_lease_that_somebody_else_ends(root: SyncScaiVaultClient, engine: str) -> None:
    told = threading.Event()
    with root.dynamic.credentials(engine, "brief", on_end=lambda _: told.set()) as cred:
        root.dynamic.revoke(cred.lease_id)
        assert told.wait(20), "it is told"
        assert cred.ended and isinstance(cred.trouble, LeaseEndedError)


MADE = {
    "lease_id": "lse_1",
    "engine": "e",
    "role": "r",
    "data": {"username": "u", "password": "p"},
    "username": "u",
    "password": "p",
    "renewable": True,
    "ttl": 1,
    "expires_at": "2026-01-01T00:00:01Z",
    "max_expires_at": "2026-01-01T00:00:09Z",
}


def lease(renewed: int, expires: int) -> dict[str, Any]:
    return {
        "id": "lse_1",
        "issued_at": "2026-01-01T00:00:00Z",
        "renewed_at": f"2026-01-01T00:00:0{renewed}Z",
        "expires_at": f"2026-01-01T00:00:0{expires}Z",
        "max_expires_at": "2026-01-01T00:00:09Z",
    }


def test_what_fails_is_tried_again_and_the_last_term_is_told(scripted: Scripted) -> None:
    scripted.says(
        Says(201, MADE),
        error(503, "service_unavailable"),
        Says(200, lease(1, 2)),
        Says(200, lease(8, 9)),  # as far as it goes
        Says(202, lease(8, 9)),
    )
    ended = threading.Event()
    with SyncScaiVaultClient(scripted.url, "skt_test", retry=Retry(attempts=1)) as client:
        params = {"public_key": "k"}
        asked = client.dynamic.credentials(
            "e", "r", ttl="1s", params=params, on_end=lambda _: ended.set()
        )
        with asked as cred:
            assert ended.wait(20), "it ends"
            assert cred.ended and cred.trouble is None
            assert cred.expires_at == cred.max_expires_at
    assert [seen.path for seen in scripted.seen] == [
        "/v1/dynamic/engines/e/creds/r",
        *["/v1/dynamic/leases/lse_1/renew"] * 3,
        "/v1/dynamic/leases/lse_1/revoke",
    ]
    assert scripted.seen[0].json() == {"ttl": "1s", "params": {"public_key": "k"}}
    assert scripted.seen[1].json() == {"increment": "1s"}


def test_what_cannot_be_given_back_hides_nothing(
    scripted: Scripted, pauses: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    away = error(503, "service_unavailable")
    scripted.says(Says(201, {**MADE, "ttl": 3600}), away, away, away)
    with (
        SyncScaiVaultClient(scripted.url, "skt_test", sleep=pauses.append) as client,
        caplog.at_level(logging.WARNING, "scaivault_sdk"),
        pytest.raises(ZeroDivisionError),
        client.dynamic.credentials("e", "r") as cred,
    ):
        raise ZeroDivisionError
    assert isinstance(cred.trouble, ServiceUnavailableError)
    assert "lse_1 was not given back" in caplog.text and "'p'" not in caplog.text


def test_a_lost_answer_makes_no_second_account(
    client: SyncScaiVaultClient, scripted: Scripted
) -> None:
    scripted.says(Says(None))
    with pytest.raises(TransportError, match="not known"):
        client.dynamic.generate("e", "r")
    assert len(scripted.seen) == 1
    with pytest.raises(ValidationError):
        client.dynamic.engine("..")
    with pytest.raises(ValidationError):
        client.dynamic.generate("e", "")
