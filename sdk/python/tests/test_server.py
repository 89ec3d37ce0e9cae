"""Every group of operations against the real server."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from conftest import ROOT, Says, Scripted, Vault, until

from scaivault_sdk import SyncScaiVaultClient, WebhookVerifier
from scaivault_sdk.errors import (
    AuthenticationError,
    ConflictError,
    InsufficientScopeError,
    MethodNotAllowedError,
    NotFoundError,
    PermissionDeniedError,
    SecretExistsError,
    SecretExpiredError,
    SecretNotFoundError,
    ValidationError,
    VersionConflictError,
    VersionNotFoundError,
)


def test_a_secret_from_its_first_version_to_its_end(root: SyncScaiVaultClient) -> None:
    path = "life/of/a-secret"
    written = root.secrets.write(
        path,
        {"username": "app", "password": "hunter2", "nested": {"n": [1, 2.5, None, "ü"]}},
        "json",
        {"description": "d", "tags": ["db", "prod"], "owner": "team", "colour": "red"},
        5,
        expires_in=timedelta(days=1),
    )
    assert (written.version, written.max_versions, written.secret_type) == (1, 5, "json")
    assert written.metadata.tags == ("db", "prod") and written.metadata["colour"] == "red"
    assert written.expires_at is not None and written.expires_at > datetime.now(timezone.utc)

    secret = root.secrets.read(path)
    assert secret.data == {
        "username": "app",
        "password": "hunter2",
        "nested": {"n": [1, 2.5, None, "ü"]},
    }
    assert secret.is_current and secret.extra == {}
    assert "hunter2" not in repr(secret)

    second = root.secrets.write(path, {"password": "two"}, cas=1)
    assert second.version == 2 and second.expires_at is None
    with pytest.raises(VersionConflictError) as missed:
        root.secrets.write(path, {"password": "three"}, cas=1)
    assert missed.value.current_version == 2
    assert root.secrets.read(path, version=1).data["password"] == "hunter2"
    assert not root.secrets.read(path, version=1).is_current
    with pytest.raises(VersionNotFoundError):
        root.secrets.read(path, version=9)

    versions = root.secrets.versions(path)
    assert [v.version for v in versions] == [2, 1]
    assert [v.state for v in versions] == ["current", "superseded"]
    assert versions[0].created_by == "user:root"

    changed = root.secrets.update_metadata(
        path, tags=["only"], max_versions=3, expires_at=datetime(2020, 1, 1, tzinfo=timezone.utc)
    )
    assert changed.metadata.tags == ("only",) and changed.metadata.owner == "team"
    with pytest.raises(SecretExpiredError):
        root.secrets.read(path)
    assert path in [s.path for s in root.secrets.expiring(30, prefix="life/")]
    root.secrets.update_metadata(path, {"description": "new"}, expires_at=None)
    renewed = root.secrets.read_metadata(path).metadata
    assert (renewed.description, renewed.owner, renewed.tags) == ("new", None, ())
    assert root.secrets.read_metadata(path).version_count == 2

    acked = root.secrets.ack(path, 2)
    assert (acked.status, acked.current_version) == ("applied", 2)
    consumers = root.secrets.consumers(path)
    assert consumers[0].identity_id == "user:root"
    assert {c.version: c.applied_at is not None for c in consumers}[2 if len(consumers) else 0]

    gone = root.secrets.delete(path)
    assert gone.recoverable_until is not None and not gone.permanent
    with pytest.raises(SecretNotFoundError):
        root.secrets.read(path)
    with pytest.raises(SecretExistsError) as exists:
        root.secrets.write(path, {"x": 1})
    assert exists.value.recoverable_until == gone.recoverable_until
    assert root.secrets.undelete(path).version == 2
    assert root.secrets.delete(path, permanent=True).permanent
    with pytest.raises(NotFoundError):
        root.secrets.undelete(path)


def test_lists_are_walked_over_their_pages(root: SyncScaiVaultClient) -> None:
    paths = [f"list/a/{n}" for n in range(5)] + ["list/b"]
    for path in paths:
        tags = ["even"] if path.endswith(("0", "2", "4")) else []
        root.secrets.write(path, {"k": "v"}, "kv", {"tags": tags})
    assert [s.path for s in root.secrets.list("list/", limit=2)] == paths
    assert [s.path for s in root.secrets.list("list/", tag="even", limit=1)] == paths[0:5:2]
    assert [s.path for s in root.secrets.list("list", recursive=False)] == ["list/b"]
    assert [len(p.items) for p in root.secrets.list("list/", limit=4).pages()] == [4, 2]
    assert [*root.secrets.list("list/", secret_type="ssh_key")] == []


def test_a_batch_is_answered_as_documented(scripted: Scripted, client: SyncScaiVaultClient) -> None:
    scripted.says(
        Says(
            200,
            {
                "secrets": {"a/b": {"data": {"k": "hunter2"}, "version": 3, "secret_type": "kv"}},
                "errors": {"a/c": {"code": "secret_not_found", "message": "m"}},
            },
        ),
        Says(200, {"secrets": {"a/b": {"version": 3}}, "errors": {}}),
    )
    batch = client.secrets.batch_read(["a/b", "a/c"], include_metadata=True, version=3)
    assert batch.secrets["a/b"].path == "a/b" and batch.secrets["a/b"].data["k"] == "hunter2"
    assert batch.errors["a/c"].code == "secret_not_found"
    assert "hunter2" not in repr(batch)
    assert scripted.seen[0].json() == {
        "paths": ["a/b", "a/c"],
        "options": {"include_metadata": True, "version": 3},
    }
    listed = client.secrets.batch_metadata(["a/*"], expand_wildcards=True)
    assert listed.secrets["a/b"].version == 3
    assert scripted.seen[1].path == "/v1/secrets/batch/metadata"


def test_a_batch_of_the_real_server(root: SyncScaiVaultClient) -> None:
    root.secrets.write("batch-of/one", {"k": "v"})
    try:
        batch = root.secrets.batch_read(["batch-of/one", "batch-of/none"])
    except (MethodNotAllowedError, NotFoundError, ValidationError):
        return  # this server does not serve it yet
    assert batch.secrets["batch-of/one"].data == {"k": "v"}
    assert batch.errors["batch-of/none"].code == "secret_not_found"


def test_policies_tokens_and_refusals(vault: Vault, root: SyncScaiVaultClient) -> None:
    root.secrets.write("grant/db", {"k": "v"})
    policy = root.policies.create(
        "sdk-reads", [{"path_pattern": "grant/*", "permissions": ["read"]}], description="d"
    )
    binding = root.policies.bind(
        policy.id,
        "service_account",
        "sa:sdk",
        expires_at=datetime.now(timezone.utc) + timedelta(hours=1),
    )
    assert [b.id for b in root.policies.bindings(policy.id)] == [binding.id]
    assert root.policies.test("sa:sdk", "grant/db", "read").allowed
    denied = root.policies.test("sa:sdk", "grant/db", "write", context={"source_ip": "10.0.0.1"})
    assert not denied.allowed and denied.reason

    token = root.tokens.create("service_account", "sa:sdk", ["secrets:read"], ttl="1h")
    assert token.token not in repr(token)
    with SyncScaiVaultClient(vault.url, token.token) as reader:
        me = reader.whoami()
        assert (me.identity_id, me.scopes) == ("sa:sdk", ("secrets:read",))
        assert reader.auth.whoami() == me
        assert reader.secrets.read("grant/db").data == {"k": "v"}
        with pytest.raises(PermissionDeniedError) as refused:
            reader.secrets.read("other/db")
        assert refused.value.code == "access_denied"
        with pytest.raises(InsufficientScopeError) as lacking:
            reader.secrets.write("grant/db", {})
        assert lacking.value.scope == "secrets:write"
        assert reader.tokens.renew_self().id == token.id
        root.tokens.revoke(token.id)
        with pytest.raises(AuthenticationError) as revoked:
            reader.whoami()
        assert revoked.value.code == "token_revoked"
    assert {t.id: t.status for t in root.tokens.list(limit=1)}[token.id] == "revoked"

    assert root.policies.update(policy.id, is_active=False).is_active is False
    assert policy.id in [p.id for p in root.policies.list(include_inactive=True)]
    replaced = root.policies.replace(
        policy.id, "sdk-reads", [{"path_pattern": "grant/**", "permissions": ["read", "list"]}]
    )
    assert replaced.rules[0].permissions == ("read", "list")
    with pytest.raises(ConflictError) as in_use:
        root.policies.delete(policy.id)
    assert in_use.value.code == "policy_in_use"
    root.policies.unbind(policy.id, binding.id)
    root.policies.delete(policy.id)
    with pytest.raises(NotFoundError):
        root.policies.read(policy.id)


def test_rotations(root: SyncScaiVaultClient) -> None:
    policy = root.rotation_policies.create(
        "sdk-90d", timedelta(days=90), grace_period="1h", warn_before=["7d", "1d"]
    )
    assert policy.interval_seconds == 7776000 and policy.warn_before == "7d,1d"
    root.secrets.write("rot/a", {"v": 1})
    assignment = root.rotation_policies.assign(policy.id, "rot/a")
    assert assignment.secret_path == "rot/a" and assignment.next_rotation_at is not None
    assert root.secrets.read_metadata("rot/a").rotation is not None
    within = 91 * 24
    assert [
        d.secret_path for d in root.rotations.due(within_hours=within, policy_id=policy.id)
    ] == ["rot/a"]

    rotation = root.secrets.rotate("rot/a")
    assert (rotation.phase, rotation.status) == ("generating", "pending")
    assert rotation.waiting_for is not None and not rotation.is_finished
    answered = root.secrets.write("rot/a", {"v": 2}, rotation_id=rotation.id)
    assert answered.is_rotation and answered.rotation_id == rotation.id
    with pytest.raises(VersionConflictError):
        root.secrets.write("rot/a", {"v": 3}, rotation_id=rotation.id)
    seen = root.rotations.read(rotation.id, after=rotation.revision, timeout=5)
    assert seen.new_version == 2 and seen.revision > rotation.revision
    assert root.secrets.read("rot/a", version=1).readable_until == seen.grace_period_ends
    assert [r.id for r in root.rotations.list(path="rot/a")] == [rotation.id]
    assert rotation.id in [r.id for r in root.rotation_policies.history(policy.id)]
    with pytest.raises(ConflictError) as illegal:
        root.rotations.rollback(rotation.id)
    assert illegal.value.code == "rotation_conflict"
    assert len(root.rotation_policies.rotate(policy.id, ["rot/a"])) == 1

    assert not root.rotation_policies.disable(policy.id).is_active
    assert root.rotation_policies.enable(policy.id).is_active
    assert root.rotation_policies.update(policy.id, interval="30d").interval == "30d"
    assert policy.id in [p.id for p in root.rotation_policies.list()]
    root.rotation_policies.unassign(policy.id, "rot/a")
    root.rotation_policies.delete(policy.id)
    with pytest.raises(NotFoundError):
        root.rotation_policies.read(policy.id)


def test_targets_campaigns_and_debts(root: SyncScaiVaultClient) -> None:
    assert "postgresql" in [c.name for c in root.targets.connectors()]
    assert [*root.debts.list()] == []
    with pytest.raises(ValidationError):
        root.targets.create("sdk-pg", "postgresql", settings={"no_such": "setting"})
    with pytest.raises(NotFoundError):
        root.targets.read("no-such-target")
    assert [*root.targets.list()] == []

    policy = root.rotation_policies.create("sdk-campaign", "90d", auto_generate=True)
    root.secrets.write("campaign/a", {"value": "x"}, rotation_policy_id=policy.id)
    plan = root.campaigns.start(paths=["campaign/a"], dry_run=True)
    assert plan.dry_run and plan.counts.total == 1
    campaign = root.campaigns.start(paths=["campaign/a"], mode="containment", note="tests")
    assert campaign.id is not None
    done = until(lambda: _finished(root, campaign.id or ""), "the campaign ends")
    assert done.counts.rotated == 1 and done.items[0].secret_path == "campaign/a"
    assert campaign.id in [c.id for c in root.campaigns.list()]


def _finished(root: SyncScaiVaultClient, campaign_id: str) -> Any:
    campaign = root.campaigns.read(campaign_id)
    return campaign if campaign.finished_at else None


class Receiver:
    """Verifies what arrives, as an application would."""

    def __init__(self, *secrets: str) -> None:
        self.events: list[Any] = []
        self.refused: list[Exception] = []
        self.verifier = WebhookVerifier(secrets)
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                try:
                    receiver.events.append(receiver.verifier.verify(body, self.headers))
                    self.send_response(204)
                except Exception as problem:
                    receiver.refused.append(problem)
                    self.send_response(401)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver("a-signing-secret-of-32-characters", "the-next-secret-of-32-characters!")
    yield receiver
    receiver.close()


def test_deliveries_of_the_real_server_verify(
    root: SyncScaiVaultClient, receiver: Receiver
) -> None:
    webhook = root.webhooks.create(
        "sdk",
        receiver.url,
        "a-signing-secret-of-32-characters",
        ["secret.created", "secret.updated"],
        filters={"path_prefix": "hooked/"},
    )
    assert root.webhooks.test(webhook.id).status == "success"
    root.secrets.write("hooked/a", {"k": "v"})
    until(lambda: len(receiver.events) >= 2, "the event arrives")
    created = receiver.events[1]
    assert (created.event_type, created.path) == ("secret.created", "hooked/a")
    assert created.sequence == 1 and created.tenant_id == "tnt_default"

    changed = root.webhooks.update(
        webhook.id, secret="the-next-secret-of-32-characters!", previous_secret_ttl="1h"
    )
    assert changed.previous_secret_until is not None
    # The new secret alone, the old one alone, and both: nothing is refused meanwhile.
    for known in (
        ["the-next-secret-of-32-characters!"],
        ["a-signing-secret-of-32-characters"],
        ["a-signing-secret-of-32-characters", "the-next-secret-of-32-characters!"],
    ):
        receiver.verifier = WebhookVerifier(known)
        assert root.webhooks.test(webhook.id).status == "success"
    receiver.verifier = WebhookVerifier("nobody-signs-with-this-secret-here")
    assert root.webhooks.test(webhook.id).response_code == 401
    assert len(receiver.refused) == 1

    deliveries = [*root.webhooks.deliveries(webhook.id, limit=2)]
    assert "secret.created" in [d.event_type for d in deliveries]
    again = next(d for d in deliveries if d.event_type == "secret.created")
    receiver.verifier = WebhookVerifier("the-next-secret-of-32-characters!")
    root.webhooks.redeliver(webhook.id, again.id)
    until(lambda: receiver.events[-1].event_id == created.event_id, "it is sent again")
    assert root.webhooks.read(webhook.id).statistics is not None
    assert webhook.id in [w.id for w in root.webhooks.list()]
    root.webhooks.delete(webhook.id)


def test_subscription_deliveries_verify(root: SyncScaiVaultClient, receiver: Receiver) -> None:
    made = root.subscriptions.create(
        "sdk-hook",
        ["sub-hooked/**"],
        ["secret.created"],
        delivery={
            "type": "webhook",
            "url": receiver.url,
            "secret": "a-signing-secret-of-32-characters",
        },
    )
    root.secrets.write("sub-hooked/a", {"k": "v"})
    until(lambda: receiver.events, "the event arrives")
    assert receiver.events[0].path == "sub-hooked/a"
    with pytest.raises(ValidationError):
        root.subscriptions.poll(made.id, timeout=0)
    root.subscriptions.delete(made.id)


def test_events_are_acknowledged_when_processed(root: SyncScaiVaultClient) -> None:
    made = root.subscriptions.create("sdk-poll", ["polled/**"], ["secret.created"])
    for n in range(5):
        root.secrets.write(f"polled/{n}", {"n": n})
    arrived: list[str | None] = []
    with pytest.raises(KeyError):
        for event in root.subscriptions.events(made.id, max_events=2):
            arrived.append(event.path)
            if event.path == "polled/2":
                raise KeyError
    assert arrived == ["polled/0", "polled/1", "polled/2"]
    # The one that failed comes again, and what came after it.
    rest = [
        e.path
        for e in root.subscriptions.events(made.id, poll_timeout=0, until_idle=True, max_events=2)
    ]
    assert rest == ["polled/2", "polled/3", "polled/4"]
    assert root.subscriptions.poll(made.id, timeout=0).events == ()
    assert root.subscriptions.read(made.id).dropped_events == 0
    root.subscriptions.update(made.id, paths=["polled/**", "more/**"])
    root.secrets.write("more/a", {})
    [event] = root.subscriptions.poll(made.id, timeout=10).events
    assert root.subscriptions.ack(made.id, [event.event_id]).acknowledged == 1
    root.subscriptions.delete(made.id)


def test_events_in_a_loop(vault: Vault, root: SyncScaiVaultClient) -> None:
    from scaivault_sdk import AsyncScaiVaultClient

    async def main() -> list[str | None]:
        async with AsyncScaiVaultClient(vault.url, ROOT) as client:
            made = await client.subscriptions.create(
                "sdk-async", ["polled-async/**"], ["secret.created"]
            )
            await client.secrets.write("polled-async/a", {})
            feed = client.subscriptions.events(made.id, poll_timeout=1, until_idle=True)
            found = [event.path async for event in feed]
            assert (await client.subscriptions.poll(made.id, timeout=0)).events == ()
            await client.subscriptions.delete(made.id)
            return found

    assert asyncio.run(main()) == ["polled-async/a"]


def test_machines(vault: Vault, root: SyncScaiVaultClient) -> None:
    made = root.machines.create(
        "sdk-build",
        "service_account",
        "sa:sdk-build",
        ["secrets:read"],
        settings={"token_ttl": "20m", "secret_id_num_uses": 5},
    )
    assert (made.bind_secret_id, made.token_ttl, made.secret_id_num_uses) == (True, "20m", 5)
    changed = root.machines.update("sdk-build", {"secret_id_num_uses": None, "description": "b"})
    assert (changed.secret_id_num_uses, changed.description) == (None, "b")
    assert root.machines.get("sdk-build") == changed
    assert [role.role_id for role in root.machines.list(limit=1)] == [made.role_id]

    metadata = {"host_name": "build-7"}
    new = root.machines.create_secret_id("sdk-build", ttl="1h", num_uses=2, metadata=metadata)
    assert new.secret_id not in repr(new) and new.expires_at is not None
    with SyncScaiVaultClient(vault.url) as machine:
        login = machine.machines.login(made.role_id, secret_id=new.secret_id)
        assert login.token not in repr(login)
        with SyncScaiVaultClient(vault.url, login.token) as reader:
            assert reader.whoami().identity_id == "sa:sdk-build"
        record = root.machines.look_up_secret_id("sdk-build", new.secret_id)
        assert (record.accessor, record.uses_left) == (new.accessor, 1)
        assert record.metadata == metadata
        assert [*root.machines.secret_ids("sdk-build")] == [record]
        assert root.machines.secret_id("sdk-build", new.accessor) == record
        root.machines.revoke_secret_id("sdk-build", new.accessor)
        with pytest.raises(AuthenticationError) as refused:
            machine.machines.login(made.role_id, secret_id=new.secret_id)
        assert refused.value.code == "login_refused"
    root.machines.delete("sdk-build")
    with pytest.raises(NotFoundError):
        root.machines.get("sdk-build")


def test_audit(root: SyncScaiVaultClient) -> None:
    before = datetime.now(timezone.utc) - timedelta(minutes=5)
    root.secrets.write("audited/a", {"k": "v"})
    root.secrets.read("audited/a")
    rows = [
        *root.audit.logs(from_=before, path_prefix="audited/", action=["read", "write"], limit=1)
    ]
    assert [row.action for row in rows] == ["read", "write"]
    assert rows[0].identity_id == "user:root" and rows[0].success
    assert rows[0].timestamp.tzinfo is not None and rows[0].timestamp > before
    assert [row.action for row in root.audit.of_secret("audited/a")] == ["read", "write"]
    assert len([*root.audit.of_secret("audited/a", action="write")]) == 1
    assert next(iter(root.audit.of_identity("user:root", limit=1))).identity_id == "user:root"
    summary = root.audit.summary(path_prefix="audited/")
    assert summary.by_action == {"read": 1, "write": 1} and summary.total_events == 2
    verified = root.audit.verify()
    assert verified.valid and verified.rows > 0 and verified.first_bad is None


def test_exports_of_the_audit_trail(vault: Vault, root: SyncScaiVaultClient) -> None:
    before = datetime.now(timezone.utc) - timedelta(minutes=5)
    root.secrets.write("exported/a", {})
    begun = root.audit.create_export(from_=before, actions=["write"], format="csv")
    assert (begun.format, begun.actions, begun.to) == ("csv", ("write",), None)
    until(lambda: root.audit.read_export(begun.id).status != "running", "the export ends")
    done = root.audit.read_export(begun.id)
    assert (done.status, done.progress, done.error) == ("completed", 100, None)
    assert done.ended_at is not None and done.chains[0].last_seq > 0
    [file] = done.files
    assert file.rows == done.rows > 0
    written = (vault.exports / done.id / file.name).read_bytes()
    assert hashlib.sha256(written).hexdigest() == file.sha256
    assert [found.id for found in root.audit.exports(limit=1)] == [done.id]
    assert root.audit.cancel_export(done.id) == done
    with pytest.raises(NotFoundError):
        root.audit.cancel_export("exp_none")


def test_system(root: SyncScaiVaultClient) -> None:
    assert root.system.health().status == "healthy"
    assert root.system.ready().is_ready
    assert root.system.version().api_version == "v1"


def test_not_being_ready_is_an_answer(scripted: Scripted, client: SyncScaiVaultClient) -> None:
    body = {"status": "not_ready", "checks": {"database": "error"}, "errors": {"database": "x"}}
    scripted.says(Says(503, body))
    assert client.system.ready().errors == {"database": "x"}


def test_introspection_is_asked_as_documented(
    scripted: Scripted, client: SyncScaiVaultClient
) -> None:
    scripted.says(Says(200, {"active": False}))
    assert not client.auth.introspect("skt_other").active
    assert scripted.seen[0].json() == {"token": "skt_other"}


def test_every_answer_of_the_server_is_known(root: SyncScaiVaultClient) -> None:
    """What the server sends has a field here: `extra` is for servers of the future."""
    root.secrets.write("known/a", {"k": "v"})
    policy = root.rotation_policies.create("known", "90d")
    for answer in (
        root.secrets.read("known/a"),
        root.secrets.read_metadata("known/a"),
        *root.secrets.versions("known/a"),
        root.whoami(),
        policy,
        root.rotation_policies.assign(policy.id, "known/a"),
        root.secrets.rotate("known/a"),
        *root.secrets.consumers("known/a"),
        root.system.ready(),
        root.audit.verify(),
        next(iter(root.audit.logs())),
        next(iter(root.tokens.list())),
    ):
        assert answer.extra == {}, f"{type(answer).__name__}: {json.dumps([*answer.extra])}"


def test_recipes(root: SyncScaiVaultClient) -> None:
    recipe = root.secret_policies.create(
        "sdk", [{"name": "password", "generator": "hex", "config": {"length": 40}}]
    )
    assert recipe.keys == ("password",)
    assert recipe.entropy_bits == {"password": 160}
    assert recipe.extra == {}
    assert [one.id for one in root.secret_policies.list() if one.name == "sdk"] == [recipe.id]
    assert root.secret_policies.read("sdk") == recipe
    for sample in (
        root.secret_policies.preview(recipe.id),
        root.secret_policies.preview_of(recipe.fields),
    ):
        assert len(sample.data["password"]) == 40
        assert sample.data["password"] not in repr(sample)
    assert not root.secret_policies.update(recipe.id, is_active=False).is_active
    root.secret_policies.delete(recipe.id)
    with pytest.raises(NotFoundError):
        root.secret_policies.read(recipe.id)


def test_partners_tenants_and_what_they_share(root: SyncScaiVaultClient) -> None:
    partner = root.partners.create("Acme", region="eu")
    assert partner.status == "ACTIVE" and partner.extra == {}
    one, two = (root.tenants.create(name, partner_id=partner.id) for name in ("One", "Two"))
    assert one.partner_id == partner.id and one.extra == {}
    assert root.tenants.read(two.id) == two and root.partners.read(partner.id) == partner
    assert {t.id for t in root.tenants.list(partner_id=partner.id)} == {one.id, two.id}
    assert partner.id in {p.id for p in root.partners.list()}

    here, there = (root.with_options(tenant_id=tenant.id) for tenant in (one, two))
    here.secrets.write("app/db", {"password": "one"})
    with pytest.raises(SecretNotFoundError):
        there.secrets.read("app/db")

    shared = here.partner_secrets.write("shared/ca", {"pem": "x"}, metadata={"tags": ["ca"]})
    assert there.partner_secrets.read("shared/ca").data == {"pem": "x"}
    assert [s.path for s in there.partner_secrets.list("shared/")] == [shared.path]
    assert there.partner_secrets.read_metadata("shared/ca").metadata.tags == ("ca",)
    here.partner_secrets.update_metadata("shared/ca", tags=["pki"])
    here.partner_secrets.write("shared/ca", {"pem": "y"}, cas=1)
    assert [v.version for v in there.partner_secrets.versions("shared/ca")] == [2, 1]
    here.partner_secrets.delete("shared/ca")
    with pytest.raises(SecretNotFoundError):
        there.partner_secrets.read("shared/ca")
    here.partner_secrets.undelete("shared/ca")
    assert there.partner_secrets.read("shared/ca").data == {"pem": "y"}

    root.tenants.update(two.id, status="SUSPENDED")
    with pytest.raises(PermissionDeniedError) as refused:
        list(there.secrets.list())
    assert refused.value.code == "tenant_suspended"
    assert root.partners.update(partner.id, name="Acme Inc.").name == "Acme Inc."


def test_replay_of_what_never_failed_finds_nothing(root: SyncScaiVaultClient) -> None:
    hook = root.webhooks.create(
        "replayed", "https://receiver.example/x", "s" * 32, ["secret.updated"], ordered="path"
    )
    assert hook.ordered == "path"
    replay = root.webhooks.replay(hook.id, dry_run=True)
    assert (replay.matched, replay.replayed, replay.dry_run, replay.extra) == (0, 0, True, {})
    root.webhooks.delete(hook.id)
