"""A development server of the product, private to one run of the tests."""

import json
import os
import re
import subprocess
import tempfile
import unittest
import urllib.error
import urllib.request

TOKEN = "skt_root_of_the_clients_0123456789abcdef"


class Reply:
    """Status, headers and JSON of an answer."""

    def __init__(self, status, headers, text):
        self.status, self.headers, self.text = status, headers, text

    @property
    def body(self):
        return json.loads(self.text) if self.text else None


class Server:
    """Started with `with`; ends with it."""

    def __enter__(self):
        self.home = tempfile.TemporaryDirectory()
        home = self.home.name
        self.log = open(os.path.join(home, "log"), "w+")
        self.process = subprocess.Popen(
            [os.environ["SCAIVAULT_BINARY"], "dev", "--listen", "127.0.0.1:0", "--root-token", TOKEN],
            cwd=home,
            env={"PATH": os.environ["PATH"], "HOME": home, "TMPDIR": home} | NO_LIMITS,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )
        for line in self.process.stdout:
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
            if found:
                self.url = found.group()
                return self
        raise AssertionError("the server did not start: " + self.stderr())

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)
        self.process.stdout.close()
        self.log.close()
        self.home.cleanup()

    def stderr(self):
        self.log.seek(0)
        return self.log.read()

    def ask(self, method, path, body=None, headers=None, token=TOKEN):
        return ask(self.url, method, path, body, headers, token)


def ask(url, method, path, body=None, headers=None, token=None):
    """One request as a program without a client library writes it."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data=data, method=method)
    if token:
        request.add_header("X-Vault-Token", token)
    if data:
        request.add_header("Content-Type", "application/json")
    for name, value in (headers or {}).items():
        request.add_header(name, value)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return Reply(answer.status, answer.headers, answer.read().decode())
    except urllib.error.HTTPError as answer:
        with answer:
            return Reply(answer.code, answer.headers, answer.read().decode())


CATEGORIES = "READ WRITE DELETE LIST AUDIT POLICY AUTH"
NO_LIMITS = {f"SCAIVAULT_RATE_LIMITS_{name}": "0" for name in CATEGORIES.split()}


class Case(unittest.TestCase):
    """Tests with one server for all of them."""

    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(Server())
