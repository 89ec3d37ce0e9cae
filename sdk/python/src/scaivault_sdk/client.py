"""The clients."""

from __future__ import annotations

import ipaddress
import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from ._call import Call, get
from ._credentials import ClientCredentials, StaticToken, TokenFile
from ._drivers import AwaitingDriver, BlockingDriver, Tls
from ._exchange import Credentials, Session
from ._modes import Awaiting, Blocking, Core, Either, Group, ModeT, operation
from ._retry import Retry
from ._version import __version__
from .cache import CachedSecret, SecretCache
from .errors import ConfigurationError
from .models import Identity
from .resources.access import Auth, Policies, Tokens
from .resources.audit import Audit, System
from .resources.dynamic import Dynamic
from .resources.events import Subscriptions, Webhooks
from .resources.generation import SecretPolicies
from .resources.machines import Machines
from .resources.rotation import Campaigns, Debts, RotationPolicies, Rotations, Targets
from .resources.secrets import Secrets
from .resources.tenancy import Partners, PartnerSecrets, Tenants

ClientT = TypeVar("ClientT", bound="_Client[Any]")


class _Client(Group[ModeT]):
    """What all clients have in common."""

    _mode: type[Blocking] | type[Awaiting] | type[Either]

    def __init__(
        self,
        base_url: str | None = None,
        token: str | None = None,
        *,
        token_file: str | os.PathLike[str] | None = None,
        client_id: str | None = None,
        client_secret: str | None = None,
        token_url: str | None = None,
        scope: str | None = None,
        tenant_id: str | None = None,
        tenant_in: Literal["header", "path"] = "header",
        timeout: float = 30.0,
        retry: Retry | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        client_cert: (
            str | os.PathLike[str] | tuple[str | os.PathLike[str], str | os.PathLike[str]] | None
        ) = None,
        client_key: str | os.PathLike[str] | None = None,
        allow_insecure_http: bool = False,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        """What is not given is looked for in the environment: ``SCAIVAULT_URL``,
        ``SCAIVAULT_TOKEN``, ``SCAIVAULT_TOKEN_FILE``, ``SCAIVAULT_CLIENT_ID`` and
        ``SCAIVAULT_CLIENT_SECRET`` with ``SCAIVAULT_TOKEN_URL``, ``SCAIVAULT_TENANT_ID``,
        ``SCAIVAULT_CA_FILE``, ``SCAIVAULT_CLIENT_CERT``, ``SCAIVAULT_CLIENT_KEY``.

        ``client_cert`` is a file with the certificate to show, or the pair of it and its key; a
        server that knows the certificate needs no token.

        ``tenant_in`` says how ``tenant_id`` is named: by the header ``X-Tenant-ID``, or before
        the route.

        ``timeout`` is how long the server may be silent, in seconds; ``retry.deadline`` bounds a
        call with all its attempts.
        """
        env = os.environ
        base_url = _base_url(base_url or env.get("SCAIVAULT_URL"), allow_insecure_http)
        credentials = _credentials(
            token, token_file, client_id, client_secret, token_url, scope, env, allow_insecure_http
        )
        ca_file = ca_file or env.get("SCAIVAULT_CA_FILE")
        if isinstance(client_cert, tuple):
            if client_key is not None:
                raise ConfigurationError("client_key is given twice")
            client_cert, client_key = client_cert
        elif client_cert is None and client_key is None:
            client_cert = env.get("SCAIVAULT_CLIENT_CERT") or None
            client_key = (env.get("SCAIVAULT_CLIENT_KEY") or None) if client_cert else None
        if client_key is not None and client_cert is None:
            raise ConfigurationError("client_key needs client_cert")
        try:
            tls = Tls(_path(ca_file), _path(client_cert), _path(client_key)).context()
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"ca_file, client_cert or client_key cannot be used: {type(error).__name__}"
            ) from None
        session = Session(
            base_url=base_url,
            credentials=credentials,
            tenant=tenant_id or env.get("SCAIVAULT_TENANT_ID") or None,
            tenant_in=tenant_in,
            timeout=timeout,
            retry=retry or Retry(),
            user_agent=f"scaivault-sdk-python/{__version__}",
            clock=time.monotonic,
            wall_clock=time.time,
            random=random.random,
        )
        blocking = BlockingDriver(tls, sleep or time.sleep)
        super().__init__(Core(self._mode, session, blocking, AwaitingDriver(tls)))
        self._caches: list[SecretCache[ModeT]] = []
        self._default_cache: SecretCache[ModeT] | None = None
        self._lock = threading.Lock()
        self._make_groups()

    def _make_groups(self) -> None:
        core = self._core
        self.secrets: Secrets[ModeT] = Secrets(core)
        self.policies: Policies[ModeT] = Policies(core)
        self.secret_policies: SecretPolicies[ModeT] = SecretPolicies(core)
        self.rotation_policies: RotationPolicies[ModeT] = RotationPolicies(core)
        self.rotations: Rotations[ModeT] = Rotations(core)
        self.targets: Targets[ModeT] = Targets(core)
        self.campaigns: Campaigns[ModeT] = Campaigns(core)
        self.debts: Debts[ModeT] = Debts(core)
        self.dynamic: Dynamic[ModeT] = Dynamic(core)
        self.auth: Auth[ModeT] = Auth(core)
        self.tokens: Tokens[ModeT] = Tokens(core)
        self.machines: Machines[ModeT] = Machines(core)
        self.webhooks: Webhooks[ModeT] = Webhooks(core)
        self.subscriptions: Subscriptions[ModeT] = Subscriptions(core)
        self.partners: Partners[ModeT] = Partners(core)
        self.tenants: Tenants[ModeT] = Tenants(core)
        self.partner_secrets: PartnerSecrets[ModeT] = PartnerSecrets(core)
        self.audit: Audit[ModeT] = Audit(core)
        self.system: System[ModeT] = System(core)

    @property
    def base_url(self) -> str:
        """The server."""
        return self._core.session.base_url

    @operation
    def whoami(self) -> Call[Identity]:
        """Who the client's token speaks for."""
        return get("/v1/auth/whoami", Identity)

    def with_options(
        self: ClientT,
        *,
        tenant_id: str | None = None,
        tenant_in: Literal["header", "path"] | None = None,
        timeout: float | None = None,
        retry: Retry | None = None,
    ) -> ClientT:
        """The same client with other settings, over the same connections."""
        changes = {"tenant": tenant_id, "tenant_in": tenant_in, "timeout": timeout, "retry": retry}
        view: ClientT = object.__new__(type(self))
        view._core = self._core.with_session(**{k: v for k, v in changes.items() if v is not None})
        view._caches = []
        view._default_cache = None
        view._lock = threading.Lock()
        view._make_groups()
        return view

    def cache(
        self,
        *,
        max_age: float = 300.0,
        stale_limit: float = 3600.0,
        subscribe: bool = True,
        subscription_id: str | None = None,
        acknowledge: bool = True,
        poll_timeout: int = 10,
    ) -> SecretCache[ModeT]:
        """Secrets kept in memory and refreshed when they are rotated."""
        cache: SecretCache[ModeT] = SecretCache(
            self._core,
            max_age=max_age,
            stale_limit=stale_limit,
            subscribe=subscribe,
            subscription_id=subscription_id,
            acknowledge=acknowledge,
            poll_timeout=poll_timeout,
        )
        with self._lock:
            self._caches.append(cache)
        return cache

    def cached(self, path: str, *, max_age: float | None = None) -> CachedSecret[ModeT]:
        """One secret in a cache that all ``cached`` of this client share."""
        cache = self._default_cache
        if cache is None:
            made = self.cache()
            with self._lock:
                cache = self._default_cache = self._default_cache or made
        if max_age is not None:
            cache.set_max_age(path, max_age)
        return CachedSecret(self._core, cache, path)

    def _close(self) -> None:
        with self._lock:
            caches, self._caches = self._caches, []
            self._default_cache = None
        for cache in caches:
            cache.__exit__()
        self._core.blocking.close()

    async def _aclose(self) -> None:
        with self._lock:
            caches, self._caches = self._caches, []
            self._default_cache = None
        for cache in caches:
            await cache.__aexit__()
        await self._core.awaiting.close()
        self._core.blocking.close()


class SyncScaiVaultClient(_Client[Blocking]):
    """Every call blocks the calling thread and gives its result, wherever it is made. Safe to
    share between threads."""

    _mode = Blocking

    def close(self) -> None:
        """Closes caches and connections."""
        self._close()

    def __enter__(self) -> SyncScaiVaultClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()


class AsyncScaiVaultClient(_Client[Awaiting]):
    """Every call is to be awaited. May be used from several event loops, one after the other or
    at once."""

    _mode = Awaiting

    async def aclose(self) -> None:
        """Closes caches and this loop's connections."""
        await self._aclose()

    async def __aenter__(self) -> AsyncScaiVaultClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._aclose()


class ScaiVaultClient(_Client[Either]):
    """Works with and without ``await``.

    The rule: **inside a running event loop a call is to be awaited; anywhere else it is made at
    once and gives its result.** So it never blocks an event loop. A result may be awaited too,
    and gives itself. Inside a running loop a call that was not awaited yet raises
    :class:`~scaivault_sdk.errors.NotAwaitedError` when its result is asked for, and says what to
    write.
    """

    _mode = Either

    def close(self) -> None:
        """Closes caches and connections. Inside an event loop: ``aclose``."""
        self._close()

    async def aclose(self) -> None:
        """Closes caches and connections."""
        await self._aclose()

    def __enter__(self) -> ScaiVaultClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    async def __aenter__(self) -> ScaiVaultClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._aclose()


def _path(path: str | os.PathLike[str] | None) -> str | None:
    return None if path is None else os.fspath(path)


def _base_url(url: str | None, allow_insecure_http: bool) -> str:
    if not url:
        raise ConfigurationError("no server: give base_url or set SCAIVAULT_URL")
    return _checked_url(url, "base_url", allow_insecure_http).rstrip("/")


def _checked_url(url: str, what: str, allow_insecure_http: bool) -> str:
    """The URL is not repeated in the message: it may hold a password."""
    parts = urlsplit(url)
    plain = not (parts.username or parts.password or parts.query or parts.fragment)
    if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
        raise ConfigurationError(
            f"{what} must be http:// or https://, without user, query or fragment"
        )
    if parts.scheme == "http" and not allow_insecure_http and not _is_loopback(parts.hostname):
        raise ConfigurationError(
            f"{what} is http:// and not on this machine: the token would travel in the clear."
            " Use https://, or allow_insecure_http=True inside a protected network"
        )
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _credentials(
    token: str | None,
    token_file: str | os.PathLike[str] | None,
    client_id: str | None,
    client_secret: str | None,
    token_url: str | None,
    scope: str | None,
    env: Mapping[str, str],
    allow_insecure_http: bool,
) -> Credentials | None:
    ways = [token is not None, token_file is not None, client_id is not None]
    if sum(ways) > 1:
        raise ConfigurationError("give one of token, token_file and client_id")
    if not any(ways):
        if text := env.get("SCAIVAULT_TOKEN"):
            token = text
        elif name := env.get("SCAIVAULT_TOKEN_FILE"):
            token_file = name
        else:
            client_id = env.get("SCAIVAULT_CLIENT_ID")
    if token is not None:
        return StaticToken(token)
    if token_file is not None:
        return TokenFile(token_file)
    if client_id is None:
        return None
    client_secret = client_secret or env.get("SCAIVAULT_CLIENT_SECRET")
    token_url = token_url or env.get("SCAIVAULT_TOKEN_URL")
    if not client_secret or not token_url:
        raise ConfigurationError("client_id needs client_secret and token_url")
    token_url = _checked_url(token_url, "token_url", allow_insecure_http)
    return ClientCredentials(token_url, client_id, client_secret, scope)
