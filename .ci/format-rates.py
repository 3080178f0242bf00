"""Measures how fast a program of metricd streams a metric of 1 000 000 rows in each format, and how much memory that takes.

    cargo build --release && python3 .ci/format-rates.py target/release/metricd
"""

import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

FORMATS = ["csv", "ndjson", "parquet", "arrow", "xlsx"]
ROUNDS = 5
ROWS = 1_000_000
LISTEN = "127.0.0.1:18084"
METRICS = {
    "typical": """
        SELECT n, n * 1.25 AS amount, 'part "' || n || '"' AS name, DATE '2025-01-01' + n % 365 AS day, n % 7 = 0 AS flagged,
               n / 3.0::double precision AS share, NULL::text AS note
        FROM (SELECT generate_series(1, 1000000) AS n) AS s""",
    "texts that hardly compress": """
        SELECT n, md5(n::text) || md5((n + 1)::text) AS a, md5((n + 2)::text) AS b, n / 3.0::double precision AS share
        FROM (SELECT generate_series(1, 1000000) AS n) AS s""",
}


def memory(pid, name):
    """A line of the status of a process, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE).group(1)) << 10


def fetch(metric_id, format_name):
    """Reads the whole result, and returns its size and the seconds that it took."""
    began = time.monotonic()
    size_bytes = 0
    with urllib.request.urlopen(f"http://{LISTEN}/metrics/{metric_id}?format={format_name}") as response:
        while chunk := response.read(1 << 16):
            size_bytes += len(chunk)
    return size_bytes, time.monotonic() - began


def main():
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        command = [sys.argv[1], "--no-sample", "--query-timeout-seconds", "120"]
        environment = {"METRICD_DATA_DIR": f"{folder}/data", "METRICD_LISTEN": LISTEN, "PATH": "/usr/bin:/bin"}
        server = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            while "listens on" not in server.stdout.readline():
                assert server.poll() is None, "the server did not start"
            for number, (title, sql) in enumerate(METRICS.items()):
                measure(server.pid, f"m{number}", title, sql)
        finally:
            server.terminate()
            server.wait()


def measure(pid, metric_id, title, sql):
    body = json.dumps({"id": metric_id, "title": title, "sql": sql}).encode()
    urllib.request.urlopen(
        urllib.request.Request(f"http://{LISTEN}/metrics", body, {"content-type": "application/json"})
    )
    seconds = {name: [] for name in FORMATS}
    growth = {name: 0 for name in FORMATS}
    sizes = {}
    fetch(metric_id, "csv")
    for _ in range(ROUNDS):
        for name in FORMATS:
            # Resets the peak to the current use.
            Path(f"/proc/{pid}/clear_refs").write_text("5")
            idle = memory(pid, "VmRSS")
            sizes[name], taken = fetch(metric_id, name)
            seconds[name].append(taken)
            growth[name] = max(growth[name], memory(pid, "VmHWM") - idle)
    print(f"{title}:")
    for name in FORMATS:
        rate, csv = (ROWS / statistics.median(seconds[of]) for of in (name, "csv"))
        print(
            f"  {name}: {rate:,.0f} rows/s ({rate / csv:.2f} of CSV), {sizes[name] / 1e6:.1f} MB, "
            f"at most {growth[name] / (1 << 20):.1f} MiB more memory"
        )


main()
