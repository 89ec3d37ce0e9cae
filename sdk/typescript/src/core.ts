/** One call with its attempts. */

import type { Credentials } from "./credentials.js";
import {
  AuthenticationError,
  ConfigurationError,
  ConflictError,
  errorFrom,
  InvalidResponseError,
  isRecord,
  NotFoundError,
  ScaiVaultError,
  ValidationError,
} from "./errors.js";
import { isUncertain, pauseBefore, type Repeat, type Retry, retryAfter } from "./retry.js";
import type { Incoming, Transport } from "./transport.js";

/** For every call. */
export interface CallOptions {
  /** Gives the call up: it fails with the signal's reason. What was sent may take effect. */
  signal?: AbortSignal | undefined;
}

/** One operation with its arguments. */
export interface Call<T> {
  method: string;
  route: string;
  decode: (body: unknown) => T;
  /** In place of `decode`, where the answer is no JSON. */
  raw?: (body: Uint8Array) => T;
  /** `read` when not given. */
  repeat?: Repeat;
  query?: object;
  body?: unknown;
  /** Least time for an attempt, where the server itself waits. */
  timeoutMs?: number;
  anonymous?: boolean;
  /** Error statuses that are answers of this call all the same. */
  accepts?: number[];
  /** What "not found" means after an attempt of a removal whose outcome is unknown. */
  gone?: () => T;
}

/** What every call of a client has in common. */
export interface Session {
  readonly baseUrl: string;
  readonly credentials: Credentials | undefined;
  readonly tenantId: string | undefined;
  /** How the tenant is named: by the header `X-Tenant-ID`, or before the route. */
  readonly tenantIn: "header" | "path";
  readonly timeoutMs: number;
  readonly retry: Retry;
  readonly userAgent: string;
  readonly transport: Transport;
  /** Milliseconds that only grow. */
  readonly clock: () => number;
  readonly random: () => number;
  readonly sleep: (ms: number, signal?: AbortSignal) => Promise<void>;
}

/** Sends `call` until it is answered or must not be repeated. */
export async function exchange<T>(session: Session, call: Call<T>, options: CallOptions = {}): Promise<T> {
  const began = session.clock();
  const deadlineMs = Math.max(session.retry.deadlineMs, call.timeoutMs ?? 0);
  const left = (): number => deadlineMs - (session.clock() - began);
  const repeat = call.repeat ?? "read";
  const url = urlOf(session, call);
  const body = call.body === undefined ? undefined : JSON.stringify(call.body);
  let uncertain = false;
  let refused: string | undefined;
  for (let attempt = 1; ; attempt += 1) {
    let token: string | undefined;
    if (call.anonymous !== true) token = await tokenFor(session, refused, options.signal);
    let failure: ScaiVaultError;
    try {
      const answer = await session.transport.send({
        method: call.method,
        url,
        headers: headersFor(session, call, token, body !== undefined),
        body,
        timeoutMs: Math.max(1, Math.min(Math.max(session.timeoutMs, call.timeoutMs ?? 0), left())),
        signal: options.signal,
      });
      return read(call, answer);
    } catch (error) {
      if (!(error instanceof ScaiVaultError)) throw error;
      failure = error;
    }
    if (
      failure instanceof AuthenticationError &&
      token !== undefined &&
      refused === undefined &&
      session.credentials?.renewable === true
    ) {
      // The request was refused before anything was done: it does not count.
      refused = token;
      attempt -= 1;
      continue;
    }
    if (uncertain && failure instanceof NotFoundError && call.gone !== undefined) return call.gone();
    if (uncertain && failure instanceof ConflictError) failure.outcomeUnknown = true;
    if (repeat !== "read" && isUncertain(failure)) uncertain = true;
    const pause = pauseBefore(session.retry, failure, repeat, attempt, left(), session.random());
    if (pause === undefined) {
      if (uncertain && !(failure instanceof NotFoundError)) failure.outcomeUnknown = true;
      throw failure;
    }
    await session.sleep(pause, options.signal);
  }
}

export function tokenFor(session: Session, refused: string | undefined, signal?: AbortSignal): Promise<string> {
  if (session.credentials === undefined) {
    throw new ConfigurationError(
      "this call needs a token: give token, tokenFile or clientId and clientSecret, or set SCAIVAULT_TOKEN",
    );
  }
  return session.credentials.token(session, refused, signal);
}

/** Where a call goes. */
export function urlOf(session: Session, call: Pick<Call<unknown>, "route" | "query" | "anonymous">): string {
  const { tenantId } = session;
  const inPath = tenantId !== undefined && session.tenantIn === "path" && call.anonymous !== true;
  const route = inPath ? call.route.replace("/v1/", `/v1/t/${segment(tenantId)}/`) : call.route;
  return session.baseUrl + route + queryText(call.query);
}

export function headersFor(
  session: Session,
  call: Pick<Call<unknown>, "anonymous">,
  token: string | undefined,
  hasBody: boolean,
): Record<string, string> {
  const { tenantId } = session;
  const named = tenantId !== undefined && session.tenantIn === "header" && call.anonymous !== true;
  return {
    accept: "application/json",
    "user-agent": session.userAgent,
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...(named ? { "x-tenant-id": tenantId } : {}),
    ...(hasBody ? { "content-type": "application/json" } : {}),
  };
}

function read<T>(call: Call<T>, answer: Incoming): T {
  const requestId = answer.header("x-request-id") ?? undefined;
  let body: unknown;
  let isJson = true;
  try {
    body = answer.text === "" ? undefined : JSON.parse(answer.text);
  } catch {
    isJson = false;
  }
  if (answer.status >= 200 && answer.status < 300) {
    if (call.raw !== undefined) return call.raw(answer.bytes);
    if (isJson) return call.decode(body);
    throw new InvalidResponseError({
      code: "invalid_response",
      message: "the answer is not JSON: is the URL right?",
      requestId,
      status: answer.status,
    });
  }
  if (call.accepts?.includes(answer.status) && isRecord(body) && !("error" in body)) {
    return call.decode(body);
  }
  throw errorFrom(answer.status, body, {
    requestId,
    retryAfter: retryAfter(answer.header("retry-after"), Date.now()),
  });
}

/** Waits, until the signal at most. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    }, ms);
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

function queryText(query: object = {}): string {
  const pairs: string[] = [];
  for (const [key, value] of Object.entries(query)) {
    if (value === undefined || value === null) continue;
    const name = key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    // Several tags are several parameters; other lists are one with commas.
    const texts: unknown[] = key === "tag" && Array.isArray(value) ? value : [value];
    for (const one of texts) {
      const text = one instanceof Date ? one.toISOString() : String(one);
      pairs.push(`${name}=${encodeURIComponent(text)}`);
    }
  }
  return pairs.length === 0 ? "" : `?${pairs.join("&")}`;
}

// eslint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u001f\u007f]/;

/** The route of a secret. What a URL would read as another route never leaves the client. */
export function secretRoute(path: string, suffix = "", root = "/v1/secrets"): string {
  return `${root}/${secretPath(path)}${suffix}`;
}

/** A checked, encoded path; the rest of the rules are the server's. */
export function secretPath(path: string): string {
  const segments = String(path).split("/");
  if (segments.some((one) => one === "" || one === "." || one === ".." || CONTROL.test(one))) {
    throw new ValidationError({
      code: "invalid_path",
      message: "a path is segments of a-z 0-9 - _ joined by single slashes, e.g. app/db",
      details: { path },
    });
  }
  return segments.map(encodeURIComponent).join("/");
}

/** One segment of a route: an id, a name, a path as one segment. */
export function segment(value: string): string {
  if (typeof value !== "string" || value === "" || value === "." || value === ".." || CONTROL.test(value)) {
    throw new ValidationError({ code: "invalid_request", message: "the id is empty or not one" });
  }
  return encodeURIComponent(value);
}
