"""The program in the documentation runs as it is written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from conftest import PATIENCE, ROOT, Vault, psql, until

DOCS = Path(os.environ.get("SCAIVAULT_DOCS", Path(__file__).parents[3] / "docs"))


def test_the_page_runs_as_one_program(own_vault: Vault) -> None:
    page = (DOCS / "sdk-python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 7
    psql("CREATE ROLE vault LOGIN CREATEROLE PASSWORD 'of-the-root'")
    psql("GRANT pg_signal_backend, pg_read_all_stats TO vault")
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(blocks)],
        env={**os.environ, "SCAIVAULT_URL": own_vault.url, "SCAIVAULT_TOKEN": ROOT},
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
    )
    assert ran.returncode == 0, ran.stderr
    said = ran.stdout.splitlines()
    assert said[0] == "1 3MVG9"
    assert "client_secret" not in ran.stdout and "'one'" not in ran.stdout
    assert "somebody was here first; it is at version " in ran.stdout
    assert "secret.updated app/other 2" in said
    [account] = [line.split()[1] for line in said if line.startswith("account ")]
    assert account.startswith("v_reader_")
    look = f"SELECT count(*) FROM pg_roles WHERE rolname = '{account}'"
    until(lambda: psql(look) == "0", "the account is gone")
    assert said[-1] == "401"
