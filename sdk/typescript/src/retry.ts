/**
 * When to try again, and after how long. The classes are the API's: `rate_limited` after
 * `Retry-After`, `service_unavailable` with growing pauses, `internal_error` once, nothing else. A
 * refused request did nothing and may always be repeated; after anything else only requests that
 * may take effect twice without harm are.
 */

import {
  InternalServerError,
  RateLimitError,
  type ScaiVaultError,
  ServiceUnavailableError,
  TransportError,
} from "./errors.js";

/** How often and how long to try. */
export interface Retry {
  /** Sends of one request, the first included; 1 never repeats. Default 4. */
  attempts: number;
  /** Pause before the second attempt; doubles with each one. Default 250. */
  backoffMinMs: number;
  /** The longest pause by backoff. Default 5000. */
  backoffMaxMs: number;
  /** For a call with all its attempts: no pause runs past it. Default 60000. */
  deadlineMs: number;
}

export const DEFAULT_RETRY: Retry = {
  attempts: 4,
  backoffMinMs: 250,
  backoffMaxMs: 5_000,
  deadlineMs: 60_000,
};

/** Whether a request may take effect twice: it changes nothing, or not twice, or acts again. */
export type Repeat = "read" | "harmless" | "harmful";

/** Milliseconds before the next attempt, or `undefined` to give up. `attempt` counts from 1. */
export function pauseBefore(
  retry: Retry,
  error: ScaiVaultError,
  repeat: Repeat,
  attempt: number,
  leftMs: number,
  random: number,
): number | undefined {
  if (attempt >= retry.attempts || !mayRepeat(error, repeat, attempt)) return undefined;
  const full = Math.min(retry.backoffMinMs * 2 ** Math.min(attempt - 1, 16), retry.backoffMaxMs);
  const pause =
    error.retryAfter === undefined
      ? full / 2 + (full / 2) * random
      : // Never early, and a little late so that clients do not return all at once.
        error.retryAfter * 1000 + retry.backoffMinMs * random;
  return pause < leftMs ? pause : undefined;
}

function mayRepeat(error: ScaiVaultError, repeat: Repeat, attempt: number): boolean {
  if (error instanceof RateLimitError || isUnsent(error)) return true;
  if (repeat === "harmful") return false;
  // Once: a fault that repeats is not cured by asking a third time.
  if (error instanceof InternalServerError) return attempt === 1;
  return error instanceof ServiceUnavailableError || error instanceof TransportError;
}

/** Whether the request never reached the server. */
export function isUnsent(error: ScaiVaultError): boolean {
  return error.code === "connection_failed";
}

/** Whether the request may have taken effect although it failed. */
export function isUncertain(error: ScaiVaultError): boolean {
  const uncertain =
    error instanceof TransportError ||
    error instanceof ServiceUnavailableError ||
    error instanceof InternalServerError;
  return uncertain && !isUnsent(error);
}

/** `Retry-After` in seconds: a number, or a date. */
export function retryAfter(header: string | null | undefined, nowMs: number): number | undefined {
  const text = header?.trim() ?? "";
  if (/^\d+$/.test(text)) return Number(text.slice(0, 9));
  if (!/[a-z]{3}/i.test(text)) return undefined;
  const when = Date.parse(text);
  return Number.isNaN(when) ? undefined : Math.max(0, (when - nowMs) / 1000);
}
