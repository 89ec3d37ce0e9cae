/**
 * Typed answers. Names are those of the API in camel case, times are `Date`s. Fields that a newer
 * server adds are there as well, unknown to the types.
 */

/** A secret's value. `console.log` and `JSON.stringify` of the secret around it do not show it. */
export type SecretData = Record<string, any>;

/** Not secret; keys of your own stand beside the known ones, as they were written. */
export interface Metadata {
  description?: string;
  tags?: string[];
  owner?: string;
  [key: string]: unknown;
}

/** A secret with its value. */
export interface Secret {
  readonly path: string;
  readonly version: number;
  /** Not enumerable: it is neither logged nor copied with the rest. */
  readonly data: SecretData;
  readonly secretType: string;
  readonly metadata: Metadata;
  readonly isCurrent: boolean;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly expiresAt: Date | null;
  readonly readableUntil?: Date | null;
  readonly rotationPolicyId: string | null;
}

/** A secret without its value. */
export interface SecretInfo {
  readonly path: string;
  readonly version: number;
  readonly secretType: string;
  readonly metadata: Metadata;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly expiresAt: Date | null;
  readonly maxVersions: number;
  readonly notifyBefore?: string | null;
  readonly rotationPolicyId: string | null;
  readonly secretPolicyId: string | null;
  readonly recoverableUntil?: Date | null;
  readonly lastAccessedAt?: Date | null;
  readonly versionCount?: number | null;
  readonly rotation?: RotationStatus | null;
  readonly isRotation?: boolean | null;
  readonly rotationId?: string | null;
}

/** Where a secret stands in its rotation policy. */
export interface RotationStatus {
  readonly rotationPolicyId: string;
  readonly lastRotatedAt?: Date | null;
  readonly nextRotationAt: Date;
  readonly openRotationId?: string | null;
}

/** What became of a deleted secret. */
export interface DeletedSecret {
  readonly path: string;
  readonly permanent: boolean;
  readonly recoverableUntil?: Date | null;
}

/** One version, without its value. */
export interface Version {
  readonly version: number;
  readonly isCurrent: boolean;
  readonly state: string;
  readonly createdAt: Date;
  readonly createdBy: string;
  readonly readableUntil?: Date | null;
  readonly rotationId?: string | null;
}

/** Who read which version, and what they said of it. */
export interface Consumer {
  readonly identityId: string;
  readonly version: number;
  readonly isCurrent: boolean;
  readonly firstReadAt: Date;
  readonly lastReadAt: Date;
  readonly appliedAt?: Date | null;
  readonly failedAt?: Date | null;
  readonly detail?: string | null;
}

/** The server's note of an acknowledgement. */
export interface Acknowledgement {
  readonly secretPath: string;
  readonly version: number;
  readonly status: string;
  readonly at: Date;
  readonly currentVersion: number;
}

/** The answer to a batch; keyed by path. */
export interface Batch<T> {
  readonly secrets: Record<string, T>;
  readonly errors: Record<string, { readonly code: string; readonly message: string }>;
}

/** Who a token speaks for. */
export interface Identity {
  readonly identityId: string;
  readonly identityType: string;
  readonly displayName: string;
  readonly tenantId: string;
  readonly partnerId: string;
  readonly scopes: string[];
  readonly groups: string[];
  readonly roles: string[];
  readonly mfaVerifiedAt: Date | null;
  readonly tokenExpiresAt: Date | null;
  /** How it showed who it is: `token`, `machine`, `issuer` or `certificate`. */
  readonly authMethod?: string;
  /** SHA-256 of the client certificate it came with, hex. */
  readonly certificateFingerprint?: string;
  /** Who vouched for the identity, when it was somebody outside. */
  readonly issuer?: string;
  readonly tokenId?: string;
  /** The token it was made with, and ends with. */
  readonly parentId?: string;
  /** Requests it still serves; absent: any number. */
  readonly usesLeft?: number;
  /** Address ranges it may be used from; absent: anywhere. */
  readonly allowedAddresses?: string[];
}

/** What the server knows of a token. */
export interface Introspection {
  readonly active: boolean;
  readonly identityId?: string;
  readonly identityType?: string;
  readonly tenantId?: string;
  readonly scopes?: string[];
  readonly expiresAt?: Date | null;
  readonly issuedAt?: Date | null;
  readonly issuer?: string;
  readonly tokenId?: string;
  /** The token it was made with, and ends with. */
  readonly parentId?: string;
  /** Requests it still serves; absent: any number. */
  readonly usesLeft?: number;
  /** Address ranges it may be used from; absent: anywhere. */
  readonly allowedAddresses?: string[];
}

/** A token given for a foreign one. `accessToken` is not enumerable. */
export interface ExchangedToken {
  readonly accessToken: string;
  readonly tokenType: string;
  readonly issuedTokenType: string;
  readonly expiresIn: number;
  readonly scope: string;
  readonly tokenId: string;
  readonly identityId: string;
  readonly expiresAt: Date | null;
}

/** A token given for a client certificate. `token` is not enumerable. */
export interface CertificateLogin {
  readonly token: string;
  readonly tokenId: string;
  readonly identityId: string;
  readonly scopes: string[];
  readonly expiresIn: number;
  readonly expiresAt: Date | null;
  readonly certificateFingerprint: string;
}

/** A new token: the only time it is shown. `token` is not enumerable. */
export interface NewToken {
  readonly id: string;
  readonly token: string;
  readonly identityId: string;
  readonly scopes: string[];
  readonly roles?: string[];
  readonly expiresAt: Date | null;
  /** The token it was made with, and ends with. */
  readonly parentId?: string;
  /** Requests it still serves; absent: any number. */
  readonly usesLeft?: number;
  /** Address ranges it may be used from; absent: anywhere. */
  readonly allowedAddresses?: string[];
}

/** What a machine becomes that logs in by it, and what it has to show. */
export interface Role {
  readonly name: string;
  readonly roleId: string;
  readonly description: string | null;
  readonly identityType: string;
  readonly identityId: string;
  readonly scopes: string[];
  readonly groups: string[];
  readonly bindSecretId: boolean;
  readonly secretIdTtl: string | null;
  readonly secretIdNumUses: number | null;
  readonly secretIdBoundCidrs: string[];
  readonly tokenTtl: string;
  readonly tokenMaxTtl: string | null;
  readonly tokenPeriod: string | null;
  readonly tokenNumUses: number | null;
  readonly tokenBoundCidrs: string[];
  readonly isActive: boolean;
  readonly createdAt: Date;
  readonly createdBy: string;
  readonly updatedAt: Date;
}

/** A new secret id: the only time it is shown. `secretId` is not enumerable. */
export interface NewSecretId {
  readonly secretId: string;
  /** Its record, to list and revoke it by. */
  readonly accessor: string;
  readonly role: string;
  readonly roleId: string;
  /** Logins it serves; `null`: any number. */
  readonly numUses: number | null;
  readonly expiresAt: Date | null;
}

/** A secret id's record, without the secret id. */
export interface SecretIdRecord {
  readonly accessor: string;
  readonly role: string;
  readonly metadata: Record<string, string>;
  readonly numUses: number | null;
  readonly usesLeft: number | null;
  readonly boundCidrs: string[];
  readonly tokenBoundCidrs: string[];
  readonly createdAt: Date;
  readonly createdBy: string;
  readonly expiresAt: Date | null;
  readonly lastUsedAt: Date | null;
}

/** The token of a machine that logged in. `token` is not enumerable. */
export interface Login {
  readonly token: string;
  readonly tokenId: string;
  readonly role: string;
  readonly identityId: string;
  readonly scopes: string[];
  readonly expiresIn: number;
  readonly expiresAt: Date | null;
  /** Requests it serves; absent: any number. */
  readonly usesLeft?: number;
  /** Address ranges it may be used from; absent: anywhere. */
  readonly allowedAddresses?: string[];
}

/** A token whose lifetime was counted again. */
export interface RenewedToken {
  readonly id: string;
  readonly identityId: string;
  readonly scopes: string[];
  readonly expiresAt: Date | null;
}

/** A token's record, without the token. */
export interface Token {
  readonly id: string;
  readonly identityId: string;
  readonly identityType: string;
  readonly scopes: string[];
  readonly roles?: string[];
  readonly status: string;
  readonly isRoot: boolean;
  readonly description?: string | null;
  readonly createdAt: Date;
  readonly createdBy: string;
  readonly expiresAt?: Date | null;
  readonly revokedAt?: Date | null;
  /** It was revoked because the token it was made with had ended. */
  readonly endedWithParent?: boolean;
  /** The role a machine got it by. */
  readonly machineRole?: string;
  /** The token it was made with, and ends with. */
  readonly parentId?: string;
  /** Requests it still serves; absent: any number. */
  readonly usesLeft?: number;
  /** Address ranges it may be used from; absent: anywhere. */
  readonly allowedAddresses?: string[];
}

/** One rule of an access policy. `conditions` are as the API writes them. */
export interface Rule {
  pathPattern: string;
  permissions: string[];
  conditions?: Record<string, unknown> | null;
}

/** A policy that reaches somebody. */
export interface Binding {
  readonly id: string;
  readonly policyId: string;
  readonly identityType: string;
  readonly identityId: string;
  readonly expiresAt: Date | null;
  readonly createdAt: Date;
}

/** An access policy in a list. */
export interface PolicyItem {
  readonly id: string;
  readonly name: string;
  readonly description?: string | null;
  readonly ruleCount: number;
  readonly bindingCount: number;
  readonly scope: string;
  readonly isActive: boolean;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** An access policy with its rules and bindings. */
export interface Policy extends Omit<PolicyItem, "ruleCount" | "bindingCount"> {
  readonly rules: Rule[];
  readonly bindings: Binding[];
}

/** What the decision would be, and why. */
export interface PolicyDecision {
  readonly allowed: boolean;
  readonly reason: string;
  readonly matched: { readonly policyId: string; readonly ruleIndex: number } | null;
  readonly evaluated: { readonly policyId: string; readonly name: string; readonly result: string }[];
  readonly failedCondition?: string | null;
}

/** When secrets rotate. `rules` and `calendar` are as the API writes them. */
export interface RotationPolicy {
  readonly id: string;
  readonly name: string;
  readonly description?: string | null;
  readonly interval: string;
  readonly intervalSeconds: number;
  readonly gracePeriod: string;
  readonly warnBefore?: string | null;
  readonly autoGenerate: boolean;
  readonly secretPolicyId?: string | null;
  readonly webhookIds: string[];
  readonly rules?: Record<string, unknown> | null;
  readonly calendar?: Record<string, unknown> | null;
  readonly driftCheck?: string | null;
  readonly isActive: boolean;
  readonly secretsCount: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** One field of a recipe; `config` is as the API writes it. */
export interface RecipeField {
  readonly name: string;
  readonly generator: string;
  readonly config?: Record<string, unknown>;
}

/** A recipe for values. */
export interface SecretPolicy {
  readonly id: string;
  readonly name: string;
  readonly description?: string | null;
  readonly policyType: string;
  readonly fields: RecipeField[];
  readonly keys: string[];
  readonly entropyBits: Record<string, number>;
  readonly isActive: boolean;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** A sample of what a recipe makes: for looking at, not for use. `data` is not enumerable. */
export interface SecretPolicyPreview {
  readonly secretPolicyId?: string | null;
  readonly notice: string;
  readonly data: Record<string, unknown>;
  readonly entropyBits: Record<string, number>;
}

/** Why a target could not do what was asked, and the cure. */
export interface Trouble {
  readonly kind: string;
  readonly code?: string | null;
  readonly advice: string;
  readonly remedy?: string[];
  readonly retryAfterS?: number | null;
}

/** What makes credentials at one target. */
export interface Engine {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly description: string | null;
  readonly plugin: string;
  readonly targetId: string | null;
  readonly defaultTtl: string;
  readonly maxTtl: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly sweptAt: Date | null;
}

/** How an engine's target answers. */
export interface EngineHealth {
  readonly engine: string;
  readonly healthy: boolean;
  readonly checkedAt: Date;
  readonly trouble: Trouble | null;
  readonly server: string | null;
  readonly manager: string | null;
  readonly missing: { readonly what: string; readonly statement: string }[];
  /** Leases that have not ended. */
  readonly leases: number;
}

/** What the credentials of an engine may do, and how they are made and removed. */
export interface EngineRole {
  readonly engine: string;
  readonly name: string;
  readonly creationStatements: string[];
  readonly rollbackStatements: string[];
  readonly renewStatements: string[];
  readonly revocationStatements: string[];
  readonly ownedObjects: string;
  readonly usernameTemplate: string | null;
  readonly settings: Record<string, unknown>;
  readonly defaultTtl: string | null;
  readonly maxTtl: string | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** A new credential: the only time it is shown. `data` and `password` are not enumerable. */
export interface Credential {
  readonly leaseId: string;
  readonly engine: string;
  readonly role: string;
  readonly username?: string;
  readonly password?: string;
  /** Everything that was made, name and password included. */
  readonly data: Record<string, unknown>;
  readonly renewable: boolean;
  /** Seconds until it ends. */
  readonly ttl: number;
  readonly expiresAt: Date;
  /** How far it can be renewed. */
  readonly maxExpiresAt: Date;
}

/** Where a lease is in its life. */
export type LeaseStatus = "creating" | "active" | "revoking" | "revoked" | (string & {});

/** A credential for as long as it lives. The credential itself is stored nowhere. */
export interface Lease {
  readonly id: string;
  readonly engineId: string;
  readonly role: string;
  /** The account's name at the target. */
  readonly account: string;
  readonly identityId: string;
  readonly tokenId: string | null;
  readonly status: LeaseStatus;
  /** Why it ends: `expired`, `asked`, `token`, `unconfirmed`, `not_made` or `found`. */
  readonly cause: string | null;
  readonly issuedAt: Date;
  readonly expiresAt: Date;
  readonly maxExpiresAt: Date;
  readonly renewedAt: Date | null;
  readonly revokedAt: Date | null;
  readonly attempts: number;
  readonly failingSince: Date | null;
  readonly trouble: Trouble | null;
}

/** How many leases were put to their end. */
export interface RevokedLeases {
  readonly revoked: number;
}

/** Leases for accounts that had none. */
export interface SweptEngine {
  readonly found: Lease[];
}

/** A rotation: where it stands, what it waits for, and what may be done with it now. */
export interface Rotation {
  readonly id: string;
  readonly secretPath: string;
  readonly rotationPolicyId: string;
  readonly rotationPolicyName: string;
  readonly status: string;
  readonly phase: string;
  readonly phaseSince: Date;
  readonly strategy: string;
  readonly trigger: string;
  readonly requestedBy: string;
  readonly startedAt: Date;
  readonly finishedAt: Date | null;
  readonly oldVersion: number;
  readonly newVersion: number | null;
  readonly gracePeriodEnds: Date | null;
  readonly waitingFor: string | null;
  readonly waitsFor: string[];
  readonly actions: string[];
  readonly nextAttemptAt: Date | null;
  readonly reason: string | null;
  readonly advice: string | null;
  readonly lastError: string | null;
  readonly target: { readonly id: string; readonly name: string; readonly strategy: string } | null;
  readonly trouble: Trouble | null;
  readonly promotedAt: Date | null;
  readonly deadlineAt: Date | null;
  readonly group: string | null;
  readonly approvedBy: string | null;
  readonly forced: boolean;
  readonly revision: number;
}

/** A secret's attachment to a rotation policy. */
export interface Assignment {
  readonly secretPath: string;
  readonly rotationPolicyId: string;
  readonly rotationPolicyName?: string | null;
  readonly assignedAt: Date;
  readonly assignedBy: string;
  readonly lastRotatedAt?: Date | null;
  readonly nextRotationAt: Date;
  readonly openRotationId?: string | null;
  readonly target?: { readonly id: string; readonly name: string } | null;
  readonly strategy?: string | null;
  readonly account?: Record<string, unknown> | null;
  readonly isManager: boolean;
  readonly group?: { readonly name: string; readonly order?: number } | null;
  readonly warnings: string[];
  readonly drift?: {
    readonly found: string;
    readonly advice: string;
    readonly since: Date;
    readonly checkedAt: Date;
  } | null;
}

/** A secret whose rotation is near, due or overdue. */
export interface DueRotation {
  readonly secretPath: string;
  readonly rotationPolicyId: string;
  readonly rotationPolicyName?: string | null;
  readonly lastRotatedAt?: Date | null;
  readonly nextRotationAt: Date;
  readonly dueNow: boolean;
  readonly isOverdue: boolean;
  readonly openRotationId?: string | null;
}

/** A system whose credentials are rotated. `settings` are as the API writes them. */
export interface Target {
  readonly id: string;
  readonly name: string;
  readonly description?: string | null;
  readonly connector: string;
  readonly settings: Record<string, unknown>;
  readonly managerPath?: string | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** What a look at a target came to. */
export interface TargetCheck {
  readonly targetId: string;
  readonly targetName: string;
  readonly connector: string;
  readonly checkedAt: Date;
  readonly ready: boolean;
  readonly server?: string | null;
  readonly manager?: string | null;
  readonly may: string[];
  readonly missing: { readonly what: string; readonly statement: string }[];
  readonly overlaps: string[];
  readonly warnings: string[];
  readonly trouble?: Trouble | null;
}

/** A kind of target. */
export interface Connector {
  readonly name: string;
  readonly about: string;
  readonly overlaps: string[];
  readonly needsManager: boolean;
  readonly rotatesManager: boolean;
}

/** What a rehearsal came to. */
export interface Rehearsal {
  readonly targetId: string;
  readonly targetName: string;
  readonly strategy: string;
  readonly beganAt: Date;
  readonly seconds: number;
  readonly passed: boolean;
  readonly steps: {
    readonly name: string;
    readonly outcome: string;
    readonly seconds?: number | null;
    readonly trouble?: Trouble | null;
  }[];
  readonly debtId?: string | null;
}

/** Something that is still to be removed at a target. */
export interface Debt {
  readonly id: string;
  readonly kind: string;
  readonly targetId: string;
  readonly targetName: string;
  readonly secretPath?: string | null;
  readonly rotationId?: string | null;
  readonly version?: number | null;
  readonly account?: Record<string, unknown> | null;
  readonly since: Date;
  readonly ageSeconds: number;
  readonly attempts: number;
  readonly nextAttemptAt?: Date | null;
  readonly trouble?: Trouble | null;
}

/** Many rotations as one run; `items` is absent in lists. */
export interface Campaign {
  readonly id: string | null;
  readonly state: string;
  readonly cause: string;
  readonly subject?: string | null;
  readonly note?: string | null;
  readonly dryRun: boolean;
  readonly requestedBy: string;
  readonly endedBy?: string | null;
  readonly startedAt: Date;
  readonly finishedAt?: Date | null;
  readonly nextLookAt?: Date | null;
  readonly seconds: number;
  readonly counts: {
    readonly total: number;
    readonly waiting: number;
    readonly rotating: number;
    readonly rotated: number;
    readonly failed: number;
    readonly skipped: number;
  };
  readonly items?: CampaignItem[] | null;
  readonly notShown: number;
  readonly tokenId?: string | null;
  readonly tokenRevoked: boolean;
  readonly webhookIds: string[];
}

/** One secret of a campaign. */
export interface CampaignItem {
  readonly secretPath: string;
  readonly state: string;
  readonly mode: string;
  readonly phase?: string | null;
  readonly versions: number[];
  readonly rotationId?: string | null;
  readonly waitingFor?: string | null;
  readonly reason?: string | null;
  readonly startedAt?: Date | null;
  readonly finishedAt?: Date | null;
  readonly seconds?: number | null;
}

/** Whether anybody is served in it. */
export type TenancyStatus = "ACTIVE" | "SUSPENDED";

/** An owner of tenants. */
export interface Partner {
  readonly id: string;
  readonly name: string;
  readonly slug: string;
  readonly region: string | null;
  readonly status: TenancyStatus;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly lastSyncedAt: Date;
}

/** An owner of secrets; `SUSPENDED` with its partner, too. */
export interface Tenant extends Partner {
  readonly partnerId: string;
}

/** Something that happened; it never holds a value. Do nothing twice for one `eventId`. */
export interface Event {
  readonly eventId: string;
  readonly eventType: string;
  readonly timestamp: Date;
  readonly path?: string | null;
  /** As the API writes it. */
  readonly data: Record<string, any>;
  readonly tenantId?: string;
  readonly partnerId?: string;
  readonly identityId?: string;
  readonly sequence?: number;
  readonly requestId?: string;
}

/** What narrows a webhook's or subscription's events. */
export interface Filters {
  pathPrefix?: string | null;
  secretType?: string | null;
  tags?: string[] | null;
}

/** A webhook. Its signing secret is never answered. */
export interface Webhook {
  readonly id: string;
  readonly name: string;
  readonly url: string;
  readonly events: string[];
  readonly filters: Filters;
  readonly format: string;
  readonly ordered: string;
  readonly enabled: boolean;
  readonly status: string;
  readonly createdAt: Date;
  readonly previousSecretUntil?: Date | null;
  readonly statistics?: {
    readonly deliveries24h: number;
    readonly successRate24h: number;
    readonly avgLatencyMs: number;
  } | null;
  readonly lastDelivery?: {
    readonly id: string;
    readonly timestamp: Date;
    readonly status: string;
    readonly responseCode?: number | null;
  } | null;
}

/** What came back from a test. */
export interface WebhookTest {
  readonly deliveryId: string;
  readonly status: string;
  readonly responseCode?: number | null;
  readonly durationMs: number;
  readonly error?: string | null;
}

/** One event on its way to one receiver. */
export interface Delivery {
  readonly id: string;
  readonly eventId: string;
  readonly eventType: string;
  readonly timestamp: Date;
  readonly status: string;
  readonly attempts: number;
  readonly responseCode?: number | null;
  readonly durationMs?: number | null;
  readonly error?: string | null;
  readonly lastAttemptAt?: Date | null;
  readonly nextAttemptAt?: Date | null;
}

/** One's own feed of events. */
export interface Subscription {
  readonly id: string;
  readonly name: string;
  readonly identityId: string;
  readonly status: string;
  readonly paths: string[];
  readonly events: string[];
  readonly delivery: { readonly type: string; readonly url?: string | null; readonly bufferSize?: number | null };
  readonly filters: Filters;
  readonly createdAt: Date;
  readonly droppedEvents?: number | null;
  readonly ttl?: string | null;
  readonly lastReadAt?: Date | null;
  readonly endsUnreadAt?: Date | null;
}

/** What a replay found and put on its way; `cursor` goes on while `hasMore`. */
export interface Replay {
  readonly matched: number;
  readonly replayed: number;
  readonly dryRun: boolean;
  readonly cursor?: string | null;
  readonly hasMore: boolean;
}

/** What was waiting. It comes again until it is acknowledged. */
export interface PolledEvents {
  readonly events: Event[];
  readonly hasMore: boolean;
}

/** One action, done or refused. */
export interface AuditRow {
  readonly id: string;
  readonly timestamp: Date;
  readonly action: string;
  readonly identityType: string;
  readonly identityId: string;
  readonly secretPath?: string | null;
  readonly sourceIp?: string | null;
  readonly userAgent?: string | null;
  readonly success: boolean;
  readonly durationMs: number;
  readonly requestId?: string | null;
  readonly extraData: Record<string, unknown>;
}

/** Counts of audit rows. */
export interface AuditSummary {
  readonly totalEvents: number;
  readonly successfulEvents: number;
  readonly failedEvents: number;
  readonly byAction: Record<string, number>;
  readonly byIdentity: Record<string, number>;
  readonly firstEventAt?: Date | null;
  readonly lastEventAt?: Date | null;
}

/** Whether the chain of audit rows holds. */
export interface AuditVerification {
  readonly valid: boolean;
  readonly rows: number;
  readonly head: string;
  readonly firstBad?: { readonly id: string; readonly reason: string } | null;
}

/** An export of the trail and how far it is; `progress` is in percent. */
export interface AuditExport {
  readonly id: string;
  /** `running`, `completed`, `failed`, `cancelled`. */
  readonly status: string;
  readonly format: string;
  readonly destination: string;
  readonly from: Date | null;
  readonly to: Date | null;
  readonly actions: string[];
  readonly allTenants: boolean;
  readonly requestedBy: string;
  readonly createdAt: Date;
  readonly endedAt: Date | null;
  readonly rows: number;
  readonly bytes: number;
  readonly progress: number;
  readonly files: {
    readonly name: string;
    readonly rows: number;
    readonly bytes: number;
    readonly sha256: string;
  }[];
  /** The chains as they ended when it was asked for. */
  readonly chains: { readonly chain: string; readonly lastSeq: number; readonly head: string }[];
  readonly error: string | null;
}

/** The process answers. */
export interface Health {
  readonly status: string;
  readonly timestamp: Date;
}

/** Whether the server can work. */
export interface Readiness {
  readonly status: string;
  readonly checks: Record<string, string>;
  readonly errors?: Record<string, string>;
}

/** The server's version and the API's. */
export interface ServerVersion {
  readonly version: string;
  readonly apiVersion: string;
}

/** One page of a list. */
export interface Page<T> {
  readonly items: T[];
  readonly cursor: string | null;
  readonly hasMore: boolean;
}
