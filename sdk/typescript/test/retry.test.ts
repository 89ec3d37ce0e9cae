import assert from "node:assert/strict";
import { test } from "node:test";

import {
  InternalServerError,
  NotFoundError,
  RateLimitError,
  RequestTimeoutError,
  ScaiVaultClient,
  ScaiVaultError,
  ServiceUnavailableError,
  TransportError,
  VersionConflictError,
} from "@scaivault/sdk";

import { refusal, type Says, Scripted, scripted } from "./support.js";

const READ: Says = { status: 200, body: { path: "a/b", version: 1, data: { k: "v" } } };
const WRITTEN: Says = { status: 201, body: { path: "a/b", version: 1 } };
const CUT: Says = {};

async function failed<T extends ScaiVaultError>(
  call: Promise<unknown>,
  kind: abstract new (...args: never[]) => T,
): Promise<T> {
  const error = await call.then(
    () => assert.fail("it should have failed"),
    (error: unknown) => error,
  );
  assert(error instanceof kind, String(error));
  return error;
}

test(
  "rate limited: waits for Retry-After, and repeats a write too",
  scripted(async (server) => {
    server.says(refusal(429, "rate_limited", { "retry-after": "7" }), WRITTEN);
    assert.equal((await server.client().secrets.write("a/b", { k: "v" })).version, 1);
    assert.deepEqual(server.seen.map((seen) => seen.body), ['{"data":{"k":"v"}}', '{"data":{"k":"v"}}']);
    assert.equal(server.pauses.length, 1);
    assert(server.pauses[0]! >= 7_000 && server.pauses[0]! <= 7_250);
  }),
);

test(
  "a Retry-After past the deadline is told at once",
  scripted(async (server) => {
    server.says(refusal(429, "rate_limited", { "retry-after": "3600" }));
    const error = await failed(server.client().secrets.read("a/b"), RateLimitError);
    assert.equal(error.retryAfter, 3600);
    assert.deepEqual(server.pauses, []);
  }),
);

test(
  "a Retry-After may be a date",
  scripted(async (server) => {
    const date = new Date(Date.now() + 20_000).toUTCString();
    server.says(refusal(503, "service_unavailable", { "retry-after": date }), READ);
    await server.client().secrets.read("a/b");
    assert(server.pauses[0]! > 15_000 && server.pauses[0]! < 20_500);
  }),
);

test(
  "unavailable: growing pauses, bounded attempts",
  scripted(async (server) => {
    server.says(...Array<Says>(4).fill(refusal(503, "service_unavailable")));
    const error = await failed(server.client().secrets.read("a/b"), ServiceUnavailableError);
    assert.equal(error.outcomeUnknown, false);
    const bounds = [250, 500, 1000];
    assert.equal(server.pauses.length, 3);
    server.pauses.forEach((pause, n) => assert(pause >= bounds[n]! / 2 && pause <= bounds[n]!));
  }),
);

test(
  "internal error: once; not found: never",
  scripted(async (server) => {
    server.says(refusal(500, "internal_error"), refusal(500, "internal_error"));
    await failed(server.client().secrets.read("a/b"), InternalServerError);
    server.says(refusal(404, "secret_not_found"));
    await failed(server.client().secrets.read("a/b"), NotFoundError);
    assert.equal(server.seen.length, 3);
  }),
);

for (const [name, says] of [
  ["unavailable", refusal(503, "service_unavailable", { "retry-after": "1" })],
  ["internal", refusal(500, "internal_error")],
  ["cut", CUT],
  ["a proxy's 502", { status: 502, body: "<html>" }],
] as [string, Says][]) {
  test(
    `a write of unknown outcome is not repeated: ${name}`,
    scripted(async (server) => {
      server.says(says);
      const error = await failed(server.client().secrets.write("a/b", { k: "v" }), ScaiVaultError);
      assert.equal(error.outcomeUnknown, true);
      assert.equal(server.seen.length, 1);
    }),
  );

  test(
    `a guarded write of unknown outcome is repeated: ${name}`,
    scripted(async (server) => {
      server.says(says, WRITTEN);
      await server.client().secrets.write("a/b", { k: "v" }, { cas: 0 });
      assert.equal(server.seen[0]!.body, server.seen[1]!.body);
    }),
  );
}

test(
  "a conflict after an unknown outcome says so, a plain one does not",
  scripted(async (server) => {
    const conflict = refusal(409, "version_conflict", {}, { current_version: 4 });
    server.says(CUT, conflict, conflict);
    const first = await failed(server.client().secrets.write("a/b", {}, { cas: 3 }), VersionConflictError);
    assert.deepEqual([first.outcomeUnknown, first.currentVersion], [true, 4]);
    const second = await failed(server.client().secrets.write("a/b", {}, { cas: 3 }), VersionConflictError);
    assert.equal(second.outcomeUnknown, false);
  }),
);

test(
  "what is gone after a lost answer was removed",
  scripted(async (server) => {
    const client = server.client();
    server.says(CUT, refusal(404, "policy_not_found"), CUT, refusal(404, "secret_not_found"));
    await client.policies.delete("pol_1");
    assert.equal((await client.secrets.delete("a/b")).path, "a/b");
    server.says(refusal(404, "policy_not_found"));
    await failed(client.policies.delete("pol_1"), NotFoundError);
  }),
);

test(
  "a read survives cut connections",
  scripted(async (server) => {
    server.says(CUT, CUT, READ);
    assert.equal((await server.client().secrets.read("a/b")).data["k"], "v");
  }),
);

test("a server that is not there was never asked", async () => {
  const pauses: number[] = [];
  const sleep = (ms: number): Promise<void> => Promise.resolve(void pauses.push(ms));
  const gone = await new Scripted().start();
  await gone.stop();
  const client = new ScaiVaultClient({ baseUrl: gone.url, token: "skt_test", sleep });
  const error = await failed(client.secrets.write("a/b", {}), TransportError);
  assert.deepEqual([error.code, error.outcomeUnknown, pauses.length], ["connection_failed", false, 3]);
});

test(
  "silence ends",
  scripted(async (server) => {
    let release = (): void => undefined;
    server.says({ ...READ, hold: new Promise<void>((resolve) => (release = resolve)) });
    const client = server.client({ timeoutMs: 200, retry: { attempts: 1 } });
    await failed(client.secrets.read("a/b"), RequestTimeoutError);
    release();
  }),
);

test(
  "a call can be aborted while it waits for the answer, and in a pause",
  scripted(async (server) => {
    const hold = new Promise(() => undefined);
    const abort = new AbortController();
    server.says({ ...READ, hold });
    const call = server.client().secrets.read("a/b", { signal: abort.signal });
    abort.abort(new Error("enough"));
    await assert.rejects(call, /enough/);

    server.script.length = 0;
    server.says(refusal(503, "service_unavailable", { "retry-after": "50" }));
    const late = new AbortController();
    const waiting = server.client({ sleep: undefined }).secrets.read("a/b", { signal: late.signal });
    setTimeout(() => late.abort(new Error("enough of it")), 50);
    await assert.rejects(waiting, /enough of it/);
    await assert.rejects(server.client().secrets.read("a/b", { signal: late.signal }), /enough of it/);
  }),
);
