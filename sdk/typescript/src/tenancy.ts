/** Partners, tenants, and what belongs to a partner. */

import { type CallOptions, segment } from "./core.js";
import { Group, type ListOptions, type Pages } from "./group.js";
import { given } from "./json.js";
import { type StoreOptions, Stored } from "./secrets.js";
import type { Partner, SecretInfo, Tenant, TenancyStatus } from "./types.js";

/** Which page of a list that is counted by pages. */
export interface PageOptions extends CallOptions {
  status?: TenancyStatus | undefined;
  /** From 1. */
  page?: number | undefined;
  pageSize?: number | undefined;
}

/** What a partner or tenant is made of. */
export interface TenancyFields {
  name: string;
  /** Where an identity provider gave it one. */
  id?: string | undefined;
  /** Made of the name when absent. */
  slug?: string | undefined;
  region?: string | undefined;
}

/** What may be changed of them. */
export interface TenancyChanges {
  name?: string | undefined;
  /** `null` takes it away. */
  region?: string | null | undefined;
  /** `SUSPENDED`: nobody is served in it. */
  status?: TenancyStatus | undefined;
}

const PARTNERS = "/v1/identity/partners";
const TENANTS = "/v1/identity/tenants";
const STORED = "/v1/partner/secrets";

/** Owners of tenants. */
export class Partners extends Group {
  /** One page of them, those that the caller may see. */
  async list(options: PageOptions = {}): Promise<Partner[]> {
    const { signal, ...query } = options;
    return this.getList(PARTNERS, "partners", { signal }, query);
  }

  /** A new one; for operators of the server. */
  async create(partner: TenancyFields, options?: CallOptions): Promise<Partner> {
    return this.act("POST", PARTNERS, "harmful", given(partner), options);
  }

  /** One of them. */
  async read(id: string, options?: CallOptions): Promise<Partner> {
    return this.get(`${PARTNERS}/${segment(id)}`, options);
  }

  /** Changes what is given. A suspended one's tenants are suspended with it. */
  async update(id: string, changes: TenancyChanges, options?: CallOptions): Promise<Partner> {
    return this.act("PATCH", `${PARTNERS}/${segment(id)}`, "harmless", given(changes), options);
  }
}

/** Owners of secrets. */
export class Tenants extends Group {
  /** One page of them, those that the caller may see. */
  async list(options: PageOptions & { partnerId?: string | undefined } = {}): Promise<Tenant[]> {
    const { signal, ...query } = options;
    return this.getList(TENANTS, "tenants", { signal }, query);
  }

  /** A new one, of the caller's own partner unless told. */
  async create(
    tenant: TenancyFields & { partnerId?: string | undefined },
    options?: CallOptions,
  ): Promise<Tenant> {
    return this.act("POST", TENANTS, "harmful", given(tenant), options);
  }

  /** One of them. */
  async read(id: string, options?: CallOptions): Promise<Tenant> {
    return this.get(`${TENANTS}/${segment(id)}`, options);
  }

  /** Changes what is given. */
  async update(id: string, changes: TenancyChanges, options?: CallOptions): Promise<Tenant> {
    return this.act("PATCH", `${TENANTS}/${segment(id)}`, "harmless", given(changes), options);
  }
}

/** Secrets of the partner: read by its tenants, written by its admins, not rotated. */
export class PartnerSecrets extends Stored {
  protected override readonly root: string = STORED;

  /** Appends a version; the first write makes the secret. `cas` as for other secrets. */
  async write(path: string, data: object, options: StoreOptions = {}): Promise<SecretInfo> {
    return this.store(path, data, options, options.cas !== undefined);
  }

  /** Those that the caller may list, by path, without values. */
  list(
    query: ListOptions & { prefix?: string | undefined; tag?: string | readonly string[] | undefined } = {},
  ): Pages<SecretInfo> {
    const { signal, limit, ...filters } = query;
    return this.paged(STORED, "secrets", { signal, limit }, filters);
  }
}
