#!/usr/bin/env python3
"""Rotates an OAuth client secret when ScaiVault asks for it.

A webhook receiver, Python standard library only. On `rotation.due` with `due_now: true` it mints
a new client secret at the provider and writes it back with PUT, which is the answer ScaiVault
waits for. Everything else it only notes. It prints one JSON line per thing that happens; no
line holds a secret.

    SCAIVAULT_URL      where ScaiVault is                    http://127.0.0.1:8200
    SCAIVAULT_TOKEN    a token with secrets:read, secrets:write and secrets:rotate, whose policy
                       has read, write and rotate for the secret
    WEBHOOK_SECRET     the signing secret the webhook was registered with

    python3 receiver.py --port 8300        (0: any free port; the first line says which)

The provider is a stand-in inside this file. To use the real one, replace `Provider.mint`.
"""

import argparse
import collections
import hashlib
import hmac
import json
import os
import secrets
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WINDOW_S = 300
BODY_MAX = 1 << 20
SEEN_MAX = 10_000


class Provider:
    """Stands in for the OAuth provider. It keeps the last two client secrets valid, as providers
    that support rotation do, so that programs still holding the old one go on working."""

    def __init__(self):
        self.accepted = collections.defaultdict(lambda: collections.deque(maxlen=2))

    def mint(self, client_id):
        minted = "cs_" + secrets.token_hex(24)
        self.accepted[client_id].append(minted)
        return minted


class ScaiVault:
    """The two requests this program makes."""

    def __init__(self, url, token):
        self.url = url.rstrip("/")
        self.token = token

    def read(self, path):
        return self._request("GET", path)

    def answer(self, path, data, rotation_id):
        """Writes only as the answer to this rotation. So an event that is delivered again (we
        may have died between writing and answering) cannot rotate twice."""
        return self._request("PUT", path, {"data": data, "options": {"rotation_id": rotation_id}})

    def _request(self, method, path, body=None):
        request = urllib.request.Request(
            f"{self.url}/v1/secrets/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                "User-Agent": "oauth-rotator/1.0",
            },
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)


def error_code(error):
    """Clients branch on `error.code`."""
    try:
        return json.load(error)["error"]["code"]
    except (ValueError, KeyError, TypeError):
        return "unknown"


def is_genuine(secret, headers, body, now):
    """Whether ScaiVault signed this body, and did so just now."""
    timestamp = headers.get("X-ScaiVault-Timestamp", "")
    signature = headers.get("X-ScaiVault-Signature", "")
    if not (timestamp.isascii() and timestamp.isdigit()):
        return False
    if abs(now - int(timestamp)) > WINDOW_S:
        return False
    signed = timestamp.encode() + b"." + body
    expected = "sha256=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.encode())


class Rotator:
    def __init__(self, vault, provider, note):
        self.vault = vault
        self.provider = provider
        self.note = note
        self.seen = collections.OrderedDict()
        self.lock = threading.Lock()

    def handle(self, event):
        """Handles one event and says with which status to answer it. Anything but 2xx makes
        ScaiVault deliver it again: after 30 s, 5 min, 30 min, 2 h, 8 h and 24 h."""
        with self.lock:  # one at a time: two copies of an event must not both pass the check
            event_id = event["event_id"]
            facts = {
                "event_type": event["event_type"],
                "event_id": event_id,
                "path": event.get("path"),
                "data": event["data"],
            }
            if event_id in self.seen:
                self.note(action="duplicate", **facts)
                return 200
            action, status, more = "noted", 200, {}
            if event["event_type"] == "rotation.due" and event["data"].get("due_now"):
                action, status, more = self.rotate(event["path"], event["data"])
            if status == 200:
                self.seen[event_id] = True
                while len(self.seen) > SEEN_MAX:
                    self.seen.popitem(last=False)
            self.note(action=action, **more, **facts)
            return status

    def rotate(self, path, due):
        try:
            current = self.vault.read(path)["data"]
            minted = self.provider.mint(current["client_id"])
            data = {**current, "client_secret": minted}
            written = self.vault.answer(path, data, due["rotation_id"])
        except urllib.error.HTTPError as error:
            code = error_code(error)
            if code == "version_conflict":  # the rotation has its answer
                return "already_rotated", 200, {}
            return "failed", 503, {"code": code}
        except OSError:
            return "failed", 503, {"code": "unreachable"}
        facts = {"version": written["version"], "is_rotation": written["is_rotation"]}
        return "rotated", 200, facts


def handler_for(secret, rotator, note):
    class Handler(BaseHTTPRequestHandler):
        timeout = 30

        def do_POST(self):
            try:
                length = int(self.headers.get("Content-Length", ""))
            except ValueError:
                return self.answer(411)
            if not 0 <= length <= BODY_MAX:
                return self.answer(413)
            body = self.rfile.read(length)
            if not is_genuine(secret, self.headers, body, time.time()):
                note(action="refused")
                return self.answer(401)
            try:
                status = rotator.handle(json.loads(body))
            except (ValueError, KeyError, TypeError):
                note(action="not_understood")
                status = 400
            return self.answer(status)

        def answer(self, status):
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            """Our own lines say more than the default ones."""

    return Handler


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--port", type=int, default=8300)
    port = arguments.parse_args().port
    try:
        token, secret = os.environ["SCAIVAULT_TOKEN"], os.environ["WEBHOOK_SECRET"]
    except KeyError as missing:
        sys.exit(f"set {missing.args[0]} in the environment")
    url = os.environ.get("SCAIVAULT_URL", "http://127.0.0.1:8200")

    writing = threading.Lock()

    def note(**facts):
        with writing:
            print(json.dumps(facts), flush=True)

    rotator = Rotator(ScaiVault(url, token), Provider(), note)
    server = ThreadingHTTPServer(("127.0.0.1", port), handler_for(secret, rotator, note))
    note(listening=f"http://127.0.0.1:{server.server_address[1]}")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
