/** Whom the client trusts, and who it is. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

import * as sdk from "@scaivault/sdk";

async function certificate(directory: string, name: string, ...more: string[]): Promise<void> {
  const files = ["-keyout", join(directory, `${name}.key`), "-out", join(directory, `${name}.pem`)];
  const kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
  await promisify(execFile)("openssl", ["req", ...kind, ...files, "-subj", `/CN=${name}`, ...more]);
}

test("both sides prove who they are", async () => {
  const directory = await mkdtemp(join(tmpdir(), "scaivault-sdk-"));
  const file = (name: string): string => join(directory, name);
  await certificate(directory, "server", "-addext", "subjectAltName=IP:127.0.0.1");
  await certificate(directory, "client");
  await certificate(directory, "stranger");
  const server = createServer(
    {
      cert: await readFile(file("server.pem")),
      key: await readFile(file("server.key")),
      ca: await readFile(file("client.pem")),
      requestCert: true,
      rejectUnauthorized: true,
    },
    (request, response) => {
      if (request.url === "/v1/secrets/cut/off") request.socket.destroy();
      else if (request.url !== "/v1/secrets/silent") {
        const chunks: Buffer[] = [];
        request.on("data", (chunk: Buffer) => chunks.push(chunk));
        request.on("end", () => {
          response.setHeader("x-request-id", "req_1");
          const body = { path: Buffer.concat(chunks).toString(), api_version: "v1" };
          response.end(JSON.stringify(body));
        });
      }
    },
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const baseUrl = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = (options: sdk.ClientOptions): sdk.ScaiVaultClient =>
    new sdk.ScaiVaultClient({ baseUrl, token: "skt_test", retry: { attempts: 1 }, ...options });
  const ours = { clientCert: file("client.pem"), clientKey: file("client.key") };
  const failure = (code: string) => (error: unknown) =>
    error instanceof sdk.TransportError && (assert.equal(error.code, code), true);
  try {
    const trusted = client({ caFile: file("server.pem"), ...ours });
    assert.equal((await trusted.system.version()).apiVersion, "v1");
    const written = await trusted.secrets.write("a/b", { k: "ü" });
    assert.equal(written.path, '{"data":{"k":"ü"}}');
    await assert.rejects(trusted.secrets.write("cut/off", {}), (error: unknown) => {
      return failure("connection_lost")(error) && (error as sdk.ScaiVaultError).outcomeUnknown;
    });
    const hasty = trusted.withOptions({ timeoutMs: 100 });
    await assert.rejects(hasty.secrets.read("silent"), sdk.RequestTimeoutError);
    const signal = AbortSignal.timeout(50);
    await assert.rejects(trusted.secrets.read("silent", { signal }), { name: "TimeoutError" });

    await assert.rejects(client(ours).system.version(), failure("connection_failed"));
    await assert.rejects(client({}).system.version(), failure("connection_failed"));
    const wrong = client({ caFile: file("stranger.pem"), ...ours });
    await assert.rejects(wrong.system.version(), failure("connection_failed"));
    const nameless = client({ caFile: file("server.pem") });
    await assert.rejects(nameless.system.version(), sdk.TransportError);
  } finally {
    server.closeAllConnections();
    server.close();
    await rm(directory, { recursive: true, force: true });
  }
});
