"""Every operation of the server's own description has a method here."""

from __future__ import annotations

import contextlib
import inspect
import json
import re
import urllib.request

from conftest import Says, Scripted, Seen, Vault

from scaivault_sdk import ScaiVaultError, SyncScaiVaultClient
from scaivault_sdk._modes import Group, Stream, feed, listing, operation, streaming

#: Not for applications: the restored store is looked after by its operator, with the command line.
WITHOUT = {
    "GET /v1/metrics",
    "GET /v1/docs",
    "GET /v1/openapi.json",
    "GET /v1/rotation/pending",  # another name of due
    "POST /v1/rotation/campaign",  # other names of campaigns
    "POST /v1/rotations/campaign",
    "GET /v1/rotation/reconcile",
    "POST /v1/rotation/reconcile/look",
    "POST /v1/rotation/reconcile/resume",
}


def test_every_operation_has_a_method(
    vault: Vault, scripted: Scripted, client: SyncScaiVaultClient
) -> None:
    def answer(seen: Seen) -> Says:
        return Says(200, {})

    scripted.answer = answer
    for group in vars(client).values():
        if isinstance(group, Group):
            for name in dir(type(group)):
                method = inspect.getattr_static(group, name)
                if isinstance(method, (operation, listing, streaming)):
                    _call(getattr(group, name))
                assert not name.startswith("events") or isinstance(method, feed)
    asked = {f"{seen.method} {seen.path.split('?')[0]}" for seen in scripted.seen}

    with urllib.request.urlopen(f"{vault.url}/v1/openapi.json") as response:
        described = json.load(response)["paths"]
    missing = []
    for route, methods in described.items():
        pattern = re.compile(re.sub(r"\{[^}]*\}", "x", route) + r"\Z")
        for method in methods.keys() & {"get", "put", "post", "patch", "delete"}:
            wanted = f"{method.upper()} {route}"
            found = any(
                one.startswith(f"{method.upper()} ") and pattern.match(one.split(" ")[1])
                for one in asked
            )
            if not found and wanted not in WITHOUT:
                missing.append(wanted)
    assert missing == []


def _call(method: object) -> None:
    """Calls it with the least that it takes."""
    assert callable(method)
    arguments: list[object] = []
    for parameter in [*inspect.signature(method).parameters.values()][1:]:
        if parameter.default is not inspect.Parameter.empty:
            continue
        kind = str(parameter.annotation)
        if kind == "int":
            arguments.append(1)
        elif kind.startswith("Sequence"):
            arguments.append([])
        elif kind.startswith(("Mapping", "Account")):
            arguments.append({})
        else:
            arguments.append("x")
    answer = method(*arguments)
    if hasattr(answer, "pages"):
        list(answer)
    elif isinstance(answer, Stream):
        # What it asks for is no stream; that it asks is enough.
        with contextlib.suppress(ScaiVaultError):
            next(iter(answer))
