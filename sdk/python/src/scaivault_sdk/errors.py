"""What can go wrong, one class for each kind of answer.

Branch on the class, or on ``error.code``, which is the API's stable contract. Messages are for
people and may change. No error holds a token or a secret's value.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ._time import parse_time

__all__ = [
    "AuthenticationError",
    "ConfigurationError",
    "ConflictError",
    "EngineFailedError",
    "EngineInUseError",
    "InsufficientScopeError",
    "InternalServerError",
    "InvalidConfigError",
    "InvalidResponseError",
    "LeaseEndedError",
    "MethodNotAllowedError",
    "NotAwaitedError",
    "NotFoundError",
    "PayloadTooLargeError",
    "PermissionDeniedError",
    "RateLimitError",
    "RequestTimeoutError",
    "ScaiVaultError",
    "SecretExistsError",
    "SecretExpiredError",
    "SecretNotFoundError",
    "ServiceUnavailableError",
    "TokenExpiredError",
    "TransportError",
    "ValidationError",
    "VersionConflictError",
    "VersionNotFoundError",
    "WebhookVerificationError",
]


class ScaiVaultError(Exception):
    """Any failure of a call.

    ``outcome_unknown`` is true when the call may have taken effect all the same: the connection
    broke, the server was too slow, or it failed on the way, and repeating was not safe. Read
    before you repeat it.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "error",
        details: Mapping[str, Any] | None = None,
        request_id: str | None = None,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.details: Mapping[str, Any] = details or {}
        self.request_id = request_id
        self.status = status
        self.retry_after = retry_after
        self.outcome_unknown = False

    def __str__(self) -> str:
        text = f"{self.code}: {self.message}"
        if self.request_id:
            text += f" ({self.request_id})"
        if self.outcome_unknown:
            text += " [whether it took effect is not known]"
        return text


class AuthenticationError(ScaiVaultError):
    """401: no token, or one that the server does not accept."""


class TokenExpiredError(AuthenticationError):
    """401 ``token_expired``: the token's lifetime is over."""


class PermissionDeniedError(ScaiVaultError):
    """403: the scope, the policy or one of its conditions does not allow it."""

    @property
    def failed_condition(self) -> str | None:
        """The condition that a rule would otherwise have allowed it by."""
        return _text(self.details.get("failed_condition"))


class InsufficientScopeError(PermissionDeniedError):
    """403 ``insufficient_scope``."""

    @property
    def scope(self) -> str | None:
        """The scope that the token lacks."""
        return _text(self.details.get("scope"))


class ValidationError(ScaiVaultError):
    """400 and 422: what was sent breaks a rule. ``fields`` says which field, and why."""

    @property
    def fields(self) -> Mapping[str, str]:
        """Field to reason."""
        fields = self.details.get("fields")
        if not isinstance(fields, Mapping):
            return {}
        return {str(name): str(reason) for name, reason in fields.items()}


class InvalidConfigError(ValidationError):
    """400 ``invalid_config``: the target of an engine lets nobody in, or lacks something."""

    @property
    def trouble(self) -> str | None:
        """What stands in the way, as a word."""
        return _text(self.details.get("trouble"))


class NotFoundError(ScaiVaultError):
    """404: no such object, or none that the caller may know of."""


class SecretNotFoundError(NotFoundError):
    """404 ``secret_not_found``."""


class VersionNotFoundError(NotFoundError):
    """404 ``version_not_found``: it never existed, or has aged out."""


class MethodNotAllowedError(ScaiVaultError):
    """405: this server does not offer the operation."""


class ConflictError(ScaiVaultError):
    """409: the object is not in a state that allows it."""


class VersionConflictError(ConflictError):
    """409 ``version_conflict``: compare-and-set missed, or somebody wrote at the same time.

    With ``outcome_unknown`` an earlier attempt of the same call was cut off, and may be what
    made ``current_version``: read it and compare.
    """

    @property
    def current_version(self) -> int | None:
        """The version the secret is at."""
        version = self.details.get("current_version")
        return version if isinstance(version, int) else None


class SecretExistsError(ConflictError):
    """409 ``secret_exists``: the path holds a deleted secret that can still be brought back."""

    @property
    def recoverable_until(self) -> datetime | None:
        """Until when."""
        return parse_time(self.details.get("recoverable_until"))


class LeaseEndedError(ConflictError):
    """409 ``lease_ended``: the lease is over, or is about to be."""


class EngineInUseError(ConflictError):
    """409 ``engine_in_use``: the engine has leases that have not ended."""


class SecretExpiredError(ScaiVaultError):
    """410: the secret has expired, or a rotation has closed this version."""


class PayloadTooLargeError(ScaiVaultError):
    """413: the body is larger than the server takes."""


class RateLimitError(ScaiVaultError):
    """429: ask again after ``retry_after`` seconds."""


class InternalServerError(ScaiVaultError):
    """500: a defect of the server."""


class ServiceUnavailableError(ScaiVaultError):
    """503: the server cannot answer now; ``retry_after`` seconds, when it says so."""


class EngineFailedError(ScaiVaultError):
    """502 ``engine_failed``: the target did not do what was asked; what may be there is removed."""

    @property
    def trouble(self) -> str | None:
        """What stood in the way, as a word."""
        return _text(self.details.get("trouble"))


class TransportError(ScaiVaultError):
    """There was no answer: the connection could not be made, or broke."""


class RequestTimeoutError(TransportError):
    """There was no answer in time."""


class InvalidResponseError(ScaiVaultError):
    """The answer was not one of ScaiVault's."""


class ConfigurationError(ScaiVaultError, ValueError):
    """The client cannot work with these settings."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="configuration")


class WebhookVerificationError(ScaiVaultError):
    """What arrived is not a genuine delivery: answer it with 401 and do nothing."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="webhook_verification")


class NotAwaitedError(ScaiVaultError, AttributeError):
    """A result was used before it was awaited, inside a running event loop."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="not_awaited")


_BY_CODE: dict[str, type[ScaiVaultError]] = {
    "token_expired": TokenExpiredError,
    "insufficient_scope": InsufficientScopeError,
    "secret_not_found": SecretNotFoundError,
    "version_not_found": VersionNotFoundError,
    "version_conflict": VersionConflictError,
    "secret_exists": SecretExistsError,
    "lease_ended": LeaseEndedError,
    "engine_in_use": EngineInUseError,
    "engine_failed": EngineFailedError,
    "invalid_config": InvalidConfigError,
    "secret_expired": SecretExpiredError,
    "rate_limited": RateLimitError,
    "service_unavailable": ServiceUnavailableError,
    "internal_error": InternalServerError,
    "validation_error": ValidationError,
    "payload_too_large": PayloadTooLargeError,
    "method_not_allowed": MethodNotAllowedError,
}

# Codes that came later have at least the class of their status.
_BY_STATUS: dict[int, type[ScaiVaultError]] = {
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
}


def class_for(code: str, status: int) -> type[ScaiVaultError]:
    """The class of an answer."""
    return _BY_CODE.get(code) or _BY_STATUS.get(status, ScaiVaultError)


def error_from(
    status: int,
    body: object,
    *,
    request_id: str | None = None,
    retry_after: float | None = None,
) -> ScaiVaultError:
    """The error that an answer stands for; an answer of a proxy in front has no code."""
    inner = body.get("error") if isinstance(body, Mapping) else None
    if isinstance(body, Mapping) and isinstance(inner, str) and isinstance(body.get("code"), str):
        # An exchange is refused in OAuth's form, with the code beside it.
        inner = {**body, "message": body.get("error_description", "")}
    if isinstance(inner, Mapping) and isinstance(inner.get("code"), str):
        code = str(inner["code"])
        details = inner.get("details")
        return class_for(code, status)(
            str(inner.get("message", "")),
            code=code,
            details=details if isinstance(details, Mapping) else None,
            request_id=_text(inner.get("request_id")) or request_id,
            status=status,
            retry_after=retry_after,
        )
    fallback = _BY_STATUS.get(status) if status in (429, 502, 503, 504) else None
    return (fallback or InvalidResponseError)(
        f"status {status} without one of ScaiVault's errors in it: is the URL right?",
        code=f"http_{status}",
        request_id=request_id,
        status=status,
        retry_after=retry_after,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
