/** A credential that is kept alive until nobody needs it. */

import { exchange, segment, type Session } from "./core.js";
import { LeaseEndedError, NotFoundError, ScaiVaultError } from "./errors.js";
import { decode, given } from "./json.js";
import type { Credential, Lease } from "./types.js";

/** No lease is renewed more often, and none is waited for longer at once. */
const PAUSE_MS = [500, 86_400_000] as const;
/** Giving a lease back keeps nobody waiting longer: it ends by itself, too. */
const GIVING_BACK_MS = 10_000;

/**
 * A credential whose lease is renewed in the background, when two thirds of a term are over; what
 * fails is tried again until the end. Terms are measured by the server's clock alone.
 *
 * Close it: that revokes the lease. It keeps the process alive until then.
 */
export class LeasedCredential {
  /** As it was made. Neither logged nor copied. */
  readonly credential!: Credential;
  readonly #session: Session;
  readonly #ttl: string | undefined;
  readonly #onEnd: ((credential: LeasedCredential) => unknown) | undefined;
  readonly #stop = new AbortController();
  readonly #keeper: Promise<void>;
  #until: Date;
  #trouble: ScaiVaultError | undefined;
  #ended = false;

  constructor(
    session: Session,
    made: Credential,
    ttl: string | undefined,
    onEnd: ((credential: LeasedCredential) => unknown) | undefined,
  ) {
    Object.defineProperty(this, "credential", { value: made, enumerable: false });
    this.#session = session;
    this.#ttl = ttl;
    this.#onEnd = onEnd;
    this.#until = made.expiresAt;
    this.#keeper = this.#keep();
  }

  /** The account; empty where there is none. */
  get username(): string {
    return this.credential.username ?? "";
  }

  /** Its password; empty where there is none. */
  get password(): string {
    return this.credential.password ?? "";
  }

  /** Everything that was made. */
  get data(): Record<string, unknown> {
    return this.credential.data;
  }

  /** Its lease. */
  get leaseId(): string {
    return this.credential.leaseId;
  }

  /** When it ends, as far as it was renewed. */
  get expiresAt(): Date {
    return this.#until;
  }

  /** Whether it is renewed no more: it ends at `expiresAt`, or has ended. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Why it could not be renewed or given back, last time. */
  get trouble(): ScaiVaultError | undefined {
    return this.#trouble;
  }

  /** Revokes the lease. What fails then is in `trouble`: the lease ends by itself, too. */
  async close(): Promise<void> {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort();
    await this.#keeper;
    const retry = { ...this.#session.retry, attempts: 3, deadlineMs: GIVING_BACK_MS };
    const session = { ...this.#session, retry, timeoutMs: Math.min(this.#session.timeoutMs, GIVING_BACK_MS) };
    try {
      await this.#ask(session, "/revoke", undefined);
    } catch (error) {
      if (!(error instanceof ScaiVaultError)) throw error;
      if (!(error instanceof NotFoundError)) this.#trouble = error;
    }
  }

  #ask(session: Session, act: string, body: unknown, signal?: AbortSignal): Promise<Lease> {
    const route = `/v1/dynamic/leases/${segment(this.leaseId)}${act}`;
    const decoder = (answer: unknown): Lease => decode<Lease>(answer);
    return exchange(session, { method: "POST", route, repeat: "harmless", body, decode: decoder }, { signal });
  }

  async #keep(): Promise<void> {
    try {
      await this.#renewals();
    } catch {
      // Closed while it waited.
    }
    if (this.#stop.signal.aborted) return;
    this.#ended = true;
    // Not waited for: it may close this one. Its trouble is its own.
    void Promise.resolve()
      .then(() => this.#onEnd?.(this))
      .catch(() => undefined);
  }

  /** Renews until the lease can be renewed no more, or nobody needs it. */
  async #renewals(): Promise<void> {
    const { signal } = this.#stop;
    const session = this.#session;
    let { renewable } = this.credential;
    let termMs = this.credential.ttl * 1_000;
    let endsAt = session.clock() + termMs;
    let failures = 0;
    await session.sleep(wait(termMs), signal);
    while (renewable) {
      const began = session.clock();
      try {
        const lease = await this.#ask(session, "/renew", given({ increment: this.#ttl }), signal);
        this.#until = lease.expiresAt;
        this.#trouble = undefined;
        failures = 0;
        renewable = lease.expiresAt.getTime() !== lease.maxExpiresAt.getTime();
        termMs = lease.expiresAt.getTime() - (lease.renewedAt ?? lease.issuedAt).getTime();
        endsAt = began + termMs;
        await session.sleep(wait(termMs), signal);
      } catch (error) {
        if (!(error instanceof ScaiVaultError)) throw error;
        this.#trouble = error;
        const over = error instanceof LeaseEndedError || error instanceof NotFoundError;
        if (over || session.clock() >= endsAt) return;
        await session.sleep(Math.min(1_000 * 2 ** Math.min(failures, 10), 60_000), signal);
        failures += 1;
      }
    }
  }
}

function wait(termMs: number): number {
  return Math.min(Math.max((termMs * 2) / 3, PAUSE_MS[0]), PAUSE_MS[1]);
}
