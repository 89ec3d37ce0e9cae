/** Verifying what arrives at a webhook. */

import { createHmac, timingSafeEqual } from "node:crypto";

import { WebhookVerificationError } from "./errors.js";
import { decode } from "./json.js";
import type { Event } from "./types.js";

/** Headers as Node's `http`, `fetch` or an object have them. */
export type HeadersLike =
  | Record<string, string | string[] | undefined>
  | { get(name: string): string | null | undefined };

/** How to verify. */
export interface VerifierOptions {
  /** How old, or how far ahead, a delivery may be. Default 300. */
  toleranceS?: number | undefined;
  /**
   * Accept the signature of subscriptions alone, where a proxy took the standard headers away. It
   * does not cover the time: whoever copied a delivery can send it again, so remember event ids.
   */
  acceptUntimed?: boolean | undefined;
  /** Unix seconds; for tests. */
  clock?: (() => number) | undefined;
}

/**
 * Tells genuine deliveries from forged and repeated ones. `secrets` is the signing secret, or
 * several of them while it is being changed. Every delivery has the Standard Webhooks signature, and
 * it is what is verified; where those headers are missing, `X-ScaiVault-Signature` is.
 */
export class WebhookVerifier {
  readonly #secrets: readonly string[];
  readonly #toleranceS: number;
  readonly #acceptUntimed: boolean;
  readonly #clock: () => number;

  constructor(secrets: string | readonly string[], options: VerifierOptions = {}) {
    this.#secrets = typeof secrets === "string" ? [secrets] : [...secrets];
    if (this.#secrets.length === 0 || this.#secrets.includes("")) {
      throw new TypeError("a signing secret is needed");
    }
    this.#toleranceS = options.toleranceS ?? 300;
    this.#acceptUntimed = options.acceptUntimed ?? false;
    this.#clock = options.clock ?? ((): number => Date.now() / 1000);
  }

  /** The event, if `body`, the raw bytes that arrived, is genuine. */
  verify(body: Uint8Array | string, headers: HeadersLike): Event {
    const raw = typeof body === "string" ? Buffer.from(body) : Buffer.from(body);
    const header = reader(headers);
    const standard = header("webhook-signature");
    const own = header("x-scaivault-signature");
    if (standard !== undefined) {
      this.#standard(raw, standard, header);
    } else if (own !== undefined) {
      this.#own(raw, own.trim(), header);
    } else {
      throw new WebhookVerificationError("the delivery has no signature");
    }
    try {
      return decode<Event>(JSON.parse(raw.toString()));
    } catch {
      throw new WebhookVerificationError("the body is not JSON");
    }
  }

  #standard(body: Buffer, signature: string, header: (name: string) => string | undefined): void {
    const timestamp = this.#timely(header("webhook-timestamp"));
    const prefix = Buffer.from(`${header("webhook-id") ?? ""}.${timestamp}.`);
    const expected = this.#secrets.map((secret) => {
      return `v1,${hmac(standardKey(secret), Buffer.concat([prefix, body])).toString("base64")}`;
    });
    oneFits(signature.split(/\s+/), expected);
  }

  #own(body: Buffer, signature: string, header: (name: string) => string | undefined): void {
    let prefix = "";
    let signed = body;
    if (signature.startsWith("sha256=")) {
      const timestamp = this.#timely(header("x-scaivault-timestamp"));
      prefix = "sha256=";
      signed = Buffer.concat([Buffer.from(`${timestamp}.`), body]);
    } else if (!this.#acceptUntimed) {
      throw new WebhookVerificationError(
        "the only signature does not cover the time: see acceptUntimed",
      );
    }
    const expected = this.#secrets.map((secret) => prefix + hmac(Buffer.from(secret), signed).toString("hex"));
    oneFits([signature], expected);
  }

  #timely(timestamp: string | undefined): string {
    if (timestamp === undefined || !/^[0-9]{1,12}$/.test(timestamp)) {
      throw new WebhookVerificationError("the delivery has no timestamp");
    }
    if (Math.abs(this.#clock() - Number(timestamp)) > this.#toleranceS) {
      throw new WebhookVerificationError("the delivery is too old, or from the future");
    }
    return timestamp;
  }
}

/** The event, if it is genuine: see {@link WebhookVerifier}. */
export function verifyWebhook(
  body: Uint8Array | string,
  headers: HeadersLike,
  secrets: string | readonly string[],
  options: VerifierOptions = {},
): Event {
  return new WebhookVerifier(secrets, options).verify(body, headers);
}

function reader(headers: HeadersLike): (name: string) => string | undefined {
  if (typeof headers.get === "function") {
    const found = headers as { get(name: string): string | null | undefined };
    return (name) => found.get(name) ?? undefined;
  }
  const named = new Map<string, string>();
  for (const [name, value] of Object.entries(headers as Record<string, string | string[] | undefined>)) {
    if (value !== undefined) named.set(name.toLowerCase(), Array.isArray(value) ? value.join(" ") : value);
  }
  return (name) => named.get(name);
}

function oneFits(sent: readonly string[], expected: readonly string[]): void {
  // Every pair is compared, each in constant time: nothing is told by how long it takes.
  let fits = false;
  for (const one of sent) {
    for (const other of expected) {
      const [a, b] = [Buffer.from(one), Buffer.from(other)];
      if (a.length === b.length && timingSafeEqual(a, b)) fits = true;
    }
  }
  if (!fits) throw new WebhookVerificationError("the signature does not fit");
}

function hmac(key: Buffer, message: Buffer): Buffer {
  return createHmac("sha256", key).update(message).digest();
}

/** A secret in the standard's own form stands for the bytes behind it. */
function standardKey(secret: string): Buffer {
  const encoded = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(secret)?.[1];
  if (encoded !== undefined && encoded.length % 4 === 0) return Buffer.from(encoded, "base64");
  return Buffer.from(secret);
}
