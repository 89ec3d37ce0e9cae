/** The stream of events: over broken connections, to its end. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import * as sdk from "@scaivault/sdk";

import { refusal, ROOT, type Says, scripted, until, Vault } from "./support.js";

const SSE = { "content-type": "text/event-stream" };

function event(n: number): string {
  const data = { event_id: `evt_${n}`, event_type: "secret.updated", timestamp: "2026-01-01T00:00:00Z", data: { n } };
  return `id: evt_${n}\nevent: secret.updated\ndata: ${JSON.stringify(data)}\n\n`;
}

function stream(...pieces: string[]): Says {
  return { status: 200, headers: SSE, pieces };
}

function end(reason: string): string {
  return `event: stream.end\ndata: {"reason":"${reason}"}\n\n`;
}

async function ids(events: AsyncIterable<sdk.Event>, most = 99): Promise<string[]> {
  const seen: string[] = [];
  for await (const one of events) {
    seen.push(one.eventId);
    if (seen.length >= most) break;
  }
  return seen;
}

test("a broken connection goes on behind the last event", scripted(async (server) => {
  server.says(
    stream("retry: 3000\n\n", event(1)),
    {},
    refusal(503, "service_unavailable", { "retry-after": "7" }),
    stream(event(2), end("stopping")),
    stream(": \n\n", event(3)),
  );
  const events = server.client().subscriptions.stream("sub_1", { acknowledge: false });
  assert.deepEqual(await ids(events, 3), ["evt_1", "evt_2", "evt_3"]);
  const last = server.seen.map((one) => one.headers["last-event-id"]);
  assert.deepEqual(last, [undefined, "evt_1", "evt_1", "evt_1", "evt_2"]);
  // What the server asked for, and growing pauses where nothing answers.
  const [first = 0, second = 0, third = 0, fourth = 0] = server.pauses;
  assert(first >= 3_000 && first <= 4_500, `${server.pauses}`);
  assert(second >= 500 && second <= 750, `${server.pauses}`);
  assert(third >= 7_000 && third <= 10_500, `${server.pauses}`);
  assert(fourth >= 3_000 && fourth <= 4_500, `${server.pauses}`);
}));

test("events are put together from whatever pieces they come in", scripted(async (server) => {
  const text = `retry: 3000\r\n\r\n: a word\r\n\r\n${event(1)}${event(2).replaceAll("\n", "\r\n")}${event(3)}`;
  for (const size of [1, 2, 7, 1_000]) {
    const pieces = text.match(new RegExp(`[^]{1,${size}}`, "g")) ?? [];
    server.says(stream(...pieces));
    const events = server.client().subscriptions.stream("sub_1", { acknowledge: false, sinceEventId: "evt_0" });
    assert.deepEqual(await ids(events, 3), ["evt_1", "evt_2", "evt_3"]);
    assert.equal(server.seen.at(-1)?.headers["last-event-id"], "evt_0");
  }
}));

test("what the loop's body ran for is acknowledged, and nothing else", scripted(async (server) => {
  const acks: unknown[] = [];
  server.answer = (seen) => {
    if (seen.method === "POST") {
      acks.push(JSON.parse(seen.body));
      return { status: 200, body: { acknowledged: 1 } };
    }
    return { ...stream(event(1) + event(2), event(3)), open: true };
  };
  await assert.rejects(async () => {
    for await (const one of server.client().subscriptions.stream("sub_1")) {
      if (one.eventId === "evt_3") throw new Error("not processed");
    }
  }, /not processed/);
  assert.deepEqual(acks, [{ event_ids: ["evt_1", "evt_2"] }]);
}));

test("what a new request would be refused for ends it", scripted(async (server) => {
  const cases: [string, new (parts: sdk.ErrorParts) => sdk.ScaiVaultError][] = [
    ["token_revoked", sdk.AuthenticationError],
    ["token_expired", sdk.TokenExpiredError],
    ["subscription_not_found", sdk.NotFoundError],
    ["tenant_suspended", sdk.PermissionDeniedError],
  ];
  for (const [reason, kind] of cases) {
    server.says(stream(event(1), end(reason)));
    await assert.rejects(ids(server.client().subscriptions.stream("sub_1", { acknowledge: false })), kind);
  }
  server.says(refusal(404, "subscription_not_found"), { status: 200, body: "<html>" });
  await assert.rejects(ids(server.client().subscriptions.stream("sub_1")), sdk.NotFoundError);
  await assert.rejects(ids(server.client().subscriptions.stream("sub_1")), sdk.InvalidResponseError);
  server.says(stream("data: " + "x".repeat(2_000_000)));
  await assert.rejects(ids(server.client().subscriptions.stream("sub_1")), sdk.InvalidResponseError);
  assert.deepEqual(server.pauses, []);
}));

test("it gives up after its time, and is ended by its signal", scripted(async (server) => {
  let now = 0;
  const sleep = (ms: number): Promise<void> => {
    now += ms;
    return Promise.resolve();
  };
  server.answer = () => refusal(503, "service_unavailable");
  const client = server.client({ sleep, clock: () => now });
  const options = { acknowledge: false, giveUpAfterMs: 60_000 };
  await assert.rejects(ids(client.subscriptions.stream("sub_1", options)), sdk.ServiceUnavailableError);
  assert(now > 30_000 && now < 60_000, `${now}`);
  assert(server.seen.length > 5 && server.seen.length < 30, `${server.seen.length}`);

  const abort = new AbortController();
  server.answer = () => ({ ...stream(event(1)), open: true });
  const seen: string[] = [];
  await assert.rejects(async () => {
    const events = client.subscriptions.stream("sub_1", { acknowledge: false, signal: abort.signal });
    for await (const one of events) {
      seen.push(one.eventId);
      abort.abort(new Error("no longer"));
    }
  }, /no longer/);
  assert.deepEqual(seen, ["evt_1"]);
}));

test("a silent connection is given up", scripted(async (server) => {
  server.answer = () => ({ status: 200, headers: SSE, hold: new Promise(() => undefined) });
  const client = server.client();
  const abort = AbortSignal.timeout(50);
  await assert.rejects(ids(client.subscriptions.stream("sub_1", { signal: abort })), /timeout/i);
}));

const vault = new Vault();
before(() => vault.start());
after(() => vault.stop());

test("the real server's stream outlives the server, and ends with its token", async () => {
  const root = new sdk.ScaiVaultClient({ baseUrl: vault.url, token: ROOT });
  const scopes = ["secrets:read", "subscriptions:read", "subscriptions:write"];
  const identity = { identityType: "user", identityId: "user:streamer" };
  const token = await root.tokens.create({ ...identity, scopes });
  const policy = await root.policies.create({ name: "s", rules: [{ pathPattern: "s/**", permissions: ["read"] }] });
  await root.policies.bind(policy.id, identity);
  const client = new sdk.ScaiVaultClient({
    baseUrl: vault.url,
    token: token.token,
    retry: { backoffMinMs: 20, backoffMaxMs: 100 },
    // The server asks for 3 seconds; the tests do not wait for them.
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, Math.min(ms, 50))),
  });
  const made = await client.subscriptions.create({ name: "s", paths: ["s/**"], events: ["secret.created"], ttl: "2h" });
  assert.equal(made.ttl, "2h");
  const arrived: unknown[] = [];
  const reading = (async (): Promise<unknown> => {
    for await (const one of client.subscriptions.stream(made.id)) arrived.push(one.path);
    return undefined;
  })().catch((error: unknown) => error);
  await root.secrets.write("s/1", {});
  await until(() => arrived.length === 1, "the first event");
  await vault.kill("SIGKILL");
  await vault.start(vault.url.replace("http://", ""));
  await root.secrets.write("s/2", {});
  await until(() => arrived.length === 2, "the event after the restart");
  await until(
    async () => (await client.subscriptions.poll(made.id, { timeoutS: 0 })).events.length === 0,
    "both are acknowledged",
  );
  await root.tokens.revoke(token.id);
  const end = await reading;
  assert(end instanceof sdk.AuthenticationError && end.code === "token_revoked", `${end}`);
  assert.deepEqual(arrived, ["s/1", "s/2"]);
});
