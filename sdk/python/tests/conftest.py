from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from scaivault_sdk import Retry, ScaiVaultClient, SyncScaiVaultClient

ROOT = "skt_root_of_the_sdk_tests_0123456789"
UNLIMITED = (
    *("READ", "WRITE", "LIST", "ROTATION", "SUBSCRIPTION", "POLL", "WEBHOOK", "AUDIT"),
    "AUTH",
    *("DYNAMIC_ADMIN", "DYNAMIC_GENERATE", "LEASE"),
)
#: Every wait of these tests ends.
PATIENCE = 30.0


def until(condition: Callable[[], Any], what: str) -> Any:
    """Waits until `condition` gives something true."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited {PATIENCE} s in vain: {what}")


def psql(statements: str, user: str = "postgres", password: str | None = None) -> str:
    """Statements in a new login at the PostgreSQL that `sdk/test` started; `PermissionError` when
    it lets nobody in."""
    own = os.environ.get("SDK_TEST_SUPERUSER")
    assert own, "sdk/test starts a PostgreSQL"
    ran = subprocess.run(
        ["psql", "-X", "-qAt", "-w", "-v", "ON_ERROR_STOP=1", "-U", user, "-c", statements],
        env={**os.environ, "PGPASSWORD": own if password is None else password},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    if ran.returncode != 0:
        raise PermissionError(ran.stderr)
    return ran.stdout.strip()


@dataclass
class Vault:
    """The real server."""

    binary: str
    data: Path
    url: str = ""
    process: subprocess.Popen[str] | None = None

    @property
    def exports(self) -> Path:
        """Where exports of the audit trail are written to."""
        return self.data.with_name("exports")

    def start(self, listen: str = "127.0.0.1:0") -> None:
        self.exports.mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [
                self.binary,
                "dev",
                "--listen",
                listen,
                "--data",
                str(self.data),
                "--root-token",
                ROOT,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={
                **{k: v for k, v in os.environ.items() if not k.startswith("SCAIVAULT_")},
                # Waiting for something by asking often is no abuse here.
                **{f"SCAIVAULT_RATE_LIMITS_{name}": "0" for name in UNLIMITED},
                "SCAIVAULT_AUDIT_EXPORT_DIRECTORY": str(self.exports),
            },
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if "http://" in line:
                self.url = "http://" + line.split("http://")[1].strip()
                break
        with ScaiVaultClient(self.url, timeout=2, retry=Retry(attempts=1)) as client:
            until(lambda: self._is_ready(client), "the server is ready")

    def _is_ready(self, client: ScaiVaultClient) -> bool:
        try:
            return client.system.ready().is_ready
        except Exception:
            assert self.process is not None and self.process.poll() is None, "the server ended"
            return False

    def stop(self, how: int = signal.SIGTERM) -> None:
        assert self.process is not None
        self.process.send_signal(how)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


@pytest.fixture(scope="session")
def binary() -> str:
    path = os.environ.get("SCAIVAULT_BINARY", "")
    assert path, "SCAIVAULT_BINARY names the server's binary"
    return path


@pytest.fixture(scope="session")
def vault(binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    vault = Vault(binary, tmp_path_factory.mktemp("vault") / "data")
    vault.start()
    yield vault
    vault.stop()


@pytest.fixture
def own_vault(binary: str, tmp_path: Path) -> Iterator[Vault]:
    """A server that the test may end."""
    vault = Vault(binary, tmp_path / "data")
    vault.start()
    yield vault
    if vault.process is not None and vault.process.poll() is None:
        vault.stop()


@pytest.fixture
def root(vault: Vault) -> Iterator[SyncScaiVaultClient]:
    with SyncScaiVaultClient(vault.url, ROOT) as client:
        yield client


@dataclass
class Seen:
    """A request that arrived at the scripted server."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Says:
    """What the scripted server answers; without status it cuts the connection."""

    status: int | None = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    then: Callable[[], Any] | None = None


def error(status: int, code: str, **headers: str) -> Says:
    body = {"error": {"code": code, "message": "m", "request_id": "req_1"}}
    return Says(status, body, {k.replace("_", "-"): v for k, v in headers.items()})


class Scripted:
    """Answers what the test says, in order, and keeps what arrived."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.script: list[Says] = []
        self.answer: Callable[[Seen], Says] | None = None
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _any(self) -> None:
                length = int(self.headers.get("content-length", "0"))
                headers = {k.lower(): v for k, v in self.headers.items()}
                seen = Seen(self.command, self.path, headers, self.rfile.read(length))
                scripted.seen.append(seen)
                if scripted.answer is not None:
                    says = scripted.answer(seen)
                else:
                    assert scripted.script, f"unexpected {seen.method} {seen.path}"
                    says = scripted.script.pop(0)
                if says.then:
                    says.then()
                if says.status is None:
                    self.close_connection = True
                    return
                raw = says.body if isinstance(says.body, bytes) else json.dumps(says.body).encode()
                if says.status == 204:
                    raw = b""
                self.send_response(says.status)
                for name, value in says.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _any

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def says(self, *script: Says) -> None:
        self.script.extend(script)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    scripted = Scripted()
    yield scripted
    scripted.close()
    assert not scripted.script, "not everything was asked for"


@pytest.fixture
def pauses() -> list[float]:
    """The pauses that `client` made, without making them."""
    return []


@pytest.fixture
def client(scripted: Scripted, pauses: list[float]) -> Iterator[SyncScaiVaultClient]:
    with SyncScaiVaultClient(scripted.url, "skt_test", sleep=pauses.append) as client:
        yield client
