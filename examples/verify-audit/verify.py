#!/usr/bin/env python3
"""Checks the audit chain of a ScaiVault database with nothing but Python.

    python3 verify.py scaivault.db
    python3 verify.py scaivault.db --key-file root.key     (needs the package "cryptography")
    python3 verify.py scaivault.db --expect-head HASH      (a head written down earlier)

The format is described in docs/audit.md. The database is opened read-only; the server may run.
Exit code: 0 the chain holds, 1 it does not, 2 it cannot be checked.
"""

import argparse
import base64
import datetime
import hashlib
import hmac
import json
import sqlite3
import sys

DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Broken(Exception):
    """The chain does not hold; says where."""


def row_id(chain, seq):
    digits = "".join(DIGITS[(seq >> (5 * at)) & 31] for at in reversed(range(12)))
    return f"log_{chain}_{digits}"


def genesis(chain):
    return hashlib.sha256(b"scaivault audit chain 1\0" + chain.encode()).digest()


def mac_fits(key, chain, first_seq, last_seq, head, mac):
    """As it is made where every document has a code, or as it was before."""
    numbers = first_seq.to_bytes(8, "big") + last_seq.to_bytes(8, "big")
    rest = numbers + head + chain.encode()
    begins = (b"scaivault audit head 2\0", b"scaivault audit head 1\0")
    return any(hmac.compare_digest(hmac.digest(key, begin + rest, "sha256"), mac) for begin in begins)


def anchor_message(chain, first_seq, last_seq, removed_at, head, mac):
    numbers = first_seq.to_bytes(8, "big") + last_seq.to_bytes(8, "big")
    numbers += removed_at.to_bytes(8, "big", signed=True)
    return b"scaivault audit anchor 1\0" + numbers + head + mac + chain.encode()


def anchor_of(database, chain, key):
    """Where the chain begins: behind what retention removed; and what to say of that."""
    row = database.execute(
        "SELECT first_seq, last_seq, head, mac, removed_at, code FROM audit_anchor WHERE chain = ?",
        (chain,),
    ).fetchone()
    if row is None:
        return 0, genesis(chain), None
    first_seq, last_seq, head, mac, removed_at, code = row
    if key is not None:
        message = anchor_message(chain, first_seq, last_seq, removed_at, head, mac)
        made = hmac.compare_digest(hmac.digest(key, message, "sha256"), code)
        require(made, chain, last_seq, "the code of the anchor does not fit: the front was cut")
        made = mac_fits(key, chain, first_seq, last_seq, head, mac)
        require(made, chain, last_seq, "the code over the last removed row does not fit")
    when = datetime.datetime.fromtimestamp(removed_at / 1e6, datetime.timezone.utc)
    told = f"{last_seq} rows up to {row_id(chain, last_seq)} were removed by retention,"
    return last_seq, head, f"{told} the last on {when:%Y-%m-%dT%H:%M:%SZ}, anchor {head.hex()}"


def require(fits, chain, seq, why):
    if not fits:
        raise Broken(f"{row_id(chain, seq)}: {why}")


def walk(database, key, expect_head):
    (chain, first_of_last, last_seq, stored_head, stored_mac) = database.execute(
        "SELECT chain, first_seq, last_seq, head, mac FROM store_head WHERE one = 1"
    ).fetchone()
    removed, head, told = anchor_of(database, chain, key)
    seq, expected_seen = removed, expect_head is None or head.hex() == expect_head
    segments = database.execute(
        "SELECT chain, first_seq, rows, first_at, last_at, prev, head, mac, links, body"
        " FROM audit_segment ORDER BY chain, first_seq"
    )
    for name, first_seq, rows, first_at, last_at, prev, segment_head, mac, links, body in segments:
        require(name == chain, name, first_seq, "belongs to another chain")
        require(first_seq == seq + 1, chain, seq + 1, "missing, or something was inserted")
        require(prev == head, chain, first_seq, "does not link to the row before it")
        require(body.endswith(b"\n"), chain, first_seq, "the segment is cut")
        lines = body[:-1].split(b"\n")
        require(rows > 0 and len(lines) == rows, chain, first_seq, "rows were added or removed")
        times = []
        for at, line in enumerate(lines):
            seq += 1
            head = hashlib.sha256(head + line).digest()
            require(links[8 * at : 8 * at + 8] == head[:8], chain, seq, "edited")
            row = json.loads(line)
            require(row["id"] == row_id(chain, seq), chain, seq, "has another id")
            times.append(row["timestamp"])
            expected_seen = expected_seen or head.hex() == expect_head
        require((min(times), max(times)) == (first_at, last_at), chain, seq, "false times")
        require(segment_head == head, chain, seq, "the segment's hash does not fit")
        if key is not None:
            fits = mac_fits(key, chain, first_seq, seq, head, mac)
            require(fits, chain, seq, "the code over it does not fit")
    require(seq == last_seq, chain, seq + 1, "the end of the chain is cut")
    require(head == stored_head, chain, seq, "the store's own head is another")
    if key is not None and seq:
        fits = mac_fits(key, chain, first_of_last, seq, head, stored_mac)
        require(fits, chain, seq, "the head's code does not fit")
    if not expected_seen:
        raise Broken("the expected head never was this chain's: rows were cut or replaced")
    return seq - removed, head.hex(), told


def chain_key(database, key_file):
    """The key that authenticates heads, unwrapped by the root key: see docs/sealing.md."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    with open(key_file, encoding="ascii") as file:
        lines = [line.strip() for line in file if line.strip() and not line.startswith("#")]
    root = base64.b64decode(lines[0])

    def derive(label):
        return hmac.digest(root, label + b"\x01", "sha256")

    def text(value):
        return len(value).to_bytes(8, "big") + value.encode()

    fingerprint = "root_" + derive(b"scaivault root fingerprint v1\n")[:8].hex()
    records = [json.loads(doc) for (doc,) in database.execute("SELECT doc FROM keyring")]
    records = [r for r in records if r["purpose"] == "audit_chain" and r["state"] == "active"]
    record = max(records, key=lambda r: (r["created_at"], r["id"]))
    if record["parent"] != fingerprint:
        sys.exit(f"the store needs root key {record['parent']}, this is {fingerprint}")
    wrapped = bytes(record["wrapped"])
    binding = b"\x01" + text("audit_chain") + text("") + text(record["id"]) + text(fingerprint)
    return AESGCM(derive(b"scaivault root wrapping v1\n")).decrypt(
        wrapped[1:13], wrapped[13:], binding
    )


def main():
    parser = argparse.ArgumentParser(description="Checks the audit chain of a ScaiVault database.")
    parser.add_argument("database")
    parser.add_argument("--key-file", help="the root key: checks the codes over the heads, too")
    parser.add_argument("--expect-head", help="a hash (hex) that must occur in the chain")
    arguments = parser.parse_args()
    try:
        database = sqlite3.connect(
            f"file:{arguments.database}?mode=ro", uri=True, isolation_level=None
        )
        database.execute("BEGIN")  # one state of a store that is being written
        key = chain_key(database, arguments.key_file) if arguments.key_file else None
        rows, head, told = walk(database, key, arguments.expect_head)
    except Broken as broken:
        print(f"NOT valid: {broken}")
        return 1
    except (sqlite3.Error, OSError, ImportError) as error:
        print(f"cannot check: {error}", file=sys.stderr)
        return 2
    codes = "codes checked" if key else "codes not checked (no --key-file)"
    print(f"valid: {rows} rows, head {head}, {codes}")
    if told:
        print(told)
    return 0


if __name__ == "__main__":
    sys.exit(main())
