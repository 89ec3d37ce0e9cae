/** Secrets. */

import { type CallOptions, secretRoute } from "./core.js";
import { Group, type ListOptions, type Pages } from "./group.js";
import { decode, decodeBatch, decodeSecret, given } from "./json.js";
import type {
  Acknowledgement,
  Batch,
  Consumer,
  DeletedSecret,
  Metadata,
  Rotation,
  Secret,
  SecretInfo,
  Version,
} from "./types.js";

/** How to write. */
export interface StoreOptions extends CallOptions {
  secretType?: string | undefined;
  metadata?: Metadata | undefined;
  maxVersions?: number | undefined;
  /** A duration such as `90d`. */
  expiresIn?: string | undefined;
  /** How long before its end `secret.expiring` tells of it: `["30d", "7d"]`, or none. */
  notifyBefore?: readonly string[] | undefined;
  /** Write only when this is the current version; 0: only when there is none. */
  cas?: number | undefined;
}

/** How to write a secret of a tenant. */
export interface WriteOptions extends StoreOptions {
  /** The server makes the value by this secret policy, by id or name; `data` is `null` then. */
  generateFrom?: string | undefined;
  rotationPolicyId?: string | undefined;
  /** Write only as the answer to this rotation. */
  rotationId?: string | undefined;
}

/** What secrets have, whoever they belong to. */
export abstract class Stored extends Group {
  /** Where they are. */
  protected readonly root: string = "/v1/secrets";

  protected route(path: string, suffix = ""): string {
    return secretRoute(path, suffix, this.root);
  }

  /** The current value, or that of one version. */
  async read(path: string, options: CallOptions & { version?: number | undefined } = {}): Promise<Secret> {
    const { signal, ...query } = options;
    return this.send({ method: "GET", route: this.route(path), query, decode: decodeSecret }, { signal });
  }

  /** All but the value; the test whether a secret is there. */
  async readMetadata(path: string, options?: CallOptions): Promise<SecretInfo> {
    return this.get(this.route(path, "/metadata"), options);
  }

  /**
   * Changes what is given, without a new version. `metadata` replaces all of it, `tags` the tags
   * alone; `null` takes an end or a recipe away.
   */
  async updateMetadata(
    path: string,
    changes: {
      metadata?: Metadata | undefined;
      tags?: string[] | undefined;
      maxVersions?: number | undefined;
      expiresAt?: Date | string | null | undefined;
      notifyBefore?: readonly string[] | null | undefined;
      secretPolicyId?: string | null | undefined;
    },
    options?: CallOptions,
  ): Promise<SecretInfo> {
    return this.act("PATCH", this.route(path, "/metadata"), "harmless", given(changes), options);
  }

  /** Deletes: for 30 days it can be brought back, unless `permanent`. */
  async delete(path: string, options: CallOptions & { permanent?: boolean | undefined } = {}): Promise<DeletedSecret> {
    const permanent = options.permanent === true;
    return this.send(
      {
        method: "DELETE",
        route: this.route(path),
        query: permanent ? { permanent } : {},
        repeat: "harmless",
        decode: (body) => decode<DeletedSecret>(body),
        gone: () => ({ path, permanent }),
      },
      options,
    );
  }

  /** Brings a deleted secret back with all its versions. */
  async undelete(path: string, options?: CallOptions): Promise<SecretInfo> {
    return this.act("POST", this.route(path, "/undelete"), "harmful", undefined, options);
  }

  protected store(
    path: string,
    data: object | null,
    how: StoreOptions,
    guarded: boolean,
  ): Promise<SecretInfo> {
    const { signal, secretType, metadata, ...others } = how;
    const inner = given(others);
    const options = Object.keys(inner).length > 0 ? inner : undefined;
    const body = { ...(data === null ? {} : { data }), ...given({ secretType, metadata, options }) };
    return this.act("PUT", this.route(path), guarded ? "harmless" : "harmful", body, { signal });
  }

  /** Its versions, newest first. */
  async versions(path: string, options?: CallOptions): Promise<Version[]> {
    return this.getList(this.route(path, "/versions"), "versions", options);
  }
}

/** Operations on secrets. */
export class Secrets extends Stored {
  /**
   * Appends a version; the first write makes the secret. A write whose outcome is unknown is
   * repeated only with `cas` or `rotationId`: without them a second version could be appended.
   */
  async write(path: string, data: object | null, options: WriteOptions = {}): Promise<SecretInfo> {
    return this.store(path, data, options, options.cas !== undefined || options.rotationId !== undefined);
  }

  /** Secrets by path, without values: those that the caller may list. */
  list(
    query: ListOptions & {
      prefix?: string | undefined;
      /** With several: all of them. */
      tag?: string | readonly string[] | undefined;
      secretType?: string | undefined;
      recursive?: boolean | undefined;
      /** A word of the path or description. */
      q?: string | undefined;
    } = {},
  ): Pages<SecretInfo> {
    const { signal, limit, ...filters } = query;
    return this.paged("/v1/secrets", "secrets", { signal, limit }, filters);
  }

  /** Secrets that end within so many days (30), those that have ended included. */
  expiring(
    query: ListOptions & { days?: number | undefined; prefix?: string | undefined } = {},
  ): Pages<SecretInfo> {
    const { signal, limit, ...filters } = query;
    return this.paged("/v1/secrets/expiring", "secrets", { signal, limit }, filters);
  }

  /** Begins a rotation by its rotation policy, now. */
  async rotate(path: string, options?: CallOptions): Promise<Rotation> {
    return this.act("POST", this.route(path, "/rotate"), "harmful", undefined, options);
  }

  /** Says that the caller works with this version, or does not. No value belongs in `detail`. */
  async ack(
    path: string,
    version: number,
    options: CallOptions & { status?: "applied" | "failed"; detail?: string | undefined } = {},
  ): Promise<Acknowledgement> {
    const { signal, status = "applied", detail } = options;
    const body = given({ version, status, detail });
    return this.act("POST", this.route(path, "/ack"), "harmless", body, { signal });
  }

  /** Who read which version, newest version first. */
  async consumers(path: string, options?: CallOptions): Promise<Consumer[]> {
    return this.getList(this.route(path, "/consumers"), "consumers", options);
  }

  /** Many values at once, at most 100. What is missing or denied is in `errors`. */
  async batchRead(
    paths: readonly string[],
    options: CallOptions & {
      includeMetadata?: boolean | undefined;
      failFast?: boolean | undefined;
      version?: number | undefined;
    } = {},
  ): Promise<Batch<Secret>> {
    const { signal, ...others } = options;
    const inner = given(others);
    const body = { paths, ...(Object.keys(inner).length > 0 ? { options: inner } : {}) };
    const decoder = (answer: unknown): Batch<Secret> => decodeBatch(answer, decodeSecret);
    return this.send({ method: "POST", route: "/v1/secrets/batch", body, decode: decoder }, { signal });
  }

  /** Many secrets without values; `expandWildcards` takes patterns for paths. */
  async batchMetadata(
    paths: readonly string[],
    options: CallOptions & { expandWildcards?: boolean | undefined } = {},
  ): Promise<Batch<SecretInfo>> {
    const { signal, ...others } = options;
    const inner = given(others);
    const body = { paths, ...(Object.keys(inner).length > 0 ? { options: inner } : {}) };
    const decoder = (answer: unknown): Batch<SecretInfo> => decodeBatch(answer, (entry) => decode(entry));
    return this.send({ method: "POST", route: "/v1/secrets/batch/metadata", body, decode: decoder }, { signal });
  }
}
