/**
 * The TypeScript SDK of ScaiVault.
 *
 * ```ts
 * import { ScaiVaultClient } from "@scaivault/sdk";
 *
 * const client = new ScaiVaultClient({ baseUrl: "https://vault.example", token: "skt_…" });
 * const secret = await client.secrets.read("integrations/salesforce/oauth");
 * secret.data.client_secret;
 * ```
 */

export { Auth, Machines, Policies, type RoleFields, Tokens } from "./access.js";
export { Audit, type AuditFilters, System } from "./audit.js";
export { CachedSecret, type CacheOptions, type Listener, SecretCache } from "./cache.js";
export { type ClientOptions, ScaiVaultClient } from "./client.js";
export type { CallOptions } from "./core.js";
export {
  type CredentialOptions,
  Dynamic,
  type EngineConfig,
  type EngineFields,
  type EngineRoleFields,
  type LeaseOptions,
} from "./dynamic.js";
export {
  AuthenticationError,
  ConfigurationError,
  ConflictError,
  EngineFailedError,
  EngineInUseError,
  InsufficientScopeError,
  InternalServerError,
  InvalidConfigError,
  InvalidResponseError,
  LeaseEndedError,
  MethodNotAllowedError,
  NotFoundError,
  PayloadTooLargeError,
  PermissionDeniedError,
  RateLimitError,
  RequestTimeoutError,
  ScaiVaultError,
  SecretExistsError,
  SecretExpiredError,
  SecretNotFoundError,
  ServiceUnavailableError,
  TokenExpiredError,
  TransportError,
  ValidationError,
  VersionConflictError,
  VersionNotFoundError,
  WebhookVerificationError,
} from "./errors.js";
export type { ErrorParts } from "./errors.js";
export {
  type ReplayOptions,
  type SubscriptionFields,
  Subscriptions,
  type WebhookFields,
  Webhooks,
} from "./events.js";
export { SecretPolicies, type SecretPolicyFields } from "./generation.js";
export { type ListOptions, Pages } from "./group.js";
export { LeasedCredential } from "./leased.js";
export type { Retry } from "./retry.js";
export {
  Campaigns,
  Debts,
  RotationPolicies,
  type RotationPolicyFields,
  Rotations,
  Targets,
} from "./rotation.js";
export { Secrets, type StoreOptions, type WriteOptions } from "./secrets.js";
export type { StreamOptions } from "./stream.js";
export {
  type PageOptions,
  Partners,
  PartnerSecrets,
  type TenancyChanges,
  type TenancyFields,
  Tenants,
} from "./tenancy.js";
export type * from "./types.js";
export { VERSION } from "./version.js";
export { type HeadersLike, type VerifierOptions, verifyWebhook, WebhookVerifier } from "./webhooks.js";
