"""`scaivault import vault`: from a real server of another make into the product's."""

import json
import os
import subprocess
import tempfile
import time
import unittest

import postgresql
from peer import Peer
from server import TOKEN, Server

WHOLE, MISSING = 0, 9

READER = """
path "secret/data/*" { capabilities = ["read"] }
path "secret/metadata/*" { capabilities = ["read", "list"] }
path "old/*" { capabilities = ["create", "update", "read", "delete", "list"] }
"""
DENIER = """
path "secret/data/*" { capabilities = ["read"] }
path "secret/data/hidden" { capabilities = ["deny"] }
"""


class Import(unittest.TestCase):
    """Each test has a source and a target of its own."""

    def setUp(self):
        self.source = self.enterContext(Peer())
        self.target = self.enterContext(Server())
        self.home = self.enterContext(tempfile.TemporaryDirectory())
        self.put("sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
        # A new mount is made ready in the background.
        until = time.monotonic() + 30
        while self.source.ask("POST", "/v1/secret/data/first", {"data": {"a": "b"}}).status != 200:
            self.assertLess(time.monotonic(), until)
            time.sleep(0.05)

    def put(self, path, body, status=(200, 204)):
        done = self.source.ask("POST", "/v1/" + path, body)
        self.assertIn(done.status, status, f"{path}: {done.text}")
        return done.body

    def get(self, path, status=200, server=None):
        done = (server or self.target).ask("GET", "/v1/" + path)
        self.assertEqual(done.status, status, f"{path}: {done.text}")
        return done.body["data"] if done.body else None

    def write(self, path, *values):
        for value in values:
            self.put("secret/data/" + path, {"data": value})

    def command(self, *words, target=None, token=TOKEN, source_token=None):
        url = (target or self.target).url
        env = {
            "PATH": os.environ["PATH"],
            "HOME": self.home,
            "VAULT_TOKEN": source_token or self.source.token,
            "SCAIVAULT_URL": url,
            "SCAIVAULT_TOKEN": token,
        }
        binary = os.environ["SCAIVAULT_BINARY"]
        return [binary, "import", "vault", "--addr", self.source.url, *words], env

    def copy(self, *words, code=WHOLE, **more):
        """Runs it; answers with the lines and the summary of its report."""
        report = os.path.join(self.home, "report.json")
        line, env = self.command("--report", report, *words, **more)
        done = subprocess.run(line, env=env, capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.told = done.stdout + done.stderr
        with open(report) as file:
            read = json.load(file)
        return read["entries"], read["summary"]

    def of(self, entries, path):
        return [(one["outcome"], one.get("reason", "")) for one in entries if one["path"] == path]

    def fill(self):
        """Everything a mount of either version can have."""
        self.write("app/db", {"user": "u", "password": "the-first"}, {"user": "u", "password": "the-second"})
        self.write("App.Config/N%C3%A4me%20b", {"number": 1, "deep": {"list": [1, "x", None, True]}, "text": "<&>\u20ac"})
        self.write("history", *({"n": number} for number in range(1, 8)))
        self.put("secret/destroy/history", {"versions": [2]})
        self.put("secret/delete/history", {"versions": [4]})
        self.put(
            "secret/metadata/kept",
            {"max_versions": 15, "cas_required": True, "delete_version_after": "720h", "custom_metadata": {"team": "x"}},
        )
        for number in range(20):
            self.put("secret/data/kept", {"data": {"n": number + 1}, "options": {"cas": number}})
        self.write("gone", {"a": 1}, {"a": 2})
        self.source.ask("DELETE", "/v1/secret/data/gone")
        self.put("secret/metadata/only-metadata", {"custom_metadata": {"a": "b"}})
        self.put("secret/config", {"max_versions": 12})
        self.put("sys/mounts/old", {"type": "kv", "description": "older ones", "options": {"version": "1"}})
        self.put("old/a", {"k": "v", "n": 12345678901234567890})
        self.put("old/b/c", {"k": "w"})
        self.put("sys/policies/acl/reader", {"policy": READER})

    def same_secret(self, path):
        """All that is told of a secret, and all values, are as in the source."""
        there, here = self.get("secret/metadata/" + path, server=self.source), self.get("secret/metadata/" + path)
        self.assertEqual(here["current_version"], there["current_version"], path)
        for name in ("cas_required", "delete_version_after", "custom_metadata"):
            self.assertEqual(here[name], there[name], (path, name))
        for version in range(1, there["current_version"] + 1):
            one = self.source.ask("GET", f"/v1/secret/data/{path}?version={version}")
            other = self.target.ask("GET", f"/v1/secret/data/{path}?version={version}")
            self.assertEqual(other.status, one.status, (path, version))
            if one.status == 200:
                self.assertEqual(other.body["data"]["data"], one.body["data"]["data"], (path, version))

    def test_all_of_it(self):
        self.fill()
        secrets = ["first", "app/db", "App.Config/N%C3%A4me%20b", "history", "kept", "gone"]
        token = self.put("auth/token/create", {"display_name": "importer", "policies": ["root"], "ttl": "2h"})
        token = token["auth"]["client_token"]

        entries, dry = self.copy("--dry-run", source_token=token)
        self.assertEqual(self.target.ask("LIST", "/v1/secret/metadata").status, 404, "nothing is written")
        self.assertNotIn("old/", self.get("sys/mounts"))
        self.assertNotIn("reader", self.target.ask("LIST", "/v1/sys/policies/acl").text)

        entries, summary = self.copy(source_token=token)
        self.assertTrue(summary["whole"])
        self.assertEqual(dry["mounts"], summary["mounts"], "a dry run tells the same")
        self.assertEqual(summary["mounts"]["secret/"]["copied"], len(secrets) + 1)
        for path in secrets:
            self.same_secret(path)
        self.assertEqual(self.get("secret/metadata/kept")["max_versions"], 15)
        self.assertEqual(self.get("secret/metadata/only-metadata")["custom_metadata"], {"a": "b"})
        self.assertEqual(self.get("secret/config")["max_versions"], 12)
        history = self.get("secret/metadata/history")["versions"]
        self.assertEqual([history[str(n)]["destroyed"] for n in range(1, 8)], [False, True, False, True] + [False] * 3)
        self.assertIn("version 4 is deleted", self.of(entries, "secret/history")[0][1])
        self.assertEqual(self.get("old/a"), {"k": "v", "n": 12345678901234567890})
        self.assertIn('"n":12345678901234567890', self.target.ask("GET", "/v1/old/a").text.replace(" ", ""))
        self.assertEqual(self.get("old/b/c"), {"k": "w"})
        self.assertEqual(self.get("sys/mounts/old")["description"], "older ones")
        made = self.target.ask("POST", "/v1/auth/token/create", {"policies": ["reader"]}).body["auth"]["client_token"]
        self.assertEqual(self.target.ask("GET", "/v1/secret/data/app/db", token=made).status, 200)
        self.assertEqual(self.target.ask("POST", "/v1/secret/data/app/db", {"data": {}}, token=made).status, 403)
        for value in ("the-first", "the-second", token, TOKEN, self.source.token):
            self.assertNotIn(value, json.dumps(entries) + self.told)

        before = self.get("secret/metadata/app/db")
        entries, summary = self.copy(source_token=token)
        self.assertEqual(summary["mounts"]["secret/"]["copied"], 0, entries)
        self.assertEqual(summary["mounts"]["secret/"]["same"], len(secrets) + 1)
        self.assertEqual(summary["mounts"]["old/"]["same"], 2)
        self.assertEqual(summary["counts"]["policy"]["same"], 1)
        self.assertEqual(self.get("secret/metadata/app/db"), before, "nothing was written again")

        # What the source says of it: it was read.
        own = [one for one in self.source.audited() if one["auth"].get("display_name") == "token-importer"]
        self.assertGreater(len(own), 50)
        self.assertEqual({one["request"]["operation"] for one in own}, {"read", "list"})

    def test_what_changed_since(self):
        self.fill()
        self.copy()
        self.write("app/db", {"password": "three"})
        self.put("secret/data/kept", {"data": {"n": 21}, "options": {"cas": 20}})
        self.write("new", {"a": "b"})
        _, summary = self.copy()
        self.assertEqual(summary["mounts"]["secret/"]["copied"], 3)
        self.assertEqual(summary["mounts"]["secret/"]["versions_written"], 3)
        for path in ("app/db", "kept", "new"):
            self.same_secret(path)

    def test_conflicts(self):
        self.fill()
        self.copy()
        self.target.ask("POST", "/v1/secret/data/app/db", {"data": {"password": "ours"}})
        self.target.ask("POST", "/v1/secret/metadata/history", {"max_versions": 3})
        self.target.ask("POST", "/v1/old/a", {"k": "ours"})
        self.target.ask("POST", "/v1/sys/policies/acl/reader", {"policy": 'path "old/a" { capabilities = ["read"] }'})
        entries, summary = self.copy(code=MISSING)
        self.assertEqual(self.of(entries, "secret/app/db")[0], ("conflict", "it has 3 versions here and 2 in the source"))
        self.assertEqual(self.of(entries, "old/a"), [("conflict", "the value differs")])
        self.assertEqual(self.of(entries, "reader"), [("conflict", "another policy of this name is here")])
        self.assertIn("conflict", [outcome for outcome, _ in self.of(entries, "secret/history")])
        self.assertFalse(summary["whole"])
        self.assertEqual(self.get("secret/data/app/db")["data"], {"password": "ours"}, "left alone")
        self.assertEqual(self.get("old/a"), {"k": "ours"})

        self.copy("--dry-run", "--overwrite")
        self.assertEqual(self.get("old/a"), {"k": "ours"}, "not in a dry run either")
        self.copy("--overwrite")
        for path in ("app/db", "history"):
            self.same_secret(path)
        self.assertEqual(self.get("old/a")["k"], "v")
        self.copy()

    def test_what_cannot_be_had(self):
        self.put("sys/mounts/transit", {"type": "transit"})
        self.put("sys/policies/acl/denier", {"policy": DENIER})
        self.put("sys/mounts/secrets", {"type": "kv", "options": {"version": "1"}})
        self.put("secrets/x", {"a": "b"})
        for dry in ([], ["--dry-run"]):
            entries, summary = self.copy(*dry, code=MISSING)
            (outcome, reason), = self.of(entries, "denier")
            self.assertEqual(outcome, "refused")
            self.assertIn("line 3", reason)
            self.assertEqual(self.of(entries, "transit/")[0][0], "refused")
        entries, _ = self.copy(code=MISSING)
        self.assertEqual(self.of(entries, "secrets/")[0][0], "refused")
        self.copy("--mount", "secrets", "--rename", "secrets=kv-secrets", "--only", "kv")
        self.assertEqual(self.get("kv-secrets/x"), {"a": "b"})
        self.copy("--mount", "none", code=5)
        self.copy("--mount", "secret", "--only", "kv", source_token="s.none", code=2)

    def test_a_token_that_may_not_see_everything(self):
        self.fill()
        self.put("sys/policies/acl/some", {"policy": READER + 'path "secret/metadata/app/*" { capabilities = ["deny"] }'})
        token = self.put("auth/token/create", {"policies": ["some"]})["auth"]["client_token"]
        entries, _ = self.copy("--only", "kv", source_token=token, code=MISSING)
        self.assertEqual(self.of(entries, "secret/app/")[0][0], "refused")
        self.same_secret("first")
        self.assertEqual(self.target.ask("GET", "/v1/secret/data/app/db").status, 404)

    def test_killed_and_run_again(self):
        for number in range(150):
            self.write(f"many/{number % 7}/{number}", {"n": number}, {"n": -number})
        self.put("secret/metadata/many/0/0", {"max_versions": 30, "custom_metadata": {"a": "b"}})
        for number in range(25):
            self.write("many/0/0", {"n": number})
        self.put("secret/destroy/many/0/0", {"versions": [3, 9, 20]})
        line, env = self.command("--concurrency", "2", "--only", "kv")
        for reached in (5, 40, 90):
            process = subprocess.Popen(line, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            until = time.monotonic() + 60
            while self.copied() < reached and process.poll() is None and time.monotonic() < until:
                time.sleep(0.01)
            process.kill()
            process.wait()
            self.assertTrue(reached <= self.copied() < 151, "ended in the middle")
        _, summary = self.copy("--only", "kv")
        self.assertEqual(summary["mounts"]["secret/"]["secrets"], 151)
        for path in ("many/0/0", "many/1/1", "many/2/149"):
            self.same_secret(path)
        _, summary = self.copy("--only", "kv")
        self.assertEqual(summary["mounts"]["secret/"]["same"], 151)

    def test_long_lists(self):
        """Longer than a page."""
        self.put("sys/mounts/old", {"type": "kv", "options": {"version": "1"}})
        for number in range(1005):
            self.put(f"old/many/{number}", {"n": number})
        _, summary = self.copy("--mount", "old", "--only", "kv", "--concurrency", "16")
        self.assertEqual(summary["mounts"]["old/"]["copied"], 1005)
        self.assertEqual(self.get("old/many/1004"), {"n": 1004})

    def copied(self):
        """Secrets at the target."""
        folders = [f"many/{number}" for number in range(7)]
        listed = [self.target.ask("LIST", f"/v1/secret/metadata/{folder}") for folder in folders]
        return sum(len(one.body["data"]["keys"]) for one in listed if one.status == 200)

    def test_databases(self):
        """Into another server of the source's make."""
        self.put("sys/mounts/database", {"type": "database"})
        connection = {
            "plugin_name": "postgresql-database-plugin",
            "connection_url": "postgresql://{{username}}:{{password}}@127.0.0.1:1/orders",
            "username": "root",
            "password": "of-the-root",
            "allowed_roles": ["reader"],
            "verify_connection": False,
        }
        self.put("database/config/orders", connection)
        role = {
            "db_name": "orders",
            "creation_statements": ["CREATE ROLE \"{{name}}\" PASSWORD '{{password}}', b"],
            "default_ttl": "1h",
            "max_ttl": "24h",
        }
        self.put("database/roles/reader", role)
        other = self.enterContext(Peer())
        only = ("--only", "database", "--mount", "database", "--no-verify")
        entries, _ = self.copy(*only, target=other, token=other.token, code=MISSING)
        told, = [one for one in entries if one["path"] == "database/config/orders"]
        self.assertEqual(told["outcome"], "by_hand")
        self.assertIn("bao write database/config/orders", told["command"])
        self.assertNotIn("of-the-root", json.dumps(entries) + self.told)
        password = os.path.join(self.home, "password")
        with open(password, "w") as file:
            file.write("of-the-root\n")
        known = ("--database-password-file", f"orders={password}")
        self.copy(*only, *known, "--dry-run", target=other, token=other.token)
        self.assertEqual(other.ask("GET", "/v1/database/config/orders").status, 404)
        self.copy(*only, *known, target=other, token=other.token)
        for path in ("database/config/orders", "database/roles/reader"):
            there, here = self.get(path, server=self.source), self.get(path, server=other)
            self.assertEqual(here, there)
        entries, summary = self.copy(*only, target=other, token=other.token)
        self.assertEqual({one["outcome"] for one in entries}, {"same"})
        changed = connection | {"username": "another"}
        other.ask("POST", "/v1/database/config/orders", changed)
        entries, _ = self.copy(*only, target=other, token=other.token, code=MISSING)
        self.assertIn("username", self.of(entries, "database/config/orders")[0][1])

    @unittest.skipUnless(postgresql.is_there(), "needs PostgreSQL's programs")
    def test_a_database_that_both_use(self):
        """Connection and roles move to the product, which then makes credentials at the same server."""
        pg = self.enterContext(postgresql.Postgresql())
        pg.sql("CREATE TABLE orders (id int); CREATE ROLE ro NOLOGIN; GRANT SELECT ON orders TO ro;")
        pg.sql("CREATE ROLE root_of_vault LOGIN SUPERUSER PASSWORD 'of-the-root'; CREATE ROLE app LOGIN PASSWORD 'one';")
        self.put("sys/mounts/db", {"type": "database"})
        connection = {
            "plugin_name": "postgresql-database-plugin",
            "connection_url": "postgresql://{{username}}:{{password}}@127.0.0.1:%d/postgres?sslmode=disable" % pg.port,
            "username": "root_of_vault",
            "password": "of-the-root",
            "allowed_roles": ["reader", "app"],
        }
        self.put("db/config/orders", connection)
        make = ["CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}' INHERIT;"]
        make.append('GRANT ro TO "{{name}}";')
        take = ['DROP ROLE IF EXISTS "{{name}}";']
        role = {"db_name": "orders", "creation_statements": make, "revocation_statements": take}
        self.put("db/roles/reader", role | {"default_ttl": "1h", "max_ttl": "24h"})
        static = {"db_name": "orders", "username": "app", "rotation_period": "24h"}
        self.put("db/static-roles/app", static)
        made = self.get("db/creds/reader", server=self.source)
        self.assertTrue(pg.may(made["username"], made["password"], "SELECT * FROM orders"))

        only = ("--only", "database", "--mount", "db")
        entries, _ = self.copy(*only, code=MISSING)
        self.assertEqual(self.of(entries, "db/config/orders")[0][0], "by_hand")
        wrong, right = os.path.join(self.home, "wrong"), os.path.join(self.home, "right")
        for path, text in ((wrong, "not-it"), (right, "of-the-root")):
            with open(path, "w") as file:
                file.write(text)
        entries, _ = self.copy(*only, "--database-password-file", f"orders={wrong}", code=MISSING)
        self.assertEqual(self.of(entries, "db/config/orders")[0][0], "refused", "it logs in before it keeps it")
        self.assertNotIn("not-it", json.dumps(entries) + self.told)
        entries, _ = self.copy(*only, "--database-password-file", f"orders={right}", code=MISSING)
        self.assertEqual(self.of(entries, "db/config/orders")[0][0], "copied")
        self.assertEqual(self.of(entries, "db/roles/reader")[0][0], "copied")
        told, = [one for one in entries if one["path"] == "db/static-roles/app"]
        self.assertEqual(told["outcome"], "by_hand")
        self.assertNotIn("of-the-root", json.dumps(entries) + self.told)

        here = self.get("db/creds/reader")
        self.assertTrue(pg.may(here["username"], here["password"], "SELECT * FROM orders"))
        entries, _ = self.copy(*only, code=MISSING)
        told = {one["path"]: one["outcome"] for one in entries}
        self.assertEqual(told["db/config/orders"], "same", entries)
        self.assertEqual(told["db/roles/reader"], "same", entries)

        # What the report says to do by hand.
        self.assertEqual(self.source.ask("DELETE", "/v1/db/static-roles/app").status, 204)
        done = self.target.ask("POST", "/v1/db/static-roles/app", static)
        self.assertIn(done.status, (200, 204), done.text)
        app = self.get("db/static-creds/app")
        self.assertEqual(app["username"], "app")
        self.assertTrue(pg.may("app", app["password"]))
        self.assertFalse(pg.may("app", "one"))
        entries, summary = self.copy(*only)
        self.assertTrue(summary["whole"], entries)


if __name__ == "__main__":
    unittest.main()
