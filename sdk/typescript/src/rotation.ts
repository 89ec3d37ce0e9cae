/** Rotation policies, rotations, targets, campaigns, debts. */

import { type CallOptions, secretPath, segment } from "./core.js";
import { Group, type ListOptions, type Pages } from "./group.js";
import { decode, decodeList, given } from "./json.js";
import type {
  Assignment,
  Campaign,
  Connector,
  Debt,
  DueRotation,
  Rehearsal,
  Rotation,
  RotationPolicy,
  Target,
  TargetCheck,
} from "./types.js";

/** A rehearsal is answered when it is over. */
const REHEARSAL_MS = 300_000;
/** What an answer may take beyond what it was asked to wait. */
export const WAIT_SLACK_MS = 15_000;

type Record_ = Record<string, unknown>;

/** Fields of a rotation policy. */
export interface RotationPolicyFields {
  /** A duration such as `90d`; may be left out where `calendar` has `cron`. */
  interval?: string | undefined;
  gracePeriod?: string | undefined;
  warnBefore?: string | readonly string[] | undefined;
  autoGenerate?: boolean | undefined;
  secretPolicyId?: string | undefined;
  webhookIds?: readonly string[] | undefined;
  /** As the API writes them. */
  rules?: Record_ | undefined;
  /** As the API writes it. */
  calendar?: Record_ | undefined;
  driftCheck?: string | undefined;
  description?: string | undefined;
}

/** Rotation policies and the secrets attached to them. */
export class RotationPolicies extends Group {
  /** All rotation policies. */
  list(query: ListOptions & { activeOnly?: boolean | undefined } = {}): Pages<RotationPolicy> {
    const { signal, limit, ...filters } = query;
    return this.paged("/v1/rotation/policies", "data", { signal, limit }, filters);
  }

  /** A new rotation policy. */
  async create(policy: RotationPolicyFields & { name: string }, options?: CallOptions): Promise<RotationPolicy> {
    return this.act("POST", "/v1/rotation/policies", "harmful", given(policy), options);
  }

  /** One rotation policy. */
  async read(id: string, options?: CallOptions): Promise<RotationPolicy> {
    return this.get(policyRoute(id), options);
  }

  /** Changes what is given; schedules are counted again. */
  async update(
    id: string,
    changes: RotationPolicyFields & { name?: string | undefined },
    options?: CallOptions,
  ): Promise<RotationPolicy> {
    return this.act("PATCH", policyRoute(id), "harmless", given(changes), options);
  }

  /** Deletes it and detaches its secrets. */
  async delete(id: string, options?: CallOptions): Promise<void> {
    return this.remove(policyRoute(id), options);
  }

  /** Its schedule goes on. */
  async enable(id: string, options?: CallOptions): Promise<RotationPolicy> {
    return this.act("POST", policyRoute(id, "/enable"), "harmless", undefined, options);
  }

  /** Its schedule rests; the secrets stay attached. */
  async disable(id: string, options?: CallOptions): Promise<RotationPolicy> {
    return this.act("POST", policyRoute(id, "/disable"), "harmless", undefined, options);
  }

  /** Attaches a secret; with `target` the credential is changed there. */
  async assign(
    id: string,
    assignment: {
      secretPath: string;
      target?: string | undefined;
      strategy?: string | undefined;
      account?: Record_ | undefined;
      group?: { name: string; order?: number } | undefined;
      manager?: boolean | undefined;
      create?: boolean | undefined;
      unverified?: boolean | undefined;
    },
    options?: CallOptions,
  ): Promise<Assignment> {
    // With create the first one begins a rotation, and a second one would find it.
    const repeat = assignment.create === true ? "harmful" : "harmless";
    return this.act("POST", policyRoute(id, "/secrets"), repeat, given(assignment), options);
  }

  /** Detaches a secret. */
  async unassign(id: string, path: string, options?: CallOptions): Promise<void> {
    return this.remove(policyRoute(id, `/secrets/${oneSegment(path)}`), options);
  }

  /** Rotates these secrets, or all that are attached. */
  async rotate(id: string, secretPaths?: readonly string[], options?: CallOptions): Promise<Rotation[]> {
    const route = policyRoute(id, "/rotate");
    const body = given({ secretPaths });
    const decoder = (answer: unknown): Rotation[] => decodeList(answer);
    return this.send({ method: "POST", route, repeat: "harmful", body, decode: decoder }, options);
  }

  /** Its rotations, newest first. */
  history(
    id: string,
    query: ListOptions & { status?: "success" | "failed" | "pending" } = {},
  ): Pages<Rotation> {
    const { signal, limit, ...filters } = query;
    return this.paged(policyRoute(id, "/history"), "data", { signal, limit }, filters);
  }

  /** A whole rotation of the secret's target with a throw-away credential. */
  async rehearse(id: string, path: string, options?: CallOptions): Promise<Rehearsal> {
    const route = policyRoute(id, `/secrets/${oneSegment(path)}/rehearse`);
    const decoder = (body: unknown): Rehearsal => decode(body);
    const call = { method: "POST", route, decode: decoder, timeoutMs: REHEARSAL_MS };
    return this.send({ ...call, repeat: "harmful" }, options);
  }
}

/** Rotations under way and past. */
export class Rotations extends Group {
  /** Rotations, newest first. */
  list(
    query: ListOptions & {
      path?: string | undefined;
      phase?: string | readonly string[] | undefined;
      policyId?: string | undefined;
    } = {},
  ): Pages<Rotation> {
    const { signal, limit, ...filters } = query;
    return this.paged("/v1/rotations", "data", { signal, limit }, filters);
  }

  /**
   * One rotation. With `after`, a `revision`, the server answers when it has changed since, or after
   * `timeoutS` seconds (30, at most 60).
   */
  async read(
    id: string,
    options: CallOptions & { after?: number | undefined; timeoutS?: number | undefined } = {},
  ): Promise<Rotation> {
    const { signal, after, timeoutS } = options;
    return this.send(
      {
        method: "GET",
        route: rotationRoute(id),
        query: { after, timeout: timeoutS },
        decode: (body) => decode<Rotation>(body),
        timeoutMs: after === undefined ? 0 : (timeoutS ?? 30) * 1000 + WAIT_SLACK_MS,
      },
      { signal },
    );
  }

  /** Lets a parked rotation go on, or tries its target at once. */
  async resume(id: string, options?: CallOptions): Promise<Rotation> {
    return this.act("POST", rotationRoute(id, "/resume"), "harmful", undefined, options);
  }

  /** Gives readers the old version again. */
  async rollback(id: string, options?: CallOptions): Promise<Rotation> {
    return this.act("POST", rotationRoute(id, "/rollback"), "harmful", undefined, options);
  }

  /** Lets the old credential be revoked. */
  async approve(id: string, options?: CallOptions): Promise<Rotation> {
    return this.act("POST", rotationRoute(id, "/approve"), "harmful", undefined, options);
  }

  /** Ends it where it stands. */
  async abandon(id: string, options: CallOptions & { force?: boolean | undefined } = {}): Promise<Rotation> {
    const body = options.force === true ? { force: true } : {};
    return this.act("POST", rotationRoute(id, "/abandon"), "harmful", body, options);
  }

  /** What is due within so many hours (24), soonest first. */
  async due(
    query: CallOptions & {
      withinHours?: number | undefined;
      includeOverdue?: boolean | undefined;
      policyId?: string | undefined;
    } = {},
  ): Promise<DueRotation[]> {
    const { signal, ...filters } = query;
    return this.getList("/v1/rotation/due", "data", { signal }, filters);
  }
}

/** Systems whose credentials are rotated. `target` is an id or a name. */
export class Targets extends Group {
  /** All targets. */
  list(options?: ListOptions): Pages<Target> {
    return this.paged("/v1/rotation/targets", "data", options);
  }

  /** Describes a new one; `settings` never hold a credential. */
  async create(
    target: {
      name: string;
      connector: string;
      settings?: Record_ | undefined;
      managerPath?: string | undefined;
      description?: string | undefined;
    },
    options?: CallOptions,
  ): Promise<Target> {
    return this.act("POST", "/v1/rotation/targets", "harmful", given(target), options);
  }

  /** One target. */
  async read(target: string, options?: CallOptions): Promise<Target> {
    return this.get(targetRoute(target), options);
  }

  /** Changes the fields and settings that are given; a setting of `null` is removed. */
  async update(
    target: string,
    changes: {
      name?: string | undefined;
      settings?: Record_ | undefined;
      managerPath?: string | undefined;
      description?: string | undefined;
    },
    options?: CallOptions,
  ): Promise<Target> {
    return this.act("PATCH", targetRoute(target), "harmless", given(changes), options);
  }

  /** Forgets it; nothing is changed there. */
  async delete(target: string, options?: CallOptions): Promise<void> {
    return this.remove(targetRoute(target), options);
  }

  /** Logs in and tells what the manager may do, and what is missing. */
  async check(
    target: string,
    options: CallOptions & { account?: Record_ | undefined; overlap?: string | undefined } = {},
  ): Promise<TargetCheck> {
    const { signal, ...body } = options;
    return this.act("POST", targetRoute(target, "/check"), "harmless", given(body), { signal });
  }

  /** A whole rotation with a throw-away credential. */
  async rehearse(
    target: string,
    account: Record_,
    options: CallOptions & { strategy?: string | undefined } = {},
  ): Promise<Rehearsal> {
    const body = given({ account, strategy: options.strategy });
    const decoder = (answer: unknown): Rehearsal => decode(answer);
    const call = { method: "POST", route: targetRoute(target, "/rehearse"), body, decode: decoder };
    return this.send({ ...call, repeat: "harmful", timeoutMs: REHEARSAL_MS }, options);
  }

  /** Looks for what was left there; answers the debts that came of it. */
  async sweep(target: string, options?: CallOptions): Promise<Debt[]> {
    const decoder = (answer: unknown): Debt[] => decodeList(answer, "debts");
    const call = { method: "POST", route: targetRoute(target, "/sweep"), decode: decoder };
    return this.send({ ...call, repeat: "harmful" }, options);
  }

  /** The kinds of target that this server knows. */
  async connectors(options?: CallOptions): Promise<Connector[]> {
    return this.getList("/v1/rotation/connectors", "connectors", options);
  }
}

/** Many rotations as one run. */
export class Campaigns extends Group {
  /** Begins one; exactly one of the first five says what is rotated. */
  async start(
    campaign: {
      identity?: string | undefined;
      tokenId?: string | undefined;
      policyId?: string | undefined;
      group?: string | undefined;
      paths?: readonly string[] | undefined;
      keepToken?: boolean | undefined;
      mode?: "continuity" | "containment" | undefined;
      modes?: Record<string, "continuity" | "containment"> | undefined;
      exclude?: readonly string[] | undefined;
      dryRun?: boolean | undefined;
      note?: string | undefined;
      webhookIds?: readonly string[] | undefined;
    },
    options?: CallOptions,
  ): Promise<Campaign> {
    const repeat = campaign.dryRun === true ? "read" : "harmful";
    return this.act("POST", "/v1/rotation/campaigns", repeat, given(campaign), options);
  }

  /** Campaigns, newest first. */
  list(options?: ListOptions): Pages<Campaign> {
    return this.paged("/v1/rotation/campaigns", "data", options);
  }

  /** Progress, and the report at the end. */
  async read(id: string, options?: CallOptions): Promise<Campaign> {
    return this.get(campaignRoute(id), options);
  }

  /** Begins nothing more. */
  async pause(id: string, options?: CallOptions): Promise<Campaign> {
    return this.act("POST", campaignRoute(id, "/pause"), "harmless", undefined, options);
  }

  /** Goes on. */
  async resume(id: string, options?: CallOptions): Promise<Campaign> {
    return this.act("POST", campaignRoute(id, "/resume"), "harmless", undefined, options);
  }

  /** Finishes it now. */
  async end(id: string, options?: CallOptions): Promise<Campaign> {
    return this.act("POST", campaignRoute(id, "/end"), "harmful", undefined, options);
  }
}

/** What is still to be removed at targets. */
export class Debts extends Group {
  /** Debts, oldest first. */
  list(options?: ListOptions): Pages<Debt> {
    return this.paged("/v1/rotation/debts", "data", options);
  }

  /** Tries it at once. */
  async retry(id: string, options?: CallOptions): Promise<Debt> {
    return this.act("POST", `/v1/rotation/debts/${segment(id)}/retry`, "harmless", undefined, options);
  }

  /** Nothing is tried any more; the reason is on the audit trail. */
  async writeOff(id: string, reason: string, options?: CallOptions): Promise<void> {
    return this.remove(`/v1/rotation/debts/${segment(id)}`, options, {}, { reason });
  }
}

function oneSegment(path: string): string {
  secretPath(path);
  return segment(path);
}

function policyRoute(id: string, suffix = ""): string {
  return `/v1/rotation/policies/${segment(id)}${suffix}`;
}

function rotationRoute(id: string, suffix = ""): string {
  return `/v1/rotations/${segment(id)}${suffix}`;
}

function targetRoute(target: string, suffix = ""): string {
  return `/v1/rotation/targets/${segment(target)}${suffix}`;
}

function campaignRoute(id: string, suffix = ""): string {
  return `/v1/rotation/campaigns/${segment(id)}${suffix}`;
}
