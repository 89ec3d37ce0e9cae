"""Checked by mypy alone: what each kind of client gives, seen from an application."""

from __future__ import annotations

from datetime import datetime

from scaivault_sdk import AsyncScaiVaultClient, ScaiVaultClient, Secret, SyncScaiVaultClient
from scaivault_sdk.models import Credential, Items, Version


def blocking(client: SyncScaiVaultClient) -> None:
    secret: Secret = client.secrets.read("a/b", version=3)
    versions: Items[Version] = client.secrets.versions("a/b")
    created: datetime = versions[0].created_at
    paths: list[str] = [found.path for found in client.secrets.list(prefix="a/")]
    kept: Secret = client.cached("a/b", max_age=60).get()
    client.secrets.read(3)  # type: ignore[arg-type]
    client.secrets.read("a/b", colour="red")  # type: ignore[call-arg]
    print(secret.version, created, paths, kept.version)


async def awaiting(client: AsyncScaiVaultClient) -> None:
    secret: Secret = await client.secrets.read("a/b")
    paths: list[str] = [found.path async for found in client.secrets.list()]
    kept: Secret = await client.cached("a/b").get()
    async for event in client.subscriptions.events("sub_1"):
        print(event.path)
    client.secrets.read("a/b").version  # type: ignore[attr-defined]  # noqa: B018
    print(secret.version, paths, kept.version)


async def either(client: ScaiVaultClient) -> None:
    secret: Secret = await client.secrets.read("a/b")
    paths: list[str] = [found.path async for found in client.secrets.list()]
    print(secret.version, paths)


def either_blocking(client: ScaiVaultClient) -> None:
    version: int = client.secrets.read("a/b").version
    paths: list[str] = [found.path for found in client.secrets.list()]
    print(version, paths)


def leased(client: SyncScaiVaultClient) -> None:
    made: Credential = client.dynamic.generate("orders", "reader", ttl="5m")
    with client.dynamic.credentials("orders", "reader", on_end=print) as cred:
        name: str = cred.username
        same: Credential = cred.credential
    print(made.lease_id, name, same.password)


async def leased_awaiting(client: AsyncScaiVaultClient) -> None:
    ends: datetime = (await client.dynamic.renew("lse_1", increment="1h")).expires_at
    async with client.dynamic.credentials("orders", "reader") as cred:
        print(cred.password, ends)
