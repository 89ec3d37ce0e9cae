/** One request, one answer. Over the built-in `fetch`, or over `node:https` with TLS of one's own. */

import { readFileSync } from "node:fs";
import { rootCertificates } from "node:tls";
import type { IncomingMessage } from "node:http";
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
  readonly bytes: Uint8Array;
}

/** An answer whose body arrives piece by piece. */
export interface Opened {
  readonly status: number;
  header(name: string): string | null;
  readonly body: AsyncIterable<Uint8Array>;
}

/** Sends requests. Fails with a `TransportError`, or with the signal's reason. */
export interface Transport {
  send(outgoing: Outgoing): Promise<Incoming>;
  /** As soon as the head of the answer is there. `signal` ends the body, too. */
  open(outgoing: Outgoing): Promise<Opened>;
}

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
  const ask = (outgoing: Outgoing, signal: AbortSignal): Promise<Response> =>
    fetchFunction(outgoing.url, {
      method: outgoing.method,
      headers: outgoing.headers,
      body: outgoing.body ?? null,
      // A redirect would carry the token elsewhere.
      redirect: "manual",
      signal,
    });
  return {
    send: (outgoing) =>
      bounded(outgoing, async (signal) => {
        const answer = await ask(outgoing, signal);
        const bytes = new Uint8Array(await answer.arrayBuffer());
        const text = new TextDecoder().decode(bytes);
        return { status: answer.status, header: (name) => answer.headers.get(name), text, bytes };
      }),
    open: (outgoing) =>
      opened(outgoing, async (signal) => {
        const answer = await ask(outgoing, signal);
        const body = answer.body as AsyncIterable<Uint8Array> | null;
        return { status: answer.status, header: (name) => answer.headers.get(name), body: body ?? nothing() };
      }),
  };
}

/** Over `node:https`, which takes certificates. */
export function overHttps(tls: Tls): Transport {
  const agent = new Agent({ keepAlive: true, ...pem(tls) });
  const ask = (outgoing: Outgoing, signal: AbortSignal): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const options = { method: outgoing.method, headers: outgoing.headers, agent, signal };
      const sent = httpsRequest(outgoing.url, options, resolve);
      sent.on("error", reject);
      sent.end(outgoing.body);
    });
  const head = (answer: IncomingMessage): Pick<Opened, "status" | "header"> => ({
    status: answer.statusCode ?? 0,
    header: (name) => {
      const value = answer.headers[name];
      return value === undefined ? null : String(value);
    },
  });
  return {
    send: (outgoing) =>
      bounded(outgoing, async (signal) => {
        const answer = await ask(outgoing, signal);
        const chunks: Buffer[] = [];
        for await (const chunk of answer) chunks.push(chunk as Buffer);
        const bytes = Buffer.concat(chunks);
        return { ...head(answer), text: bytes.toString(), bytes };
      }),
    open: (outgoing) =>
      opened(outgoing, async (signal) => {
        const answer = await ask(outgoing, signal);
        return { ...head(answer), body: answer as AsyncIterable<Uint8Array> };
      }),
  };
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
async function bounded<T>(outgoing: Outgoing, send: (signal: AbortSignal) => Promise<T>): Promise<T> {
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

/** The same until the head is there; after that each piece may take `timeoutMs`. */
async function opened(outgoing: Outgoing, ask: (signal: AbortSignal) => Promise<Opened>): Promise<Opened> {
  const all = new AbortController();
  const onAbort = (): void => all.abort();
  outgoing.signal?.addEventListener("abort", onAbort, { once: true });
  const done = (): void => {
    outgoing.signal?.removeEventListener("abort", onAbort);
    all.abort();
  };
  try {
    const answer = await bounded(outgoing, (signal) => {
      signal.addEventListener("abort", onAbort, { once: true });
      return ask(all.signal);
    });
    return { ...answer, body: pieces(outgoing, answer.body, all, done) };
  } catch (error) {
    done();
    throw error;
  }
}

async function* pieces(
  outgoing: Outgoing,
  body: AsyncIterable<Uint8Array>,
  all: AbortController,
  done: () => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  let silent = false;
  const tooLong = (): void => {
    silent = true;
    all.abort();
  };
  let timer = setTimeout(tooLong, outgoing.timeoutMs);
  try {
    for await (const piece of body) {
      clearTimeout(timer);
      // The reader's own time does not count.
      yield piece;
      timer = setTimeout(tooLong, outgoing.timeoutMs);
    }
  } catch (error) {
    outgoing.signal?.throwIfAborted();
    if (silent) throw new RequestTimeoutError({ code: "request_timeout", message: "the stream fell silent" });
    throw failure(error);
  } finally {
    clearTimeout(timer);
    done();
  }
}

async function* nothing(): AsyncGenerator<Uint8Array, void, undefined> {}

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
