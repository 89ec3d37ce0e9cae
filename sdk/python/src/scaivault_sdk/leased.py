"""A credential for as long as a block takes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from ._call import Call
from ._exchange import Session, Sleep, Steps, exchange
from ._modes import Core, Group, ModeT, _refuse_to_block
from ._retry import Retry
from .errors import LeaseEndedError, NotFoundError, ScaiVaultError
from .models import Credential, Done, Lease, SecretData

_LOG = logging.getLogger("scaivault_sdk")
#: After an attempt that failed, the next one comes so many seconds later; growing, at most.
_ASK_AGAIN = (1.0, 60.0)
#: No lease is renewed more often.
_PAUSE_MIN = 0.5
#: Giving a lease back keeps nobody waiting longer than this: it ends by itself, too.
_GIVING_BACK = Retry(attempts=3, deadline=10.0)


class LeasedCredential(Group[ModeT]):
    """A credential that ends with the block it is made for.

    A thread in the background renews its lease when two thirds of a term are over; what fails is
    tried again until the end. Terms are measured by the server's clock alone.
    """

    def __init__(
        self,
        core: Core,
        call: Call[Credential],
        ttl: str | None,
        renewal: Callable[[str, str | None], Call[Lease]],
        revocation: Callable[[str], Call[Lease]],
        on_end: Callable[[LeasedCredential[ModeT]], object] | None,
    ) -> None:
        super().__init__(core)
        self._call = call
        self._ttl = ttl
        self._renewal = renewal
        self._revocation = revocation
        self._on_end: Callable[[LeasedCredential[ModeT]], object] | None = on_end
        self._made: Credential | None = None
        self._until: datetime | None = None
        self._trouble: ScaiVaultError | None = None
        self._ended = False
        self._closed = threading.Event()
        self._keeper: threading.Thread | None = None

    @property
    def credential(self) -> Credential:
        """The credential, as it was made."""
        if self._made is None:
            raise RuntimeError("there is no credential outside of its `with` block")
        return self._made

    @property
    def username(self) -> str:
        """The account; empty where there is none."""
        return self.credential.username or ""

    @property
    def password(self) -> str:
        """Its password; empty where there is none."""
        return self.credential.password or ""

    @property
    def data(self) -> SecretData:
        """Everything that was made."""
        return self.credential.data

    @property
    def lease_id(self) -> str:
        """Its lease."""
        return self.credential.lease_id

    @property
    def expires_at(self) -> datetime:
        """When it ends, as far as it was renewed."""
        return self._until or self.credential.expires_at

    @property
    def max_expires_at(self) -> datetime:
        """How far it can be renewed."""
        return self.credential.max_expires_at

    @property
    def ended(self) -> bool:
        """Whether it is renewed no more: it ends at ``expires_at``, or has ended."""
        return self._ended

    @property
    def trouble(self) -> ScaiVaultError | None:
        """Why it could not be renewed or given back, last time."""
        return self._trouble

    def __enter__(self) -> LeasedCredential[ModeT]:
        _refuse_to_block(self._core, "async with")
        self._core.run(self._take())
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._core.run(self._give_back())
        if self._keeper is not None and self._keeper is not threading.current_thread():
            self._keeper.join(1.0)

    async def __aenter__(self) -> LeasedCredential[ModeT]:
        await self._core.arun(self._take())
        self._start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._core.arun(self._give_back())

    @property
    def _session(self) -> Session:
        return self._core.session

    def _take(self) -> Steps[Done]:
        if self._made is not None:
            raise RuntimeError("a leased credential is for one block: make another")
        self._made = yield from exchange(self._call, self._session)
        return Done()

    def _give_back(self) -> Steps[Done]:
        self._closed.set()
        session = replace(
            self._session, retry=_GIVING_BACK, timeout=min(self._session.timeout, 10.0)
        )
        try:
            yield from exchange(self._revocation(self.lease_id), session)
        except NotFoundError:
            pass
        except ScaiVaultError as error:
            # What was done in the block counts; the lease ends by itself.
            self._trouble = error
            _LOG.warning("the lease %s was not given back: %s", self.lease_id, error)
        return Done()

    def _start(self) -> None:
        self._keeper = threading.Thread(target=self._keep_here, name="scaivault-lease", daemon=True)
        self._keeper.start()

    def _keep_here(self) -> None:
        # Connections of its own: it ends them, whatever becomes of the client meanwhile.
        driver = self._core.blocking.another()
        try:
            driver.run(self._keep(), self._closed.wait)
        finally:
            driver.close()
        if self._closed.is_set():
            return
        self._ended = True
        if self._on_end is not None:
            self._on_end(self)

    def _keep(self) -> Steps[None]:
        """Renews until the lease can be renewed no more, or nobody needs it."""
        made = self.credential
        term, renewable, failures = float(made.ttl), made.renewable, 0
        ends_at = self._session.clock() + term
        yield Sleep(_wait(term))
        while renewable and not self._closed.is_set():
            began = self._session.clock()
            try:
                lease = yield from exchange(self._renewal(self.lease_id, self._ttl), self._session)
            except (LeaseEndedError, NotFoundError) as error:
                self._trouble = error
                return
            except ScaiVaultError as error:
                self._trouble = error
                if self._session.clock() >= ends_at:
                    return
                yield Sleep(_growing(failures))
                failures += 1
                continue
            self._until, self._trouble, failures = lease.expires_at, None, 0
            renewable = lease.expires_at != lease.max_expires_at
            since = lease.renewed_at or lease.issued_at
            term = (lease.expires_at - since).total_seconds()
            ends_at = began + term
            yield Sleep(_wait(term))


def _wait(term: float) -> float:
    return max(term * 2 / 3, _PAUSE_MIN)


def _growing(failures: int) -> float:
    first, most = _ASK_AGAIN
    return float(min(first * 2 ** min(failures, 10), most))
