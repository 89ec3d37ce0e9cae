/** Every group of operations against the real server. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";

import * as sdk from "@scaivault/sdk";

import { ROOT, until, Vault } from "./support.js";

const vault = new Vault();
let root: sdk.ScaiVaultClient;

before(async () => {
  await vault.start();
  root = new sdk.ScaiVaultClient({ baseUrl: vault.url, token: ROOT });
});
after(() => vault.stop());

test("a secret from its first version to its end", async () => {
  const path = "life/of/a-secret";
  const data = { username: "app", password: "hunter2", nested: { n: [1, 2.5, null, "ü"] } };
  const written = await root.secrets.write(path, data, {
    secretType: "json",
    metadata: { description: "d", tags: ["db", "prod"], owner: "team", my_colour: "red" },
    maxVersions: 5,
    expiresIn: "1d",
  });
  assert.deepEqual([written.version, written.maxVersions], [1, 5]);
  assert.equal(written.metadata["my_colour"], "red");
  assert(written.expiresAt !== null && written.expiresAt > new Date());
  assert.deepEqual({ ...(await root.secrets.read(path)).data }, data);

  const second = await root.secrets.write(path, { password: "two" }, { cas: 1 });
  assert.deepEqual([second.version, second.expiresAt], [2, null]);
  await assert.rejects(root.secrets.write(path, {}, { cas: 1 }), (error: unknown) => {
    return error instanceof sdk.VersionConflictError && error.currentVersion === 2;
  });
  assert.equal((await root.secrets.read(path, { version: 1 })).data["password"], "hunter2");
  await assert.rejects(root.secrets.read(path, { version: 9 }), sdk.VersionNotFoundError);
  const versions = await root.secrets.versions(path);
  assert.deepEqual(versions.map((one) => [one.version, one.state]), [[2, "current"], [1, "superseded"]]);

  await root.secrets.updateMetadata(path, { tags: ["only"], maxVersions: 3, expiresAt: new Date(0) });
  await assert.rejects(root.secrets.read(path), sdk.SecretExpiredError);
  const expiring = await root.secrets.expiring({ days: 30, prefix: "life/" }).all();
  assert.deepEqual(expiring.map((one) => one.path), [path]);
  await root.secrets.updateMetadata(path, { metadata: { description: "new" }, expiresAt: null });
  const info = await root.secrets.readMetadata(path);
  assert.deepEqual([info.metadata.description, info.versionCount, info.expiresAt], ["new", 2, null]);

  assert.equal((await root.secrets.ack(path, 2)).currentVersion, 2);
  assert((await root.secrets.consumers(path)).some((one) => one.appliedAt instanceof Date));

  const gone = await root.secrets.delete(path);
  assert(gone.recoverableUntil instanceof Date);
  await assert.rejects(root.secrets.read(path), sdk.SecretNotFoundError);
  await assert.rejects(root.secrets.write(path, {}), (error: unknown) => {
    return error instanceof sdk.SecretExistsError && error.recoverableUntil instanceof Date;
  });
  assert.equal((await root.secrets.undelete(path)).version, 2);
  assert.equal((await root.secrets.delete(path, { permanent: true })).permanent, true);
});

test("lists are walked over their pages", async () => {
  const paths = ["list/a/0", "list/a/1", "list/a/2", "list/b"];
  for (const path of paths) {
    await root.secrets.write(path, {}, { secretType: "kv", metadata: { tags: [path.slice(-1)] } });
  }
  const names = async (pages: sdk.Pages<sdk.SecretInfo>): Promise<string[]> =>
    (await pages.all()).map((one) => one.path);
  assert.deepEqual(await names(root.secrets.list({ prefix: "list/", limit: 3 })), paths);
  assert.deepEqual(await names(root.secrets.list({ prefix: "list/", tag: "1" })), ["list/a/1"]);
  assert.deepEqual(await names(root.secrets.list({ prefix: "list", recursive: false })), ["list/b"]);
});

test("policies, tokens and refusals", async () => {
  await root.secrets.write("grant/db", { k: "v" });
  const rules = [{ pathPattern: "grant/*", permissions: ["read"] }];
  const policy = await root.policies.create({ name: "sdk-reads", rules });
  assert.equal(policy.rules[0]?.pathPattern, "grant/*");
  const identity = { identityType: "service_account", identityId: "sa:sdk" };
  const binding = await root.policies.bind(policy.id, { ...identity, expiresAt: new Date(Date.now() + 3_600_000) });
  assert.deepEqual((await root.policies.bindings(policy.id)).map((one) => one.id), [binding.id]);
  const question = { identityId: "sa:sdk", path: "grant/db" };
  assert.equal((await root.policies.test({ ...question, permission: "read" })).matched?.ruleIndex, 0);
  const context = { sourceIp: "10.0.0.1" };
  assert.equal((await root.policies.test({ ...question, permission: "write", context })).allowed, false);

  const token = await root.tokens.create({ ...identity, scopes: ["secrets:read"], ttl: "1h" });
  const reader = new sdk.ScaiVaultClient({ baseUrl: vault.url, token: token.token });
  assert.equal((await reader.whoami()).identityId, "sa:sdk");
  assert.equal((await reader.secrets.read("grant/db")).data["k"], "v");
  await assert.rejects(reader.secrets.read("other/db"), sdk.PermissionDeniedError);
  await assert.rejects(reader.secrets.write("grant/db", {}), (error: unknown) => {
    return error instanceof sdk.InsufficientScopeError && error.scope === "secrets:write";
  });
  assert.equal((await reader.tokens.renewSelf()).id, token.id);
  await root.tokens.revoke(token.id);
  await assert.rejects(reader.whoami(), (error: sdk.ScaiVaultError) => error.code === "token_revoked");
  const listed = await root.tokens.list({ limit: 1 }).all();
  assert.equal(listed.find((one) => one.id === token.id)?.status, "revoked");

  assert.equal((await root.policies.update(policy.id, { isActive: false })).isActive, false);
  const all = await root.policies.list({ includeInactive: true }).all();
  assert.equal(all.find((one) => one.id === policy.id)?.bindingCount, 1);
  await root.policies.replace(policy.id, { name: "sdk-reads", rules });
  await assert.rejects(root.policies.delete(policy.id), sdk.ConflictError);
  await root.policies.unbind(policy.id, binding.id);
  await root.policies.delete(policy.id, { force: true });
  await assert.rejects(root.policies.read(policy.id), sdk.NotFoundError);
});

test("machines log in by roles and secret ids", async () => {
  const made = await root.machines.create({
    name: "sdk-build",
    identityType: "service_account",
    identityId: "sa:sdk-build",
    scopes: ["secrets:read"],
    tokenTtl: "20m",
    secretIdNumUses: 5,
  });
  assert.deepEqual([made.bindSecretId, made.tokenTtl, made.secretIdNumUses], [true, "20m", 5]);
  assert(made.createdAt instanceof Date);
  const changed = await root.machines.update("sdk-build", { secretIdNumUses: null, description: "builds" });
  assert.deepEqual([changed.secretIdNumUses, changed.description], [null, "builds"]);
  assert.deepEqual(await root.machines.read("sdk-build"), changed);
  assert.deepEqual((await root.machines.list({ limit: 1 }).all()).map((one) => one.roleId), [made.roleId]);

  const metadata = { host_name: "build-7" };
  const secret = await root.machines.createSecretId("sdk-build", { ttl: "1h", numUses: 2, metadata });
  assert(!JSON.stringify(secret).includes(secret.secretId), "it is not copied");
  assert.deepEqual([secret.roleId, secret.numUses], [made.roleId, 2]);
  assert(secret.expiresAt instanceof Date);
  const machine = new sdk.ScaiVaultClient({ baseUrl: vault.url });
  const login = await machine.machines.login({ roleId: made.roleId, secretId: secret.secretId });
  const reader = new sdk.ScaiVaultClient({ baseUrl: vault.url, token: login.token });
  assert.equal((await reader.whoami()).identityId, "sa:sdk-build");
  const record = await root.machines.lookUpSecretId("sdk-build", secret.secretId);
  assert.deepEqual([record.accessor, record.usesLeft, record.metadata], [secret.accessor, 1, metadata]);
  assert.deepEqual(await root.machines.secretIds("sdk-build").all(), [record]);
  assert.deepEqual(await root.machines.secretId("sdk-build", secret.accessor), record);

  await root.machines.revokeSecretId("sdk-build", secret.accessor);
  const refused = machine.machines.login({ roleId: made.roleId, secretId: secret.secretId });
  await assert.rejects(refused, (error: unknown) => {
    return error instanceof sdk.AuthenticationError && error.code === "login_refused";
  });
  await root.machines.delete("sdk-build");
  await assert.rejects(root.machines.read("sdk-build"), sdk.NotFoundError);
});

test("rotations", async () => {
  const policy = await root.rotationPolicies.create({
    name: "sdk-90d",
    interval: "90d",
    gracePeriod: "1h",
    warnBefore: ["7d", "1d"],
  });
  assert.deepEqual([policy.intervalSeconds, policy.warnBefore], [7_776_000, "7d,1d"]);
  await root.secrets.write("rot/a", { v: 1 });
  const assignment = await root.rotationPolicies.assign(policy.id, { secretPath: "rot/a" });
  assert(assignment.nextRotationAt instanceof Date);
  const due = await root.rotations.due({ withinHours: 91 * 24, policyId: policy.id });
  assert.deepEqual(due.map((one) => one.secretPath), ["rot/a"]);

  const rotation = await root.secrets.rotate("rot/a");
  assert.deepEqual([rotation.phase, rotation.status], ["generating", "pending"]);
  const answered = await root.secrets.write("rot/a", { v: 2 }, { rotationId: rotation.id });
  assert.equal(answered.isRotation, true);
  const seen = await root.rotations.read(rotation.id, { after: rotation.revision, timeoutS: 5 });
  assert.equal(seen.newVersion, 2);
  assert(seen.gracePeriodEnds instanceof Date && seen.phaseSince instanceof Date);
  assert.deepEqual((await root.rotations.list({ path: "rot/a" }).all()).map((one) => one.id), [rotation.id]);
  assert.equal((await root.rotationPolicies.history(policy.id).all())[0]?.id, rotation.id);
  await assert.rejects(root.rotations.rollback(rotation.id), sdk.ConflictError);
  assert.equal((await root.rotationPolicies.rotate(policy.id, ["rot/a"])).length, 1);
  assert.equal((await root.rotationPolicies.disable(policy.id)).isActive, false);
  assert.equal((await root.rotationPolicies.enable(policy.id)).isActive, true);
  assert.equal((await root.rotationPolicies.update(policy.id, { interval: "30d" })).interval, "30d");
  await root.rotationPolicies.unassign(policy.id, "rot/a");
  await root.rotationPolicies.delete(policy.id);
});

test("targets, campaigns and debts", async () => {
  assert((await root.targets.connectors()).some((one) => one.name === "postgresql"));
  assert.deepEqual(await root.debts.list().all(), []);
  assert.deepEqual(await root.targets.list().all(), []);
  await assert.rejects(root.targets.read("no-such-target"), sdk.NotFoundError);
  const settings = { no_such: "setting" };
  await assert.rejects(
    root.targets.create({ name: "sdk-pg", connector: "postgresql", settings }),
    sdk.ValidationError,
  );
  const policy = await root.rotationPolicies.create({ name: "sdk-campaign", interval: "90d", autoGenerate: true });
  await root.secrets.write("campaign/a", { value: "x" }, { rotationPolicyId: policy.id });
  const plan = await root.campaigns.start({ paths: ["campaign/a"], dryRun: true });
  assert.deepEqual([plan.dryRun, plan.counts.total], [true, 1]);
  const campaign = await root.campaigns.start({ paths: ["campaign/a"], mode: "containment" });
  const done = await until(async () => {
    const found = await root.campaigns.read(campaign.id ?? "");
    return found.finishedAt instanceof Date ? found : undefined;
  }, "the campaign ends");
  assert.deepEqual([done.counts.rotated, done.items?.[0]?.secretPath], [1, "campaign/a"]);
});

test("deliveries of the real server verify", async () => {
  const [first, next] = ["a-signing-secret-of-32-characters", "the-next-secret-of-32-characters!"];
  let verifier = new sdk.WebhookVerifier(first);
  const events: sdk.Event[] = [];
  const receiver = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      try {
        events.push(verifier.verify(Buffer.concat(chunks), request.headers));
        response.writeHead(204).end();
      } catch {
        response.writeHead(401).end();
      }
    });
  });
  await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  try {
    const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`;
    const filters = { pathPrefix: "hooked/" };
    const webhook = await root.webhooks.create({ name: "sdk", url, secret: first, events: ["secret.created"], filters });
    assert.equal(webhook.filters.pathPrefix, "hooked/");
    assert.equal((await root.webhooks.test(webhook.id)).status, "success");
    await root.secrets.write("hooked/a", {});
    await until(() => events.length >= 2, "the event arrives");
    assert.deepEqual([events[1]?.eventType, events[1]?.path, events[1]?.sequence], ["secret.created", "hooked/a", 1]);

    await root.webhooks.update(webhook.id, { secret: next, previousSecretTtl: "1h" });
    for (const known of [[next], [first], [first, next]]) {
      verifier = new sdk.WebhookVerifier(known);
      assert.equal((await root.webhooks.test(webhook.id)).status, "success");
    }
    verifier = new sdk.WebhookVerifier("nobody-signs-with-this-secret-here");
    assert.equal((await root.webhooks.test(webhook.id)).responseCode, 401);
    verifier = new sdk.WebhookVerifier(next);
    const deliveries = await root.webhooks.deliveries(webhook.id, { limit: 2 }).all();
    const created = deliveries.find((one) => one.eventType === "secret.created");
    await root.webhooks.redeliver(webhook.id, created?.id ?? "");
    await until(() => events.at(-1)?.eventId === created?.eventId, "it is sent again");
    assert((await root.webhooks.read(webhook.id)).statistics?.deliveries24h);
    await root.webhooks.delete(webhook.id);

    const delivery = { type: "webhook", url, secret: next } as const;
    const made = await root.subscriptions.create({
      name: "sdk-hook",
      paths: ["sub-hooked/**"],
      events: ["secret.created"],
      delivery,
    });
    await root.secrets.write("sub-hooked/a", {});
    await until(() => events.at(-1)?.path === "sub-hooked/a", "the subscription's event arrives");
    await root.subscriptions.delete(made.id);
  } finally {
    receiver.closeAllConnections();
    receiver.close();
  }
});

test("events are acknowledged when processed", async () => {
  const made = await root.subscriptions.create({
    name: "sdk-poll",
    paths: ["polled/**"],
    events: ["secret.created"],
    delivery: { type: "polling", bufferSize: 50 },
  });
  assert.equal(made.delivery.bufferSize, 50);
  for (let n = 0; n < 5; n += 1) await root.secrets.write(`polled/${n}`, {});
  const arrived: unknown[] = [];
  await assert.rejects(async () => {
    for await (const event of root.subscriptions.events(made.id, { maxEvents: 2 })) {
      arrived.push(event.path);
      if (event.path === "polled/2") throw new Error("not processed");
    }
  }, /not processed/);
  assert.deepEqual(arrived, ["polled/0", "polled/1", "polled/2"]);
  const rest: unknown[] = [];
  for await (const event of root.subscriptions.events(made.id, { pollTimeoutS: 0, untilIdle: true })) {
    rest.push(event.path);
  }
  assert.deepEqual(rest, ["polled/2", "polled/3", "polled/4"]);
  assert.deepEqual((await root.subscriptions.poll(made.id, { timeoutS: 0 })).events, []);
  assert.equal((await root.subscriptions.read(made.id)).droppedEvents, 0);
  await root.subscriptions.update(made.id, { paths: ["polled/**", "more/**"] });
  const abort = new AbortController();
  const polling = root.subscriptions.poll(made.id, { timeoutS: 30, signal: abort.signal });
  abort.abort(new Error("no longer"));
  await assert.rejects(polling, /no longer/);
  await root.subscriptions.delete(made.id);
  await assert.rejects(root.subscriptions.poll(made.id, { timeoutS: 0 }), sdk.NotFoundError);
});

test("partners, tenants, and acting in one", async () => {
  const partner = await root.partners.create({ name: "SDK Holding", region: "eu-1" });
  assert.deepEqual([partner.slug, partner.status], ["sdk-holding", "ACTIVE"]);
  assert((await root.partners.list({ pageSize: 1_000 })).some((one) => one.id === partner.id));
  const renamed = await root.partners.update(partner.id, { name: "SDK Group", region: null });
  assert.deepEqual([renamed.name, renamed.region], ["SDK Group", null]);
  const tenant = await root.tenants.create({ name: "SDK EU", partnerId: partner.id });
  assert.equal((await root.tenants.read(tenant.id)).partnerId, partner.id);
  assert.deepEqual((await root.tenants.list({ partnerId: partner.id })).map((one) => one.id), [tenant.id]);

  // By header and by path it is the same tenant, which shares nothing with the token's own.
  const byHeader = root.withOptions({ tenantId: tenant.id });
  const byPath = root.withOptions({ tenantId: tenant.id, tenantIn: "path" });
  await root.secrets.write("whose/secret", { owner: "default" });
  await assert.rejects(byHeader.secrets.read("whose/secret"), sdk.SecretNotFoundError);
  await byHeader.secrets.write("whose/secret", { owner: "tenant" });
  assert.equal((await byPath.secrets.read("whose/secret")).data["owner"], "tenant");
  assert.equal((await root.secrets.read("whose/secret")).data["owner"], "default");
  assert.equal((await byPath.whoami()).tenantId, tenant.id);
  assert.deepEqual((await byPath.secrets.list().all()).map((one) => one.path), ["whose/secret"]);
  const made = await byPath.subscriptions.create({ name: "t", paths: ["**"], events: ["secret.created"] });
  await byPath.secrets.write("whose/event", {});
  for await (const event of byPath.subscriptions.stream(made.id)) {
    assert.equal(event.path, "whose/event");
    break;
  }
  await assert.rejects(root.withOptions({ tenantId: "tnt_none" }).whoami(), sdk.ScaiVaultError);

  const identity = { identityType: "user", identityId: "user:partner-admin" };
  const admin = await byHeader.tokens.create({ ...identity, scopes: ["secrets:read"], roles: ["partner_admin"] });
  assert.deepEqual(admin.roles, ["partner_admin"]);
  const held = await byHeader.tokens.list().all();
  assert.deepEqual(held.find((one) => one.id === admin.id)?.roles, ["partner_admin"]);

  await root.tenants.update(tenant.id, { status: "SUSPENDED" });
  await assert.rejects(byPath.whoami(), (error: sdk.ScaiVaultError) => error.code === "tenant_suspended");
  await root.partners.update(partner.id, { status: "SUSPENDED" });
  assert.equal((await root.partners.read(partner.id)).status, "SUSPENDED");
});

test("secrets of the partner", async () => {
  const written = await root.partnerSecrets.write("shared/key", { k: "1" }, { cas: 0, maxVersions: 3 });
  assert.deepEqual([written.version, written.maxVersions], [1, 3]);
  await root.partnerSecrets.write("shared/key", { k: "2" }, { metadata: { tags: ["a", "b"] } });
  assert.equal((await root.partnerSecrets.read("shared/key")).data["k"], "2");
  assert.equal((await root.partnerSecrets.read("shared/key", { version: 1 })).data["k"], "1");
  await assert.rejects(root.secrets.read("shared/key"), sdk.SecretNotFoundError);
  const listed = await root.partnerSecrets.list({ prefix: "shared/", tag: ["a", "b"] }).all();
  assert.deepEqual(listed.map((one) => one.path), ["shared/key"]);
  assert.deepEqual((await root.partnerSecrets.list({ tag: ["a", "c"] }).all()), []);
  assert.equal((await root.partnerSecrets.versions("shared/key")).length, 2);
  await root.partnerSecrets.updateMetadata("shared/key", { notifyBefore: ["7d", "1d"] });
  assert.equal((await root.partnerSecrets.readMetadata("shared/key")).notifyBefore, "7d,1d");
  await root.partnerSecrets.delete("shared/key");
  assert.equal((await root.partnerSecrets.undelete("shared/key")).version, 2);
  assert.equal((await root.partnerSecrets.delete("shared/key", { permanent: true })).permanent, true);
});

test("what could not be delivered is replayed", async () => {
  const arrived: string[] = [];
  const receiver = createServer((request, response) => {
    request.resume();
    arrived.push(String(request.headers["webhook-id"]));
    response.writeHead(200).end();
  });
  await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`;
  const fields = { name: "replayed", url, secret: "a-signing-secret-of-32-characters", events: ["secret.created"] };
  const hook = await root.webhooks.create({ ...fields, ordered: "path" });
  assert.equal(hook.ordered, "path");
  const since = new Date(Date.now() - 60_000);
  await root.secrets.write("replayed/one", {});
  await until(async () => {
    const ended = await root.webhooks.deliveries(hook.id, { status: "success" }).all();
    return ended.length === 1;
  }, "the delivery");
  const counted = await root.webhooks.replay(hook.id, { since, status: "all", dryRun: true });
  assert.deepEqual([counted.matched, counted.dryRun, counted.hasMore], [1, true, false]);
  const replayed = await root.webhooks.replay(hook.id, { since, status: "success", events: ["secret.created"] });
  assert.equal(replayed.replayed, 1);
  await until(() => arrived.length === 2, "the replay");
  assert.equal((await root.webhooks.replay(hook.id)).matched, 0);
  await root.webhooks.delete(hook.id);
  receiver.closeAllConnections();
  await new Promise((resolve) => receiver.close(resolve));
});

test("audit and system", async () => {
  const from = new Date(Date.now() - 300_000);
  await root.secrets.write("audited/a", {});
  await root.secrets.read("audited/a");
  const action = ["read", "write"];
  const rows = await root.audit.logs({ from, pathPrefix: "audited/", action, limit: 1 }).all();
  assert.deepEqual(rows.map((row) => [row.action, row.success]), [["read", true], ["write", true]]);
  assert(rows[0]!.timestamp > from);
  assert.equal((await root.audit.ofSecret("audited/a").all()).length, 2);
  assert.equal((await root.audit.ofSecret("audited/a", { action: "write" }).all()).length, 1);
  assert.equal((await root.audit.ofIdentity("user:root", { limit: 1 }).pages().next()).done, false);
  assert.deepEqual((await root.audit.summary({ pathPrefix: "audited/" })).byAction, { read: 1, write: 1 });
  assert.equal((await root.audit.verify()).valid, true);
  assert.equal((await root.system.health()).status, "healthy");
  assert.equal((await root.system.version()).apiVersion, "v1");
});

test("exports of the audit trail", async () => {
  const from = new Date(Date.now() - 300_000);
  await root.secrets.write("exported/a", {});
  const begun = await root.audit.createExport({ from, actions: ["write"], format: "csv" });
  assert.deepEqual([begun.from, begun.to, begun.actions, begun.format], [from, null, ["write"], "csv"]);
  const done = await until(async () => {
    const found = await root.audit.readExport(begun.id);
    return found.status === "running" ? undefined : found;
  }, "the export ends");
  assert.deepEqual([done.status, done.progress, done.error], ["completed", 100, null]);
  assert(done.endedAt instanceof Date && (done.chains[0]?.lastSeq ?? 0) > 0);
  const [file] = done.files;
  assert(file !== undefined && file.rows > 0 && file.rows === done.rows);
  const written = await readFile(join(vault.exports, done.id, file.name));
  assert.equal(createHash("sha256").update(written).digest("hex"), file.sha256);
  assert.deepEqual((await root.audit.exports({ limit: 1 }).all()).map((one) => one.id), [done.id]);
  assert.deepEqual(await root.audit.cancelExport(done.id), done, "one that has ended stays as it is");
  await assert.rejects(root.audit.cancelExport("exp_none"), sdk.NotFoundError);
});

test("a rotation reaches the cache, which survives a restart of the server", async () => {
  const policy = await root.rotationPolicies.create({ name: "cache", interval: "30d", autoGenerate: true });
  await root.secrets.write("cache/key", { value: "by hand" }, { rotationPolicyId: policy.id });
  const client = new sdk.ScaiVaultClient({ baseUrl: vault.url, token: ROOT, retry: { attempts: 1 } });
  const cache = client.cache({ maxAgeMs: 3_600_000, pollTimeoutS: 2 });
  const changes: number[] = [];
  cache.onChange("cache/key", (secret) => changes.push(secret.version));
  assert.equal((await cache.get("cache/key")).version, 1);
  await until(() => cache.isWatched("cache/key"), "the cache watches");
  await root.secrets.rotate("cache/key");
  await until(async () => (await cache.get("cache/key")).version === 2, "the new version is served");
  await until(async () => {
    const consumers = await root.secrets.consumers("cache/key");
    return consumers.some((one) => one.version === 2 && one.appliedAt instanceof Date);
  }, "the new version is acknowledged");
  assert.deepEqual(changes, [2]);

  await vault.kill("SIGKILL");
  assert.equal((await cache.get("cache/key")).version, 2);
  await vault.start(vault.url.replace("http://", ""));
  await root.secrets.write("cache/other", { value: "1" });
  assert.equal((await cache.get("cache/other")).version, 1);
  await until(() => cache.isWatched("cache/other"), "the new path is watched");
  await root.secrets.write("cache/other", { value: "2" });
  await until(async () => (await cache.get("cache/other")).data["value"] === "2", "a write is served");
  const mine = async (): Promise<number> =>
    (await root.subscriptions.list()).filter((one) => one.name.startsWith("sdk-cache-")).length;
  assert.equal(await mine(), 1);
  await client.close();
  assert.equal(await mine(), 0);
});
