/** Secrets kept in memory, refreshed when they are rotated. */

import { randomUUID } from "node:crypto";
import { hostname } from "node:os";

import { type CallOptions, secretPath, type Session } from "./core.js";
import { until } from "./credentials.js";
import {
  InternalServerError,
  NotFoundError,
  PermissionDeniedError,
  RateLimitError,
  ScaiVaultError,
  SecretExpiredError,
  ServiceUnavailableError,
  TransportError,
} from "./errors.js";
import { Subscriptions } from "./events.js";
import { Secrets } from "./secrets.js";
import type { Secret } from "./types.js";

const EVENTS = ["secret.created", "secret.updated", "secret.rotated", "secret.deleted"];
/** The most patterns of a subscription; with more paths it takes all the caller may see. */
const PATTERNS_MAX = 100;

/** How to cache. */
export interface CacheOptions {
  /** How long a value is served without asking. Default 300000. */
  maxAgeMs?: number | undefined;
  /** How long the last good value is served while the server is away. Default 3600000. */
  staleLimitMs?: number | undefined;
  /** Refresh by events; needs `subscriptions:read` and `subscriptions:write`. Default true. */
  subscribe?: boolean | undefined;
  /** Poll this subscription instead of one of the cache's own. */
  subscriptionId?: string | undefined;
  /** Acknowledge the versions in use. Default true. */
  acknowledge?: boolean | undefined;
  /** Default 10. */
  pollTimeoutS?: number | undefined;
}

/** Told of new versions. When it fails, the version is acknowledged as `failed`. */
export type Listener = (secret: Secret) => unknown;

interface Entry {
  maxAgeMs: number;
  secret: Secret | undefined;
  loadedAt: number;
  ticket: number;
  failures: number;
  askAgainAt: number;
  flight: Promise<Secret> | undefined;
  listeners: Listener[];
}

/**
 * Secrets kept in memory.
 *
 * - A value is served from memory for `maxAgeMs`, then read again by whoever asks.
 * - In the background a subscription is polled, and a secret is read again as soon as it was written
 *   or rotated. Without the scopes for that `watching` is false, and `maxAgeMs` alone decides.
 * - While the server is away, the last good value is served until it is `staleLimitMs` old. What the
 *   server says for certain (not found, denied, expired) is raised at once.
 * - A version is acknowledged when it is in use: when every listener has taken it, or at once where
 *   there are none.
 *
 * Close it, or the client: that deletes the subscription. It keeps the process alive until then.
 */
export class SecretCache {
  readonly #session: Session;
  readonly #secrets: Secrets;
  readonly #hurried: Secrets;
  readonly #subscriptions: Subscriptions;
  readonly #options: { [Key in keyof Omit<CacheOptions, "subscriptionId">]-?: NonNullable<CacheOptions[Key]> };
  readonly #own: boolean;
  readonly #entries = new Map<string, Entry>();
  readonly #stop = new AbortController();
  #subscriptionId: string | undefined;
  #watched = new Set<string>();
  #watcher: Promise<void> | undefined;
  #tickets = 0;
  #watching = false;

  constructor(session: Session, options: CacheOptions = {}) {
    this.#session = session;
    this.#secrets = new Secrets(session);
    // With a value in hand a reader waits no longer than this for a server that may be away.
    const retry = { ...session.retry, attempts: 2, deadlineMs: 5_000 };
    const hurried = { ...session, retry, timeoutMs: Math.min(session.timeoutMs, 5_000) };
    this.#hurried = new Secrets(hurried);
    this.#subscriptions = new Subscriptions(session);
    this.#own = options.subscriptionId === undefined;
    this.#subscriptionId = options.subscriptionId;
    this.#options = {
      maxAgeMs: options.maxAgeMs ?? 300_000,
      staleLimitMs: options.staleLimitMs ?? 3_600_000,
      subscribe: options.subscribe ?? true,
      acknowledge: options.acknowledge ?? true,
      pollTimeoutS: options.pollTimeoutS ?? 10,
    };
  }

  /** Whether events refresh what is held. */
  get watching(): boolean {
    return this.#watching;
  }

  /** Whether events of this path do. */
  isWatched(path: string): boolean {
    return this.#watching && this.#watched.has(path);
  }

  /** The secret, from memory where that is fresh. */
  async get(path: string, options: CallOptions = {}): Promise<Secret> {
    secretPath(path);
    const entry = this.#entry(path);
    const now = this.#session.clock();
    const age = now - entry.loadedAt;
    if (entry.secret !== undefined && !this.#stop.signal.aborted) {
      const waits = now < entry.askAgainAt && age < this.#options.staleLimitMs;
      if (age < entry.maxAgeMs || waits) return entry.secret;
    }
    if (entry.flight === undefined) {
      // The read is everybody's, so no single caller's signal ends it.
      entry.flight = this.#lead(path, entry).finally(() => {
        entry.flight = undefined;
      });
      entry.flight.catch(() => undefined);
    }
    const secret = await until(entry.flight, options.signal);
    this.#start();
    return secret;
  }

  /** Calls `listener` with every new version of `path`. */
  onChange(path: string, listener: Listener): void {
    this.#entry(path).listeners.push(listener);
  }

  /** Another age for this path. */
  setMaxAge(path: string, maxAgeMs: number): void {
    this.#entry(path).maxAgeMs = maxAgeMs;
  }

  /** Ends the watch and drops everything that is held. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.#entries.clear();
    await this.#watcher?.catch(() => undefined);
    const own = this.#own ? this.#subscriptionId : undefined;
    if (own === undefined) return;
    this.#subscriptionId = undefined;
    await this.#subscriptions.delete(own).catch(ignore);
  }

  #entry(path: string): Entry {
    const found = this.#entries.get(path);
    if (found !== undefined) return found;
    const entry: Entry = {
      maxAgeMs: this.#options.maxAgeMs,
      secret: undefined,
      loadedAt: 0,
      ticket: 0,
      failures: 0,
      askAgainAt: 0,
      flight: undefined,
      listeners: [],
    };
    this.#entries.set(path, entry);
    return entry;
  }

  /** Reads for all that wait; serves what is held while the server is away. */
  async #lead(path: string, entry: Entry): Promise<Secret> {
    try {
      return await this.#read(path, entry, entry.secret === undefined ? this.#secrets : this.#hurried);
    } catch (error) {
      const now = this.#session.clock();
      const held = entry.secret;
      if (held === undefined || !isAway(error) || now - entry.loadedAt >= this.#options.staleLimitMs) {
        throw error;
      }
      entry.askAgainAt = now + growing(entry.failures);
      entry.failures += 1;
      return held;
    }
  }

  async #read(path: string, entry: Entry, secrets: Secrets): Promise<Secret> {
    this.#tickets += 1;
    const ticket = this.#tickets;
    let secret: Secret;
    try {
      secret = await secrets.read(path);
    } catch (error) {
      if (isGone(error)) entry.secret = undefined;
      throw error;
    }
    const before = entry.secret;
    // A read that began later was answered sooner.
    if (ticket < entry.ticket && before !== undefined) return before;
    Object.assign(entry, {
      secret,
      ticket,
      loadedAt: this.#session.clock(),
      failures: 0,
      askAgainAt: 0,
    });
    const isSame =
      before?.version === secret.version && String(before.updatedAt) === String(secret.updatedAt);
    if (!isSame) {
      await this.#adopt(secret, before === undefined ? [] : entry.listeners);
    }
    return secret;
  }

  async #adopt(secret: Secret, listeners: readonly Listener[]): Promise<void> {
    let status: "applied" | "failed" = "applied";
    let detail: string | undefined;
    for (const listener of listeners) {
      try {
        await listener(secret);
      } catch (error) {
        // Its text could hold a value.
        status = "failed";
        detail = `the application raised ${error instanceof Error ? error.name : "an error"}`;
      }
    }
    if (this.#options.acknowledge) {
      await this.#hurried.ack(secret.path, secret.version, { status, detail }).catch(ignore);
    }
  }

  #start(): void {
    if (this.#watcher !== undefined || !this.#options.subscribe || this.#stop.signal.aborted) return;
    this.#watcher = this.#watch().catch(() => undefined);
  }

  async #watch(): Promise<void> {
    const signal = this.#stop.signal;
    for (let failures = 0; !signal.aborted; ) {
      try {
        await this.#follow();
        this.#watching = true;
        await this.#pollOnce();
        failures = 0;
      } catch (error) {
        this.#watching = false;
        if (error instanceof PermissionDeniedError || signal.aborted) return;
        if (error instanceof NotFoundError && this.#own) {
          this.#subscriptionId = undefined;
          this.#watched = new Set();
        }
        // Whatever it is: what is held goes on, and the age is there besides.
        await this.#session.sleep(growing(failures), signal);
        failures += 1;
      }
    }
    this.#watching = false;
  }

  /**
   * Brings the subscription to the paths that are held. A path that is new in it is read again,
   * because what happened before it was is not told.
   */
  async #follow(): Promise<void> {
    const signal = this.#stop.signal;
    const paths = [...this.#entries.keys()].sort();
    const added = paths.filter((path) => !this.#watched.has(path));
    const changed = added.length > 0 || paths.length !== this.#watched.size;
    if (!changed && this.#subscriptionId !== undefined) return;
    const patterns = paths.length > 0 && paths.length <= PATTERNS_MAX ? paths : ["**"];
    if (this.#subscriptionId === undefined) {
      const name = `sdk-cache-${hostname().slice(0, 60)}-${process.pid}-${randomUUID().slice(0, 8)}`;
      // Not ended by the signal: what was made has to be known to be deleted.
      const made = await this.#subscriptions.create({ name, paths: patterns, events: EVENTS });
      this.#subscriptionId = made.id;
    } else if (this.#own) {
      await this.#subscriptions.update(this.#subscriptionId, { paths: patterns }, { signal });
    }
    for (const path of added) await this.#refresh(path);
    this.#watched = new Set(paths);
  }

  async #pollOnce(): Promise<void> {
    const id = this.#subscriptionId;
    if (id === undefined || this.#stop.signal.aborted) return;
    const signal = this.#stop.signal;
    const { events } = await this.#subscriptions.poll(id, { timeoutS: this.#options.pollTimeoutS, signal });
    for (const path of new Set(events.map((event) => event.path))) {
      if (typeof path === "string") await this.#refresh(path);
    }
    if (events.length > 0) {
      await this.#subscriptions.ack(id, events.map((event) => event.eventId), { signal });
    }
  }

  async #refresh(path: string): Promise<void> {
    const entry = this.#entries.get(path);
    if (entry === undefined || (entry.secret === undefined && entry.listeners.length === 0)) return;
    try {
      await this.#read(path, entry, this.#secrets);
    } catch (error) {
      // The next one who asks is told why.
      if (!isGone(error)) throw error;
    }
  }
}

/** One secret of a cache. */
export class CachedSecret {
  readonly path: string;
  readonly #cache: SecretCache;

  constructor(cache: SecretCache, path: string) {
    this.#cache = cache;
    this.path = path;
  }

  /** The secret, from memory where that is fresh. */
  get(options?: CallOptions): Promise<Secret> {
    return this.#cache.get(this.path, options);
  }

  /** Calls `listener` with every new version. */
  onChange(listener: Listener): void {
    this.#cache.onChange(this.path, listener);
  }
}

/** The server is away, or busy: what is held is still the best answer. */
function isAway(error: unknown): boolean {
  return (
    error instanceof TransportError ||
    error instanceof ServiceUnavailableError ||
    error instanceof InternalServerError ||
    error instanceof RateLimitError
  );
}

/** The server says that there is no value for this caller: nothing is served any more. */
function isGone(error: unknown): boolean {
  return (
    error instanceof NotFoundError ||
    error instanceof PermissionDeniedError ||
    error instanceof SecretExpiredError
  );
}

function ignore(error: unknown): void {
  if (!(error instanceof ScaiVaultError)) throw error;
}

function growing(failures: number): number {
  return Math.min(1_000 * 2 ** Math.min(failures, 10), 30_000);
}
