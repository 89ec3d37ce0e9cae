/** A subscription's events as a stream, over as many connections as it takes. */

import { type CallOptions, headersFor, type Session, tokenFor, urlOf } from "./core.js";
import {
  AuthenticationError,
  errorFrom,
  InternalServerError,
  InvalidResponseError,
  isRecord,
  RateLimitError,
  ScaiVaultError,
  ServiceUnavailableError,
  TransportError,
} from "./errors.js";
import { decode } from "./json.js";
import { retryAfter } from "./retry.js";
import { type Frame, Frames } from "./sse.js";
import type { Opened } from "./transport.js";
import type { Event } from "./types.js";

/** How to read a stream. */
export interface StreamOptions extends CallOptions {
  /** Only events after this one; where an earlier stream ended. */
  sinceEventId?: string | undefined;
  /** Acknowledge what the loop's body has run for. Default true. */
  acknowledge?: boolean | undefined;
  /** How long it may take to be connected again. Default 300000. */
  giveUpAfterMs?: number | undefined;
}

/** The server shows a sign of life every 15 seconds, at most every 60. */
const SILENCE_MS = 75_000;
/** Events that are acknowledged together at most. */
const TOGETHER = 50;

type Ack = (eventIds: readonly string[], signal?: AbortSignal) => Promise<unknown>;

/** The events, each acknowledged after the caller came back for the next. */
export async function* streamed(
  session: Session,
  route: string,
  ack: Ack,
  options: StreamOptions,
): AsyncGenerator<Event, void, undefined> {
  const { signal, acknowledge = true } = options;
  let done: string[] = [];
  try {
    for await (const event of connected(session, route, options)) {
      // Nothing is at hand: time to tell the server what is done.
      if (event === undefined || done.length >= TOGETHER) {
        const ids = done;
        done = [];
        if (ids.length > 0) await ack(ids, signal);
      }
      if (event === undefined) continue;
      yield event;
      if (acknowledge) done.push(event.eventId);
    }
  } finally {
    // What cannot be acknowledged now comes again.
    if (done.length > 0) {
      await ack(done).catch((error: unknown) => {
        if (!(error instanceof ScaiVaultError)) throw error;
      });
    }
  }
}

/** Events over connections, one after the other; `undefined` when all that arrived was handed out. */
async function* connected(
  session: Session,
  route: string,
  options: StreamOptions,
): AsyncGenerator<Event | undefined, void, undefined> {
  const { signal, giveUpAfterMs = 300_000 } = options;
  let last = options.sinceEventId;
  let hintMs = 0;
  let failures = 0;
  let aliveAt = session.clock();
  let refused: string | undefined;
  for (;;) {
    let token: string | undefined;
    let failure: ScaiVaultError;
    try {
      token = await tokenFor(session, refused, signal);
      const answer = await open(session, route, token, last, signal);
      const frames = new Frames();
      let ended: string | undefined;
      for await (const piece of answer.body) {
        aliveAt = session.clock();
        failures = 0;
        refused = undefined;
        for (const frame of frames.take(piece)) {
          hintMs = frame.retryMs ?? hintMs;
          if (frame.event === "stream.end") {
            ended = reasonOf(frame);
            continue;
          }
          const event = eventOf(frame);
          if (event === undefined) continue;
          last = event.eventId;
          yield event;
        }
        if (ended !== undefined) break;
        yield undefined;
      }
      failure = endOf(ended);
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
      refused = token;
      continue;
    }
    if (!comesAgain(failure)) throw failure;
    failures += 1;
    const { backoffMinMs, backoffMaxMs } = session.retry;
    const backoff = Math.min(backoffMinMs * 2 ** Math.min(failures - 1, 16), backoffMaxMs);
    const least = Math.max(backoff, failures === 1 ? hintMs : 0, (failure.retryAfter ?? 0) * 1000);
    // A little late, so that clients do not return all at once.
    const pause = least * (1 + session.random() / 2);
    if (session.clock() + pause - aliveAt >= giveUpAfterMs) throw failure;
    await session.sleep(pause, signal);
  }
}

async function open(
  session: Session,
  route: string,
  token: string,
  last: string | undefined,
  signal: AbortSignal | undefined,
): Promise<Opened> {
  const headers = { ...headersFor(session, {}, token, false), accept: "text/event-stream" };
  const answer = await session.transport.open({
    method: "GET",
    url: urlOf(session, { route }),
    headers: last === undefined ? headers : { ...headers, "last-event-id": last },
    body: undefined,
    timeoutMs: Math.max(session.timeoutMs, SILENCE_MS),
    signal,
  });
  const type = answer.header("content-type") ?? "";
  if (answer.status === 200 && type.startsWith("text/event-stream")) return answer;
  throw await refusal(answer);
}

/** Errors are short; whatever answers with more is not the server. */
const REFUSAL_MAX = 65_536;

async function refusal(answer: Opened): Promise<ScaiVaultError> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const piece of answer.body) {
    parts.push(piece);
    size += piece.length;
    if (size > REFUSAL_MAX) break;
  }
  const requestId = answer.header("x-request-id") ?? undefined;
  if (answer.status >= 200 && answer.status < 300) {
    const message = "the answer is no stream of events: is the URL right?";
    return new InvalidResponseError({ code: "invalid_response", message, requestId, status: answer.status });
  }
  let body: unknown;
  try {
    body = JSON.parse(Buffer.concat(parts).toString());
  } catch {
    body = undefined;
  }
  const seconds = retryAfter(answer.header("retry-after"), Date.now());
  return errorFrom(answer.status, body, { requestId, retryAfter: seconds });
}

function eventOf(frame: Frame): Event | undefined {
  if (frame.data === "") return undefined;
  try {
    const event = decode<Event>(JSON.parse(frame.data));
    if (typeof event.eventId === "string") return event;
  } catch {
    // Told below.
  }
  throw new InvalidResponseError({ code: "invalid_response", message: "an event of the stream is not one" });
}

function reasonOf(frame: Frame): string {
  try {
    const body: unknown = JSON.parse(frame.data);
    return isRecord(body) && typeof body["reason"] === "string" ? body["reason"] : "stopping";
  } catch {
    return "stopping";
  }
}

/** Statuses of the reasons with which the server ends a stream: those of a new request's refusal. */
const STATUS: [RegExp, number][] = [
  [/^(token_|authentication_)/, 401],
  [/_not_found$/, 404],
  [/^rate_limited$/, 429],
  [/^internal_error$/, 500],
  [/^service_unavailable$/, 503],
];

function endOf(reason: string | undefined): ScaiVaultError {
  if (reason === undefined || reason === "stopping") {
    return new TransportError({ code: "connection_lost", message: "the stream ended" });
  }
  const status = STATUS.find(([pattern]) => pattern.test(reason))?.[1] ?? 403;
  return errorFrom(status, { error: { code: reason, message: `the server ended the stream: ${reason}` } });
}

function comesAgain(failure: ScaiVaultError): boolean {
  return (
    failure instanceof TransportError ||
    failure instanceof RateLimitError ||
    failure instanceof ServiceUnavailableError ||
    failure instanceof InternalServerError
  );
}
