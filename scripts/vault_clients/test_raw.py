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
