"""Policies, tokens and logins by the Python client hvac."""

import hvac
from hvac import exceptions

from server import TOKEN, Case

SHOP = """
# What the shop needs.
path "secret/data/shop/*" {
  capabilities = ["create", "read", "update"]
}

path "secret/metadata/shop/*" {
  capabilities = ["list", "read"]
}

path "auth/token/create" {
  capabilities = ["update"]
}
"""


class Access(Case):
    def setUp(self):
        self.root = hvac.Client(url=self.server.url, token=TOKEN)
        self.root.sys.create_or_update_policy(name="shop", policy=SHOP)
        kv = self.root.secrets.kv.v2
        for path in ["shop/db", "other"]:
            kv.create_or_update_secret(path=path, secret={"path": path})

    def client(self, token=None):
        return hvac.Client(url=self.server.url, token=token)

    def reads(self, client, path):
        kv = client.secrets.kv.v2
        return kv.read_secret_version(path=path, raise_on_deleted_version=True)["data"]["data"]

    def has_the_shop(self, client):
        self.assertEqual(self.reads(client, "shop/db"), {"path": "shop/db"})
        client.secrets.kv.v2.create_or_update_secret(path="shop/new", secret={"a": 1})
        self.assertIn("db", client.secrets.kv.v2.list_secrets(path="shop")["data"]["keys"])
        for refused in [
            lambda: self.reads(client, "other"),
            lambda: client.secrets.kv.v2.create_or_update_secret(path="other", secret={"a": 1}),
            lambda: client.secrets.kv.v2.delete_metadata_and_all_versions(path="shop/db"),
            lambda: client.sys.read_policy(name="shop"),
        ]:
            with self.assertRaises(exceptions.Forbidden):
                refused()

    def test_policies(self):
        self.assertIn("shop", self.root.sys.list_policies()["data"]["policies"])
        text = self.root.sys.read_policy(name="shop")["data"]["rules"]
        self.assertIn('path "secret/data/shop/*"', text)
        self.root.sys.create_or_update_policy(name="again", policy=text)
        self.assertEqual(self.root.sys.read_policy(name="again")["data"]["rules"], text)
        as_object = {"path": {"secret/data/x": {"capabilities": ["read"]}}}
        self.root.sys.create_or_update_acl_policy(name="json", policy=as_object)
        self.assertIn("secret/data/x", self.root.sys.read_acl_policy(name="json")["data"]["policy"])
        for name in ["again", "json"]:
            self.root.sys.delete_policy(name=name)
        self.assertNotIn("again", self.root.sys.list_acl_policies()["data"]["keys"])
        with self.assertRaisesRegex(exceptions.InvalidRequest, "line 2"):
            self.root.sys.create_or_update_policy(
                name="no", policy='\npath "secret/data/x" { capabilities = ["deny"] }'
            )

    def test_approle(self):
        approle = self.root.auth.approle
        approle.create_or_update_approle(
            role_name="web", token_policies=["shop"], token_ttl="20m", secret_id_num_uses=1
        )
        self.assertEqual(approle.list_roles()["data"]["keys"], ["web"])
        role_id = approle.read_role_id(role_name="web")["data"]["role_id"]
        made = approle.generate_secret_id(role_name="web", metadata={"host": "a"})["data"]
        seen = approle.read_secret_id(role_name="web", secret_id=made["secret_id"])["data"]
        self.assertEqual(seen["metadata"], {"host": "a"})
        client = self.client()
        login = client.auth.approle.login(role_id=role_id, secret_id=made["secret_id"])
        self.assertEqual(login["auth"]["policies"], ["default", "shop"])
        self.has_the_shop(client)
        with self.assertRaises(exceptions.InvalidRequest):
            self.client().auth.approle.login(role_id=role_id, secret_id=made["secret_id"])
        made = approle.generate_secret_id(role_name="web")["data"]
        approle.destroy_secret_id_accessor(
            role_name="web", secret_id_accessor=made["secret_id_accessor"]
        )
        with self.assertRaises(exceptions.InvalidRequest):
            self.client().auth.approle.login(role_id=role_id, secret_id=made["secret_id"])
        approle.delete_role(role_name="web")

    def test_tokens(self):
        made = self.root.auth.token.create(policies=["shop"], ttl="1h", display_name="web", meta={"a": "b"})
        client = self.client(made["auth"]["client_token"])
        self.has_the_shop(client)
        self.assertEqual(client.lookup_token()["data"]["meta"]["a"], "b")
        child = client.auth.token.create(ttl="10m")
        below = self.client(child["auth"]["client_token"])
        self.has_the_shop(below)
        with self.assertRaises(exceptions.Forbidden):
            client.auth.token.create(policies=["other"])
        self.assertTrue(client.auth.token.renew_self()["auth"]["renewable"])
        told = client.sys.get_capabilities(paths=["secret/data/shop/db"], token=None, accessor=None)
        self.assertEqual(told["data"]["secret/data/shop/db"], ["create", "patch", "read", "update"])
        self.root.auth.token.revoke_accessor(made["auth"]["accessor"])
        for ended in [client, below]:
            self.assertFalse(ended.is_authenticated())

    def test_names_and_passwords(self):
        userpass = self.root.auth.userpass
        userpass.create_or_update_user(username="alice", password="correct horse", policies=["shop"])
        self.assertEqual(userpass.list_user()["data"]["keys"], ["alice"])
        client = self.client()
        client.auth.userpass.login(username="alice", password="correct horse")
        self.has_the_shop(client)
        userpass.update_password_on_user(username="alice", password="battery staple")
        with self.assertRaises(exceptions.InvalidRequest):
            self.client().auth.userpass.login(username="alice", password="correct horse")
        userpass.delete_user(username="alice")

    def test_what_is_told_may_be_done(self):
        """Capabilities and what happens are one."""
        made = self.root.auth.token.create(policies=["shop"])["auth"]["client_token"]
        kv = {"data": {"a": 1}}
        asked = [
            ("GET", "secret/data/shop/db", "read", None),
            ("GET", "secret/data/other", "read", None),
            ("POST", "secret/data/shop/db", "update", kv),
            ("POST", "secret/data/other", "update", kv),
            ("DELETE", "secret/data/shop/db", "delete", None),
            ("GET", "secret/metadata/shop/db", "read", None),
            ("GET", "secret/metadata/other", "read", None),
            ("LIST", "secret/metadata/shop/", "list", None),
            ("POST", "secret/metadata/shop/db", "update", {"custom_metadata": {"a": "b"}}),
            ("POST", "secret/metadata/other", "update", {"custom_metadata": {"a": "b"}}),
            ("GET", "secret/subkeys/shop/db", "read", None),
            ("GET", "secret/subkeys/other", "read", None),
            ("POST", "secret/delete/shop/db", "update", {"versions": [1]}),
            ("POST", "secret/destroy/shop/db", "update", {"versions": [1]}),
            ("POST", "secret/undelete/shop/db", "update", {"versions": [1]}),
            ("GET", "sys/policies/acl/shop", "read", None),
            ("PUT", "sys/policies/acl/shop", "update", {"policy": SHOP}),
            ("GET", "sys/mounts", "read", None),
            ("POST", "sys/mounts/new", "update", {"type": "kv"}),
            ("GET", "sys/internal/ui/mounts", "read", None),
            ("GET", "sys/audit", "read", None),
            ("GET", "auth/token/lookup-self", "read", None),
            ("POST", "auth/token/create", "update", {}),
            ("POST", "auth/token/create-orphan", "update", {}),
            ("LIST", "auth/token/accessors", "list", None),
            ("LIST", "auth/approle/role", "list", None),
            ("POST", "auth/approle/role/x", "update", {}),
            ("POST", "auth/userpass/users/x", "update", {"password": "y"}),
            ("GET", "sys/auth", "read", None),
            ("POST", "sys/wrapping/wrap", "update", {"a": 1}),
            ("POST", "cubbyhole/a", "update", {"a": 1}),
        ]
        for method, path, capability, body in asked:
            with self.subTest(method=method, path=path):
                ask = {"paths": [path]}
                told = self.server.ask("POST", "/v1/sys/capabilities-self", ask, token=made)
                headers = {"X-Vault-Wrap-TTL": "60"} if path.endswith("/wrap") else None
                done = self.server.ask(method, "/v1/" + path, body, headers, token=made)
                is_told = capability in told.body["data"][path]
                self.assertEqual(is_told, done.status != 403, (told.text, done.status, done.text))
