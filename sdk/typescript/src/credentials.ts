/** Where tokens come from: a text, a file that others renew, or an OAuth token endpoint. */

import { readFile, stat } from "node:fs/promises";

import type { Session } from "./core.js";
import { AuthenticationError, ConfigurationError, errorFrom, isRecord, ScaiVaultError } from "./errors.js";
import { pauseBefore, retryAfter } from "./retry.js";

/** Gives tokens. `refused` is one that the server did not accept. */
export interface Credentials {
  readonly renewable: boolean;
  token(session: Session, refused: string | undefined, signal?: AbortSignal): Promise<string>;
}

/** A token is renewed when this much of its life is left, but at most a fifth of it. */
const MARGIN_MS = 60_000;
/** A renewal that failed while the old token still works is tried again so much later. */
const RENEW_AGAIN_MS = 5_000;

function checked(token: string): string {
  const trimmed = token.trim();
  if (!/^[\x21-\x7e]+$/.test(trimmed)) {
    throw new ConfigurationError("the token is empty, or cannot be sent in a header");
  }
  return trimmed;
}

/** One token, as given. */
export class StaticToken implements Credentials {
  readonly renewable = false;
  readonly #token: string;

  constructor(token: string) {
    this.#token = checked(token);
  }

  token(): Promise<string> {
    return Promise.resolve(this.#token);
  }
}

/** A token in a file, read again when the file changes. */
export class TokenFile implements Credentials {
  readonly renewable = true;
  readonly #path: string;
  #seen: { stamp: string; token: string } | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  async token(_session: Session, refused: string | undefined): Promise<string> {
    try {
      const status = await stat(this.#path, { bigint: true });
      const stamp = `${status.mtimeNs}/${status.size}/${status.ino}`;
      if (this.#seen?.stamp !== stamp || this.#seen.token === refused) {
        this.#seen = { stamp, token: checked(await readFile(this.#path, "utf8")) };
      }
      return this.#seen.token;
    } catch (error) {
      if (error instanceof ConfigurationError) throw error;
      throw new ConfigurationError(`the token file ${this.#path} cannot be read`);
    }
  }
}

interface Held {
  value: string;
  renewAt: number;
  endsAt: number;
}

/**
 * OAuth 2.0 client credentials. The token is renewed before it ends; callers that come together
 * share one request, and go on with the old token while it still works.
 */
export class ClientCredentials implements Credentials {
  readonly renewable = true;
  readonly #url: string;
  readonly #form: string;
  #held: Held | undefined;
  #flight: Promise<string> | undefined;

  constructor(url: string, clientId: string, clientSecret: string, scope?: string) {
    this.#url = url;
    const form = new URLSearchParams({
      grant_type: "client_credentials",
      client_id: clientId,
      client_secret: clientSecret,
    });
    if (scope !== undefined) form.set("scope", scope);
    this.#form = form.toString();
  }

  async token(session: Session, refused: string | undefined, signal?: AbortSignal): Promise<string> {
    const now = session.clock();
    const held = this.#held;
    const works = held !== undefined && held.value !== refused && now < held.endsAt;
    if (works && now < held.renewAt) return held.value;
    if (this.#flight === undefined) {
      this.#flight = this.#renew(session).finally(() => {
        this.#flight = undefined;
      });
      // Nobody may be left to hear of it.
      this.#flight.catch(() => undefined);
    } else if (works) {
      return held.value;
    }
    try {
      return await until(this.#flight, signal);
    } catch (error) {
      if (!works || !(error instanceof ScaiVaultError)) throw error;
      this.#held = { ...held, renewAt: session.clock() + RENEW_AGAIN_MS };
      return held.value;
    }
  }

  // The request is everybody's, so no single caller's signal ends it.
  async #renew(session: Session): Promise<string> {
    const began = session.clock();
    for (let attempt = 1; ; attempt += 1) {
      let failure: ScaiVaultError;
      try {
        this.#held = await this.#ask(session);
        return this.#held.value;
      } catch (error) {
        if (!(error instanceof ScaiVaultError)) throw error;
        failure = error;
      }
      const left = session.retry.deadlineMs - (session.clock() - began);
      // Asking twice makes two tokens, which harms nobody.
      const pause = pauseBefore(session.retry, failure, "harmless", attempt, left, session.random());
      if (pause === undefined) throw failure;
      await session.sleep(pause);
    }
  }

  async #ask(session: Session): Promise<Held> {
    const asked = session.clock();
    const answer = await session.transport.send({
      method: "POST",
      url: this.#url,
      headers: {
        accept: "application/json",
        "content-type": "application/x-www-form-urlencoded",
        "user-agent": session.userAgent,
      },
      body: this.#form,
      timeoutMs: session.timeoutMs,
      signal: undefined,
    });
    let body: unknown;
    try {
      body = JSON.parse(answer.text);
    } catch {
      body = undefined;
    }
    const token = isRecord(body) ? body["access_token"] : undefined;
    if (answer.status === 200 && isRecord(body) && typeof token === "string" && token !== "") {
      const life = body["expires_in"];
      const ms = typeof life === "number" && life > 0 ? life * 1000 : 3_600_000;
      return {
        value: checked(token),
        renewAt: asked + ms - Math.min(MARGIN_MS, ms / 5),
        endsAt: asked + ms,
      };
    }
    if (answer.status === 429 || answer.status >= 500) {
      const after = retryAfter(answer.header("retry-after"), Date.now());
      throw errorFrom(answer.status, undefined, { retryAfter: after });
    }
    const reason = isRecord(body) && typeof body["error"] === "string" ? body["error"] : answer.status;
    throw new AuthenticationError({
      code: "token_request_failed",
      message: `the token endpoint gave no token: ${String(reason).slice(0, 100)}`,
      status: answer.status,
    });
  }
}

/** The promise's outcome, unless the signal comes first. */
export function until<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const onAbort = (): void => reject(signal.reason as Error);
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
