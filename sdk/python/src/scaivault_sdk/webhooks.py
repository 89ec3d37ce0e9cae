"""Verifying what arrives at a webhook.

.. code-block:: python

    verifier = WebhookVerifier(os.environ["WEBHOOK_SECRET"])
    event = verifier.verify(request.body, request.headers)   # raises WebhookVerificationError
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from .errors import WebhookVerificationError
from .models import Event

__all__ = ["WebhookVerifier", "verify_webhook"]


@runtime_checkable
class _HasItems(Protocol):
    def items(self) -> Iterable[tuple[str, str]]: ...


#: Headers of any library, in any case; or pairs of names and values.
Headers = _HasItems | Iterable[tuple[str, str]]


class WebhookVerifier:
    """Tells genuine deliveries from forged and repeated ones.

    ``secrets`` is the signing secret, or several of them while it is being changed. Every
    delivery has the Standard Webhooks signature, and it is what is verified. Where a proxy has
    taken those headers away, ``X-ScaiVault-Signature`` is: the form of webhooks, which covers the
    time. The form of subscriptions does not cover it, so whoever copied a delivery could send it
    again; it is accepted only with ``accept_untimed``, and then the receiver has to remember
    event ids.
    """

    def __init__(
        self,
        secrets: str | Sequence[str],
        *,
        tolerance: float = 300.0,
        accept_untimed: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._secrets = [secrets] if isinstance(secrets, str) else [*secrets]
        if not self._secrets or not all(self._secrets):
            raise ValueError("a signing secret is needed")
        self._tolerance = tolerance
        self._accept_untimed = accept_untimed
        self._clock = clock

    def verify(self, body: bytes | str, headers: Headers) -> Event:
        """The event, if ``body``, the raw bytes that arrived, is genuine."""
        raw = body.encode() if isinstance(body, str) else bytes(body)
        # Header objects of many libraries have items() without being a Mapping.
        pairs = headers.items() if isinstance(headers, _HasItems) else headers
        named = {str(name).lower(): str(value) for name, value in pairs}
        if "webhook-signature" in named:
            self._standard(raw, named)
        elif "x-scaivault-signature" in named:
            self._own(raw, named)
        else:
            raise WebhookVerificationError("the delivery has no signature")
        try:
            return Event.from_json(json.loads(raw))
        except (ValueError, RecursionError):
            raise WebhookVerificationError("the body is not JSON") from None

    def _standard(self, body: bytes, headers: Mapping[str, str]) -> None:
        message_id = headers.get("webhook-id", "")
        timestamp = headers.get("webhook-timestamp", "")
        self._timely(timestamp)
        signed = b".".join([message_id.encode(), timestamp.encode(), body])
        sent = headers["webhook-signature"].split()
        expected = [
            "v1," + base64.b64encode(_hmac(_standard_key(secret), signed)).decode()
            for secret in self._secrets
        ]
        self._any(sent, expected)

    def _own(self, body: bytes, headers: Mapping[str, str]) -> None:
        sent = headers["x-scaivault-signature"].strip()
        if sent.startswith("sha256="):
            timestamp = headers.get("x-scaivault-timestamp", "")
            self._timely(timestamp)
            signed, prefix = timestamp.encode() + b"." + body, "sha256="
        elif self._accept_untimed:
            signed, prefix = body, ""
        else:
            raise WebhookVerificationError(
                "the only signature does not cover the time: see accept_untimed"
            )
        expected = [prefix + _hmac(secret.encode(), signed).hex() for secret in self._secrets]
        self._any([sent], expected)

    def _timely(self, timestamp: str) -> None:
        if not (timestamp.isascii() and timestamp.isdigit()) or len(timestamp) > 12:
            raise WebhookVerificationError("the delivery has no timestamp")
        if abs(self._clock() - int(timestamp)) > self._tolerance:
            raise WebhookVerificationError("the delivery is too old, or from the future")

    def _any(self, sent: Sequence[str], expected: Sequence[str]) -> None:
        # Every pair is compared, each in constant time: nothing is told by how long it takes.
        matches = [
            hmac.compare_digest(one.encode(), other.encode()) for one in sent for other in expected
        ]
        if not any(matches):
            raise WebhookVerificationError("the signature does not fit")


def verify_webhook(
    body: bytes | str,
    headers: Headers,
    secrets: str | Sequence[str],
    *,
    tolerance: float = 300.0,
    accept_untimed: bool = False,
) -> Event:
    """The event, if it is genuine: see :class:`WebhookVerifier`."""
    verifier = WebhookVerifier(secrets, tolerance=tolerance, accept_untimed=accept_untimed)
    return verifier.verify(body, headers)


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()


def _standard_key(secret: str) -> bytes:
    """A secret in the standard's own form stands for the bytes behind it."""
    if secret.startswith("whsec_"):
        try:
            return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            pass
    return secret.encode()
