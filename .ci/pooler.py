"""Asks 8 metrics from 8 clients in every form, and counts right, wrong and failed answers."""

import collections
import concurrent.futures
import csv
import io
import json
import subprocess
import sys
import urllib.error
import urllib.request

BASE, TENANTS, METRICD, SECRET = sys.argv[1:]
HAS_TENANTS = TENANTS == "yes"
CLIENTS = 8
REQUESTS = 2400

# An expression of a type of its own, with its value in JSON.
VALUES = [
    ("1::bigint", 1),
    ("1.5::double precision", 1.5),
    ("interval '1 day'", "1 day"),
    ("ARRAY[interval '2 days', NULL]", ["2 days", None]),
    ("date '2025-06-01'", "2025-06-01"),
    ("'some text'", "some text"),
    ("inet '192.168.1.5'", "192.168.1.5"),
    ("1234.50::numeric", 1234.5),
]


# A time zone, with the instant of midnight in it; none is the server's.
ZONES = [
    (None, "2025-06-01T00:00:00Z"),
    ("Europe/Berlin", "2025-05-31T22:00:00Z"),
    ("Asia/Kolkata", "2025-05-31T18:30:00Z"),
]


def token(subject, tenant, scope="metrics:read"):
    command = [METRICD, "token", "--jwt-secret-file", SECRET, "--scope", scope, "--ttl", "1h", "--subject", subject]
    if tenant:
        command += ["--tenant-claim", "tenant", "--tenant", tenant]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def call(path, bearer=None, body=None):
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    if body is not None:
        headers["Content-Type"] = "application/json"
        body = json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(BASE + path, body, headers), timeout=30) as answer:
        return answer.read().decode()


def create():
    author = token("author", "red", "metrics:write") if HAS_TENANTS else None
    definitions = [
        {
            "id": f"pooled-{number}",
            "title": "of a pooler",
            "sql": f"SELECT 'm{number}' AS who, {expression} AS v, (SELECT string_agg(DISTINCT tenant, ',') FROM orders) AS tenant",
        }
        for number, (expression, _) in enumerate(VALUES)
    ]
    definitions.append({"id": "pooled-days", "title": "days", "sql": "SELECT day FROM days", "time_column": "day"})
    definitions.append({"id": "pooled-zone", "title": "zone", "sql": "SELECT timestamptz '2025-06-01 00:00' AS at"})
    for definition in definitions:
        try:
            call("/metrics", author, definition)
        except urllib.error.HTTPError as error:
            # It exists from an earlier run.
            if error.code != 409:
                raise SystemExit(f"{definition}: {error.read().decode()}") from error


def expected(number, tenant):
    return {"who": f"m{number}", "v": VALUES[number][1], "tenant": tenant}


def ask(turn, tenant, bearer):
    number = turn // 6 % len(VALUES)
    path, row = f"/metrics/pooled-{number}", expected(number, tenant)
    form = turn % 6
    if form == 0:
        return json.loads(call(path, bearer))["rows"] == [row]
    if form == 1:
        zone, at = ZONES[turn // 6 % len(ZONES)]
        query = f"?time_zone={zone}" if zone else ""
        return json.loads(call(f"/metrics/pooled-zone{query}", bearer))["rows"] == [{"at": at}]
    if form == 2:
        found = list(csv.reader(io.StringIO(call(path + "?format=csv", bearer))))
        value = row["v"]
        text = json.dumps(value, separators=(",", ":")) if isinstance(value, list) else "1234.50" if number == 7 else str(value)
        return found == [["who", "v", "tenant"], [row["who"], text, tenant or ""]]
    if form == 3:
        return [json.loads(line) for line in call(path + "?format=ndjson", bearer).splitlines()] == [row]
    if form == 4:
        numbers = [(number + offset) % len(VALUES) for offset in range(5)]
        query = "&".join(f"metric_id=pooled-{each}" for each in numbers)
        results = json.loads(call(f"/results?{query}", bearer))["results"]
        return [result["result"]["rows"] for result in results] == [[expected(each, tenant)] for each in numbers]
    first = 1 + turn % 20
    found = json.loads(call(f"/metrics/pooled-days?start_date=2025-06-{first:02}&end_date=2025-06-{first + 5:02}", bearer))
    return [each["day"] for each in found["rows"]] == [f"2025-06-{day:02}" for day in range(first, first + 6)]


def client(index):
    tenant = ["red", "blue"][index % 2] if HAS_TENANTS else None
    bearer = token(f"client-{index}", tenant) if HAS_TENANTS else None
    counts = collections.Counter()
    for turn in range(index * 5, index * 5 + REQUESTS // CLIENTS):
        try:
            is_right = ask(turn, tenant, bearer)
            counts["right" if is_right else "wrong"] += 1
        except urllib.error.HTTPError as error:
            counts["failed"] += 1
            print(error.code, error.read().decode()[:300], file=sys.stderr)
        except Exception as error:  # noqa: BLE001
            counts["failed"] += 1
            print(repr(error)[:300], file=sys.stderr)
    return counts


create()
total = collections.Counter({"right": 0, "wrong": 0, "failed": 0})
with concurrent.futures.ThreadPoolExecutor(CLIENTS) as clients:
    for counts in clients.map(client, range(CLIENTS)):
        total += counts
print(", ".join(f"{kind} {total[kind]}" for kind in ("right", "wrong", "failed")))
sys.exit(0 if total["right"] == REQUESTS else 1)
