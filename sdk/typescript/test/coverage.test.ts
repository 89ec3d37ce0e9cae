/** Every operation of the server's own description has a method here. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Pages, ScaiVaultError } from "@scaivault/sdk";

import { scripted, Vault } from "./support.js";

/** Not for applications: the restored store is looked after by its operator, with the command line. */
const WITHOUT = new Set([
  "GET /v1/docs",
  "GET /v1/docs/{file}",
  "GET /v1/metrics",
  "GET /v1/openapi.json",
  "GET /v1/rotation/pending", // another name of due
  "POST /v1/rotation/campaign", // other names of campaigns
  "POST /v1/rotations/campaign",
  "GET /v1/rotation/reconcile",
  "POST /v1/rotation/reconcile/look",
  "POST /v1/rotation/reconcile/resume",
]);

const vault = new Vault();
before(() => vault.start());
after(() => vault.stop());

test("every operation has a method", scripted(async (server) => {
  // Something comes at each poll: `events` waits until it does.
  const polled = { events: [{ event_id: "evt_1" }] };
  server.answer = (seen) => ({ status: 200, body: seen.path.includes("/poll") ? polled : {} });
  const client = server.client({ retry: { attempts: 1 } });
  for (const group of Object.values(client) as object[]) {
    const prototypes = [Object.getPrototypeOf(group), Object.getPrototypeOf(Object.getPrototypeOf(group))];
    const names = prototypes.flatMap((one: object) => Object.getOwnPropertyNames(one));
    for (const name of names) {
      const method = (group as Record<string, unknown>)[name];
      const inner = ["constructor", "send", "get", "getList", "act", "remove", "paged", "route", "store", "sample", "atTarget", "file", "openCredential"];
      if (typeof method === "function" && !inner.includes(name)) await called(group, method);
    }
  }
  const asked = new Set(server.seen.map((one) => `${one.method} ${one.path.split("?")[0]}`));

  const described = (await (await fetch(`${vault.url}/v1/openapi.json`)).json()) as {
    paths: Record<string, Record<string, unknown>>;
  };
  const missing: string[] = [];
  for (const [route, methods] of Object.entries(described.paths)) {
    const pattern = route.replace(/\{[^}]*\}/g, "x");
    for (const word of Object.keys(methods)) {
      if (!["get", "put", "post", "patch", "delete"].includes(word)) continue;
      const method = word.toUpperCase();
      if (!asked.has(`${method} ${pattern}`) && !WITHOUT.has(`${method} ${route}`)) missing.push(`${method} ${route}`);
    }
  }
  assert.deepEqual(missing, []);
  assert(asked.size > 90, `${asked.size}`);
}));

/** Calls it with texts for all that it needs, and takes the first of what it gives. */
async function called(group: object, method: Function): Promise<void> {
  const texts = Array.from({ length: method.length }, () => "x");
  try {
    const answer: unknown = await method.apply(group, texts);
    if (answer instanceof Pages) await answer.all();
    else if (typeof answer === "object" && answer !== null && Symbol.asyncIterator in answer) {
      await (answer as AsyncGenerator).next();
    }
  } catch (error) {
    // What it asked for is all that counts.
    if (!(error instanceof ScaiVaultError || error instanceof TypeError)) throw error;
  }
}
