import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { inspect } from "node:util";

import * as sdk from "@scaivault/sdk";

import { refusal, type Says, scripted, type Scripted, type Seen } from "./support.js";

const READ = { path: "a/b", version: 1, data: { password: "hunter2" } };

for (const [status, code, kind] of [
  [400, "invalid_path", sdk.ValidationError],
  [401, "authentication_required", sdk.AuthenticationError],
  [401, "token_expired", sdk.TokenExpiredError],
  [403, "access_denied", sdk.PermissionDeniedError],
  [403, "insufficient_scope", sdk.InsufficientScopeError],
  [404, "secret_not_found", sdk.SecretNotFoundError],
  [404, "version_not_found", sdk.VersionNotFoundError],
  [404, "a_code_of_the_future", sdk.NotFoundError],
  [404, "constructor", sdk.NotFoundError],
  [405, "method_not_allowed", sdk.MethodNotAllowedError],
  [409, "secret_exists", sdk.SecretExistsError],
  [409, "version_conflict", sdk.VersionConflictError],
  [409, "rotation_in_progress", sdk.ConflictError],
  [410, "secret_expired", sdk.SecretExpiredError],
  [413, "payload_too_large", sdk.PayloadTooLargeError],
  [422, "validation_error", sdk.ValidationError],
  [418, "a_code_of_the_future", sdk.ScaiVaultError],
] as [number, string, abstract new (...args: never[]) => sdk.ScaiVaultError][]) {
  test(
    `${status} ${code} is ${kind.name}`,
    scripted(async (server) => {
      server.says(refusal(status, code, {}, { fields: { a: "b" }, scope: "secrets:read" }));
      await assert.rejects(server.client().secrets.read("a/b"), (error: sdk.ScaiVaultError) => {
        assert.equal(error.constructor, kind);
        assert.deepEqual([error.code, error.status, error.requestId], [code, status, "req_1"]);
        if (error instanceof sdk.ValidationError) assert.deepEqual(error.fields, { a: "b" });
        if (error instanceof sdk.InsufficientScopeError) assert.equal(error.scope, "secrets:read");
        return true;
      });
    }),
  );
}

test(
  "what is not ScaiVault is said to be so; redirects are not followed",
  scripted(async (server) => {
    for (const says of [
      { status: 404, body: "<html>" },
      { status: 404, body: "[]" },
      { status: 200, body: "<html>" },
      { status: 302, body: "", headers: { location: "/elsewhere" } },
    ]) {
      server.says(says);
      await assert.rejects(server.client().secrets.read("a/b"), sdk.InvalidResponseError);
    }
    assert.equal(server.seen.length, 4);
  }),
);

test(
  "a path or id that would be another route is not sent",
  scripted(async (server) => {
    const client = server.client();
    for (const path of ["", "/a", "a/", "a//b", "..", "a/../b", "./a", "a\n/b", "a\u0000"]) {
      await assert.rejects(client.secrets.read(path), sdk.ValidationError, path);
      await assert.rejects(async () => client.audit.ofSecret(path).all(), sdk.ValidationError, path);
    }
    for (const id of ["", ".", "..", "a\r\nb"]) {
      await assert.rejects(client.policies.delete(id), sdk.ValidationError);
    }
    assert.equal(server.seen.length, 0);
  }),
);

test(
  "paths, ids and queries are encoded once",
  scripted(async (server) => {
    const client = server.client();
    server.says({ status: 200, body: {} }, { status: 204 }, { status: 200, body: {} }, { status: 200, body: {} });
    await client.secrets.read("a b/c%2fd?x#y", { version: 3 });
    await client.rotationPolicies.unassign("rot_1", "a/b");
    await client.policies.read("pol/../x");
    assert.deepEqual(await client.secrets.list({ prefix: "a&b=c+d e", secretType: "kv" }).all(), []);
    assert.deepEqual(server.seen.map((seen) => seen.path), [
      "/v1/secrets/a%20b/c%252fd%3Fx%23y?version=3",
      "/v1/rotation/policies/rot_1/secrets/a%2Fb",
      "/v1/policies/pol%2F..%2Fx",
      "/v1/secrets?prefix=a%26b%3Dc%2Bd%20e&secret_type=kv",
    ]);
  }),
);

test(
  "values and tokens are not shown",
  scripted(async (server) => {
    const client = server.client();
    server.says({ status: 200, body: READ }, { status: 201, body: { id: "tok_1", token: "skt_new" } });
    const secret = await client.secrets.read("a/b");
    assert.equal(secret.data["password"], "hunter2");
    assert.equal(JSON.stringify(secret.data), '{"password":"hunter2"}');
    for (const shown of [inspect(secret), JSON.stringify(secret), inspect({ ...secret }), inspect(secret.data)]) {
      assert(!shown.includes("hunter2"), shown);
    }
    assert.equal(inspect(secret.data), "<1 secret field>");
    const token = await client.tokens.create({ identityType: "user", identityId: "user:a", scopes: [] });
    assert.equal(token.token, "skt_new");
    assert(!(inspect(token) + JSON.stringify(token)).includes("skt_new"));
    const shown = inspect(client, { depth: 9, showHidden: false }) + JSON.stringify(client);
    assert(!shown.includes("skt_test"), shown);
    server.says({});
    await assert.rejects(client.secrets.write("a/b", { password: "hunter2" }), (error: unknown) => {
      assert(!/hunter2|skt_test/.test(inspect(error, { depth: 9 })));
      return true;
    });
  }),
);

test(
  "answers are typed and tolerant",
  scripted(async (server) => {
    const client = server.client();
    server.says({
      status: 200,
      body: {
        path: "a/b",
        created_at: "2026-04-23T14:00:00.123456Z",
        expires_at: null,
        updated_at: "soon",
        metadata: { created_at: "2026-01-01T00:00:00Z", my_key: 1 },
        rotation: { next_rotation_at: "2026-04-23T16:00:00+02:00" },
        brand_new: { inner_field: 1 },
        __proto__x: 1,
      },
    });
    const info = await client.secrets.readMetadata("a/b");
    assert.equal(info.createdAt.toISOString(), "2026-04-23T14:00:00.123Z");
    assert.equal(info.rotation?.nextRotationAt.toISOString(), "2026-04-23T14:00:00.000Z");
    assert.equal(info.updatedAt, "soon");
    assert.equal(info.expiresAt, null);
    assert.deepEqual(info.metadata, { created_at: "2026-01-01T00:00:00Z", my_key: 1 });
    assert.deepEqual((info as unknown as Record<string, unknown>)["brandNew"], { innerField: 1 });
    for (const body of ["null", "[]", "3", '"x"', '{"versions": 5}']) {
      server.says({ status: 200, body });
      assert.deepEqual(await client.secrets.versions("a/b"), []);
    }
  }),
);

test(
  "pages are walked to the end",
  scripted(async (server) => {
    const page = (names: string[], cursor: string | null): Says => ({
      status: 200,
      body: { secrets: names.map((path) => ({ path })), cursor, has_more: cursor !== null },
    });
    const script = [page(["a"], "c 1"), page([], "c2"), page(["b"], null)];
    server.says(...script, ...script);
    const listed = server.client().secrets.list({ limit: 1 });
    assert.deepEqual((await listed.all()).map((secret) => secret.path), ["a", "b"]);
    const sizes: number[] = [];
    for await (const one of listed.pages()) sizes.push(one.items.length);
    assert.deepEqual(sizes, [1, 0, 1]);
    assert.equal(server.seen[1]?.path, "/v1/secrets?limit=1&cursor=c%201");
  }),
);

test(
  "a batch is answered as documented",
  scripted(async (server) => {
    server.says({
      status: 200,
      body: {
        secrets: { "a/b": { data: { k: "hunter2" }, version: 3, secret_type: "kv" } },
        errors: { "a/c": { code: "secret_not_found", message: "m" } },
      },
    });
    const batch = await server.client().secrets.batchRead(["a/b", "a/c"], { includeMetadata: true });
    assert.equal(batch.secrets["a/b"]?.path, "a/b");
    assert.equal(batch.secrets["a/b"].data["k"], "hunter2");
    assert.equal(batch.errors["a/c"]?.code, "secret_not_found");
    assert(!inspect(batch, { depth: 9 }).includes("hunter2"));
    assert.deepEqual(JSON.parse(server.seen[0]!.body), {
      paths: ["a/b", "a/c"],
      options: { include_metadata: true },
    });
  }),
);

test(
  "not being ready is an answer; introspection is asked as documented; tenants are named",
  scripted(async (server) => {
    const client = server.client({ tenantId: "tnt_a" });
    server.says({ status: 503, body: { status: "not_ready", checks: {}, errors: { database: "x" } } });
    assert.deepEqual((await client.system.ready()).errors, { database: "x" });
    assert.equal(server.seen[0]?.headers["authorization"], undefined);
    server.says({ status: 200, body: { active: false } }, { status: 200, body: { active: false } });
    assert.equal((await client.auth.introspect("skt_other")).active, false);
    assert.equal(server.seen[1]?.body, '{"token":"skt_other"}');
    assert.equal(server.seen[1].headers["x-tenant-id"], "tnt_a");
    await client.withOptions({ tenantId: "tnt_b" }).auth.introspect("skt_other");
    assert.equal(server.seen[2]?.headers["x-tenant-id"], "tnt_b");
    assert.equal(server.seen[2]?.headers["authorization"], "Bearer skt_test");
  }),
);

test("settings that cannot be used", () => {
  const make = (options: sdk.ClientOptions) => () => new sdk.ScaiVaultClient(options);
  const baseUrl = "https://vault.example";
  for (const url of ["", "vault", "ftp://h", "https://u:hunter2@h", "https://h?x", "https://h#x", "http://h"]) {
    assert.throws(make({ baseUrl: url, token: "skt_a" }), (error: Error) => {
      assert(error instanceof sdk.ConfigurationError);
      return !error.message.includes("hunter2");
    });
  }
  for (const options of [
    { token: "skt_a\nb" },
    { token: "skt_a", clientId: "x", clientSecret: "y", tokenUrl: baseUrl },
    { clientId: "x", clientSecret: "y" },
    { clientId: "x", clientSecret: "y", tokenUrl: "http://idp.example/token" },
    { token: "skt_a", caFile: "/nothing.pem" },
    { token: "skt_a", clientKey: "key.pem" },
  ]) {
    assert.throws(make({ baseUrl, ...options }), sdk.ConfigurationError);
  }
  make({ baseUrl: "http://vault.internal", token: "skt_a", allowInsecureHttp: true })();
});

class Issuer {
  issued = 0;
  life = 3600;
  refuses: Says | undefined;
  readonly accepted = new Set<string>();

  constructor(readonly server: Scripted) {
    server.answer = (seen) => this.answer(seen);
  }

  answer(seen: Seen): Says {
    if (seen.path === "/oauth/token") {
      if (this.refuses !== undefined) return this.refuses;
      this.issued += 1;
      this.accepted.add(`Bearer token-${this.issued}`);
      return { status: 200, body: { access_token: `token-${this.issued}`, expires_in: this.life } };
    }
    if (!this.accepted.has(seen.headers.authorization ?? "")) return refusal(401, "token_expired");
    return { status: 200, body: READ };
  }

  client(options: object = {}): sdk.ScaiVaultClient {
    const tokenUrl = `${this.server.url}/oauth/token`;
    return this.server.client({ token: undefined, clientId: "svc", clientSecret: "hunter2&=", tokenUrl, ...options });
  }
}

test(
  "client credentials: asked for once by many, renewed before the end",
  scripted(async (server) => {
    const issuer = new Issuer(server);
    let now = 1_000_000;
    const client = issuer.client({ clock: () => now, scope: "secrets:read" });
    await Promise.all(Array.from({ length: 16 }, () => client.secrets.read("a/b")));
    assert.equal(issuer.issued, 1);
    assert.deepEqual(Object.fromEntries(new URLSearchParams(server.seen[0]!.body)), {
      grant_type: "client_credentials",
      client_id: "svc",
      client_secret: "hunter2&=",
      scope: "secrets:read",
    });
    now += 3_539_000;
    await client.secrets.read("a/b");
    assert.equal(issuer.issued, 1);
    now += 2_000;
    await client.secrets.read("a/b");
    assert.equal(issuer.issued, 2);
    // While it works, a failed renewal harms nobody.
    issuer.refuses = { status: 400, body: { error: "temporarily_unavailable" } };
    now += 3_550_000;
    await client.secrets.read("a/b");
    const asked = server.seen.length;
    await client.secrets.read("a/b");
    assert.equal(server.seen.length, asked + 1, "not asked again at once");
    now += 60_000;
    await assert.rejects(client.secrets.read("a/b"), (error: sdk.ScaiVaultError) => {
      return error.code === "token_request_failed" && !error.message.includes("hunter2");
    });
  }),
);

test(
  "client credentials: one that is refused is replaced once",
  scripted(async (server) => {
    const issuer = new Issuer(server);
    const client = issuer.client();
    await client.secrets.read("a/b");
    issuer.accepted.clear();
    await client.secrets.write("a/b", {});
    assert.equal(issuer.issued, 2);
    server.answer = (seen) => {
      issuer.accepted.clear();
      const says = issuer.answer(seen);
      issuer.accepted.clear();
      return says;
    };
    await assert.rejects(client.secrets.read("a/b"), sdk.AuthenticationError);
    assert.equal(issuer.issued, 3);
  }),
);

test(
  "a token file is read again when it changes",
  scripted(async (server) => {
    const directory = await mkdtemp(join(tmpdir(), "scaivault-sdk-"));
    const tokenFile = join(directory, "token");
    await writeFile(tokenFile, "skt_one\n");
    const client = server.client({ token: undefined, tokenFile });
    server.says({ status: 200, body: READ }, { status: 200, body: READ });
    await client.secrets.read("a/b");
    await writeFile(join(directory, "new"), "skt_two\n");
    await rename(join(directory, "new"), tokenFile);
    await client.secrets.read("a/b");
    await rm(directory, { recursive: true });
    await assert.rejects(client.secrets.read("a/b"), sdk.ConfigurationError);
    assert.deepEqual(server.seen.map((seen) => seen.headers.authorization), ["Bearer skt_one", "Bearer skt_two"]);
  }),
);

// -- webhooks

const BODY = JSON.stringify({ event_id: "evt_1", event_type: "secret.rotated", data: { new_version: 1 } });
const NOW = 1_800_000_000;
const SECRET = "0123456789abcdef0123456789abcdef";
const OLD = "another-secret-of-the-same-webhook";

const mac = (key: string | Buffer, text: string): Buffer => createHmac("sha256", key).update(text).digest();

function standard(keys: (string | Buffer)[], at = NOW): Record<string, string> {
  const signatures = keys.map((key) => `v1,${mac(key, `evt_1.${at}.${BODY}`).toString("base64")}`);
  return { "Webhook-Id": "evt_1", "Webhook-Timestamp": `${at}`, "Webhook-Signature": signatures.join(" ") };
}

function timed(secret: string, at = NOW): Record<string, string> {
  return {
    "X-ScaiVault-Timestamp": `${at}`,
    "X-ScaiVault-Signature": `sha256=${mac(secret, `${at}.${BODY}`).toString("hex")}`,
  };
}

const bare = (secret: string): Record<string, string> => ({
  "x-scaivault-signature": mac(secret, BODY).toString("hex"),
});

const verifier = (secrets: string | string[] = SECRET, options = {}): sdk.WebhookVerifier =>
  new sdk.WebhookVerifier(secrets, { clock: () => NOW, ...options });

function refused(one: sdk.WebhookVerifier, headers: sdk.HeadersLike, body = BODY): void {
  assert.throws(() => one.verify(body, headers), sdk.WebhookVerificationError);
}

test("deliveries: every form is known", () => {
  assert.equal(verifier().verify(BODY, standard([SECRET])).eventId, "evt_1");
  assert.deepEqual(verifier().verify(Buffer.from(BODY), new Headers(timed(SECRET))).data, { new_version: 1 });
  assert.equal(verifier(SECRET, { acceptUntimed: true }).verify(BODY, bare(SECRET)).eventType, "secret.rotated");
  const key = Buffer.alloc(32, "k");
  verifier(`whsec_${key.toString("base64")}`).verify(BODY, standard([key]));
});

test("deliveries: forged, repeated and changed ones are refused", () => {
  refused(verifier(), standard([OLD]));
  refused(verifier(), timed(OLD));
  refused(verifier(SECRET, { acceptUntimed: true }), bare(OLD));
  refused(verifier(), bare(SECRET));
  refused(verifier(), standard([SECRET]), `${BODY} `);
  refused(verifier(), {});
  refused(verifier(), { ...standard([SECRET]), "Webhook-Id": "evt_2" });
  refused(verifier(), { ...standard([OLD]), ...timed(SECRET) });
  for (const off of [-301, 301]) {
    refused(verifier(), standard([SECRET], NOW + off));
    refused(verifier(), timed(SECRET, NOW + off));
    verifier().verify(BODY, standard([SECRET], NOW + off - Math.sign(off)));
  }
  for (const timestamp of ["", "soon", "-1", "1e9", "９", "9".repeat(400)]) {
    refused(verifier(), { ...timed(SECRET), "X-ScaiVault-Timestamp": timestamp });
  }
});

test("deliveries: a secret is changed without a gap", () => {
  for (const known of [[SECRET], [OLD], [OLD, SECRET]]) verifier(known).verify(BODY, standard([SECRET, OLD]));
  verifier([OLD, SECRET]).verify(BODY, timed(SECRET));
  refused(verifier("a-third-secret-nobody-signs-with"), standard([SECRET, OLD]));
  for (const none of ["", [], ["x", ""]]) assert.throws(() => new sdk.WebhookVerifier(none), TypeError);
  assert.throws(() => sdk.verifyWebhook(BODY, standard([SECRET], 1_000_000_000), SECRET), /old/);
});

test("the version is the package's", () => {
  const manifest = createRequire(import.meta.url)("@scaivault/sdk/package.json") as { version: string };
  assert.equal(sdk.VERSION, manifest.version);
});
