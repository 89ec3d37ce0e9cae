/**
 * What can go wrong, one class for each kind of answer. Branch on the class, or on `code`, which is
 * the API's stable contract. No error holds a token or a secret's value.
 */

/** What an error is made of. */
export interface ErrorParts {
  code: string;
  message: string;
  details?: Record<string, unknown> | undefined;
  requestId?: string | undefined;
  status?: number | undefined;
  /** Seconds. */
  retryAfter?: number | undefined;
}

/** Any failure of a call. */
export class ScaiVaultError extends Error {
  readonly code: string;
  readonly details: Record<string, unknown>;
  readonly requestId: string | undefined;
  readonly status: number | undefined;
  /** Seconds to wait, where the server said so. */
  readonly retryAfter: number | undefined;
  /**
   * Whether the call may have taken effect all the same: the connection broke, or the server failed
   * on the way, and repeating was not safe. Read before you repeat it.
   */
  outcomeUnknown = false;

  constructor(parts: ErrorParts) {
    super(parts.message);
    this.name = new.target.name;
    this.code = parts.code;
    this.details = parts.details ?? {};
    this.requestId = parts.requestId;
    this.status = parts.status;
    this.retryAfter = parts.retryAfter;
  }
}

/** 401: no token, or one that the server does not accept. */
export class AuthenticationError extends ScaiVaultError {}
/** 401 `token_expired`. */
export class TokenExpiredError extends AuthenticationError {}

/** 403: the scope, the policy or one of its conditions does not allow it. */
export class PermissionDeniedError extends ScaiVaultError {
  /** The condition that failed where a rule would otherwise have allowed it. */
  get failedCondition(): string | undefined {
    return text(this.details["failed_condition"]);
  }
}
/** 403 `insufficient_scope`. */
export class InsufficientScopeError extends PermissionDeniedError {
  /** The scope that the token lacks. */
  get scope(): string | undefined {
    return text(this.details["scope"]);
  }
}

/** 400 and 422: what was sent breaks a rule. */
export class ValidationError extends ScaiVaultError {
  /** Field to reason. */
  get fields(): Record<string, string> {
    const fields = this.details["fields"];
    return typeof fields === "object" && fields !== null ? { ...(fields as Record<string, string>) } : {};
  }
}

/** 400 `invalid_config`: the target of an engine lets nobody in, or lacks something. */
export class InvalidConfigError extends ValidationError {
  /** What stands in the way, as a word. */
  get trouble(): string | undefined {
    return text(this.details["trouble"]);
  }
}

/** 404: no such object, or none that the caller may know of. */
export class NotFoundError extends ScaiVaultError {}
/** 404 `secret_not_found`. */
export class SecretNotFoundError extends NotFoundError {}
/** 404 `version_not_found`: it never existed, or has aged out. */
export class VersionNotFoundError extends NotFoundError {}
/** 405: this server does not offer the operation. */
export class MethodNotAllowedError extends ScaiVaultError {}

/** 409: the object is not in a state that allows it. */
export class ConflictError extends ScaiVaultError {}
/**
 * 409 `version_conflict`: compare-and-set missed. With `outcomeUnknown` an earlier attempt of the
 * same call was cut off, and may be what made `currentVersion`: read it and compare.
 */
export class VersionConflictError extends ConflictError {
  /** The version the secret is at. */
  get currentVersion(): number | undefined {
    const version = this.details["current_version"];
    return typeof version === "number" ? version : undefined;
  }
}
/** 409 `secret_exists`: the path holds a deleted secret that can still be brought back. */
export class SecretExistsError extends ConflictError {
  /** Until when. */
  get recoverableUntil(): Date | undefined {
    const until = text(this.details["recoverable_until"]);
    return until === undefined ? undefined : new Date(until);
  }
}

/** 409 `lease_ended`: the lease is over, or is about to be. */
export class LeaseEndedError extends ConflictError {}
/** 409 `engine_in_use`: the engine has leases that have not ended. */
export class EngineInUseError extends ConflictError {}

/** 410: the secret has expired, or a rotation has closed this version. */
export class SecretExpiredError extends ScaiVaultError {}
/** 413: the body is larger than the server takes. */
export class PayloadTooLargeError extends ScaiVaultError {}
/** 429: ask again after `retryAfter` seconds. */
export class RateLimitError extends ScaiVaultError {}
/** 500: a defect of the server. */
export class InternalServerError extends ScaiVaultError {}
/** 503: the server cannot answer now. */
export class ServiceUnavailableError extends ScaiVaultError {}
/** 502 `engine_failed`: the target did not do what was asked; what may be there is removed. */
export class EngineFailedError extends ScaiVaultError {
  /** What stood in the way, as a word. */
  get trouble(): string | undefined {
    return text(this.details["trouble"]);
  }
}
/** There was no answer: the connection could not be made, or broke. */
export class TransportError extends ScaiVaultError {}
/** There was no answer in time. */
export class RequestTimeoutError extends TransportError {}
/** The answer was not one of ScaiVault's. */
export class InvalidResponseError extends ScaiVaultError {}

/** The client cannot work with these settings. */
export class ConfigurationError extends ScaiVaultError {
  constructor(message: string) {
    super({ code: "configuration", message });
  }
}

/** What arrived is not a genuine delivery: answer it with 401 and do nothing. */
export class WebhookVerificationError extends ScaiVaultError {
  constructor(message: string) {
    super({ code: "webhook_verification", message });
  }
}

type ErrorClass = new (parts: ErrorParts) => ScaiVaultError;

const BY_CODE: Record<string, ErrorClass> = {
  token_expired: TokenExpiredError,
  insufficient_scope: InsufficientScopeError,
  secret_not_found: SecretNotFoundError,
  version_not_found: VersionNotFoundError,
  version_conflict: VersionConflictError,
  secret_exists: SecretExistsError,
  lease_ended: LeaseEndedError,
  engine_in_use: EngineInUseError,
  engine_failed: EngineFailedError,
  invalid_config: InvalidConfigError,
  secret_expired: SecretExpiredError,
  rate_limited: RateLimitError,
  service_unavailable: ServiceUnavailableError,
  internal_error: InternalServerError,
  validation_error: ValidationError,
  payload_too_large: PayloadTooLargeError,
  method_not_allowed: MethodNotAllowedError,
};

// Codes that came later have at least the class of their status.
const BY_STATUS: Record<number, ErrorClass> = {
  400: ValidationError,
  401: AuthenticationError,
  403: PermissionDeniedError,
  404: NotFoundError,
  405: MethodNotAllowedError,
  409: ConflictError,
  410: SecretExpiredError,
  413: PayloadTooLargeError,
  422: ValidationError,
  429: RateLimitError,
  500: InternalServerError,
  502: ServiceUnavailableError,
  503: ServiceUnavailableError,
  504: ServiceUnavailableError,
};

const OF_A_PROXY = new Set([429, 502, 503, 504]);

/** The error that an answer stands for; an answer of a proxy in front has no code. */
export function errorFrom(
  status: number,
  body: unknown,
  more: { requestId?: string | undefined; retryAfter?: number | undefined } = {},
): ScaiVaultError {
  let inner = isRecord(body) ? body["error"] : undefined;
  if (isRecord(body) && typeof inner === "string" && typeof body["code"] === "string") {
    // An exchange is refused in OAuth's form, with the code beside it.
    inner = { ...body, message: body["error_description"] };
  }
  if (isRecord(inner) && typeof inner["code"] === "string") {
    const code = inner["code"];
    const known = Object.hasOwn(BY_CODE, code) ? BY_CODE[code] : undefined;
    const Kind = known ?? BY_STATUS[status] ?? ScaiVaultError;
    return new Kind({
      code,
      message: text(inner["message"]) ?? "",
      details: isRecord(inner["details"]) ? inner["details"] : undefined,
      requestId: text(inner["request_id"]) ?? more.requestId,
      status,
      retryAfter: more.retryAfter,
    });
  }
  const Kind = (OF_A_PROXY.has(status) ? BY_STATUS[status] : undefined) ?? InvalidResponseError;
  return new Kind({
    code: `http_${status}`,
    message: `status ${status} without one of ScaiVault's errors in it: is the URL right?`,
    status,
    ...more,
  });
}

/** Whether a value is a JSON object. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}
