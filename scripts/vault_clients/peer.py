"""A server of another make that speaks the same API: OpenBao, private to one run of the tests, with an
audit log in a file."""

import json
import os
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

from server import ask

CONFIG = """
storage "inmem" {{}}
listener "tcp" {{
  address = "127.0.0.1:{port}"
  tls_disable = true
}}
audit "file" "file" {{
  options = {{ file_path = "{home}/audit.log" }}
}}
api_addr = "http://127.0.0.1:{port}"
disable_mlock = true
ui = false
log_level = "error"
"""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Peer:
    """Started with `with`, initialised and unsealed; ends with it."""

    def __enter__(self):
        self.home = tempfile.TemporaryDirectory()
        home, port = self.home.name, free_port()
        self.url = f"http://127.0.0.1:{port}"
        with open(os.path.join(home, "config.hcl"), "w") as config:
            config.write(CONFIG.format(home=home, port=port))
        self.log = open(os.path.join(home, "log"), "w+")
        self.process = subprocess.Popen(
            [os.environ["BAO_BINARY"], "server", "-config", os.path.join(home, "config.hcl")],
            cwd=home,
            env={"PATH": os.environ["PATH"], "HOME": home},
            stdout=self.log,
            stderr=self.log,
        )
        try:
            self.wait("/v1/sys/init", 200)
            made = self.ask("PUT", "/v1/sys/init", {"secret_shares": 1, "secret_threshold": 1}, token=None).body
            self.token = made["root_token"]
            self.ask("PUT", "/v1/sys/unseal", {"key": made["keys"][0]}, token=None)
            self.wait("/v1/sys/health", 200)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(30)
        self.log.close()
        self.home.cleanup()

    def wait(self, path, status):
        until = time.monotonic() + 60
        while time.monotonic() < until:
            if self.process.poll() is not None:
                self.log.seek(0)
                raise AssertionError("the peer ended: " + self.log.read())
            try:
                if self.ask("GET", path, token=None).status == status:
                    return
            except urllib.error.URLError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"the peer does not answer {path}")

    def ask(self, method, path, body=None, headers=None, token=""):
        return ask(self.url, method, path, body, headers, self.token if token == "" else token)

    def audited(self):
        """Requests of the audit log."""
        with open(os.path.join(self.home.name, "audit.log")) as log:
            lines = [json.loads(line) for line in log]
        return [line for line in lines if line["type"] == "request"]
