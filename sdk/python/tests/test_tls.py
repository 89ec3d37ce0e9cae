"""Whom the client trusts, and who it is."""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from scaivault_sdk import Retry, SyncScaiVaultClient
from scaivault_sdk.errors import ConfigurationError, ScaiVaultError, TransportError


def certificate(directory: Path, name: str, *more: str) -> tuple[Path, Path]:
    key, cert = directory / f"{name}.key", directory / f"{name}.pem"
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    files = ["-keyout", key, "-out", cert, "-subj", f"/CN={name}"]
    subprocess.run(["openssl", "req", *kind, *files, *more], check=True, capture_output=True)
    return cert, key


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    cert, key = certificate(tmp_path, "server", "-addext", "subjectAltName=IP:127.0.0.1")
    client_cert, client_key = certificate(tmp_path, "client")
    # One file with both is taken as well.
    (tmp_path / "both.pem").write_text(client_cert.read_text() + client_key.read_text())
    certificate(tmp_path, "stranger")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"version": "1", "api_version": "v1"}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.load_verify_locations(client_cert)
    context.verify_mode = ssl.CERT_REQUIRED
    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    http.handle_error = lambda *_: None  # type: ignore[method-assign]
    http.socket = context.wrap_socket(http.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=http.serve_forever, args=(0.02,))
    thread.start()
    yield f"https://127.0.0.1:{http.server_address[1]}"
    http.shutdown()
    thread.join()
    http.server_close()


def asked(url: str, **tls: Path | tuple[Path, Path]) -> str:
    with SyncScaiVaultClient(url, "skt_test", retry=Retry(attempts=1), **tls) as client:  # type: ignore[arg-type]
        return client.system.version().api_version


def test_both_sides_prove_who_they_are(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca = tmp_path / "server.pem"
    client, key = tmp_path / "client.pem", tmp_path / "client.key"
    assert asked(server, ca_file=ca, client_cert=client, client_key=key) == "v1"
    assert asked(server, ca_file=ca, client_cert=tmp_path / "both.pem") == "v1"
    assert asked(server, ca_file=ca, client_cert=(client, key)) == "v1"
    monkeypatch.setenv("SCAIVAULT_CLIENT_CERT", str(client))
    monkeypatch.setenv("SCAIVAULT_CLIENT_KEY", str(key))
    assert asked(server, ca_file=ca) == "v1"
    with pytest.raises(ConfigurationError):
        asked(server, ca_file=ca, client_cert=(client, key), client_key=key)


def test_a_server_that_is_not_trusted_is_not_asked(server: str, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    for trusted in ({}, {"ca_file": tmp_path / "stranger.pem"}):
        with pytest.raises(TransportError) as caught:
            asked(server, client_cert=both, **trusted)
        assert caught.value.code == "connection_failed"


def test_a_client_without_its_certificate_is_refused(server: str, tmp_path: Path) -> None:
    with pytest.raises(ScaiVaultError):
        asked(server, ca_file=tmp_path / "server.pem")
