/** Credentials on request, at a real PostgreSQL; and what becomes of a lease while it is in use. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { inspect } from "node:util";

import * as sdk from "@scaivault/sdk";

import { psql, refusal, ROOT, scripted, until, Vault } from "./support.js";

const MAKE =
  `CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'; ` +
  'GRANT SELECT ON orders_typescript TO "{{name}}"';
const READ = "SELECT id FROM orders_typescript";
const ENGINE = "typescript";

const vault = new Vault();
let root: sdk.ScaiVaultClient;

const settings = (database: string): Record<string, unknown> => ({
  host: process.env["PGHOST"],
  port: Number(process.env["PGPORT"]),
  database,
});

before(async () => {
  await psql("CREATE TABLE orders_typescript (id int); INSERT INTO orders_typescript VALUES (42)");
  await psql("CREATE ROLE vault_typescript LOGIN CREATEROLE PASSWORD 'of-the-root'");
  await psql("GRANT pg_signal_backend, pg_read_all_stats TO vault_typescript");
  await psql("GRANT SELECT ON orders_typescript TO vault_typescript WITH GRANT OPTION");
  await vault.start();
  root = new sdk.ScaiVaultClient({ baseUrl: vault.url, token: ROOT });
  await root.secrets.write("dynamic/root", { username: "vault_typescript", password: "of-the-root" });
  const made = await root.dynamic.createEngine({
    name: ENGINE,
    type: "database",
    config: { plugin: "postgresql", rootCredentialsPath: "dynamic/root", settings: settings("postgres") },
    maxTtl: "8h",
  });
  assert.deepEqual([made.type, made.plugin, made.defaultTtl], ["database", "postgresql", "1h"]);
  await root.dynamic.createRole(ENGINE, { name: "reader", creationStatements: [MAKE] });
  await root.dynamic.putRole(ENGINE, "brief", { creationStatements: [MAKE], defaultTtl: "3s" });
});
after(() => vault.stop());

async function gone(account: string): Promise<void> {
  const look = `SELECT count(*) FROM pg_roles WHERE rolname = '${account}'`;
  await until(async () => (await psql(look)) === "0", "the account is gone");
}

test("every operation at a database", async () => {
  const { dynamic } = root;
  assert((await dynamic.engines().all()).some((one) => one.name === ENGINE));
  assert.equal((await dynamic.updateEngine(ENGINE, { description: "d" })).description, "d");
  assert.equal((await dynamic.engine(ENGINE)).maxTtl, "8h");
  const health = await dynamic.health(ENGINE);
  assert(health.healthy && health.checkedAt instanceof Date);
  assert.equal((await dynamic.updateRole(ENGINE, "reader", { maxTtl: "2h" })).maxTtl, "2h");
  assert.equal((await dynamic.roles(ENGINE).all()).length, 2);
  assert.deepEqual((await dynamic.role(ENGINE, "reader")).creationStatements, [MAKE]);

  const made = await dynamic.generate(ENGINE, "reader", { ttl: "10m" });
  const { username = "", password = "" } = made;
  assert(made.ttl > 590 && made.ttl <= 600);
  assert.equal(made.data["password"], password);
  assert(!JSON.stringify(made).includes(password) && !inspect(made).includes(password));
  assert.equal(await psql(READ, username, password), "42");
  const renewed = await dynamic.renew(made.leaseId, { increment: "30m" });
  assert(renewed.expiresAt > made.expiresAt);
  assert.equal((await dynamic.lease(made.leaseId)).account, username);
  const found = await dynamic.leases({ engine: ENGINE, role: "reader", status: ["active", "creating"] }).all();
  assert(found.some((one) => one.id === made.leaseId));
  await assert.rejects(dynamic.deleteEngine(ENGINE), sdk.EngineInUseError);
  assert.equal((await dynamic.revoke(made.leaseId)).cause, "asked");
  await gone(username);
  await assert.rejects(psql(READ, username, password));
  await assert.rejects(dynamic.renew(made.leaseId), sdk.LeaseEndedError);
  assert.deepEqual((await dynamic.sweep(ENGINE)).found, []);
  await dynamic.generate(ENGINE, "reader");
  assert.equal((await dynamic.revokeAll(ENGINE, { role: "reader" })).revoked, 1);
});

test("the root credential rotates", async () => {
  const rotation = await root.dynamic.rotateRoot(ENGINE);
  assert.equal(rotation.secretPath, "dynamic/root");
  await until(async () => {
    const { data } = await root.secrets.read("dynamic/root");
    return data["password"] !== "of-the-root";
  }, "nobody knows it any more");
  await root.dynamic.withCredential(ENGINE, "reader", async (cred) => {
    assert.equal(await psql(READ, cred.username, cred.password), "42");
  });
  await assert.rejects(root.dynamic.publicKey(ENGINE), sdk.ValidationError);
});

test(
  "what is no JSON",
  scripted(async (server) => {
    server.says({ status: 200, body: "ssh-ed25519 AAAA x\n" }, { status: 200, body: "SSHKRL\n\u0000" });
    const { dynamic } = server.client();
    assert.equal(await dynamic.publicKey("bastion"), "ssh-ed25519 AAAA x\n");
    assert.deepEqual([...(await dynamic.revocationList("bastion"))], [...Buffer.from("SSHKRL\n\u0000")]);
    server.says(refusal(404, "engine_not_found"));
    await assert.rejects(dynamic.revocationList("nothing"), sdk.NotFoundError);
  }),
);

test("errors by code", async () => {
  const { dynamic } = root;
  const config = { plugin: "postgresql", rootCredentialsPath: "dynamic/root", settings: settings("nowhere") };
  const refused: unknown = await dynamic
    .createEngine({ name: "wrong", type: "database", config })
    .catch((error: unknown) => error);
  assert(refused instanceof sdk.InvalidConfigError && typeof refused.trouble === "string");
  await assert.rejects(dynamic.generate("nothing", "reader"), { code: "engine_not_found" });
  await assert.rejects(dynamic.generate(ENGINE, "reader", { ttl: "soon" }), sdk.ValidationError);
  const broken = `CREATE ROLE "{{name}}" PASSWORD '{{password}}' NONSENSE`;
  await dynamic.putRole(ENGINE, "broken", { creationStatements: [broken] });
  const failed: unknown = await dynamic.generate(ENGINE, "broken").catch((error: unknown) => error);
  assert(failed instanceof sdk.EngineFailedError && !failed.outcomeUnknown);
  await dynamic.deleteRole(ENGINE, "broken");
});

test("a credential for a function", async () => {
  let used: sdk.LeasedCredential | undefined;
  const failed = root.dynamic.withCredential(ENGINE, "brief", async (cred) => {
    used = cred;
    const first = cred.expiresAt.getTime();
    assert.equal(await psql(READ, cred.username, cred.password), "42");
    assert(!JSON.stringify(cred).includes(cred.password) && !inspect(cred).includes(cred.password));
    // More than two terms are over, and it is as good as new.
    const began = Date.now();
    await until(() => Date.now() - began > 7_000 && cred.expiresAt.getTime() > first, "it was renewed");
    assert.equal(await psql(READ, cred.username, cred.password), "42");
    assert(!cred.ended && cred.trouble === undefined);
    throw new Error("of the function");
  });
  await assert.rejects(failed, /of the function/);
  assert(used);
  assert.equal((await root.dynamic.lease(used.leaseId)).cause, "asked");
  await gone(used.username);
  assert.equal(await root.dynamic.withCredential(ENGINE, "reader", () => 7, { ttl: "1m" }), 7);
});

test("a lease that somebody else ends", async () => {
  let told: sdk.LeasedCredential | undefined;
  const cred = await root.dynamic.openCredential(ENGINE, "brief", {
    onEnd: async (one) => {
      told = one;
      await one.close();
    },
  });
  await root.dynamic.revoke(cred.leaseId);
  await until(() => told, "it is told");
  assert(cred.ended && cred.trouble instanceof sdk.LeaseEndedError);
});

const MADE = {
  lease_id: "lse_1",
  data: { username: "u", password: "p" },
  username: "u",
  password: "p",
  renewable: true,
  ttl: 60,
  expires_at: "2026-01-01T00:01:00Z",
  max_expires_at: "2026-01-01T00:09:00Z",
};
const lease = (renewed: number, expires: number): object => ({
  id: "lse_1",
  issued_at: "2026-01-01T00:00:00Z",
  renewed_at: `2026-01-01T00:0${renewed}:00Z`,
  expires_at: `2026-01-01T00:0${expires}:00Z`,
  max_expires_at: "2026-01-01T00:09:00Z",
});

test(
  "what fails is tried again, and the last term is told",
  scripted(async (server) => {
    server.says(
      { status: 201, body: MADE },
      refusal(503, "service_unavailable"),
      { status: 200, body: lease(1, 4) },
      { status: 200, body: lease(6, 9) }, // as far as it goes
      { status: 202, body: lease(6, 9) },
    );
    const client = server.client({ retry: { attempts: 1 } });
    let ended = 0;
    const asked = { ttl: "1m", params: { public_key: "k" }, onEnd: (): number => (ended += 1) };
    const until9 = await client.dynamic.withCredential(
      "e",
      "r",
      async (cred) => {
        await until(() => ended === 1, "it ends");
        assert(cred.ended && cred.trouble === undefined);
        return cred.expiresAt.toISOString();
      },
      asked,
    );
    assert.equal(until9, "2026-01-01T00:09:00.000Z");
    assert.deepEqual(server.pauses, [40_000, 1_000, 120_000, 120_000]);
    const renewal = "/v1/dynamic/leases/lse_1/renew";
    assert.deepEqual(
      server.seen.map((seen) => seen.path),
      ["/v1/dynamic/engines/e/creds/r", renewal, renewal, renewal, "/v1/dynamic/leases/lse_1/revoke"],
    );
    assert.equal(server.seen[0]?.body, '{"ttl":"1m","params":{"public_key":"k"}}');
    assert.equal(server.seen[1]?.body, '{"increment":"1m"}');
  }),
);

test(
  "what cannot be given back hides nothing",
  scripted(async (server) => {
    const away = refusal(503, "service_unavailable");
    server.says({ status: 201, body: { ...MADE, renewable: false } }, away, away, away);
    let used: sdk.LeasedCredential | undefined;
    const failed = server.client().dynamic.withCredential("e", "r", (cred) => {
      used = cred;
      throw new Error("of the function");
    });
    await assert.rejects(failed, /of the function/);
    assert(used?.trouble instanceof sdk.ServiceUnavailableError);
  }),
);

test(
  "a lost answer makes no second account",
  scripted(async (server) => {
    server.says({});
    const lost: unknown = await server.client().dynamic.generate("e", "r").catch((error: unknown) => error);
    assert(lost instanceof sdk.TransportError && lost.outcomeUnknown);
    await assert.rejects(server.client().dynamic.engine(".."), sdk.ValidationError);
    assert.equal(server.seen.length, 1);
  }),
);
