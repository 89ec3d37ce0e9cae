"""Requests as programs with a client of their own write them."""

from server import Case


class Raw(Case):
    def test_external_secrets(self):
        """The Go client: X-Vault-Request, PUT for writes, lookup-self before use."""
        marks = {"X-Vault-Request": "true", "User-Agent": "Go-http-client/1.1"}
        me = self.server.ask("GET", "/v1/auth/token/lookup-self", headers=marks)
        self.assertEqual((me.status, me.body["data"]["type"]), (200, "service"))
        put = self.server.ask("PUT", "/v1/secret/data/eso/db", {"data": {"password": "p"}}, marks)
        self.assertEqual((put.status, put.body["data"]["version"]), (200, 1))
        got = self.server.ask("GET", "/v1/secret/data/eso/db", headers=marks)
        self.assertEqual(got.body["data"]["data"]["password"], "p")
        meta = self.server.ask("GET", "/v1/secret/metadata/eso/db", headers=marks)
        self.assertIsNone(meta.body["data"]["custom_metadata"])
        body = {"custom_metadata": {"managed-by": "external-secrets"}}
        push = self.server.ask("POST", "/v1/secret/metadata/eso/db", body, marks)
        self.assertEqual((push.status, push.text), (204, ""))
        listed = self.server.ask("LIST", "/v1/secret/metadata/eso", headers=marks)
        self.assertEqual(listed.body["data"]["keys"], ["db"])
        none = self.server.ask("GET", "/v1/secret/data/eso/none", headers=marks)
        self.assertEqual((none.status, none.body), (404, {"errors": []}))

    def test_spring(self):
        """Spring Vault: asks for the mount, reads with GET, lists with ?list=true, renews itself."""
        mount = self.server.ask("GET", "/v1/sys/internal/ui/mounts/secret/application")
        self.assertEqual(mount.body["data"]["path"], "secret/")
        self.assertEqual(mount.body["data"]["options"]["version"], "2")
        self.server.ask("POST", "/v1/secret/data/application", {"data": {"spring.datasource.password": "x"}})
        got = self.server.ask("GET", "/v1/secret/data/application")
        self.assertEqual(got.body["data"]["data"], {"spring.datasource.password": "x"})
        self.assertEqual(self.server.ask("GET", "/v1/secret/data/application,prod").status, 404)
        listed = self.server.ask("GET", "/v1/secret/metadata?list=true")
        self.assertIn("application", listed.body["data"]["keys"])
        self.assertEqual(self.server.ask("POST", "/v1/auth/token/renew-self").status, 200)
        patch = {"Content-Type": "application/merge-patch+json"}
        done = self.server.ask("PATCH", "/v1/secret/data/application", {"data": {"more": "y"}}, patch)
        self.assertEqual(done.body["data"]["version"], 2)

    def test_spring_cloud_vault(self):
        """An application that starts: AppRole, the paths of its profiles, renewal, and the end."""
        ask = self.server.ask
        policy = 'path "secret/data/app/*" { capabilities = ["read"] }\npath "secret/data/app" { capabilities = ["read"] }'
        self.assertEqual(ask("PUT", "/v1/sys/policies/acl/app", {"policy": policy}).status, 204)
        self.assertEqual(ask("POST", "/v1/sys/auth/approle", {"type": "approle"}).status, 204)
        role = {"token_policies": ["app"], "token_ttl": "2m", "token_max_ttl": "10m", "bind_secret_id": True}
        self.assertEqual(ask("POST", "/v1/auth/approle/role/app", role).status, 204)
        role_id = ask("GET", "/v1/auth/approle/role/app/role-id").body["data"]["role_id"]
        wrapped = ask("POST", "/v1/auth/approle/role/app/secret-id", {}, {"X-Vault-Wrap-TTL": "60"}).body["wrap_info"]
        # Pull mode: the secret id comes in paper, opened with the paper's own token.
        opened = ask("POST", "/v1/sys/wrapping/unwrap", token=wrapped["token"])
        secret_id = opened.body["data"]["secret_id"]
        login = {"role_id": role_id, "secret_id": secret_id}
        auth = ask("POST", "/v1/auth/approle/login", login, token=None).body["auth"]
        self.assertEqual((auth["lease_duration"], auth["renewable"]), (120, True))
        token = auth["client_token"]
        ask("POST", "/v1/secret/data/app", {"data": {"a": "of all"}})
        ask("POST", "/v1/secret/data/app/prod", {"data": {"a": "of prod"}})
        for path in ("app", "app/prod"):
            mount = ask("GET", f"/v1/sys/internal/ui/mounts/secret/{path}", token=token)
            self.assertEqual(mount.body["data"]["options"]["version"], "2")
            self.assertEqual(ask("GET", f"/v1/secret/data/{path}", token=token).status, 200)
        self.assertEqual(ask("GET", "/v1/secret/data/app/dev", token=token).status, 404)
        me = ask("GET", "/v1/auth/token/lookup-self", token=token).body["data"]
        self.assertTrue(0 < me["ttl"] <= 120 and me["renewable"])
        renewed = ask("POST", "/v1/auth/token/renew-self", token=token)
        self.assertEqual(renewed.body["auth"]["client_token"], token)
        self.assertEqual(ask("POST", "/v1/auth/token/revoke-self", token=token).status, 204)
        self.assertEqual(ask("GET", "/v1/secret/data/app", token=token).status, 403)

    def test_external_secrets_with_an_approle(self):
        """Login by PUT, a look at its token, whole secrets and single properties, and the end."""
        marks = {"X-Vault-Request": "true"}
        ask = self.server.ask
        policy = 'path "secret/data/eso2/*" { capabilities = ["read", "create", "update"] }'
        ask("PUT", "/v1/sys/policies/acl/eso", {"policy": policy})
        ask("POST", "/v1/auth/approle/role/eso", {"token_policies": "eso"})
        role_id = ask("GET", "/v1/auth/approle/role/eso/role-id").body["data"]["role_id"]
        secret_id = ask("PUT", "/v1/auth/approle/role/eso/secret-id", {}, marks).body["data"]["secret_id"]
        login = ask("PUT", "/v1/auth/approle/login", {"role_id": role_id, "secret_id": secret_id}, marks, None)
        token = login.body["auth"]["client_token"]
        me = ask("GET", "/v1/auth/token/lookup-self", None, marks, token)
        self.assertIn("eso", me.body["data"]["policies"])
        for value in ({"a": "1"}, {"a": "2"}):
            put = ask("PUT", "/v1/secret/data/eso2/db", {"data": value}, marks, token)
            self.assertEqual(put.status, 200)
        for version, expect in ((None, "2"), (1, "1")):
            query = f"?version={version}" if version else ""
            got = ask("GET", "/v1/secret/data/eso2/db" + query, None, marks, token)
            self.assertEqual(got.body["data"]["data"], {"a": expect})
        self.assertEqual(ask("LIST", "/v1/secret/metadata/eso2", None, marks, token).status, 403)
        self.assertEqual(ask("PUT", "/v1/auth/token/revoke-self", None, marks, token).status, 204)

    def test_bearer(self):
        """Vault takes its token as a bearer's, too."""
        bearer = {"Authorization": "Bearer skt_root_of_the_clients_0123456789abcdef"}
        put = self.server.ask("POST", "/v1/secret/data/bearer", {"data": {"a": 1}}, bearer, token=None)
        self.assertEqual(put.status, 200)
        self.assertEqual(self.server.ask("GET", "/v1/secret/data/bearer", None, bearer, None).status, 200)

    def test_refusals(self):
        for path in ("/v1/secret/data/x", "/v1/sys/mounts", "/v1/auth/token/lookup-self", "/v1/cubbyhole/x"):
            for token in ("skt_nothing", ""):
                headers = {"X-Vault-Request": "true"}
                answer = self.server.ask("GET", path, headers=headers, token=token)
                self.assertEqual((answer.status, answer.body["errors"]), (403, ["permission denied"]), path)
        answer = self.server.ask("POST", "/v1/secret/data/x", {"data": "no object"})
        self.assertEqual(answer.status, 400)
        self.assertEqual(self.server.ask("POST", "/v1/secret/x", {"a": 1}).status, 400)
        self.assertEqual(self.server.ask("GET", "/v1/nothing/x").status, 404)
        self.assertEqual(self.server.ask("PATCH", "/v1/sys/mounts").status, 405)

    def test_health(self):
        for query in ("", "?standbyok=true&perfstandbyok=true", "?sealedcode=299"):
            self.assertEqual(self.server.ask("GET", "/v1/sys/health" + query, token=None).status, 200)
        self.assertEqual(self.server.ask("HEAD", "/v1/sys/health?activecode=204", token=None).status, 204)
        self.assertFalse(self.server.ask("GET", "/v1/sys/seal-status", token=None).body["sealed"])
        self.assertEqual(self.server.ask("GET", "/v1/sys/init", token=None).body, {"initialized": True})

    def test_metrics(self):
        told = self.server.ask("GET", "/v1/sys/metrics")
        self.assertTrue(any(one["Name"].startswith("scaivault_") for one in told.body["Gauges"]))
        told = self.server.ask("GET", "/v1/sys/metrics?format=prometheus")
        self.assertIn("# TYPE scaivault_", told.text)
