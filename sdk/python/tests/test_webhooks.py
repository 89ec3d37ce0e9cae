"""Deliveries: genuine, forged, repeated."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import pytest

from scaivault_sdk import WebhookVerifier, verify_webhook
from scaivault_sdk.errors import WebhookVerificationError

BODY = json.dumps({"event_id": "evt_1", "event_type": "secret.rotated", "data": {"n": 1}}).encode()
NOW = 1_800_000_000
SECRET = "0123456789abcdef0123456789abcdef"
OLD = "another-secret-of-the-same-webhook"


def mac(key: bytes, text: bytes) -> bytes:
    return hmac.new(key, text, hashlib.sha256).digest()


def standard(*keys: bytes, at: int = NOW, body: bytes = BODY) -> dict[str, str]:
    text = f"evt_1.{at}.".encode() + body
    signatures = ["v1," + base64.b64encode(mac(key, text)).decode() for key in keys]
    return {
        "Webhook-Id": "evt_1",
        "Webhook-Timestamp": str(at),
        "Webhook-Signature": " ".join(signatures),
    }


def timed(secret: str, at: int = NOW) -> dict[str, str]:
    return {
        "X-ScaiVault-Timestamp": str(at),
        "X-ScaiVault-Signature": "sha256=" + mac(secret.encode(), f"{at}.".encode() + BODY).hex(),
    }


def bare(secret: str) -> dict[str, str]:
    return {"x-scaivault-signature": mac(secret.encode(), BODY).hex()}


def verifier(*secrets: str, **options: bool) -> WebhookVerifier:
    return WebhookVerifier(secrets or (SECRET,), clock=lambda: NOW, **options)  # type: ignore[arg-type]


def refused(verifier: WebhookVerifier, headers: dict[str, str], body: bytes = BODY) -> bool:
    with pytest.raises(WebhookVerificationError):
        verifier.verify(body, headers)
    return True


def test_every_form_is_known() -> None:
    assert verifier().verify(BODY, standard(SECRET.encode())).event_id == "evt_1"
    assert verifier().verify(BODY, timed(SECRET)).data == {"n": 1}
    assert verifier(accept_untimed=True).verify(BODY, bare(SECRET)).event_type == "secret.rotated"
    assert verifier().verify(BODY.decode(), list(timed(SECRET).items())).event_id == "evt_1"


def test_a_secret_of_the_standards_own_form() -> None:
    key = b"k" * 32
    secret = "whsec_" + base64.b64encode(key).decode()
    verifier(secret).verify(BODY, standard(key))
    verifier(secret).verify(BODY, timed(secret))


def test_what_is_forged_is_refused() -> None:
    assert refused(verifier(), standard(OLD.encode()))
    assert refused(verifier(), timed(OLD))
    assert refused(verifier(accept_untimed=True), bare(OLD))
    assert refused(verifier(), standard(SECRET.encode()), BODY + b" ")
    assert refused(verifier(), {})
    assert refused(verifier(), {**standard(SECRET.encode()), "Webhook-Id": "evt_2"})


def test_the_untimed_form_needs_to_be_asked_for() -> None:
    assert refused(verifier(), bare(SECRET))


def test_a_standard_signature_that_does_not_fit_is_not_made_up_for() -> None:
    assert refused(verifier(), {**standard(OLD.encode()), **timed(SECRET)})


@pytest.mark.parametrize("off", [-301, 301])
def test_old_and_future_deliveries_are_refused(off: int) -> None:
    assert refused(verifier(), standard(SECRET.encode(), at=NOW + off))
    assert refused(verifier(), timed(SECRET, at=NOW + off))
    near = off + (1 if off < 0 else -1)
    verifier().verify(BODY, standard(SECRET.encode(), at=NOW + near))


@pytest.mark.parametrize("timestamp", ["", "soon", "-1", "1e9", "９", "9" * 400])
def test_a_timestamp_that_is_none_is_refused(timestamp: str) -> None:
    assert refused(verifier(), {**timed(SECRET), "X-ScaiVault-Timestamp": timestamp})


def test_a_secret_is_changed_without_a_gap() -> None:
    # The server signs with both for a while; the receiver may know either, or both.
    both = standard(SECRET.encode(), OLD.encode())
    for known in ((SECRET,), (OLD,), (OLD, SECRET)):
        verifier(*known).verify(BODY, both)
    verifier(OLD, SECRET).verify(BODY, timed(SECRET))
    assert refused(verifier("a-third-secret-nobody-signs-with"), both)


def test_a_body_that_is_no_json_is_refused() -> None:
    body = b"not json"
    assert refused(verifier(), standard(SECRET.encode(), body=body), body)


def test_a_verifier_needs_a_secret() -> None:
    for none in ("", [], ["x", ""]):
        with pytest.raises(ValueError, match="secret"):
            WebhookVerifier(none)


def test_the_function_looks_at_the_clock() -> None:
    with pytest.raises(WebhookVerificationError, match="old"):
        verify_webhook(BODY, standard(SECRET.encode(), at=1_000_000_000), SECRET)
