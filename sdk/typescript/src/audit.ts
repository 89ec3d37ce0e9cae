/** The audit trail and the server itself. */

import { type CallOptions, secretPath, segment } from "./core.js";
import { Group, type ListOptions, type Pages } from "./group.js";
import { decode, given } from "./json.js";
import type {
  AuditExport,
  AuditRow,
  AuditSummary,
  AuditVerification,
  Health,
  Readiness,
  ServerVersion,
} from "./types.js";

/** All that are given must hold; `from` is inclusive, `to` is not. */
export interface AuditFilters {
  from?: Date | string | undefined;
  to?: Date | string | undefined;
  action?: string | readonly string[] | undefined;
  identityId?: string | undefined;
  identityType?: string | undefined;
  pathPrefix?: string | undefined;
  success?: boolean | undefined;
  sourceIp?: string | undefined;
  requestId?: string | undefined;
}

/** Who did what. */
export class Audit extends Group {
  /** Rows, newest first. */
  logs(query: AuditFilters & ListOptions = {}): Pages<AuditRow> {
    const { signal, limit, ...filters } = query;
    return this.paged("/v1/audit/logs", "logs", { signal, limit }, filters);
  }

  /** The trail of one secret, newest first. */
  ofSecret(path: string, query: AuditFilters & ListOptions = {}): Pages<AuditRow> {
    const { signal, limit, ...filters } = query;
    return this.paged(`/v1/audit/secrets/${secretPath(path)}`, "logs", { signal, limit }, filters);
  }

  /** The trail of one identity, newest first. */
  ofIdentity(identityId: string, query: AuditFilters & ListOptions = {}): Pages<AuditRow> {
    const { signal, limit, ...filters } = query;
    return this.paged(`/v1/audit/identities/${segment(identityId)}`, "logs", { signal, limit }, filters);
  }

  /** Counts. */
  async summary(query: AuditFilters & CallOptions = {}): Promise<AuditSummary> {
    const { signal, ...filters } = query;
    return this.get("/v1/audit/summary", { signal }, filters);
  }

  /** Walks the whole chain of rows. */
  async verify(options?: CallOptions): Promise<AuditVerification> {
    return this.get("/v1/audit/verify", options);
  }

  /** Begins to write the rows there are now to the place that the operator configured. */
  async createExport(
    how: CallOptions & {
      from?: Date | string | undefined;
      to?: Date | string | undefined;
      actions?: readonly string[] | undefined;
      format?: "jsonl" | "csv" | (string & {}) | undefined;
      /** For operators with the scope `admin`. */
      allTenants?: boolean | undefined;
    } = {},
  ): Promise<AuditExport> {
    const { signal, ...body } = how;
    return this.act("POST", "/v1/audit/exports", "harmful", given(body), { signal });
  }

  /** Exports, newest first. */
  exports(options?: ListOptions): Pages<AuditExport> {
    return this.paged("/v1/audit/exports", "exports", options);
  }

  /** One export and how far it is. */
  async readExport(id: string, options?: CallOptions): Promise<AuditExport> {
    return this.get(`/v1/audit/exports/${segment(id)}`, options);
  }

  /** Ends an export that runs, and removes what it wrote. */
  async cancelExport(id: string, options?: CallOptions): Promise<AuditExport> {
    return this.act("DELETE", `/v1/audit/exports/${segment(id)}`, "harmless", undefined, options);
  }
}

/** The server itself. These calls send no token. */
export class System extends Group {
  /** The process answers. */
  async health(options?: CallOptions): Promise<Health> {
    const decoder = (body: unknown): Health => decode(body);
    return this.send({ method: "GET", route: "/v1/health", anonymous: true, decode: decoder }, options);
  }

  /** Whether the server can work: also one that cannot is an answer, not an error. */
  async ready(options?: CallOptions): Promise<Readiness> {
    const decoder = (body: unknown): Readiness => decode(body);
    const call = { method: "GET", route: "/v1/health/ready", anonymous: true, accepts: [503] };
    return this.send({ ...call, decode: decoder }, options);
  }

  /** The server's version. */
  async version(options?: CallOptions): Promise<ServerVersion> {
    const decoder = (body: unknown): ServerVersion => decode(body);
    return this.send({ method: "GET", route: "/v1/version", anonymous: true, decode: decoder }, options);
  }
}
