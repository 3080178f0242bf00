"""Loads the extremes of every type from each input format into tables, and compares what every output format says with what was
written."""

import base64
import json
import math
import subprocess
import sys
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path

import openpyxl
import pandas
import polars
import pyarrow
import pyarrow.feather
import pyarrow.ipc
import pyarrow.parquet
from formats import URL, create, duck, fetch, from_cell, is_equal, lists, unescaped
from input_files import COLUMNS, FILLED, NAMES, RESULT_TYPES, ROWS, VALUES, WRITERS, write_duckdb

FOLDER = Path(sys.argv[1])


def ingest(*parts):
    """Sends files, stores all of them or nothing, and returns the report."""
    form = [argument for part in parts for argument in ("-F", part)]
    command = ["curl", "-sS", f"{URL}/ingestions?mode=strict", *form]
    report = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert report.get("outcome") == "stored", json.dumps(report, indent=1)
    return report


def load(name, file, names, declared, rows=len(ROWS)):
    """Loads the file into a table of this name, twice, and returns the types. The second time, nothing changes."""
    parts = [f"file=@{file}"]
    if declared:
        columns = [{"name": column, "type": type_name} for column, type_name, *_ in COLUMNS if column in names]
        table = {"name": name, "file": file.name, "columns": columns}
        if "german" in name:
            table["format"] = {"decimal_comma": True, "date_format": "%d.%m.%Y"}
        definitions = FOLDER / "declared.json"
        definitions.write_text(json.dumps({"tables": [table]}))
        parts.append(f"metrics=@{definitions}")
    for counts in ("added", "unchanged"):
        [loaded] = ingest(*parts)["tables"]
        assert (loaded["table"], loaded["rows"][counts]) == (name, rows), loaded
    return {column["name"]: column["type"] for column in loaded["columns"]}


def wanted(name, row):
    """The value as the JSON result has it."""
    value = VALUES[name][row]
    match value:
        case str() if name == "document":
            return json.loads(value, parse_float=Decimal)
        case None | bool() | int() | Decimal() | str():
            return value
        case float() if math.isnan(value):
            return "NaN"
        case float() if math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
        case float():
            return value
        case bytes():
            return base64.b64encode(value).decode()
        case datetime() if value.tzinfo:
            return value.astimezone(timezone.utc).isoformat()
        case datetime():
            return value.isoformat()
        case _:
            return str(value)


def from_text(type_name, value):
    """A field of CSV as JSON has it."""
    match type_name:
        case _ if value is None:
            return None
        case "boolean":
            return {"true": True, "false": False}[value]
        case "bigint":
            return int(value)
        case "jsonb":
            return json.loads(value, parse_float=Decimal)
        case name if name.startswith("numeric"):
            return Decimal(value)
        case _:
            return value


def is_same(name, found, row):
    """Whether a value that a program has read is the one that was written."""
    type_name, value = RESULT_TYPES[name], wanted(name, row)
    match value:
        case "NaN" if type_name == "double precision":
            return found is not None and math.isnan(float(found))
        case _ if value is None or found is None:
            return value is found
        case int() | str() | bool() if isinstance(found, type(value)):
            is_instant = type_name == "timestamptz"
            return found == value or (is_instant and datetime.fromisoformat(found) == datetime.fromisoformat(value))
        case list() | dict() if not isinstance(found, str):
            return found == value
        case Decimal() if isinstance(found, int):
            return found == value
        case _:
            return is_equal(type_name, found, value)


def compare(reader, table, columns, names):
    for name in names:
        found = columns[name]
        assert len(found) == len(ROWS), f"{table}, {reader}: {name} has {len(found)} values"
        for row in ROWS:
            message = f"{table}, {reader}: {name}: found {found[row]!r}, wanted {wanted(name, row)!r}"
            assert is_same(name, found[row], row), message


def by_name(rows):
    return {name: [row[name] for row in rows] for name in rows[0]}


def read_sheet(path):
    sheet = openpyxl.load_workbook(path).active
    header, *rows = sheet.iter_rows(values_only=True)
    return {
        name: [from_cell(RESULT_TYPES[name], unescaped(row[column])) for row in rows]
        for column, name in enumerate(header)
    }


def texts_of(columns):
    return {name: [from_text(RESULT_TYPES[name], value) for value in values] for name, values in columns.items()}


# What reads each format of a result, from a path, as lists of values by name.
READERS = {
    "csv": {
        "polars": lambda path: texts_of(polars.read_csv(path, infer_schema=False).to_dict(as_series=False)),
        "duckdb": lambda path: texts_of(
            duck(f"SELECT * FROM read_csv('{path}', all_varchar = true, allow_quoted_nulls = false)")
        ),
    },
    "ndjson": {
        "python": lambda path: by_name(
            [json.loads(line, parse_float=Decimal) for line in path.read_text().splitlines()]
        ),
    },
    "parquet": {
        "pyarrow": lambda path: pyarrow.parquet.read_table(path).to_pydict(),
        "pandas": lambda path: lists(pandas.read_parquet(path, dtype_backend="pyarrow")),
        "polars": lambda path: polars.read_parquet(path).to_dict(as_series=False),
        "duckdb": lambda path: duck(f"SELECT * FROM read_parquet('{path}')"),
    },
    "arrow": {
        "pyarrow": lambda path: pyarrow.ipc.open_stream(path).read_all().to_pydict(),
        "polars": lambda path: polars.read_ipc_stream(path).to_dict(as_series=False),
    },
    "xlsx": {"openpyxl": read_sheet},
}


def check_table(table, names, has_base64=False):
    """Makes a metric of the table, and compares its result in every format with what was written."""
    metric_id = table.replace("_", "-")
    expressions = {name: f"{name}::{result}" for name, _, result, _ in COLUMNS}
    if has_base64:
        expressions["bytes"] = "decode(bytes, 'base64')"
    columns = ", ".join(f"{expressions[name]} AS {name}" for name in names)
    create(metric_id, f"SELECT {columns} FROM {table} ORDER BY id")
    rows = json.loads(fetch(f"/metrics/{metric_id}")[1], parse_float=Decimal)["rows"]
    compare("json", table, by_name(rows), names)
    rows = json.loads(fetch(f"/metrics/{metric_id}?numbers=string")[1], parse_float=Decimal)["rows"]
    compare("json with numbers as texts", table, numbers(by_name(rows)), names)
    for format_name, readers in READERS.items():
        path = FOLDER / f"{table}.out.{format_name}"
        path.write_bytes(fetch(f"/metrics/{metric_id}?format={format_name}")[1])
        for reader, read in readers.items():
            compare(f"{format_name}, {reader}", table, read(path), names)


def numbers(columns):
    """Numbers that were requested as texts."""
    is_number = {name: RESULT_TYPES[name].startswith(("bigint", "numeric")) for name in columns}
    texts = texts_of({name: values for name, values in columns.items() if is_number[name]})
    return columns | texts


# The types that are chosen where they differ from the declared ones: identifiers and floats stay texts in texts.
IN_TEXTS = {"whole": "text", "ratio": "text", "special": "text", "bytes": "text"}
IN_STRINGS = {"key": "text", "document": "text"}


def check_own(source):
    """Loads what metricd has written, and compares it again. Sheets do not tell empty bytes from no value."""
    for format_name in READERS:
        table = f"again_{format_name}"
        file = (FOLDER / f"{source}.out.{format_name}").rename(FOLDER / f"{table}.{format_name}")
        load(table, file, NAMES, declared=False)
        names = [name for name in FILLED if name != "bytes"] if format_name == "xlsx" else NAMES
        check_table(table, names, has_base64=format_name in ("csv", "ndjson"))
    print("what metricd has written is equal after it was loaded again")


# The first and last values of PostgreSQL, which Python's dates do not hold: days and microseconds since 1970, and texts.
# Timestamps of Parquet end in 294247.
FAR_DAYS = [-2440588, 2145042905]
FAR_MICROSECONDS = [-2440588 * 86400 * 10**6, 106751982 * 86400 * 10**6 - 1]
FAR_TEXTS = {
    "day": ["4714-11-24 BC", "5874897-12-31"],
    "clock": ["4714-11-24 00:00:00 BC", "294246-12-31 23:59:59.999999"],
    "instant": ["4714-11-24 00:00:00+00 BC", "294246-12-31 23:59:59.999999+00"],
}


def check_far_table(table, file):
    load(table, file, ["id", *FAR_TEXTS], declared=True, rows=2)
    metric_id = table.replace("_", "-")
    create(metric_id, f"SELECT * FROM {table} ORDER BY id")
    path = FOLDER / f"{table}.out.parquet"
    path.write_bytes(fetch(f"/metrics/{metric_id}?format=parquet")[1])
    found = pyarrow.parquet.read_table(path)
    for name, wanted_numbers in [("day", FAR_DAYS), ("clock", FAR_MICROSECONDS), ("instant", FAR_MICROSECONDS)]:
        numbers_found = found[name].cast(pyarrow.int32() if name == "day" else pyarrow.int64()).to_pylist()
        assert numbers_found == wanted_numbers, (table, name, numbers_found)


def check_far():
    """Loads the first and last dates and timestamps, and compares what Parquet says with the numbers."""
    microseconds = pyarrow.array(FAR_MICROSECONDS, pyarrow.int64())
    typed = pyarrow.table(
        {
            "id": [1, 2],
            "day": pyarrow.array(FAR_DAYS, pyarrow.int32()).cast(pyarrow.date32()),
            "clock": microseconds.cast(pyarrow.timestamp("us")),
            "instant": microseconds.cast(pyarrow.timestamp("us", "UTC")),
        }
    )
    texts = pyarrow.table({"id": [1, 2], **FAR_TEXTS})
    for table, ending, write in [
        ("far_parquet", "parquet", lambda path: pyarrow.parquet.write_table(typed, path)),
        ("far_arrow", "arrow", lambda path: pyarrow.feather.write_feather(typed, path)),
        ("far_csv", "csv", lambda path: write_duckdb(path, "FORMAT csv", texts)),
        ("far_json", "ndjson", lambda path: write_duckdb(path, "FORMAT json", texts)),
    ]:
        file = FOLDER / f"{table}.{ending}"
        write(file)
        check_far_table(table, file)
        again = FOLDER / f"{table}_again.csv"
        again.write_bytes(fetch(f"/metrics/{table.replace('_', '-')}?format=csv")[1])
        check_far_table(again.stem, again)
    print("the first and last dates and timestamps are equal")


# The files whose types are chosen, and the types that differ from the declared ones.
CHOSEN = {
    "csv_python": IN_TEXTS,
    "ndjson_python": IN_TEXTS | {"whole": "bigint"},
    "parquet_pyarrow": {},
    "arrow_stream": {},
    "parquet_polars": IN_STRINGS,
}


def main():
    for table, ending, write, names in WRITERS:
        file = FOLDER / f"{table}.{ending}"
        write(file)
        load(table, file, names, declared=True)
        check_table(table, names)
        if table in CHOSEN:
            chosen = f"{table}_chosen"
            types = load(chosen, file.rename(FOLDER / f"{chosen}.{ending}"), names, declared=False)
            documented = {name: type_name for name, type_name, *_ in COLUMNS} | CHOSEN[table]
            assert types == documented, f"{chosen}: chosen {types}, wanted {documented}"
            check_table(chosen, names)
        print(f"{table}: {len(names)} columns are equal in every format")
    check_own("parquet_pyarrow")
    check_far()


main()
