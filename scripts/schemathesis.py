"""What the tool cannot take from the document: formats of our own, values that only the server can
make, and pairs of parameters that contradict each other. Loaded by scripts/schemathesis."""

import json
import os
import re
import urllib.request

import schemathesis
from hypothesis import strategies as st

SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def seconds(text: str, default: int) -> int:
    return int(text[:-1]) * SECONDS[text[-1]] if text else default


def durations(bounds: str) -> st.SearchStrategy[str]:
    """Texts such as `90d` within bounds such as `1m..30d`."""
    low, _, high = bounds.partition("..")
    least, most = seconds(low, 60), seconds(high, 365 * 86_400)
    units = [unit for unit in SECONDS if most // SECONDS[unit] >= 1]

    def of(unit: str) -> st.SearchStrategy[str]:
        first = -(-least // SECONDS[unit])
        last = most // SECONDS[unit]
        numbers = st.integers(first, last) if first <= last else st.nothing()
        return numbers.map(lambda number: f"{number}{unit}")

    return st.one_of([of(unit) for unit in units])


with urllib.request.urlopen(os.environ["SCAIVAULT_URL"] + "/v1/openapi.json") as response:
    DOCUMENT = response.read().decode()
for name in set(re.findall(r'"(scaivault-duration[^"]*)"', DOCUMENT)):
    schemathesis.openapi.format(name, durations(name.partition(":")[2]))
# The longest of them is told of first.
schemathesis.openapi.format(
    "scaivault-durations",
    st.lists(durations("1h..20d"), max_size=3, unique=True).map(",".join),
)
schemathesis.openapi.format("cron", st.sampled_from(["0 3 * * sun", "*/5 * * * *", "0 0 1 1 *"]))
schemathesis.openapi.format("time-zone", st.sampled_from(["UTC", "Europe/Berlin", "Asia/Tokyo"]))
schemathesis.openapi.format(
    "receiver-url",
    st.sampled_from(["http://127.0.0.1:9/", "https://hooks.example.com/scaivault?x=1"]),
)
schemathesis.openapi.format("ip", st.sampled_from(["127.0.0.1", "10.1.2.3", "2001:db8::1"]))
schemathesis.openapi.format("cidr", st.sampled_from(["10.0.0.0/8", "2001:db8::/32", "127.0.0.1/32"]))
# Nobody but the server makes one: without it.
schemathesis.openapi.format("scaivault-cursor", st.just(""))


@schemathesis.hook
def before_call(context, case, kwargs):  # type: ignore[no-untyped-def]
    """Takes out of requests that should be accepted what a schema of one request cannot say."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if isinstance(case.query, dict):
        # Nobody but the server makes a cursor.
        case.query.pop("cursor", None)
        # A delimiter contradicts recursive=true.
        if case.query.get("delimiter"):
            case.query.pop("recursive", None)
    body = case.body
    if not isinstance(body, dict):
        return
    body = dict(body)
    # The most is not below what is usual, also what is stored of it.
    for name in ("token_max_ttl", "max_ttl"):
        body.pop(name, None)
    if case.path.startswith("/v1/auth/roles"):
        # No other role has the id, and no role lets in whoever knows it alone.
        body.pop("role_id", None)
        body.pop("bind_secret_id", None)
    if case.path == "/v1/auth/roles/{role}":
        # Both or neither, says the document; the coverage phase does not look there.
        named = [name for name in ("identity_type", "identity_id") if body.get(name) is not None]
        if len(named) == 1:
            del body[named[0]]
    if case.path.startswith("/v1/dynamic/engines/{engine}/roles"):
        # A role's name is in the body where it is not in the URL.
        if "{role}" in case.path:
            body.pop("name", None)
        elif not body.get("name"):
            body["name"] = "orders"
    options = body.get("options")
    if isinstance(options, dict):
        options = body["options"] = dict(options)
        # One of the two, says the document; the coverage phase does not look there.
        if options.get("generate_from") is not None and body.get("data") is not None:
            del options["generate_from"]
        options.pop("cursor", None)
    body.pop("cursor", None)
    # What is referred to has to be there, and active.
    for name in ("webhook_ids", "secret_policy_id"):
        body.pop(name, None)
    rules = body.get("rules")
    if isinstance(rules, dict):
        rules = body["rules"] = dict(rules)
        # Longer than the quiet period, also than one that is stored; nobody listed is ignored.
        rules.pop("deadline", None)
        rules.pop("ignore", None)
    # Both are of paths that are selected.
    if "keep_token" in body or "exclude" in body:
        body.pop("modes", None)
        body.pop("exclude", None)
    # The end of a range is later than its beginning.
    if body.get("from") is not None:
        body.pop("to", None)
    case.body = body
