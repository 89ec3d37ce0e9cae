/** Credentials on request: engines, their roles, credentials, and leases. */

import { type Call, type CallOptions, segment } from "./core.js";
import { Group, type ListOptions, type Pages } from "./group.js";
import { decode, decodeCredential, given } from "./json.js";
import { LeasedCredential } from "./leased.js";
import type {
  Credential,
  Engine,
  EngineHealth,
  EngineRole,
  Lease,
  LeaseStatus,
  RevokedLeases,
  Rotation,
  SweptEngine,
} from "./types.js";

const ENGINES = "/v1/dynamic/engines";
const LEASES = "/v1/dynamic/leases";
/** Where the server itself waits for a target. */
const TARGET_MS = 90_000;

/** Where an engine works. */
export interface EngineConfig {
  connectionUrl?: string | undefined;
  /** The secret with the credential that makes the others. */
  rootCredentialsPath?: string | undefined;
  /** In the connector's own fields. */
  settings?: Record<string, unknown> | undefined;
  /** Whether the target is looked at before anything is stored. Default true. */
  verifyConnection?: boolean | undefined;
  /** When it moves: this is the same server under another name, with the accounts that were made. */
  sameAccounts?: boolean | undefined;
}

/** How long leases of an engine live, and what it is for. */
export interface EngineFields {
  description?: string | undefined;
  defaultTtl?: string | undefined;
  maxTtl?: string | undefined;
}

/** Fields of a role. */
export interface EngineRoleFields {
  creationStatements?: readonly string[] | undefined;
  revocationStatements?: readonly string[] | undefined;
  renewStatements?: readonly string[] | undefined;
  rollbackStatements?: readonly string[] | undefined;
  ownedObjects?: "keep" | "reassign" | "drop" | (string & {}) | undefined;
  usernameTemplate?: string | undefined;
  /** In the connector's own fields. */
  settings?: Record<string, unknown> | undefined;
  defaultTtl?: string | undefined;
  maxTtl?: string | undefined;
}

/** Which credential. */
export interface CredentialOptions extends CallOptions {
  /** How long it is to live; each renewal is as long. */
  ttl?: string | undefined;
  /** What else the connector takes. */
  params?: Record<string, unknown> | undefined;
}

/** Which credential, and what is told of it. */
export interface LeaseOptions extends CredentialOptions {
  /** Called once it cannot be renewed any further, or was revoked by somebody else. */
  onEnd?: ((credential: LeasedCredential) => unknown) | undefined;
}

/** Engines, their roles, credentials, and leases. An engine is named by its name or its id. */
export class Dynamic extends Group {
  /**
   * Runs `body` with a credential of its own. Its lease is renewed in the background, at two thirds
   * of each term, and revoked when `body` is over, however it ends.
   */
  async withCredential<T>(
    engine: string,
    role: string,
    body: (credential: LeasedCredential) => T | Promise<T>,
    options: LeaseOptions = {},
  ): Promise<T> {
    const leased = await this.openCredential(engine, role, options);
    try {
      return await body(leased);
    } finally {
      await leased.close();
    }
  }

  /** A credential that is renewed in the background until it is closed, which revokes it. */
  async openCredential(engine: string, role: string, options: LeaseOptions = {}): Promise<LeasedCredential> {
    const made = await this.generate(engine, role, options);
    return new LeasedCredential(this.session, made, options.ttl, options.onEnd);
  }

  /** All engines. */
  engines(options?: ListOptions): Pages<Engine> {
    return this.paged(ENGINES, "engines", options);
  }

  /** A new engine, after a look at its target. */
  async createEngine(
    engine: EngineFields & {
      name: string;
      type: "database" | "ssh" | "custom" | (string & {});
      config: EngineConfig & {
        plugin: string;
        /** A target that is there, in place of URL and root. */
        target?: string | undefined;
      };
    },
    options?: CallOptions,
  ): Promise<Engine> {
    const { config, ...fields } = engine;
    const body = { ...given(fields), config: given(config ?? {}) };
    return this.atTarget("POST", ENGINES, "harmful", body, options);
  }

  /** One engine. */
  async engine(engine: string, options?: CallOptions): Promise<Engine> {
    return this.get(engineRoute(engine), options);
  }

  /** Changes what is given. In `config.settings`, `null` removes one. */
  async updateEngine(
    engine: string,
    changes: EngineFields & { config?: EngineConfig | undefined },
    options?: CallOptions,
  ): Promise<Engine> {
    const { config, ...fields } = changes;
    const body = { ...given(fields), ...(config === undefined ? {} : { config: given(config) }) };
    return this.atTarget("PATCH", engineRoute(engine), "harmless", body, options);
  }

  /** Forgets an engine without leases. */
  async deleteEngine(engine: string, options?: CallOptions): Promise<void> {
    return this.remove(engineRoute(engine), options);
  }

  /** Logs in at the engine's target and looks. */
  async health(engine: string, options?: CallOptions): Promise<EngineHealth> {
    return this.atTarget("GET", engineRoute(engine, "/health"), "read", undefined, options);
  }

  /** Ends all leases of an engine, or of one of its roles. */
  async revokeAll(
    engine: string,
    options: CallOptions & { role?: string | undefined } = {},
  ): Promise<RevokedLeases> {
    const { role, ...rest } = options;
    const route = engineRoute(engine, "/revoke-all");
    const call: Call<RevokedLeases> = { method: "POST", route, repeat: "harmless", query: { role }, decode: decodeRevoked };
    return this.send(call, rest);
  }

  /** Rotates the credential that makes the others. The first time it is attached to a rotation policy. */
  async rotateRoot(
    engine: string,
    options: CallOptions & { rotationPolicyId?: string | undefined } = {},
  ): Promise<Rotation> {
    const { rotationPolicyId, ...rest } = options;
    const route = engineRoute(engine, "/rotate-root");
    return this.atTarget("POST", route, "harmful", given({ rotationPolicyId }), rest);
  }

  /** The key that signs certificates, as a line for `TrustedUserCAKeys` (`ssh`). */
  async publicKey(engine: string, options?: CallOptions): Promise<string> {
    const text = (body: Uint8Array): string => new TextDecoder().decode(body);
    return this.file(engineRoute(engine, "/public-key"), text, options);
  }

  /** Certificates that were revoked, as a file for `RevokedKeys` (`ssh`). */
  async revocationList(engine: string, options?: CallOptions): Promise<Uint8Array> {
    return this.file(engineRoute(engine, "/revocation-list"), (body) => body, options);
  }

  /** Compares what is at the engine's target with its leases. */
  async sweep(engine: string, options?: CallOptions): Promise<SweptEngine> {
    return this.atTarget("POST", engineRoute(engine, "/sweep"), "harmless", undefined, options);
  }

  /** The roles of an engine. */
  roles(engine: string, options?: ListOptions): Pages<EngineRole> {
    return this.paged(engineRoute(engine, "/roles"), "roles", options);
  }

  /** A new role. */
  async createRole(
    engine: string,
    role: EngineRoleFields & { name: string },
    options?: CallOptions,
  ): Promise<EngineRole> {
    return this.act("POST", engineRoute(engine, "/roles"), "harmful", given(role), options);
  }

  /** One role. */
  async role(engine: string, role: string, options?: CallOptions): Promise<EngineRole> {
    return this.get(roleRoute(engine, role), options);
  }

  /** Makes a role, or changes the given fields of one that is there. */
  async putRole(
    engine: string,
    role: string,
    fields: EngineRoleFields,
    options?: CallOptions,
  ): Promise<EngineRole> {
    return this.act("PUT", roleRoute(engine, role), "harmless", given(fields), options);
  }

  /** Changes what is given. Leases keep what removes them. */
  async updateRole(
    engine: string,
    role: string,
    changes: EngineRoleFields,
    options?: CallOptions,
  ): Promise<EngineRole> {
    return this.act("PATCH", roleRoute(engine, role), "harmless", given(changes), options);
  }

  /** Forgets a role; its leases end as they would have. */
  async deleteRole(engine: string, role: string, options?: CallOptions): Promise<void> {
    return this.remove(roleRoute(engine, role), options);
  }

  /** A credential of a role, which you renew and revoke yourself. */
  async generate(engine: string, role: string, options: CredentialOptions = {}): Promise<Credential> {
    const { ttl, params, signal } = options;
    const call: Call<Credential> = {
      method: "POST",
      route: engineRoute(engine, `/creds/${segment(role)}`),
      repeat: "harmful",
      body: given({ ttl, params }),
      decode: decodeCredential,
      timeoutMs: TARGET_MS,
    };
    return this.send(call, { signal });
  }

  /** Leases, newest first: all with `dynamic:read`, otherwise one's own. */
  leases(
    query: ListOptions & {
      engine?: string | undefined;
      role?: string | undefined;
      status?: LeaseStatus | readonly LeaseStatus[] | undefined;
      identityId?: string | undefined;
      failing?: boolean | undefined;
    } = {},
  ): Pages<Lease> {
    const { signal, limit, ...filters } = query;
    return this.paged(LEASES, "leases", { signal, limit }, filters);
  }

  /** One lease. */
  async lease(id: string, options?: CallOptions): Promise<Lease> {
    return this.get(leaseRoute(id), options);
  }

  /** Moves a lease's end: so long from now, or as long as a new one. */
  async renew(id: string, options: CallOptions & { increment?: string | undefined } = {}): Promise<Lease> {
    const { increment, ...rest } = options;
    return this.atTarget("POST", leaseRoute(id, "/renew"), "harmless", given({ increment }), rest);
  }

  /** Ends a lease. Its account is removed right after the answer. */
  async revoke(id: string, options?: CallOptions): Promise<Lease> {
    return this.act("POST", leaseRoute(id, "/revoke"), "harmless", undefined, options);
  }

  private file<T>(route: string, raw: (body: Uint8Array) => T, options?: CallOptions): Promise<T> {
    const nothing = (): T => raw(new Uint8Array());
    return this.send({ method: "GET", route, decode: nothing, raw, timeoutMs: TARGET_MS }, options);
  }

  private atTarget<T>(
    method: string,
    route: string,
    repeat: "read" | "harmless" | "harmful",
    body: unknown,
    options?: CallOptions,
  ): Promise<T> {
    const decoder = (answer: unknown): T => decode<T>(answer);
    return this.send({ method, route, repeat, body, decode: decoder, timeoutMs: TARGET_MS }, options);
  }
}

const decodeRevoked = (body: unknown): RevokedLeases => decode<RevokedLeases>(body);

function engineRoute(engine: string, suffix = ""): string {
  return `${ENGINES}/${segment(engine)}${suffix}`;
}

function roleRoute(engine: string, role: string): string {
  return engineRoute(engine, `/roles/${segment(role)}`);
}

function leaseRoute(id: string, suffix = ""): string {
  return `${LEASES}/${segment(id)}${suffix}`;
}
