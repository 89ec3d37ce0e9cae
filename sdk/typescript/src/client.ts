/** The client. */

import { Auth, Machines, Policies, Tokens } from "./access.js";
import { Audit, System } from "./audit.js";
import { CachedSecret, type CacheOptions, SecretCache } from "./cache.js";
import { type CallOptions, type Session, sleep } from "./core.js";
import { ClientCredentials, type Credentials, StaticToken, TokenFile } from "./credentials.js";
import { ConfigurationError } from "./errors.js";
import { Dynamic } from "./dynamic.js";
import { Subscriptions, Webhooks } from "./events.js";
import { DEFAULT_RETRY, type Retry } from "./retry.js";
import { SecretPolicies } from "./generation.js";
import { Campaigns, Debts, RotationPolicies, Rotations, Targets } from "./rotation.js";
import { Secrets } from "./secrets.js";
import { Partners, PartnerSecrets, Tenants } from "./tenancy.js";
import { overFetch, overHttps } from "./transport.js";
import type { Identity } from "./types.js";
import { VERSION } from "./version.js";

/**
 * What is not given is looked for in the environment: `SCAIVAULT_URL`, `SCAIVAULT_TOKEN`,
 * `SCAIVAULT_TOKEN_FILE`, `SCAIVAULT_CLIENT_ID` and `SCAIVAULT_CLIENT_SECRET` with
 * `SCAIVAULT_TOKEN_URL`, `SCAIVAULT_TENANT_ID`, `SCAIVAULT_CA_FILE`.
 */
export interface ClientOptions {
  baseUrl?: string | undefined;
  token?: string | undefined;
  /** A file that others renew; it is read again when it changes. */
  tokenFile?: string | undefined;
  clientId?: string | undefined;
  clientSecret?: string | undefined;
  tokenUrl?: string | undefined;
  scope?: string | undefined;
  /** Act in this tenant instead of the token's own. */
  tenantId?: string | undefined;
  /** How it is named: by the header `X-Tenant-ID` (default), or before the route. */
  tenantIn?: "header" | "path" | undefined;
  /** For one attempt. Default 30000. */
  timeoutMs?: number | undefined;
  retry?: Partial<Retry> | undefined;
  /** PEM certificates to trust besides the usual ones. */
  caFile?: string | undefined;
  /** Our own certificate, PEM. */
  clientCert?: string | undefined;
  /** Its key, PEM; where it is not in the same file. */
  clientKey?: string | undefined;
  /** Send the token in the clear to another machine. */
  allowInsecureHttp?: boolean | undefined;
  /** Instead of the built-in one. */
  fetch?: typeof fetch | undefined;
  /** Instead of waiting; for tests. */
  sleep?: ((ms: number, signal?: AbortSignal) => Promise<void>) | undefined;
  /** Milliseconds that only grow; for tests. */
  clock?: (() => number) | undefined;
}

/** A client of one server. Safe to share. */
export class ScaiVaultClient {
  readonly secrets: Secrets;
  readonly policies: Policies;
  readonly secretPolicies: SecretPolicies;
  readonly rotationPolicies: RotationPolicies;
  readonly rotations: Rotations;
  readonly targets: Targets;
  readonly campaigns: Campaigns;
  readonly debts: Debts;
  readonly dynamic: Dynamic;
  readonly auth: Auth;
  readonly tokens: Tokens;
  readonly machines: Machines;
  readonly webhooks: Webhooks;
  readonly subscriptions: Subscriptions;
  readonly partners: Partners;
  readonly tenants: Tenants;
  readonly partnerSecrets: PartnerSecrets;
  readonly audit: Audit;
  readonly system: System;
  readonly #session: Session;
  readonly #caches = new Set<SecretCache>();
  #defaultCache: SecretCache | undefined;

  constructor(options: ClientOptions = {}, session: Session = sessionOf(options)) {
    this.#session = session;
    this.secrets = new Secrets(session);
    this.policies = new Policies(session);
    this.secretPolicies = new SecretPolicies(session);
    this.rotationPolicies = new RotationPolicies(session);
    this.rotations = new Rotations(session);
    this.targets = new Targets(session);
    this.campaigns = new Campaigns(session);
    this.debts = new Debts(session);
    this.dynamic = new Dynamic(session);
    this.auth = new Auth(session);
    this.tokens = new Tokens(session);
    this.machines = new Machines(session);
    this.webhooks = new Webhooks(session);
    this.subscriptions = new Subscriptions(session);
    this.partners = new Partners(session);
    this.tenants = new Tenants(session);
    this.partnerSecrets = new PartnerSecrets(session);
    this.audit = new Audit(session);
    this.system = new System(session);
  }

  /** The server. */
  get baseUrl(): string {
    return this.#session.baseUrl;
  }

  /** Who the client's token speaks for. */
  whoami(options?: CallOptions): Promise<Identity> {
    return this.auth.whoami(options);
  }

  /** The same client with other settings. */
  withOptions(changes: {
    tenantId?: string | undefined;
    tenantIn?: "header" | "path" | undefined;
    timeoutMs?: number | undefined;
    retry?: Partial<Retry> | undefined;
  }): ScaiVaultClient {
    const session = this.#session;
    return new ScaiVaultClient(
      {},
      {
        ...session,
        tenantId: changes.tenantId ?? session.tenantId,
        tenantIn: changes.tenantIn ?? session.tenantIn,
        timeoutMs: changes.timeoutMs ?? session.timeoutMs,
        retry: { ...session.retry, ...changes.retry },
      },
    );
  }

  /** Secrets kept in memory and refreshed when they are rotated. */
  cache(options?: CacheOptions): SecretCache {
    const cache = new SecretCache(this.#session, options);
    this.#caches.add(cache);
    return cache;
  }

  /** One secret in a cache that all `cached` of this client share. */
  cached(path: string, options: { maxAgeMs?: number | undefined } = {}): CachedSecret {
    this.#defaultCache ??= this.cache();
    if (options.maxAgeMs !== undefined) this.#defaultCache.setMaxAge(path, options.maxAgeMs);
    return new CachedSecret(this.#defaultCache, path);
  }

  /** Closes the caches. */
  async close(): Promise<void> {
    const caches = [...this.#caches];
    this.#caches.clear();
    this.#defaultCache = undefined;
    await Promise.all(caches.map((cache) => cache.close()));
  }
}

function sessionOf(options: ClientOptions): Session {
  const env = process.env;
  const insecure = options.allowInsecureHttp === true;
  const url = options.baseUrl ?? env["SCAIVAULT_URL"] ?? "";
  if (url === "") throw new ConfigurationError("no server: give baseUrl or set SCAIVAULT_URL");
  const baseUrl = checkedUrl(url, "baseUrl", insecure).replace(/\/+$/, "");
  const caFile = options.caFile ?? (env["SCAIVAULT_CA_FILE"] || undefined);
  let { clientCert, clientKey } = options;
  if (clientCert === undefined && clientKey === undefined) {
    clientCert = env["SCAIVAULT_CLIENT_CERT"] || undefined;
    clientKey = clientCert === undefined ? undefined : env["SCAIVAULT_CLIENT_KEY"] || undefined;
  }
  if (clientKey !== undefined && clientCert === undefined) {
    throw new ConfigurationError("clientKey needs clientCert");
  }
  const tls = caFile !== undefined || clientCert !== undefined;
  const transport =
    tls && baseUrl.startsWith("https:") && options.fetch === undefined
      ? overHttps({ caFile, clientCert, clientKey })
      : overFetch(options.fetch ?? fetch);
  return {
    baseUrl,
    credentials: credentialsOf(options, insecure),
    tenantId: options.tenantId ?? (env["SCAIVAULT_TENANT_ID"] || undefined),
    tenantIn: options.tenantIn ?? "header",
    timeoutMs: options.timeoutMs ?? 30_000,
    retry: { ...DEFAULT_RETRY, ...options.retry },
    userAgent: `scaivault-sdk-typescript/${VERSION}`,
    transport,
    clock: options.clock ?? ((): number => performance.now()),
    random: Math.random,
    sleep: options.sleep ?? sleep,
  };
}

function credentialsOf(options: ClientOptions, insecure: boolean): Credentials | undefined {
  const env = process.env;
  let { token, tokenFile, clientId } = options;
  const ways = [token, tokenFile, clientId].filter((way) => way !== undefined);
  if (ways.length > 1) throw new ConfigurationError("give one of token, tokenFile and clientId");
  if (ways.length === 0) {
    token = env["SCAIVAULT_TOKEN"] || undefined;
    tokenFile = token === undefined ? env["SCAIVAULT_TOKEN_FILE"] || undefined : undefined;
    clientId = (token ?? tokenFile) === undefined ? env["SCAIVAULT_CLIENT_ID"] || undefined : undefined;
  }
  if (token !== undefined) return new StaticToken(token);
  if (tokenFile !== undefined) return new TokenFile(tokenFile);
  if (clientId === undefined) return undefined;
  const clientSecret = options.clientSecret ?? (env["SCAIVAULT_CLIENT_SECRET"] || undefined);
  const tokenUrl = options.tokenUrl ?? (env["SCAIVAULT_TOKEN_URL"] || undefined);
  if (clientSecret === undefined || tokenUrl === undefined) {
    throw new ConfigurationError("clientId needs clientSecret and tokenUrl");
  }
  return new ClientCredentials(checkedUrl(tokenUrl, "tokenUrl", insecure), clientId, clientSecret, options.scope);
}

/** The URL is not repeated in the message: it may hold a password. */
function checkedUrl(text: string, what: string, insecure: boolean): string {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new ConfigurationError(`${what} is not a URL`);
  }
  const plain = url.username === "" && url.password === "" && url.search === "" && url.hash === "";
  if (!plain || !["http:", "https:"].includes(url.protocol)) {
    throw new ConfigurationError(`${what} must be http:// or https://, without user, query or fragment`);
  }
  const loopback = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname);
  if (url.protocol === "http:" && !loopback && !insecure) {
    throw new ConfigurationError(
      `${what} is http:// and not on this machine: the token would travel in the clear. ` +
        "Use https://, or allowInsecureHttp inside a protected network",
    );
  }
  return text;
}
