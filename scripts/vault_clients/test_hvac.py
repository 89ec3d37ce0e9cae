"""The Python client hvac, as its own guide uses it."""

import unittest

import hvac
from hvac import exceptions

from server import TOKEN, Case


class Hvac(Case):
    def setUp(self):
        self.client = hvac.Client(url=self.server.url, token=TOKEN)
        self.kv = self.client.secrets.kv.v2

    def native(self, method, path, body=None):
        return self.server.ask(method, path, body, {"Authorization": f"Bearer {TOKEN}"}, token=None)

    def test_status(self):
        self.assertTrue(self.client.is_authenticated())
        self.assertFalse(hvac.Client(url=self.server.url, token="nobody").is_authenticated())
        self.assertTrue(self.client.sys.is_initialized())
        self.assertFalse(self.client.sys.is_sealed())
        health = self.client.sys.read_health_status(method="GET")
        self.assertTrue(health["initialized"])
        self.assertEqual(self.client.sys.read_health_status(method="HEAD").status_code, 200)
        self.assertFalse(self.client.sys.read_leader_status()["ha_enabled"])
        self.assertIn("scaivault/", self.client.sys.list_enabled_audit_devices()["data"])

    def test_kv2_write_read_list_delete(self):
        made = self.kv.create_or_update_secret(path="hvac/one", secret={"psst": "this is so secret"})
        self.assertEqual(made["data"]["version"], 1)
        read = self.kv.read_secret_version(path="hvac/one", raise_on_deleted_version=True)
        self.assertEqual(read["data"]["data"], {"psst": "this is so secret"})
        self.assertEqual(read["data"]["metadata"]["version"], 1)
        self.assertFalse(read["data"]["metadata"]["destroyed"])
        self.kv.create_or_update_secret(path="hvac/one", secret={"psst": "two"})
        first = self.kv.read_secret_version(path="hvac/one", version=1, raise_on_deleted_version=True)
        self.assertEqual(first["data"]["data"]["psst"], "this is so secret")
        self.kv.create_or_update_secret(path="hvac/sub/Two.x", secret={"a": 1})
        self.assertEqual(self.kv.list_secrets(path="hvac")["data"]["keys"], ["one", "sub/"])
        self.assertEqual(self.kv.list_secrets(path="hvac/sub")["data"]["keys"], ["Two.x"])
        with self.assertRaises(exceptions.InvalidPath):
            self.kv.list_secrets(path="hvac/nothing")
        with self.assertRaises(exceptions.InvalidPath):
            self.kv.read_secret_version(path="hvac/none", raise_on_deleted_version=True)

    def test_it_is_one_store(self):
        self.kv.create_or_update_secret(path="both/a", secret={"k": "theirs"})
        self.assertEqual(self.native("GET", "/v1/secrets/secret/both/a").body["data"], {"k": "theirs"})
        self.native("PUT", "/v1/secrets/secret/both/a", {"data": {"k": "ours"}})
        read = self.kv.read_secret_version(path="both/a", raise_on_deleted_version=True)["data"]
        self.assertEqual((read["data"], read["metadata"]["version"]), ({"k": "ours"}, 2))

    def test_kv2_check_and_set(self):
        self.kv.create_or_update_secret(path="cas/a", secret={"n": 1}, cas=0)
        with self.assertRaisesRegex(exceptions.InvalidRequest, "check-and-set parameter did not match"):
            self.kv.create_or_update_secret(path="cas/a", secret={"n": 2}, cas=0)
        self.kv.create_or_update_secret(path="cas/a", secret={"n": 2}, cas=1)
        self.kv.update_metadata(path="cas/a", cas_required=True)
        with self.assertRaisesRegex(exceptions.InvalidRequest, "cas"):
            self.kv.create_or_update_secret(path="cas/a", secret={"n": 3})
        self.kv.create_or_update_secret(path="cas/a", secret={"n": 3}, cas=2)

    def test_kv2_patch(self):
        self.kv.create_or_update_secret(path="patched", secret={"a": 1, "b": {"c": 1, "d": 2}})
        # It reads, merges the first level and writes with a check itself.
        self.kv.patch(path="patched", secret={"b": {"c": 5}, "e": "x"})
        read = self.kv.read_secret_version(path="patched", raise_on_deleted_version=True)["data"]
        self.assertEqual(read["data"], {"a": 1, "b": {"c": 5}, "e": "x"})
        self.assertEqual(read["metadata"]["version"], 2)
        patch = {"data": {"a": None, "b": {"d": 7}}}
        merge = {"Content-Type": "application/merge-patch+json"}
        self.server.ask("PATCH", "/v1/secret/data/patched", patch, merge)
        read = self.kv.read_secret_version(path="patched", raise_on_deleted_version=True)["data"]
        self.assertEqual(read["data"], {"b": {"c": 5, "d": 7}, "e": "x"})
        with self.assertRaises(exceptions.InvalidPath):
            self.kv.patch(path="patched/none", secret={"a": 1})

    def test_kv2_versions_deleted_brought_back_and_destroyed(self):
        for number in range(1, 4):
            self.kv.create_or_update_secret(path="life", secret={"n": number})
        self.kv.delete_latest_version_of_secret(path="life")
        with self.assertRaises(exceptions.InvalidPath) as gone:
            self.kv.read_secret_version(path="life", raise_on_deleted_version=True)
        told = gone.exception.json["data"]
        self.assertIsNone(told["data"])
        self.assertNotEqual(told["metadata"]["deletion_time"], "")
        self.assertEqual(self.native("GET", "/v1/secrets/secret/life").status, 404)
        self.kv.undelete_secret_versions(path="life", versions=[3])
        read = self.kv.read_secret_version(path="life", raise_on_deleted_version=True)
        self.assertEqual(read["data"]["data"], {"n": 3})
        self.kv.delete_secret_versions(path="life", versions=[1, 2])
        self.kv.destroy_secret_versions(path="life", versions=[1])
        self.kv.undelete_secret_versions(path="life", versions=[1, 2])
        versions = self.kv.read_secret_metadata(path="life")["data"]["versions"]
        self.assertTrue(versions["1"]["destroyed"])
        self.assertEqual(versions["2"]["deletion_time"], "")
        with self.assertRaises(exceptions.InvalidPath) as gone:
            self.kv.read_secret_version(path="life", version=1, raise_on_deleted_version=True)
        self.assertTrue(gone.exception.json["data"]["metadata"]["destroyed"])
        self.assertEqual(self.native("GET", "/v1/secrets/secret/life?version=1").status, 404)
        self.kv.delete_metadata_and_all_versions(path="life")
        with self.assertRaises(exceptions.InvalidPath):
            self.kv.read_secret_metadata(path="life")
        again = self.kv.create_or_update_secret(path="life", secret={"n": 1})
        self.assertEqual(again["data"]["version"], 1)

    def test_kv2_metadata(self):
        self.kv.update_metadata(path="described", max_versions=3, custom_metadata={"owner": "me", "team": "x"})
        self.kv.create_or_update_secret(path="described", secret={"a": 1})
        told = self.kv.read_secret_metadata(path="described")["data"]
        self.assertEqual(told["custom_metadata"], {"owner": "me", "team": "x"})
        self.assertEqual((told["max_versions"], told["current_version"], told["oldest_version"]), (3, 1, 1))
        self.kv.update_metadata(path="described", delete_version_after="3h25m19s")
        told = self.kv.read_secret_metadata(path="described")["data"]
        self.assertEqual(told["delete_version_after"], "3h25m19s")
        self.assertEqual(told["custom_metadata"], {"owner": "me", "team": "x"})
        made = self.kv.create_or_update_secret(path="described", secret={"a": 2})
        self.assertNotEqual(made["data"]["deletion_time"], "")
        for number in range(4):
            self.kv.create_or_update_secret(path="described", secret={"a": number})
        told = self.kv.read_secret_metadata(path="described")["data"]
        self.assertEqual(sorted(told["versions"], key=int), ["4", "5", "6"])

    def test_kv2_subkeys(self):
        value = {"a": "hidden-value", "b": {"c": {"d": "hidden-value"}}}
        self.kv.create_or_update_secret(path="parts", secret=value)
        told = self.kv.read_secret_subkeys(path="parts") if hasattr(self.kv, "read_secret_subkeys") else None
        told = told or self.server.ask("GET", "/v1/secret/subkeys/parts").body
        self.assertEqual(told["data"]["subkeys"], {"a": None, "b": {"c": {"d": None}}})
        told = self.server.ask("GET", "/v1/secret/subkeys/parts?depth=1")
        self.assertEqual(told.body["data"]["subkeys"], {"a": None, "b": None})
        self.assertNotIn("hidden-value", told.text)

    def test_kv2_configuration(self):
        sys = self.client.sys
        sys.enable_secrets_engine("kv", path="configured", options={"version": "2"})
        self.kv.configure(max_versions=2, cas_required=True, mount_point="configured")
        told = self.kv.read_configuration(mount_point="configured")["data"]
        self.assertEqual((told["max_versions"], told["cas_required"]), (2, True))
        with self.assertRaises(exceptions.InvalidRequest):
            self.kv.create_or_update_secret(path="a", secret={"a": 1}, mount_point="configured")
        for cas in range(3):
            self.kv.create_or_update_secret(path="a", secret={"a": 1}, cas=cas, mount_point="configured")
        told = self.kv.read_secret_metadata(path="a", mount_point="configured")["data"]
        self.assertEqual(sorted(told["versions"]), ["2", "3"])

    def test_kv1(self):
        self.client.sys.enable_secrets_engine("kv", path="old", options={"version": "1"})
        kv = self.client.secrets.kv.v1
        kv.create_or_update_secret(path="App/db", secret={"user": "u", "ttl": "1h"}, mount_point="old")
        read = kv.read_secret(path="App/db", mount_point="old")
        self.assertEqual((read["data"], read["lease_duration"]), ({"user": "u", "ttl": "1h"}, 3600))
        kv.create_or_update_secret(path="App/db", secret={"user": "w"}, method="PUT", mount_point="old")
        self.assertEqual(kv.read_secret(path="App/db", mount_point="old")["data"], {"user": "w"})
        self.assertEqual(kv.list_secrets(path="", mount_point="old")["data"]["keys"], ["App/"])
        self.assertEqual(kv.list_secrets(path="App", mount_point="old")["data"]["keys"], ["db"])
        kv.delete_secret(path="App/db", mount_point="old")
        with self.assertRaises(exceptions.InvalidPath):
            kv.read_secret(path="App/db", mount_point="old")
        kv.create_or_update_secret(path="App/db", secret={"user": "again"}, mount_point="old")

    def test_mounts(self):
        sys = self.client.sys
        self.assertIn("secret/", sys.list_mounted_secrets_engines()["data"])
        sys.enable_secrets_engine("kv", path="team/a", description="of the team", options={"version": "2"})
        with self.assertRaisesRegex(exceptions.InvalidRequest, "already in use"):
            sys.enable_secrets_engine("kv", path="team", options={"version": "2"})
        sys.tune_mount_configuration("team/a", default_lease_ttl="1h", description="changed")
        told = sys.read_mount_configuration("team/a")["data"]
        self.assertEqual((told["default_lease_ttl"], told["description"]), (3600, "changed"))
        self.kv.create_or_update_secret(path="x", secret={"a": 1}, mount_point="team/a")
        with self.assertRaisesRegex(exceptions.InvalidRequest, "holds secrets"):
            sys.disable_secrets_engine("team/a")
        self.kv.delete_metadata_and_all_versions(path="x", mount_point="team/a")
        sys.disable_secrets_engine("team/a")
        self.assertNotIn("team/a/", sys.list_mounted_secrets_engines()["data"])
        with self.assertRaises(exceptions.InvalidPath):
            self.kv.read_secret_version(path="x", mount_point="team/a", raise_on_deleted_version=True)
        with self.assertRaises(exceptions.InvalidRequest):
            sys.enable_secrets_engine("kv", path="secrets")

    def test_tokens(self):
        tokens = self.client.auth.token
        self.assertEqual(tokens.lookup_self()["data"]["policies"], ["root"])
        made = self.native(
            "POST",
            "/v1/auth/tokens",
            {"identity_type": "service_account", "identity_id": "sa:hvac", "scopes": ["secrets:read"], "ttl": "1h"},
        ).body
        other = hvac.Client(url=self.server.url, token=made["token"])
        told = other.auth.token.lookup_self()["data"]
        self.assertEqual((told["accessor"], told["renewable"]), (made["id"], True))
        self.assertTrue(3500 < told["ttl"] <= 3600)
        self.assertEqual(other.auth.token.renew_self(increment="30m")["auth"]["lease_duration"], 1800)
        self.assertEqual(tokens.lookup(made["token"])["data"]["accessor"], made["id"])
        self.assertEqual(tokens.lookup_accessor(made["id"])["data"]["id"], "")
        self.assertIn(made["id"], tokens.list_accessors()["data"]["keys"])
        with self.assertRaises(exceptions.Forbidden):
            other.auth.token.lookup(TOKEN)
        with self.assertRaises(exceptions.Forbidden):
            tokens.lookup("skt_nothing")
        tokens.renew_accessor(made["id"])
        other.auth.token.revoke_self()
        self.assertFalse(other.is_authenticated())
        with self.assertRaises(exceptions.InvalidRequest):
            tokens.lookup_accessor(made["id"])

    def test_wrapping(self):
        self.kv.create_or_update_secret(path="wrapped", secret={"a": "in paper"})
        answer = self.client.adapter.get("/v1/secret/data/wrapped", wrap_ttl="120s")
        info = answer["wrap_info"]
        self.assertNotIn("in paper", str(answer))
        self.assertEqual((info["ttl"], info["creation_path"]), (120, "secret/data/wrapped"))
        told = self.client.adapter.post("/v1/sys/wrapping/lookup", json={"token": info["token"]})
        self.assertEqual(told["data"]["creation_path"], "secret/data/wrapped")
        stranger = hvac.Client(url=self.server.url, token=info["token"])
        with self.assertRaises(exceptions.Forbidden):
            stranger.secrets.kv.v2.read_secret_version(path="wrapped", raise_on_deleted_version=True)
        opened = self.client.sys.unwrap(info["token"])
        self.assertEqual(opened["data"]["data"], {"a": "in paper"})
        with self.assertRaises(exceptions.InvalidRequest):
            self.client.sys.unwrap(info["token"])
        wrapped = self.client.sys.wrap({"foo": "bar"}, ttl=60)
        bearer = hvac.Client(url=self.server.url, token=wrapped["wrap_info"]["token"])
        self.assertEqual(bearer.sys.unwrap()["data"], {"foo": "bar"})
        wrapped = self.client.sys.wrap({"foo": "bar"}, ttl=60)["wrap_info"]["token"]
        fresh = self.client.adapter.post("/v1/sys/wrapping/rewrap", json={"token": wrapped})
        with self.assertRaises(exceptions.InvalidRequest):
            self.client.sys.unwrap(wrapped)
        self.assertEqual(self.client.sys.unwrap(fresh["wrap_info"]["token"])["data"], {"foo": "bar"})

    def test_cubbyhole(self):
        self.client.write_data("cubbyhole/mine/a", data={"k": "v"})
        self.assertEqual(self.client.read("cubbyhole/mine/a")["data"], {"k": "v"})
        self.assertEqual(self.client.list("cubbyhole/")["data"]["keys"], ["mine/"])
        made = self.native(
            "POST",
            "/v1/auth/tokens",
            {"identity_type": "service_account", "identity_id": "sa:cub", "scopes": ["admin"], "ttl": "1h"},
        ).body
        other = hvac.Client(url=self.server.url, token=made["token"])
        self.assertIsNone(other.read("cubbyhole/mine/a"))
        self.client.delete("cubbyhole/mine/a")
        self.assertIsNone(self.client.read("cubbyhole/mine/a"))


if __name__ == "__main__":
    unittest.main()
