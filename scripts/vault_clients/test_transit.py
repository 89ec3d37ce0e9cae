"""Transit by the Python client hvac (each method it has), by OpenBao's command line, and against OpenBao's own
server: what is made here with a key opens there with the same key, and the other way round."""

import base64
import json
import os
import socket
import subprocess
import tempfile
import time

import hvac
from hvac import exceptions

from server import TOKEN, Case

PLAIN = b"the plaintext of the clients"


def b64(data):
    return base64.b64encode(data).decode()


class Transit(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        client = hvac.Client(url=cls.server.url, token=TOKEN)
        client.sys.enable_secrets_engine("transit")

    def setUp(self):
        self.client = hvac.Client(url=self.server.url, token=TOKEN)
        self.transit = self.client.secrets.transit

    def data(self, answer):
        return answer["data"]

    def plain(self, name, ciphertext, **more):
        return base64.b64decode(self.data(self.transit.decrypt_data(name=name, ciphertext=ciphertext, **more))["plaintext"])

    def seal(self, name, **more):
        return self.data(self.transit.encrypt_data(name=name, plaintext=b64(PLAIN), **more))["ciphertext"]

    def test_keys(self):
        made = self.data(self.transit.create_key(name="keys-a", key_type="aes256-gcm96", exportable=True))
        self.assertEqual((made["type"], made["latest_version"], made["keys"].keys()), ("aes256-gcm96", 1, {"1"}))
        self.transit.create_key(name="keys-b", key_type="ecdsa-p256")
        listed = self.data(self.transit.list_keys())["keys"]
        self.assertEqual([name for name in listed if name.startswith("keys-")], ["keys-a", "keys-b"])
        shown = self.data(self.transit.read_key(name="keys-b"))
        self.assertIn("BEGIN PUBLIC KEY", shown["keys"]["1"]["public_key"])
        self.assertEqual((shown["keys"]["1"]["name"], shown["supports_signing"]), ("P-256", True))
        with self.assertRaisesRegex(exceptions.InvalidRequest, "deletion"):
            self.transit.delete_key(name="keys-a")
        self.transit.update_key_configuration(name="keys-a", deletion_allowed=True)
        self.transit.delete_key(name="keys-a")
        with self.assertRaises(exceptions.InvalidPath):
            self.transit.read_key(name="keys-a")
        with self.assertRaises(exceptions.InvalidRequest):
            self.transit.delete_key(name="keys-a")

    def test_encrypt_rotate_rewrap_trim(self):
        self.transit.create_key(name="r")
        first = self.seal("r")
        self.assertTrue(first.startswith("vault:v1:"))
        self.assertEqual(self.plain("r", first), PLAIN)
        self.transit.rotate_key(name="r")
        self.assertEqual(self.plain("r", first), PLAIN)
        self.assertTrue(self.seal("r", key_version=1).startswith("vault:v1:"))
        second = self.data(self.transit.rewrap_data(name="r", ciphertext=first))["ciphertext"]
        self.assertTrue(second.startswith("vault:v2:"))
        self.transit.rotate_key(name="r")
        self.transit.update_key_configuration(name="r", min_decryption_version=2, min_encryption_version=3)
        with self.assertRaisesRegex(exceptions.InvalidRequest, "too old"):
            self.plain("r", first)
        self.transit.trim_key(name="r", min_version=2)
        shown = self.data(self.transit.read_key(name="r"))
        self.assertEqual((shown["min_available_version"], list(shown["keys"])), (2, ["2", "3"]))
        self.assertEqual(self.plain("r", second), PLAIN)

    def test_contexts_and_batches(self):
        self.transit.create_key(name="d", derived=True, convergent_encryption=True)
        one, two = b64(b"one"), b64(b"two")
        sealed = self.seal("d", context=one)
        self.assertEqual(sealed, self.seal("d", context=one))
        self.assertNotEqual(sealed, self.seal("d", context=two))
        self.assertEqual(self.plain("d", sealed, context=one), PLAIN)
        with self.assertRaises(exceptions.InvalidRequest):
            self.plain("d", sealed, context=two)
        with self.assertRaisesRegex(exceptions.InvalidRequest, "context"):
            self.seal("d")
        items = [{"plaintext": b64(b"a"), "context": one}, {"plaintext": b64(b"b"), "context": two}]
        made = self.data(self.transit.encrypt_data(name="d", plaintext=None, batch_input=items))["batch_results"]
        items = [{"ciphertext": m["ciphertext"], "context": i["context"]} for m, i in zip(made, items)]
        opened = self.data(self.transit.decrypt_data(name="d", ciphertext=None, batch_input=items))["batch_results"]
        self.assertEqual([o["plaintext"] for o in opened], [b64(b"a"), b64(b"b")])
        items[1]["ciphertext"] = "vault:v1:AAAA"
        answer = self.server.ask("POST", "/v1/transit/decrypt/d", {"batch_input": items})
        self.assertEqual((answer.status, "error" in answer.body["data"]["batch_results"][1]), (400, True))
        answer = self.server.ask(
            "POST", "/v1/transit/decrypt/d", {"batch_input": items, "partial_failure_response_code": 207}
        )
        self.assertEqual(answer.status, 207)

    def test_data_keys(self):
        self.transit.create_key(name="dk")
        made = self.data(self.transit.generate_data_key(name="dk", key_type="plaintext", bits=512))
        self.assertEqual(len(base64.b64decode(made["plaintext"])), 64)
        self.assertEqual(self.plain("dk", made["ciphertext"]), base64.b64decode(made["plaintext"]))
        made = self.data(self.transit.generate_data_key(name="dk", key_type="wrapped"))
        self.assertNotIn("plaintext", made)

    def test_signatures(self):
        for kind in ["ed25519", "ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048"]:
            name = "sign-" + kind
            self.transit.create_key(name=name, key_type=kind)
            more = [{}]
            if kind.startswith("ecdsa"):
                more = [{"marshaling_algorithm": m} for m in ["asn1", "jws"]]
            if kind.startswith("rsa"):
                more = [{"signature_algorithm": a} for a in ["pss", "pkcs1v15"]]
            for how in more:
                signed = self.data(self.transit.sign_data(name=name, hash_input=b64(PLAIN), **how))["signature"]
                check = lambda text: self.data(
                    self.transit.verify_signed_data(name=name, hash_input=b64(text), signature=signed, **how)
                )["valid"]
                self.assertTrue(check(PLAIN), (kind, how))
                self.assertFalse(check(b"another"), (kind, how))
        with self.assertRaisesRegex(exceptions.InvalidRequest, "does not support signing"):
            self.transit.create_key(name="no-sign")
            self.transit.sign_data(name="no-sign", hash_input=b64(PLAIN))

    def test_hmac_random_and_hash(self):
        # hvac knows no keys of this type, but uses them.
        self.client.write("transit/keys/h", type="hmac")
        made = self.data(self.transit.generate_hmac(name="h", hash_input=b64(PLAIN), algorithm="sha2-512"))["hmac"]
        check = lambda text: self.data(
            self.transit.verify_signed_data(name="h", hash_input=b64(text), hmac=made, hash_algorithm="sha2-512")
        )["valid"]
        self.assertTrue(check(PLAIN))
        self.assertFalse(check(b"another"))
        self.assertEqual(len(base64.b64decode(self.data(self.transit.generate_random_bytes(n_bytes=48))["random_bytes"])), 48)
        self.assertEqual(len(self.data(self.transit.generate_random_bytes(output_format="hex"))["random_bytes"]), 64)
        hashed = self.data(self.transit.hash_data(hash_input=b64(b"abc"), algorithm="sha2-256", output_format="hex"))
        self.assertEqual(hashed["sum"], "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")

    def test_what_leaves(self):
        self.transit.create_key(name="out", exportable=True, allow_plaintext_backup=True)
        self.transit.create_key(name="in")
        key = self.data(self.transit.export_key(name="out", key_type="encryption-key"))["keys"]["1"]
        self.assertEqual(len(base64.b64decode(key)), 32)
        self.assertEqual(list(self.data(self.transit.export_key(name="out", key_type="hmac-key", version="1"))["keys"]), ["1"])
        with self.assertRaisesRegex(exceptions.InvalidRequest, "not exportable"):
            self.transit.export_key(name="in", key_type="encryption-key")
        sealed = self.seal("out")
        backup = self.data(self.transit.backup_key(name="out"))["backup"]
        with self.assertRaises(exceptions.InvalidRequest):
            self.transit.backup_key(name="in")
        with self.assertRaises(exceptions.InvalidRequest):
            self.transit.restore_key(backup=backup, name="out")
        self.transit.restore_key(backup=backup, name="out", force=True)
        self.transit.restore_key(backup=backup, name="again")
        self.assertEqual(self.plain("again", sealed), PLAIN)

    def test_policies(self):
        self.transit.create_key(name="orders")
        text = 'path "transit/encrypt/orders" { capabilities = ["update"] }'
        self.client.sys.create_or_update_policy(name="sealer", policy=text)
        token = self.client.auth.token.create(policies=["sealer"])["auth"]["client_token"]
        sealer = hvac.Client(url=self.server.url, token=token).secrets.transit
        sealed = self.data(sealer.encrypt_data(name="orders", plaintext=b64(PLAIN)))["ciphertext"]
        for refused in [
            lambda: sealer.decrypt_data(name="orders", ciphertext=sealed),
            lambda: sealer.encrypt_data(name="others", plaintext=b64(PLAIN)),
            lambda: sealer.read_key(name="orders"),
            lambda: sealer.rotate_key(name="orders"),
            lambda: sealer.list_keys(),
        ]:
            with self.assertRaises(exceptions.Forbidden):
                refused()
        self.assertEqual(self.client.sys.read_policy(name="sealer")["data"]["rules"].split()[1], '"transit/encrypt/orders"')
        may = self.client.sys.get_capabilities(paths=["transit/encrypt/orders"], token=token)
        self.assertEqual(may["data"]["transit/encrypt/orders"], ["update"])

    def test_a_mount_with_keys_stays(self):
        self.client.sys.enable_secrets_engine("transit", path="team/crypt")
        self.transit.create_key(name="k", mount_point="team/crypt")
        with self.assertRaisesRegex(exceptions.InvalidRequest, "keys"):
            self.client.sys.disable_secrets_engine("team/crypt")

    def test_what_is_refused_says_why(self):
        for method, path in [
            ("GET", "wrapping_key"),
            ("POST", "keys/x/import"),
            ("POST", "cache-config"),
        ]:
            answer = self.server.ask(method, f"/v1/transit/{path}", {} if method == "POST" else None)
            self.assertEqual(answer.status, 400, path)
            self.assertGreater(len(answer.body["errors"][0]), 20)
        self.client.sys.enable_secrets_engine("pki")
        answer = self.server.ask("GET", "/v1/pki/ca/pem")
        self.assertEqual(answer.status, 400)
        self.assertIn("no certificates are issued", answer.body["errors"][0])


class Bao(Case):
    def bao(self, *words, code=0):
        env = {
            "PATH": os.environ["PATH"],
            "HOME": self.server.home.name,
            "BAO_ADDR": self.server.url,
            "BAO_TOKEN": TOKEN,
        }
        done = subprocess.run([os.environ["BAO_BINARY"], *words], env=env, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, code, f"{words}: {done.stdout}{done.stderr}")
        return done.stdout

    def test_transit(self):
        self.bao("secrets", "enable", "transit")
        self.bao("write", "-f", "transit/keys/orders")
        field = lambda name, *words: self.bao("write", f"-field={name}", *words).strip()
        sealed = field("ciphertext", "transit/encrypt/orders", f"plaintext={b64(PLAIN)}")
        self.bao("write", "-f", "transit/keys/orders/rotate")
        self.assertEqual(field("plaintext", "transit/decrypt/orders", f"ciphertext={sealed}"), b64(PLAIN))
        sealed = field("ciphertext", "transit/rewrap/orders", f"ciphertext={sealed}")
        self.assertTrue(sealed.startswith("vault:v2:"))
        self.bao("write", "transit/keys/orders/config", "min_decryption_version=2", "deletion_allowed=true")
        shown = json.loads(self.bao("read", "-format=json", "transit/keys/orders"))["data"]
        self.assertEqual((shown["latest_version"], shown["min_decryption_version"]), (2, 2))
        self.assertEqual(json.loads(self.bao("list", "-format=json", "transit/keys")), ["orders"])
        self.bao("write", "transit/keys/sig", "type=ed25519")
        signed = field("signature", "transit/sign/sig", f"input={b64(PLAIN)}")
        words = ["transit/verify/sig", f"input={b64(PLAIN)}", f"signature={signed}"]
        self.assertEqual(field("valid", *words), "true")
        self.assertEqual(len(field("random_bytes", "transit/random/16", "format=hex")), 32)
        self.bao("delete", "transit/keys/orders")
        self.bao("read", "transit/keys/orders", code=2)


class Peer(Case):
    """OpenBao's server beside ours. Its backups are plain JSON, so a key of ours is put into one."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        home = cls.enterClassContext(tempfile.TemporaryDirectory())
        words = ["server", "-dev", "-dev-root-token-id=root", f"-dev-listen-address=127.0.0.1:{port}", "-dev-no-store-token"]
        cls.process = subprocess.Popen(
            [os.environ["BAO_BINARY"], *words],
            env={"PATH": os.environ["PATH"], "HOME": home},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        cls.addClassCleanup(cls.process.wait, 30)
        cls.addClassCleanup(cls.process.terminate)
        cls.peer = hvac.Client(url=f"http://127.0.0.1:{port}", token="root")
        for _ in range(300):
            try:
                if cls.peer.sys.is_initialized() and not cls.peer.sys.is_sealed():
                    break
            except OSError:
                pass
            time.sleep(0.1)
        cls.ours = hvac.Client(url=cls.server.url, token=TOKEN)
        for client in [cls.peer, cls.ours]:
            client.sys.enable_secrets_engine("transit")

    def moved(self, name, what, **how):
        """A key of this name in both servers, made by ours."""
        self.ours.write(f"transit/keys/{name}", exportable=True, **how)
        export = self.ours.secrets.transit.export_key
        key = export(name=name, key_type=what)["data"]["keys"]["1"]
        hmac_key = export(name=name, key_type="hmac-key")["data"]["keys"]["1"]
        there = self.peer.secrets.transit
        self.peer.write(f"transit/keys/{name}", exportable=True, allow_plaintext_backup=True, **how)
        backup = json.loads(base64.b64decode(there.backup_key(name=name)["data"]["backup"]))
        for part in [backup["policy"]["keys"]["1"], backup["archived_keys"]["keys"][1]]:
            part["key"], part["hmac_key"] = key, hmac_key
        there.restore_key(backup=b64(json.dumps(backup).encode()), name=name, force=True)

    def test_ciphertexts(self):
        context = b64(b"a context")
        for kind in ["aes128-gcm96", "aes256-gcm96", "chacha20-poly1305", "xchacha20-poly1305"]:
            for how in [{}, {"derived": True}, {"derived": True, "convergent_encryption": True}]:
                name = "-".join([kind, *how])
                self.moved(name, "encryption-key", type=kind, **how)
                more = {"context": context} if how else {}
                sides = [self.ours.secrets.transit, self.peer.secrets.transit]
                for here, there in [sides, sides[::-1]]:
                    made = here.encrypt_data(name=name, plaintext=b64(PLAIN), **more)["data"]["ciphertext"]
                    opened = there.decrypt_data(name=name, ciphertext=made, **more)["data"]["plaintext"]
                    self.assertEqual(base64.b64decode(opened), PLAIN, name)
                    hmacs = [side.generate_hmac(name=name, hash_input=b64(PLAIN))["data"]["hmac"] for side in sides]
                    self.assertEqual(hmacs[0], hmacs[1])

    def test_answers_have_the_same_fields(self):
        for kind in ["aes256-gcm96", "ecdsa-p256", "rsa-2048", "ed25519"]:
            shown = []
            for client in [self.peer, self.ours]:
                client.secrets.transit.create_key(name="same-" + kind, key_type=kind)
                shown.append(client.secrets.transit.read_key(name="same-" + kind)["data"])
            there, here = shown
            self.assertEqual(there.keys() - here.keys() - {"soft_deleted"}, set(), kind)
            plain = lambda told: {k: v for k, v in told.items() if k not in ("keys", "soft_deleted")}
            self.assertEqual(plain(there), plain(here))
            if isinstance(there["keys"]["1"], dict):
                self.assertEqual(there["keys"]["1"].keys(), here["keys"]["1"].keys())


if __name__ == "__main__":
    import unittest

    unittest.main()
