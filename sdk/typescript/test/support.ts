/** The real server, and one that says what a test wants. */

import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

import { ScaiVaultClient } from "@scaivault/sdk";

export const ROOT = "skt_root_of_the_sdk_tests_0123456789";
/** Every wait of these tests ends. */
const PATIENCE_MS = 30_000;
const UNLIMITED = [
  ...["READ", "WRITE", "LIST", "ROTATION", "SUBSCRIPTION", "POLL", "WEBHOOK", "AUDIT", "AUTH"],
  ...["DYNAMIC_ADMIN", "DYNAMIC_GENERATE", "LEASE"],
];

/** Waits until `condition` gives something. */
export async function until<T>(
  condition: () => T | Promise<T>,
  what: string,
): Promise<NonNullable<T>> {
  const end = Date.now() + PATIENCE_MS;
  while (Date.now() < end) {
    const found = await condition();
    if (found) return found as NonNullable<T>;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`waited ${PATIENCE_MS} ms in vain: ${what}`);
}

/** Statements in a new login at the PostgreSQL that `sdk/test` started; fails when it lets nobody in. */
export async function psql(statements: string, user = "postgres", password?: string): Promise<string> {
  const own = process.env["SDK_TEST_SUPERUSER"];
  assert(own, "sdk/test starts a PostgreSQL");
  const { stdout } = await promisify(execFile)(
    "psql",
    ["-X", "-qAt", "-w", "-v", "ON_ERROR_STOP=1", "-U", user, "-c", statements],
    { env: { ...process.env, PGPASSWORD: password ?? own }, timeout: PATIENCE_MS },
  );
  return stdout.trim();
}

/** The real server. */
export class Vault {
  url = "";
  #process: ChildProcess | undefined;
  #directory: string | undefined;

  /** Where exports of the audit trail are written to. */
  get exports(): string {
    assert(this.#directory, "the server was started");
    return join(this.#directory, "exports");
  }

  async start(listen = "127.0.0.1:0"): Promise<void> {
    const binary = process.env["SCAIVAULT_BINARY"];
    assert(binary, "SCAIVAULT_BINARY names the server's binary");
    this.#directory ??= await mkdtemp(join(tmpdir(), "scaivault-sdk-"));
    await mkdir(this.exports, { recursive: true });
    const env: NodeJS.ProcessEnv = {};
    for (const [name, value] of Object.entries(process.env)) {
      if (!name.startsWith("SCAIVAULT_")) env[name] = value;
    }
    // Waiting for something by asking often is no abuse here.
    for (const name of UNLIMITED) env[`SCAIVAULT_RATE_LIMITS_${name}`] = "0";
    env["SCAIVAULT_AUDIT_EXPORT_DIRECTORY"] = this.exports;
    const data = join(this.#directory, "data");
    const args = ["dev", "--listen", listen, "--data", data, "--root-token", ROOT];
    const child = spawn(binary, args, { env, stdio: ["ignore", "pipe", "ignore"] });
    this.#process = child;
    for await (const line of createInterface({ input: child.stdout })) {
      const url = /http:\/\/\S+/.exec(line)?.[0];
      if (url !== undefined) {
        this.url = url;
        break;
      }
    }
    child.stdout.resume();
    const client = new ScaiVaultClient({ baseUrl: this.url, timeoutMs: 2_000, retry: { attempts: 1 } });
    await until(async () => {
      assert.equal(child.exitCode, null, "the server ended");
      const answer = await client.system.ready().catch(() => undefined);
      return answer?.status === "ready";
    }, "the server is ready");
  }

  async kill(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    const timer = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
    await ended;
    clearTimeout(timer);
  }

  async stop(): Promise<void> {
    await this.kill();
    if (this.#directory !== undefined) await rm(this.#directory, { recursive: true, force: true });
  }
}

/** A request that arrived at the scripted server. */
export interface Seen {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
}

/** What it answers; without status it cuts the connection. */
export interface Says {
  status?: number;
  body?: unknown;
  headers?: Record<string, string>;
  hold?: Promise<unknown>;
  /** A body that arrives in these pieces; without `open` it ends after them. */
  pieces?: readonly string[];
  open?: boolean;
}

/** One of the API's errors. */
export function refusal(status: number, code: string, headers: Record<string, string> = {}, details = {}): Says {
  return { status, headers, body: { error: { code, message: "m", details, request_id: "req_1" } } };
}

async function trickle(to: ServerResponse, pieces: readonly string[], open: boolean): Promise<void> {
  for (const piece of pieces) {
    // Each in a packet of its own.
    await new Promise<void>((resolve) => to.write(piece, () => setImmediate(resolve)));
  }
  if (!open) to.end();
}

/** Answers what the test says, in order, and keeps what arrived. */
export class Scripted {
  readonly seen: Seen[] = [];
  readonly script: Says[] = [];
  /** The pauses that `client` made, without making them. */
  readonly pauses: number[] = [];
  answer: ((seen: Seen) => Says) | undefined;
  readonly #server: Server;
  url = "";

  constructor() {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const { method = "", url: path = "", headers } = request;
        const seen = { method, path, headers, body: Buffer.concat(chunks).toString() };
        this.seen.push(seen);
        const says = this.answer?.(seen) ?? this.script.shift() ?? { status: 599 };
        void (says.hold ?? Promise.resolve()).then(() => {
          if (says.status === undefined) {
            request.socket.destroy();
            return;
          }
          if (says.pieces !== undefined) {
            response.writeHead(says.status, says.headers);
            void trickle(response, says.pieces, says.open === true);
            return;
          }
          const raw = typeof says.body === "string" ? says.body : JSON.stringify(says.body ?? null);
          response.writeHead(says.status, says.headers);
          response.end(says.status === 204 ? undefined : raw);
        });
      });
    });
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    return this;
  }

  says(...script: Says[]): void {
    this.script.push(...script);
  }

  client(options: object = {}): ScaiVaultClient {
    const sleep = (ms: number): Promise<void> => {
      this.pauses.push(ms);
      return Promise.resolve();
    };
    return new ScaiVaultClient({ baseUrl: this.url, token: "skt_test", sleep, ...options });
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    assert.equal(this.script.length, 0, "not everything was asked for");
  }
}

/** Runs `body` with a scripted server. */
export function scripted(body: (scripted: Scripted) => Promise<void>): () => Promise<void> {
  return async () => {
    const server = await new Scripted().start();
    try {
      await body(server);
    } finally {
      await server.stop();
    }
  };
}
