"""OpenBao's command line, which speaks the same API."""

import json
import os
import subprocess
import unittest

from server import TOKEN, Case


class Bao(Case):
    def bao(self, *words, code=0, token=TOKEN, stdin=None):
        env = {
            "PATH": os.environ["PATH"],
            "HOME": self.server.home.name,
            "BAO_ADDR": self.server.url,
            "BAO_TOKEN": token,
        }
        done = subprocess.run(
            [os.environ["BAO_BINARY"], *words], env=env, input=stdin, capture_output=True, text=True, timeout=60
        )
        self.assertEqual(done.returncode, code, f"{words}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def json(self, command, *words, **more):
        first, *rest = command.split()
        return json.loads(self.bao(first, *rest, "-format=json", *words, **more) or "null")

    def test_status(self):
        self.assertFalse(self.json("status")["sealed"])
        self.assertIn("root", self.bao("token", "lookup"))

    def test_kv(self):
        self.assertIn("version", self.bao("kv", "put", "-mount=secret", "cli/a", "user=u", "pass=one"))
        self.bao("kv", "put", "secret/cli/a", "user=u", "pass=two")
        self.assertEqual(self.json("kv get", "secret/cli/a")["data"]["data"]["pass"], "two")
        self.assertEqual(self.bao("kv", "get", "-field=pass", "-version=1", "secret/cli/a").strip(), "one")
        self.bao("kv", "put", "-cas=1", "secret/cli/a", "pass=no", code=2)
        self.bao("kv", "patch", "secret/cli/a", "more=x")
        self.assertEqual(
            self.json("kv get", "secret/cli/a")["data"]["data"], {"user": "u", "pass": "two", "more": "x"}
        )
        self.bao("kv", "patch", "-method=rw", "secret/cli/a", "more=y")
        self.bao("kv", "put", "secret/cli/Sub.dir/b", "a=b")
        self.assertEqual(self.json("kv list", "secret/cli"), ["Sub.dir/", "a"])
        self.bao("kv", "delete", "secret/cli/a")
        self.assertIsNone(self.json("kv get", "secret/cli/a")["data"]["data"])
        self.bao("kv", "undelete", "-versions=4", "secret/cli/a")
        self.assertEqual(self.bao("kv", "get", "-field=more", "secret/cli/a").strip(), "y")
        self.bao("kv", "rollback", "-version=1", "secret/cli/a")
        self.assertEqual(self.json("kv get", "secret/cli/a")["data"]["data"], {"user": "u", "pass": "one"})
        self.bao("kv", "destroy", "-versions=2,3", "secret/cli/a")
        told = self.json("kv metadata get", "secret/cli/a")["data"]
        self.assertEqual([told["versions"][n]["destroyed"] for n in "12345"], [False, True, True, False, False])
        self.assertIsNone(self.json("kv get", "-version=2", "secret/cli/a")["data"]["data"])
        self.bao("kv", "metadata", "put", "-custom-metadata=team=x", "-max-versions=5", "secret/cli/a")
        self.bao("kv", "metadata", "patch", "-custom-metadata=more=z", "secret/cli/a")
        told = self.json("kv metadata get", "secret/cli/a")["data"]
        self.assertEqual((told["custom_metadata"], told["max_versions"]), ({"team": "x", "more": "z"}, 5))
        self.bao("kv", "metadata", "delete", "secret/cli/a")
        self.bao("kv", "get", "secret/cli/a", code=2)

    def test_kv1_and_secrets_engines(self):
        self.bao("secrets", "enable", "-path=old", "-version=1", "kv")
        self.bao("kv", "put", "old/a", "k=v")
        self.assertEqual(self.json("kv get", "old/a")["data"], {"k": "v"})
        self.assertEqual(self.json("kv list", "old"), ["a"])
        self.bao("kv", "delete", "old/a")
        self.bao("kv", "get", "old/a", code=2)
        self.bao("secrets", "tune", "-default-lease-ttl=30m", "-description=older", "old/")
        listed = self.json("secrets list")
        self.assertEqual((listed["old/"]["type"], listed["old/"]["description"]), ("kv", "older"))
        self.assertEqual(listed["secret/"]["options"]["version"], "2")
        self.bao("secrets", "list", "-detailed")
        self.bao("secrets", "disable", "old/")
        self.assertNotIn("old/", self.json("secrets list"))
        self.bao("secrets", "enable", "nomad", code=2)

    def test_read_write_list_delete(self):
        self.bao("write", "secret/data/raw", "-", stdin='{"data":{"a":1}}')
        self.assertEqual(self.json("read", "secret/data/raw")["data"]["data"], {"a": 1})
        self.assertIn("raw", self.json("list", "secret/metadata"))
        self.bao("delete", "secret/metadata/raw")
        self.bao("read", "secret/data/raw", code=2)
        self.bao("write", "cubbyhole/x", "a=b")
        self.assertEqual(self.json("read", "cubbyhole/x")["data"], {"a": "b"})

    def test_wrapping(self):
        self.bao("kv", "put", "secret/paper", "a=in-paper")
        wrapped = self.json("kv get", "-wrap-ttl=5m", "secret/paper")["wrap_info"]["token"]
        opened = self.json("unwrap", wrapped)
        self.assertEqual(opened["data"]["data"], {"a": "in-paper"})
        self.bao("unwrap", wrapped, code=2)
        wrapped = self.json("write", "-wrap-ttl=1m", "-f", "sys/wrapping/wrap", "a=b")["wrap_info"]["token"]
        told = self.json("write", "sys/wrapping/lookup", f"token={wrapped}")
        self.assertEqual(told["data"]["creation_path"], "sys/wrapping/wrap")
        self.assertEqual(self.json("unwrap", wrapped)["data"], {"a": "b"})

    def test_tokens(self):
        body = {"identity_type": "service_account", "identity_id": "sa:cli", "scopes": ["secrets:read"], "ttl": "1h"}
        made = self.server.ask("POST", "/v1/auth/tokens", body, {"Authorization": f"Bearer {TOKEN}"}, None).body
        told = self.json("token lookup", token=made["token"])["data"]
        self.assertEqual(told["accessor"], made["id"])
        self.bao("token", "renew", token=made["token"])
        self.assertEqual(self.json("token lookup", "-accessor", made["id"])["data"]["accessor"], made["id"])
        self.bao("kv", "get", "secret/any", code=2, token=made["token"])
        self.bao("token", "revoke", "-self", token=made["token"])
        self.bao("token", "lookup", code=2, token=made["token"])


if __name__ == "__main__":
    unittest.main()
