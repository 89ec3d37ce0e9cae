/** One request, one answer. Over the built-in `fetch`, or over `node:https` with TLS of one's own. */

import { readFileSync } from "node:fs";
import { rootCertificates } from "node:tls";
import { Agent, request as httpsRequest } from "node:https";

import { ConfigurationError, RequestTimeoutError, TransportError } from "./errors.js";

/** What is sent. */
export interface Outgoing {
  readonly method: string;
  readonly url: string;
  readonly headers: Record<string, string>;
  readonly body: string | undefined;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

/** What came back. */
export interface Incoming {
  readonly status: number;
  header(name: string): string | null;
  readonly text: string;
}

/** Sends a request. Fails with a `TransportError`, or with the signal's reason. */
export type Transport = (outgoing: Outgoing) => Promise<Incoming>;

/** Whom to trust besides the system, and who we are: names of PEM files. */
export interface Tls {
  caFile?: string | undefined;
  clientCert?: string | undefined;
  clientKey?: string | undefined;
}

// These happen before anything was sent.
const UNSENT =
  /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT|CERT_.*|ERR_TLS_.*|.*_CERT.*|UNABLE_TO_.*|ERR_INVALID_.*)$/;

/** Over `fetch`. */
export function overFetch(fetchFunction: typeof fetch): Transport {
  return (outgoing) =>
    bounded(outgoing, async (signal) => {
      const answer = await fetchFunction(outgoing.url, {
        method: outgoing.method,
        headers: outgoing.headers,
        body: outgoing.body ?? null,
        // A redirect would carry the token elsewhere.
        redirect: "manual",
        signal,
      });
      const text = await answer.text();
      return { status: answer.status, header: (name) => answer.headers.get(name), text };
    });
}

/** Over `node:https`, which takes certificates. */
export function overHttps(tls: Tls): Transport {
  const agent = new Agent({ keepAlive: true, ...pem(tls) });
  return (outgoing) =>
    bounded(outgoing, (signal) => {
      return new Promise((resolve, reject) => {
        const options = { method: outgoing.method, headers: outgoing.headers, agent, signal };
        const sent = httpsRequest(outgoing.url, options, (answer) => {
          const chunks: Buffer[] = [];
          answer.on("data", (chunk: Buffer) => chunks.push(chunk));
          answer.on("error", reject);
          answer.on("aborted", () => reject(new Error("aborted")));
          answer.on("end", () => {
            const header = (name: string): string | null => {
              const value = answer.headers[name];
              return value === undefined ? null : String(value);
            };
            resolve({ status: answer.statusCode ?? 0, header, text: Buffer.concat(chunks).toString() });
          });
        });
        sent.on("error", reject);
        sent.end(outgoing.body);
      });
    });
}

function pem(tls: Tls): { ca?: string[]; cert?: Buffer; key?: Buffer } {
  try {
    return {
      ...(tls.caFile === undefined ? {} : { ca: [...rootCertificates, readFileSync(tls.caFile, "utf8")] }),
      ...(tls.clientCert === undefined ? {} : { cert: readFileSync(tls.clientCert) }),
      ...(tls.clientCert === undefined ? {} : { key: readFileSync(tls.clientKey ?? tls.clientCert) }),
    };
  } catch {
    throw new ConfigurationError("caFile, clientCert or clientKey cannot be read");
  }
}

/** Sends within the time and until the caller's signal, and names what went wrong. */
async function bounded(
  outgoing: Outgoing,
  send: (signal: AbortSignal) => Promise<Incoming>,
): Promise<Incoming> {
  outgoing.signal?.throwIfAborted();
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), outgoing.timeoutMs);
  const onAbort = (): void => abort.abort();
  outgoing.signal?.addEventListener("abort", onAbort, { once: true });
  try {
    return await send(abort.signal);
  } catch (error) {
    outgoing.signal?.throwIfAborted();
    if (abort.signal.aborted) {
      throw new RequestTimeoutError({ code: "request_timeout", message: "no answer in time" });
    }
    throw failure(error);
  } finally {
    clearTimeout(timer);
    outgoing.signal?.removeEventListener("abort", onAbort);
  }
}

function failure(error: unknown): TransportError {
  const code = codeOf(error) ?? codeOf((error as { cause?: unknown } | null)?.cause) ?? "unknown";
  return UNSENT.test(code)
    ? new TransportError({ code: "connection_failed", message: `the connection failed: ${code}` })
    : new TransportError({ code: "connection_lost", message: `the connection broke: ${code}` });
}

function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === "string" ? code : undefined;
}
