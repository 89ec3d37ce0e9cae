import assert from "node:assert/strict";
import { test } from "node:test";

import * as sdk from "@scaivault/sdk";

import { refusal, type Says, scripted, type Scripted } from "./support.js";

/** One secret behind a scripted server, and a subscription that nobody may make. */
class Api {
  version = 1;
  refuses: Says | undefined;
  reads = 0;
  now = 1_000_000;
  readonly acks: Record<string, unknown>[] = [];

  constructor(readonly server: Scripted) {
    server.answer = (seen) => {
      if (seen.path.endsWith("/ack")) {
        this.acks.push(JSON.parse(seen.body) as Record<string, unknown>);
        return { status: 200, body: {} };
      }
      if (seen.path.startsWith("/v1/subscriptions")) return refusal(403, "insufficient_scope");
      this.reads += 1;
      const body = { path: "a/b", version: this.version, data: { n: this.version } };
      return this.refuses ?? { status: 200, body };
    };
  }

  cache(): sdk.SecretCache {
    return this.server.client({ clock: () => this.now }).cache({ maxAgeMs: 60_000, staleLimitMs: 600_000 });
  }
}

test(
  "read once by many while fresh, then again",
  scripted(async (server) => {
    const api = new Api(server);
    const cache = api.cache();
    const all = await Promise.all(Array.from({ length: 16 }, () => cache.get("a/b")));
    assert.deepEqual(new Set(all.map((one) => one.version)), new Set([1]));
    assert.equal(api.reads, 1);
    api.version = 2;
    api.now += 59_000;
    assert.equal((await cache.get("a/b")).version, 1);
    api.now += 2_000;
    assert.equal((await cache.get("a/b")).version, 2);
    assert.deepEqual(api.acks, [1, 2].map((version) => ({ version, status: "applied" })));
    assert.equal(cache.watching, false);
    await cache.close();
  }),
);

test(
  "the last good value outlives the server, to a limit",
  scripted(async (server) => {
    const api = new Api(server);
    const cache = api.cache();
    await cache.get("a/b");
    api.refuses = refusal(503, "service_unavailable");
    api.now += 61_000;
    assert.equal((await cache.get("a/b")).version, 1);
    const asked = api.reads;
    assert.equal((await cache.get("a/b")).version, 1);
    assert.equal(api.reads, asked, "a server that is away is not asked by every reader");
    api.now += 31_000;
    assert.equal((await cache.get("a/b")).version, 1);
    assert(api.reads > asked);
    api.now += 600_000;
    await assert.rejects(cache.get("a/b"), sdk.ServiceUnavailableError);
    api.refuses = undefined;
    assert.equal((await cache.get("a/b")).version, 1);
    await cache.close();
  }),
);

test(
  "what the server says for certain is raised",
  scripted(async (server) => {
    const api = new Api(server);
    const cache = api.cache();
    await cache.get("a/b");
    api.now += 61_000;
    api.refuses = refusal(404, "secret_not_found");
    await assert.rejects(cache.get("a/b"), sdk.SecretNotFoundError);
    api.refuses = refusal(503, "service_unavailable");
    await assert.rejects(cache.get("a/b"), sdk.ServiceUnavailableError);
    await cache.close();
  }),
);

test(
  "a listener that fails is acknowledged as failed, without its words",
  scripted(async (server) => {
    const api = new Api(server);
    const cache = api.cache();
    cache.onChange("a/b", (secret) => {
      throw new TypeError(`cannot use ${String(secret.data["n"])}`);
    });
    await cache.get("a/b");
    api.version = 2;
    api.now += 61_000;
    await cache.get("a/b");
    const detail = "the application raised TypeError";
    assert.deepEqual(api.acks.at(-1), { version: 2, status: "failed", detail });
    await cache.close();
  }),
);
