"""Databases and leases by hvac, by OpenBao's command line, and by its agent, at a PostgreSQL server."""

import json
import os
import pathlib
import subprocess
import tempfile
import time
import unittest

import hvac
from hvac import exceptions

import postgresql
from server import TOKEN, Case

URL = "postgresql://{{username}}:{{password}}@127.0.0.1:%d/postgres?sslmode=disable"
# As tutorials have them.
READONLY = """
CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}' INHERIT;
GRANT ro TO "{{name}}";
"""
ALTER = """ALTER ROLE "{{name}}" VALID UNTIL '{{expiration}}';"""
REVOKE = """REVOKE ALL PRIVILEGES ON ALL TABLES IN SCHEMA public FROM "{{name}}"; DROP ROLE IF EXISTS "{{name}}";"""
ORDERS = "SELECT count(*) FROM orders"


def eventually(what, look, within=60):
    end = time.monotonic() + within
    while not (found := look()):
        if time.monotonic() > end:
            raise AssertionError("not in time: " + what)
        time.sleep(0.1)
    return found


@unittest.skipUnless(postgresql.is_there(), "needs PostgreSQL's programs")
class Databases(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.pg = cls.enterClassContext(postgresql.Postgresql())
        cls.pg.sql(
            "CREATE TABLE orders (id int); CREATE ROLE ro NOLOGIN; GRANT SELECT ON orders TO ro;"
            "CREATE ROLE vault LOGIN SUPERUSER PASSWORD 'vault-one';"
            "CREATE ROLE vault_cli LOGIN SUPERUSER PASSWORD 'vault-two';"
            "CREATE ROLE app LOGIN PASSWORD 'app-one'; GRANT ro TO app;"
        )

    def exists(self, name):
        return self.pg.sql(f"SELECT count(*) FROM pg_roles WHERE rolname = '{name}'") == "1"

    def may_read(self, data):
        return self.pg.may(data["username"], data["password"], ORDERS)

    def test_hvac(self):
        client = hvac.Client(url=self.server.url, token=TOKEN)
        client.sys.enable_secrets_engine("database", path="database")
        database = client.secrets.database
        with self.assertRaises(exceptions.InvalidRequest) as refused:
            database.configure(
                name="shop",
                plugin_name="postgresql-database-plugin",
                allowed_roles=["*"],
                connection_url=URL % self.pg.port,
                username="vault",
                password="not-the-password",
            )
        self.assertNotIn("not-the-password", str(refused.exception))
        database.configure(
            name="shop",
            plugin_name="postgresql-database-plugin",
            verify_connection=True,
            allowed_roles=["reader", "app"],
            connection_url=URL % self.pg.port,
            username="vault",
            password="vault-one",
        )
        read = database.read_connection("shop")
        self.assertEqual(read["data"]["connection_details"]["username"], "vault")
        self.assertEqual(read["data"]["connection_details"]["connection_url"], URL % self.pg.port)
        self.assertNotIn("vault-one", json.dumps(read))
        self.assertEqual(database.list_connections()["data"]["keys"], ["shop"])
        database.create_role(
            name="reader",
            db_name="shop",
            creation_statements=[READONLY],
            renew_statements=[ALTER],
            revocation_statements=[REVOKE],
            default_ttl="1h",
            max_ttl="24h",
        )
        self.assertEqual(database.list_roles()["data"]["keys"], ["reader"])
        role = database.read_role("reader")["data"]
        self.assertEqual((role["db_name"], role["default_ttl"], role["max_ttl"]), ("shop", 3600, 86400))
        made = database.generate_credentials("reader")
        self.assertTrue(made["lease_id"].startswith("database/creds/reader/"))
        self.assertTrue(self.may_read(made["data"]))
        self.assertEqual(client.sys.read_lease(made["lease_id"])["data"]["id"], made["lease_id"])
        renewed = client.sys.renew_lease(made["lease_id"], increment=7200)
        self.assertGreater(renewed["lease_duration"], 7000)
        self.assertEqual(client.sys.list_leases("database/creds/reader")["data"]["keys"], [made["lease_id"].split("/")[-1]])
        client.sys.revoke_lease(made["lease_id"])
        eventually("it is gone", lambda: not self.exists(made["data"]["username"]))
        two = [database.generate_credentials("reader")["data"] for _ in range(2)]
        client.sys.revoke_prefix("database/creds/reader")
        eventually("both are gone", lambda: not any(self.exists(each["username"]) for each in two))
        more = database.generate_credentials("reader")["data"]
        client.sys.revoke_force("database/creds")
        eventually("it is gone, too", lambda: not self.exists(more["username"]))

        database.reset_connection("shop")
        database.rotate_root_credentials("shop")
        self.assertFalse(self.pg.may("vault", "vault-one"))
        self.assertTrue(self.may_read(database.generate_credentials("reader")["data"]))

        database.create_static_role(name="app", db_name="shop", username="app", rotation_statements=[], rotation_period=86400)
        self.assertEqual(database.list_static_roles()["data"]["keys"], ["app"])
        self.assertEqual(database.read_static_role("app")["data"]["username"], "app")
        first = database.get_static_credentials("app")["data"]
        self.assertEqual(first["username"], "app")
        self.assertTrue(self.may_read(first))
        self.assertFalse(self.pg.may("app", "app-one"))
        database.rotate_static_role_credentials("app")
        second = database.get_static_credentials("app")["data"]
        self.assertNotEqual(first["password"], second["password"])
        self.assertTrue(self.may_read(second))
        self.assertFalse(self.may_read(first))

        client.sys.create_or_update_policy("app", 'path "database/creds/reader" { capabilities = ["read"] }')
        app = hvac.Client(url=self.server.url, token=client.auth.token.create(policies=["app"])["auth"]["client_token"])
        mine = app.secrets.database.generate_credentials("reader")
        with self.assertRaises(exceptions.Forbidden):
            app.secrets.database.read_role("reader")
        app.auth.token.revoke_self()
        eventually("it ends with its token", lambda: not self.exists(mine["data"]["username"]))

    def bao(self, *words, code=0, stdin=None):
        env = {
            "PATH": os.environ["PATH"],
            "HOME": self.server.home.name,
            "BAO_ADDR": self.server.url,
            "BAO_TOKEN": TOKEN,
        }
        done = subprocess.run(
            [os.environ["BAO_BINARY"], *words], env=env, input=stdin, capture_output=True, text=True, timeout=120
        )
        self.assertEqual(done.returncode, code, f"{words}: {done.stdout}{done.stderr}")
        return done.stdout

    def json(self, *words):
        verb, *rest = words
        return json.loads(self.bao(verb, "-format=json", *rest))

    def configured(self, path):
        self.bao("secrets", "enable", f"-path={path}", "database")
        self.bao(
            "write",
            f"{path}/config/mydb",
            "plugin_name=postgresql-database-plugin",
            "allowed_roles=readonly",
            "connection_url=" + URL % self.pg.port,
            "username=vault_cli",
            "password=vault-two",
        )
        self.bao(
            "write", f"{path}/roles/readonly", "db_name=mydb", "creation_statements=-", "default_ttl=1h", stdin=READONLY
        )

    def test_bao(self):
        self.configured("db")
        self.assertIn("allowed_roles", self.bao("read", "db/config/mydb"))
        self.assertIn("readonly", self.bao("list", "db/roles"))
        made = self.json("read", "db/creds/readonly")
        self.assertTrue(self.may_read(made["data"]))
        self.assertIn(made["lease_id"], self.bao("lease", "lookup", made["lease_id"]))
        self.bao("lease", "renew", "-increment=2h", made["lease_id"])
        self.bao("lease", "revoke", "-sync", made["lease_id"])
        self.assertFalse(self.exists(made["data"]["username"]))
        two = [self.json("read", "db/creds/readonly")["data"] for _ in range(2)]
        self.bao("lease", "revoke", "-sync", "-prefix", "db/creds/readonly")
        self.assertFalse(any(self.exists(each["username"]) for each in two))
        self.bao("read", "db/creds/nothing", code=2)
        self.bao("secrets", "disable", "db", code=2)
        self.bao("delete", "db/roles/readonly")
        self.bao("delete", "db/config/mydb")
        self.bao("secrets", "disable", "db")

    def test_agent(self):
        """It renders a credential, runs a command when it changes, and takes another when that one ends."""
        self.configured("for-agents")
        with tempfile.TemporaryDirectory() as home:
            home = pathlib.Path(home)
            (home / "token").write_text(TOKEN)
            (home / "agent.hcl").write_text(
                f"""
                vault {{ address = "{self.server.url}" }}
                auto_auth {{
                  method {{
                    type   = "token_file"
                    config = {{ token_file_path = "{home}/token" }}
                  }}
                }}
                template_config {{ exit_on_retry_failure = true }}
                template {{
                  contents    = "{{{{ with secret \\"for-agents/creds/readonly\\" }}}}{{{{ .Data.username }}}} {{{{ .Data.password }}}}{{{{ end }}}}"
                  destination = "{home}/credential"
                  exec {{ command = ["sh", "-c", "cat {home}/credential >> {home}/told; echo >> {home}/told"] }}
                }}
                """
            )
            self.bao("write", "for-agents/roles/readonly", "default_ttl=6s", "max_ttl=8s")
            with open(home / "log", "w") as log:
                agent = subprocess.Popen(
                    [os.environ["BAO_BINARY"], "agent", f"-config={home}/agent.hcl"],
                    env={"PATH": os.environ["PATH"], "HOME": str(home)},
                    stdout=log,
                    stderr=log,
                )
            try:
                told = home / "told"

                def lines():
                    if agent.poll() is not None:
                        raise AssertionError((home / "log").read_text())
                    found = told.read_text().splitlines() if told.exists() else []
                    return [line.split() for line in found if line]

                first = eventually("a credential is rendered", lines)[0]
                self.assertTrue(self.pg.may(*first, ORDERS))
                second = eventually("and another one in time", lambda: len(lines()) > 1 and lines()[1])
                self.assertNotEqual(first[0], second[0])
                self.assertTrue(self.pg.may(*second, ORDERS))
            finally:
                agent.terminate()
                agent.wait(30)


if __name__ == "__main__":
    unittest.main()
