"""Fetches metrics with values of every type in every format, alone and several in one file, and compares what each library
reads with the JSON result."""

import base64
import io
import json
import os
import struct
import sys
import urllib.error
import urllib.request
import zipfile
from datetime import date, datetime, time, timezone
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import duckdb
import openpyxl
import pandas
import polars
import pyarrow
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet

URL = os.environ["METRICD_URL"]
FOLDER = Path(sys.argv[1])

# Values that every library can hold: the columns are the name, the type, and a value for each row.
COLUMNS = [
    ("id", "integer", "1", "2"),
    ("bool", "boolean", "true", "false"),
    ("int2", "smallint", "'-32768'", "32767"),
    ("int4", "integer", "'-2147483648'", "2147483647"),
    ("int8", "bigint", "'-9223372036854775808'", "9223372036854775807"),
    ("small_int8", "bigint", "'-999999999999999'", "0"),
    ("float4", "real", "0.1", "'-3.4028235e38'"),
    ("float8", "double precision", "0.1", "1.7976931348623157e308"),
    ("money", "numeric(12,2)", "'-9999999999.99'", "0.01"),
    ("wide", "numeric(38,10)", "9999999999999999999999999999.9999999999", "'-0.0000000001'"),
    ("wider", "numeric(60,10)", "12345678901234567890123456789012345678901234567890.0123456789", "'-1'"),
    ("any_numeric", "numeric", "999999999999999999.99999999999999999999", "'-0.00000000000000000001'"),
    ("text", "text", "'=1+1'", "E'a\\tb\\n\"\\u00e9\\u65e5\\U0001F600, _x0041_'"),
    ("varchar", "varchar(5)", "''", "' x '"),
    ("date", "date", "'0001-01-01'", "'9999-12-31'"),
    ("recent", "date", "'1900-03-01'", "'2024-02-29'"),
    ("time", "time", "'00:00'", "'23:59:59.999999'"),
    ("timestamp", "timestamp", "'0001-01-01'", "'9999-12-31 23:59:59.999999'"),
    ("recent_timestamp", "timestamp", "'2024-02-29 12:34:56.789'", "'1970-01-01'"),
    ("timestamptz", "timestamptz", "'2025-06-01 12:34:56.123456+02'", "'1969-12-31 23:59:59.999999Z'"),
    ("recent_timestamptz", "timestamptz", "'2025-06-01 12:34:56.789+02'", "'2000-01-01Z'"),
    ("interval", "interval", "'1 mon 2 days 03:04:05.000006'", "'-1 year'"),
    ("uuid", "uuid", "'5ef2f7a6-0000-4000-8000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"),
    ("json", "json", "'{\"a\": [1, null]}'", "'[null]'"),
    ("jsonb", "jsonb", "'{\"a\": 1.50}'", "'[]'"),
    ("bytea", "bytea", "'\\x00ff'", "''"),
    ("integers", "integer[]", "'{1,NULL,-3}'", "'{}'"),
    ("amounts", "numeric(12,2)[]", "'{1.50,NULL}'", "'{-0.01}'"),
    ("texts", "text[]", "'{a,NULL,\"b, c\",\"\"}'", "'{}'"),
    ("days", "date[]", "'{2025-06-01,NULL}'", "'{1970-01-01}'"),
    ("intervals", "interval[]", "'{1 day,NULL}'", "'{}'"),
]

TYPES = {name: type_name for name, type_name, *_ in COLUMNS}

# The first and last values of PostgreSQL that the formats hold, next to their numbers since 1970.
EXTREMES = """
    SELECT d, d - DATE '1970-01-01' AS days, t, (extract(epoch FROM t) * 1000000)::bigint AS microseconds, z
    FROM (VALUES (DATE '4713-01-01 BC', TIMESTAMP '4713-01-01 BC', TIMESTAMPTZ '4713-01-01 BC'),
                 (DATE '5874897-12-31', TIMESTAMP '294246-12-31 23:59:59.999999', TIMESTAMPTZ '294246-12-31 23:59:59.999999Z'),
                 (NULL, NULL, NULL)) AS v (d, t, z)"""


def fetch(path, **headers):
    with urllib.request.urlopen(urllib.request.Request(URL + path, headers=headers)) as response:
        return response.headers, response.read()


def create(metric_id, sql):
    body = json.dumps({"id": metric_id, "title": f"Values: {metric_id}", "sql": sql}).encode()
    request = urllib.request.Request(f"{URL}/metrics", body, {"content-type": "application/json"})
    try:
        urllib.request.urlopen(request)
    except urllib.error.HTTPError as error:
        sys.exit(error.read().decode())


def problem(path):
    try:
        fetch(path)
    except urllib.error.HTTPError as error:
        return json.load(error)
    sys.exit(f"{path}: expected a problem")


def number(text):
    return Decimal(text) if "." in text or "e" in text else int(text)


def expected(metric_id):
    """The rows of the JSON result, with numbers as decimals."""
    _, body = fetch(f"/metrics/{metric_id}")
    return json.loads(body, parse_float=Decimal)["rows"]


def is_equal(type_name, found, wanted):
    """Whether a value that a library has read is that of the JSON result."""
    if wanted is None:
        return found is None or found is pandas.NaT or (isinstance(found, float) and found != found)
    if type_name.endswith("[]"):
        found = list(found)
        return len(found) == len(wanted) and all(is_equal(type_name[:-2], *pair) for pair in zip(found, wanted))
    match type_name:
        case "real":
            return single(found) == single(wanted)
        case "double precision":
            return float(found) == float(wanted)
        case "numeric" | "numeric(12,2)" | "numeric(38,10)":
            return isinstance(found, Decimal) and found == Decimal(wanted)
        case "numeric(60,10)":
            return isinstance(found, str) and Decimal(found) == Decimal(wanted)
        case "date":
            return (found.date() if isinstance(found, datetime) else found) == date.fromisoformat(wanted)
        case "time":
            return found == time.fromisoformat(wanted)
        case "timestamp":
            return plain(found) == datetime.fromisoformat(wanted)
        case "timestamptz":
            return plain(found).astimezone(timezone.utc) == datetime.fromisoformat(wanted)
        case "json" | "jsonb":
            return json.loads(found, parse_float=Decimal) == wanted
        case "bytea":
            return bytes(found) == base64.b64decode(wanted)
        case "uuid":
            return str(found) == wanted
        case _:
            return type(wanted)(found) == wanted and not isinstance(found, float)


def single(value):
    """The closest float of single precision."""
    return struct.unpack("f", struct.pack("f", float(value)))


def plain(value):
    """A timestamp of Python, without losing nanoseconds."""
    if isinstance(value, pandas.Timestamp):
        assert value.nanosecond == 0
        return value.to_pydatetime()
    return value


def compare(reader, columns, rows, types=TYPES):
    """Compares columns, as lists of values by name, with the expected rows."""
    for name, type_name in types.items():
        found = columns[name]
        assert len(found) == len(rows), f"{reader}: {name} has {len(found)} values"
        for value, row in zip(found, rows):
            wanted = row[name]
            assert is_equal(type_name, value, wanted), f"{reader}: {name}: found {value!r}, wanted {wanted!r}"
    print(f"{reader}: {len(types)} columns are equal")


def lists(frame):
    """The columns of a frame of pandas."""
    return {name: [None if value is pandas.NA else value for value in frame[name]] for name in frame.columns}


def check_parquet(rows):
    headers, body = fetch("/metrics/types?format=parquet")
    assert headers["content-type"] == "application/vnd.apache.parquet", headers["content-type"]
    assert headers["content-disposition"] == 'attachment; filename="types.parquet"', headers["content-disposition"]
    path = FOLDER / "types.parquet"
    path.write_bytes(body)
    table = pyarrow.parquet.read_table(path)
    assert table.schema.metadata[b"metricd.metric_id"] == b"types", table.schema.metadata
    assert table.schema.field("money").metadata[b"postgresql.type"] == b"numeric(12,2)"
    compare("pyarrow, parquet", table.to_pydict(), rows)
    compare("pandas, parquet", lists(pandas.read_parquet(path, dtype_backend="pyarrow")), rows)
    compare("polars, parquet", polars.read_parquet(path).to_dict(as_series=False), rows)
    compare("duckdb, parquet", duck(f"SELECT * FROM read_parquet('{path}')"), rows)
    for type_name, name in [("DECIMAL(12,2)", "money"), ("DECIMAL(38,20)", "any_numeric"), ("BIGINT", "int8"), ("DATE", "date")]:
        [(found,)] = duckdb.sql(f"SELECT DISTINCT typeof({name}) FROM read_parquet('{path}')").fetchall()
        assert found == type_name, (name, found)


def duck(sql, **tables):
    connection = duckdb.connect()
    for name, table in tables.items():
        connection.register(name, table)
    result = connection.sql(sql)
    return dict(zip(result.columns, map(list, zip(*result.fetchall()))))


def check_arrow(rows):
    headers, body = fetch("/metrics/types", accept="application/vnd.apache.arrow.stream")
    assert headers["content-type"] == "application/vnd.apache.arrow.stream", headers["content-type"]
    table = pyarrow.ipc.open_stream(body).read_all()
    compare("pyarrow, arrow", table.to_pydict(), rows)
    frame = table.to_pandas(types_mapper=pandas.ArrowDtype)
    compare("pandas, arrow", lists(frame), rows)
    compare("polars, arrow", polars.read_ipc_stream(io.BytesIO(body)).to_dict(as_series=False), rows)
    compare("duckdb, arrow", duck("SELECT * FROM result", result=table), rows)


# In a sheet, these types are numbers or dates if a spreadsheet keeps every digit of them, and texts otherwise.
def from_cell(type_name, value):
    if isinstance(value, str):
        match type_name:
            case "smallint" | "integer" | "bigint":
                return int(value)
            case "date":
                return date.fromisoformat(value)
            case "time":
                return time.fromisoformat(value)
            case "timestamp" | "timestamptz":
                return datetime.fromisoformat(value)
            case "bytea":
                return base64.b64decode(value)
            case name if name.startswith("numeric") and not name.endswith("[]") and name != "numeric(60,10)":
                return Decimal(value)
            case name if name.endswith("[]"):
                return json.loads(value, parse_float=Decimal)
    if type_name.startswith("numeric") and isinstance(value, (int, float)):
        # The digits of the file.
        return str(value) if type_name == "numeric(60,10)" else Decimal(repr(value))
    if type_name == "timestamptz" and isinstance(value, datetime):
        return value.replace(tzinfo=timezone.utc)
    return value


def unescaped(value):
    """What spreadsheets show for the texts of Office Open XML."""
    return openpyxl.utils.escape.unescape(value) if isinstance(value, str) else value


def sheet_columns(sheet):
    """The columns of a sheet with the values of every type."""
    names = [cell.value for cell in sheet[1]]
    columns = {name: [] for name in names}
    for cells in sheet.iter_rows(min_row=2):
        for name, cell in zip(names, cells):
            assert cell.data_type != "f", f"{name} is a formula"
            columns[name].append(from_cell(TYPES[name], unescaped(cell.value)))
    return lists_of_decimals(columns)


def check_xlsx(rows):
    headers, body = fetch("/metrics/types?format=xlsx")
    assert headers["content-disposition"] == 'attachment; filename="types.xlsx"', headers["content-disposition"]
    path = FOLDER / "types.xlsx"
    path.write_bytes(body)
    book = openpyxl.load_workbook(path)
    assert book.sheetnames == ["Values_ types"], book.sheetnames
    sheet = book.active
    columns = sheet_columns(sheet)
    names = list(columns)
    compare("openpyxl, xlsx", columns, rows)
    for name, number_format in [("recent", "yyyy\\-mm\\-dd"), ("recent_timestamptz", 'yyyy\\-mm\\-dd\\ hh:mm:ss.000"Z"')]:
        cell = sheet.cell(2, names.index(name) + 1)
        assert (cell.is_date, cell.number_format) == (True, number_format), (name, cell.number_format)
    for name, is_number in [("small_int8", True), ("int8", False), ("wide", False), ("money", True), ("recent", False)]:
        value = sheet.cell(2, names.index(name) + 1).value
        assert isinstance(value, (int, float)) == is_number, (name, value)
    frame = pandas.read_excel(path, dtype=object)
    assert list(frame.columns) == names and len(frame) == len(rows), frame
    frame = polars.read_excel(path, engine="openpyxl", infer_schema_length=None)
    assert frame.columns == names and len(frame) == len(rows), frame
    print("pandas and polars read the sheet")


def lists_of_decimals(columns):
    """The elements of lists, as the types of their arrays."""
    for name, type_name in TYPES.items():
        if type_name.endswith("[]"):
            element = type_name[:-2]
            convert = lambda value: Decimal(value) if element.startswith("numeric") and value is not None else from_cell(element, value)
            columns[name] = [value if value is None else [convert(part) for part in value] for value in columns[name]]
    return columns


def check_text(rows):
    """CSV and NDJSON, and numbers as texts."""
    _, body = fetch("/metrics/types?format=csv")
    path = FOLDER / "types.csv"
    path.write_bytes(body)
    exact = ["int8", "wide", "wider", "any_numeric", "timestamp", "uuid"]
    frames = [
        pandas.read_csv(path, dtype=str, keep_default_na=False).to_dict("list"),
        polars.read_csv(path, infer_schema=False).to_dict(as_series=False),
        duck(f"SELECT * FROM read_csv('{path}', all_varchar = true)"),
    ]
    for frame in frames:
        for name in exact:
            for found, row in zip(frame[name], rows):
                wanted = "" if row[name] is None else row[name]
                assert found in (wanted, None) or Decimal(found) == Decimal(wanted), (name, found, wanted)
    for path, read in [
        ("/metrics/types?numbers=string", lambda body: json.loads(body)["rows"]),
        ("/metrics/types?numbers=string&format=ndjson", lambda body: [json.loads(line) for line in body.splitlines()]),
        ("/metrics/types?numbers=string&format=arrow", lambda body: pyarrow.ipc.open_stream(body).read_all().to_pylist()),
    ]:
        for found, row in zip(read(fetch(path)[1]), rows):
            for name in ["int8", "money", "wide", "wider", "any_numeric"]:
                value, wanted = found[name], row[name]
                assert value == wanted or (isinstance(value, str) and Decimal(value) == Decimal(wanted)), (path, name, value)
            assert all(part is None or isinstance(part, str) for part in found["amounts"] or []), found["amounts"]
    print("csv, and numbers as texts: equal")


def check_extremes():
    _, body = fetch("/metrics/extremes?format=parquet")
    path = FOLDER / "extremes.parquet"
    path.write_bytes(body)
    table = pyarrow.parquet.read_table(path)
    days, microseconds = (table.column(name).to_pylist() for name in ("days", "microseconds"))
    assert table.column("d").cast(pyarrow.int32()).to_pylist() == days, days
    for name in ("t", "z"):
        assert table.column(name).cast(pyarrow.int64()).to_pylist() == microseconds, name
    frame = polars.read_parquet(path)
    assert frame["d"].cast(polars.Int32).to_list() == days
    assert frame["t"].cast(polars.Int64).to_list() == microseconds
    found = duck(f"SELECT d - DATE '1970-01-01' AS days, epoch_us(t) AS t FROM read_parquet('{path}')")
    assert (found["days"], found["t"]) == (days, microseconds), found
    for sql, column in [("'NaN'::numeric", "n"), ("'infinity'::date", "n"), ("1e18::numeric", "n"), ("'{{1}}'::integer[]", "n"), ("'24:00'::time", "n")]:
        metric_id = f"refused-{abs(hash(sql))}"
        create(metric_id, f"SELECT {sql} AS n")
        for format_name in ("parquet", "arrow"):
            found = problem(f"/metrics/{metric_id}?format={format_name}")
            assert (found["code"], "`n`" in found["detail"]) == ("result-unrepresentable", True), found
    create("long-text", "SELECT repeat('x', 32768) AS n")
    assert problem("/metrics/long-text?format=xlsx")["code"] == "result-unrepresentable"
    print("the extremes are equal, and what a format cannot hold is refused")


SEVERAL = "/results?metric_id=types&metric_id=TYPES&metric_id=failing&metric_id=types"


def check_archives(rows):
    """Zip archives of Parquet, Arrow and CSV, with a metric that fails and one that differs by case alone."""
    for format_name in ("parquet", "arrow", "csv"):
        headers, body = fetch(f"{SEVERAL}&format={format_name}")
        assert headers["content-type"] == "application/zip", headers["content-type"]
        archive = zipfile.ZipFile(io.BytesIO(body))
        assert archive.testzip() is None
        names = ["types." + format_name, "TYPES-2." + format_name]
        assert archive.namelist() == ["results.json", *names], archive.namelist()
        entries = json.loads(archive.read("results.json"))["results"]
        assert [entry.get("result", {}).get("file") for entry in entries] == [*names, None], entries
        assert entries[0]["result"]["row_count"] == len(rows) and entries[2]["problem"]["code"] == "query-failed", entries
        folder = FOLDER / f"archive-{format_name}"
        archive.extractall(folder)
        for path in (folder / name for name in names):
            match format_name:
                case "parquet":
                    compare("pyarrow, parquet in an archive", pyarrow.parquet.read_table(path).to_pydict(), rows)
                    compare("pandas, parquet in an archive", lists(pandas.read_parquet(path, dtype_backend="pyarrow")), rows)
                    compare("polars, parquet in an archive", polars.read_parquet(path).to_dict(as_series=False), rows)
                    compare("duckdb, parquet in an archive", duck(f"SELECT * FROM read_parquet('{path}')"), rows)
                case "arrow":
                    compare("pyarrow, arrow in an archive", pyarrow.ipc.open_stream(path).read_all().to_pydict(), rows)
                case "csv":
                    _, alone = fetch("/metrics/types?format=csv")
                    assert path.read_bytes() == alone
                    frame = pandas.read_csv(path, dtype=str, keep_default_na=False)
                    assert [int(value) for value in frame["int8"][:2]] == [row["int8"] for row in rows[:2]]
                    print("csv in an archive: equal")


def check_workbook(rows):
    """A workbook of several results."""
    headers, body = fetch(f"{SEVERAL}&format=xlsx")
    assert headers["content-disposition"] == 'attachment; filename="results.xlsx"', headers["content-disposition"]
    path = FOLDER / "results.xlsx"
    path.write_bytes(body)
    book = openpyxl.load_workbook(path)
    names = ["Values_ types", "Values_ TYPES (2)"]
    assert book.sheetnames == ["Results", *names], book.sheetnames
    for name in names:
        compare("openpyxl, a sheet of several", sheet_columns(book[name]), rows)
    frames = pandas.read_excel(path, sheet_name=None)
    summary = frames["Results"]
    assert list(frames) == book.sheetnames and all(len(frames[name]) == len(rows) for name in names), frames.keys()
    assert summary["metric_id"].tolist() == ["types", "TYPES", "failing"], summary
    assert summary["sheet"].tolist()[:2] == names and summary["row_count"].tolist()[:2] == [len(rows)] * 2, summary
    assert summary["truncated"].tolist()[:2] == [False, False] and summary["problem"].tolist()[2] == "query-failed", summary
    assert isinstance(summary["as_of"][0], pandas.Timestamp), summary
    frames = polars.read_excel(path, sheet_id=0, engine="openpyxl", infer_schema_length=None)
    assert list(frames) == book.sheetnames and all(len(frames[name]) == len(rows) for name in names), frames.keys()
    print("pandas and polars read the workbook")


def main():
    row = lambda index: "SELECT " + ", ".join(f"({column[index]})::{column[1]} AS {column[0]}" for column in COLUMNS)
    nulls = "SELECT 3, " + ", ".join(f"NULL::{column[1]}" for column in COLUMNS[1:])
    # The typed columns of a subquery keep their modifiers.
    create("types", f"SELECT * FROM ({row(2)} UNION ALL {row(3)} UNION ALL {nulls}) AS v")
    create("TYPES", f"SELECT * FROM ({row(2)} UNION ALL {row(3)} UNION ALL {nulls}) AS v")
    create("failing", "SELECT 1 / (count(*) - 1) AS n FROM generate_series(1, 1)")
    create("extremes", EXTREMES)
    rows = expected("types")
    check_parquet(rows)
    check_arrow(rows)
    check_xlsx(rows)
    check_text(rows)
    check_archives(rows)
    check_workbook(rows)
    check_extremes()


if __name__ == "__main__":
    main()
