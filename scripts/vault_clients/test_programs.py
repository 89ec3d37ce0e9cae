"""Clients in other languages: each is a program that ends well when everything it asked for was so."""

import os
import subprocess
import unittest

from server import TOKEN, Case


class Programs(Case):
    def runs(self, *words, **more):
        env = {
            "PATH": os.environ["PATH"],
            "HOME": self.server.home.name,
            "VAULT_ADDR": self.server.url,
            "VAULT_TOKEN": TOKEN,
        }
        done = subprocess.run(words, env=env | more, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("passed", done.stdout)

    def test_node_vault(self):
        here = os.path.dirname(os.path.abspath(__file__))
        self.runs("node", os.path.join(here, "node", "node_vault.cjs"), NODE_PATH=os.environ["NODE_VAULT"])

    def test_vaultrs(self):
        self.runs(os.environ["VAULTRS_BINARY"])


if __name__ == "__main__":
    unittest.main()
