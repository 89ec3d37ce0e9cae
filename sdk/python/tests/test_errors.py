"""Every code of the API has its class."""

from __future__ import annotations

import pickle

import pytest
from conftest import Says, Scripted, error

from scaivault_sdk import ScaiVaultClient, SyncScaiVaultClient, errors
from scaivault_sdk.errors import ConfigurationError, InvalidResponseError, ScaiVaultError


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "invalid_path", errors.ValidationError),
        (400, "invalid_cursor", errors.ValidationError),
        (401, "authentication_required", errors.AuthenticationError),
        (401, "token_expired", errors.TokenExpiredError),
        (403, "access_denied", errors.PermissionDeniedError),
        (403, "insufficient_scope", errors.InsufficientScopeError),
        (404, "secret_not_found", errors.SecretNotFoundError),
        (404, "version_not_found", errors.VersionNotFoundError),
        (404, "webhook_not_found", errors.NotFoundError),
        (404, "a_code_of_the_future", errors.NotFoundError),
        (405, "method_not_allowed", errors.MethodNotAllowedError),
        (409, "secret_exists", errors.SecretExistsError),
        (409, "version_conflict", errors.VersionConflictError),
        (409, "rotation_in_progress", errors.ConflictError),
        (410, "secret_expired", errors.SecretExpiredError),
        (413, "payload_too_large", errors.PayloadTooLargeError),
        (422, "validation_error", errors.ValidationError),
        (418, "a_code_of_the_future", ScaiVaultError),
    ],
)
def test_codes(
    scripted: Scripted,
    client: SyncScaiVaultClient,
    status: int,
    code: str,
    kind: type[ScaiVaultError],
) -> None:
    scripted.says(error(status, code))
    with pytest.raises(ScaiVaultError) as caught:
        client.secrets.read("a/b")
    assert type(caught.value) is kind
    assert (caught.value.code, caught.value.status) == (code, status)
    assert caught.value.request_id == "req_1"


def test_details_are_typed(scripted: Scripted, client: SyncScaiVaultClient) -> None:
    scripted.says(
        Says(
            422,
            {
                "error": {
                    "code": "validation_error",
                    "message": "m",
                    "details": {"fields": {"a": "b"}},
                }
            },
            {"X-Request-ID": "req_of_the_header"},
        )
    )
    with pytest.raises(errors.ValidationError) as caught:
        client.secrets.write("a/b", {})
    assert caught.value.fields == {"a": "b"}
    assert caught.value.request_id == "req_of_the_header"


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"error": "x"}', b"\xff"])
def test_what_is_not_scaivault_is_said_to_be_so(
    scripted: Scripted, client: SyncScaiVaultClient, body: bytes
) -> None:
    scripted.says(Says(404, body))
    with pytest.raises(InvalidResponseError) as caught:
        client.secrets.read("a/b")
    assert caught.value.code == "http_404"


def test_an_answer_that_is_not_json(scripted: Scripted, client: SyncScaiVaultClient) -> None:
    scripted.says(Says(200, b"<html>welcome</html>"))
    with pytest.raises(InvalidResponseError):
        client.secrets.read("a/b")


@pytest.mark.parametrize(
    "path", ["", "/a", "a/", "a//b", "..", "a/../b", "./a", "a/./b", "a\n/b", "a\x00"]
)
def test_a_path_that_would_be_another_route_is_not_sent(
    client: SyncScaiVaultClient, path: str
) -> None:
    for call in (
        lambda: client.secrets.read(path),
        lambda: client.secrets.delete(path, permanent=True),
        lambda: list(client.audit.of_secret(path)),
        lambda: client.rotation_policies.unassign("rot_1", path),
    ):
        with pytest.raises(errors.ValidationError) as caught:
            call()
        assert caught.value.code == "invalid_path"


@pytest.mark.parametrize("object_id", ["", ".", "..", "a\r\nb"])
def test_an_id_that_would_be_another_route_is_not_sent(
    client: SyncScaiVaultClient, object_id: str
) -> None:
    with pytest.raises(errors.ValidationError):
        client.policies.delete(object_id)


def test_paths_and_ids_are_encoded_once(scripted: Scripted, client: SyncScaiVaultClient) -> None:
    scripted.says(Says(200, {}), Says(204), Says(200, {}), Says(200, {"secrets": []}))
    client.secrets.read("a b/c%2fd?x#y")
    client.rotation_policies.unassign("rot_1", "a/b")
    client.policies.read("pol/../x")
    list(client.secrets.list(prefix="a&b=c+d e"))
    assert [seen.path for seen in scripted.seen] == [
        "/v1/secrets/a%20b/c%252fd%3Fx%23y",
        "/v1/rotation/policies/rot_1/secrets/a%2Fb",
        "/v1/policies/pol%2F..%2Fx",
        "/v1/secrets?prefix=a%26b%3Dc%2Bd%20e",
    ]


@pytest.mark.parametrize(
    "url",
    ["", "vault", "ftp://h", "https://u:hunter2@h", "https://h?x", "https://h#x", "http://h"],
)
def test_urls_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.delenv("SCAIVAULT_URL", raising=False)
    with pytest.raises(ConfigurationError) as caught:
        ScaiVaultClient(url, "skt_test")
    assert "hunter2" not in str(caught.value)


def test_settings_that_cannot_be_used(tmp_path: object) -> None:
    url = "https://vault.example"
    with pytest.raises(ConfigurationError):
        ScaiVaultClient(url, "skt_a\nb")
    with pytest.raises(ConfigurationError):
        ScaiVaultClient(url, "skt_a", client_id="x", client_secret="y", token_url=url)
    with pytest.raises(ConfigurationError):
        ScaiVaultClient(url, client_id="x", client_secret="y")
    with pytest.raises(ConfigurationError):
        ScaiVaultClient(url, client_id="x", client_secret="y", token_url="http://idp.example/token")
    with pytest.raises(ConfigurationError):
        ScaiVaultClient(url, "skt_a", ca_file=f"{tmp_path}/nothing.pem")
    with pytest.raises(ConfigurationError):
        ScaiVaultClient(url, "skt_a", client_key="key.pem")
    ScaiVaultClient("http://vault.internal", "skt_a", allow_insecure_http=True).close()


def test_a_call_that_needs_a_token_says_so(
    monkeypatch: pytest.MonkeyPatch, scripted: Scripted
) -> None:
    monkeypatch.delenv("SCAIVAULT_TOKEN", raising=False)
    scripted.says(Says(200, {"status": "healthy"}))
    with SyncScaiVaultClient(scripted.url) as client:
        assert client.system.health().status == "healthy"
        with pytest.raises(ConfigurationError):
            client.whoami()
    assert "authorization" not in scripted.seen[0].headers


def test_redirects_are_not_followed(scripted: Scripted, client: SyncScaiVaultClient) -> None:
    scripted.says(Says(302, None, {"Location": scripted.url + "/elsewhere"}))
    with pytest.raises(InvalidResponseError):
        client.secrets.read("a/b")
    assert len(scripted.seen) == 1


def test_errors_hold_neither_token_nor_value(
    scripted: Scripted, client: SyncScaiVaultClient
) -> None:
    scripted.says(Says(None))
    with pytest.raises(ScaiVaultError) as caught:
        client.secrets.write("a/b", {"password": "hunter2"})
    shown: BaseException | None = caught.value
    while shown is not None:
        assert "hunter2" not in repr(shown) + str(shown) + repr(vars(shown))
        assert "skt_test" not in repr(shown) + str(shown) + repr(vars(shown))
        shown = shown.__cause__


def test_clients_do_not_show_their_token(client: SyncScaiVaultClient) -> None:
    for shown in (client, client.secrets, client._core):
        assert "skt_test" not in repr(shown)


def test_an_exchange_is_refused_in_the_form_of_oauth(
    scripted: Scripted, client: SyncScaiVaultClient
) -> None:
    refusal = {
        "error": "invalid_request",
        "error_description": "no rule fits",
        "code": "access_denied",
        "request_id": "req_1",
    }
    scripted.says(Says(400, refusal))
    with pytest.raises(errors.ScaiVaultError) as caught:
        client.auth.exchange("eyJ.eyJ.x", scopes=["secrets:read"], rule="deploy")
    made = caught.value
    assert (made.code, made.message, made.request_id) == ("access_denied", "no rule fits", "req_1")
    sent = scripted.seen[-1]
    assert sent.path == "/v1/auth/exchange"
    assert b"secrets:read" in sent.body and b"deploy" in sent.body


def test_errors_can_be_copied() -> None:
    made = errors.error_from(404, {"error": {"code": "secret_not_found", "message": "m"}})
    copied = pickle.loads(pickle.dumps(made))
    assert type(copied) is errors.SecretNotFoundError
    assert copied.code == "secret_not_found"
