"""The extremes of every type, and who writes them in which input format."""

import csv
import gzip
import json
import math
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import duckdb
import openpyxl
import pandas
import polars
import pyarrow
import pyarrow.feather
import pyarrow.ipc
import pyarrow.parquet

# The columns: the name, the type of the table, the type of the metric's result, and a value for each row.
COLUMNS = [
    ("id", "bigint", "bigint", [1, 2, 3, 4]),
    ("truth", "boolean", "boolean", [True, False, True, None]),
    ("whole", "bigint", "bigint", [-(2**63), 2**63 - 1, 0, None]),
    ("money", "numeric", "numeric(12,2)", [Decimal("-9999999999.99"), Decimal("0.01"), Decimal("10.50"), None]),
    (
        "wide",
        "numeric",
        "numeric(38,10)",
        [Decimal("9999999999999999999999999999.9999999999"), Decimal("-0.0000000001"), Decimal("0E-10"), None],
    ),
    (
        "fine",
        "numeric",
        "numeric",
        [
            Decimal("999999999999999999.99999999999999999999"),
            Decimal("-0.00000000000000000001"),
            Decimal("0E-20"),
            None,
        ],
    ),
    ("ratio", "double precision", "double precision", [1.7976931348623157e308, 5e-324, 0.1, None]),
    ("special", "double precision", "double precision", [math.nan, math.inf, -math.inf, None]),
    ("day", "date", "date", [date.min, date.max, date(2024, 2, 29), None]),
    (
        "clock",
        "timestamp",
        "timestamp",
        [datetime.min, datetime.max, datetime(1969, 12, 31, 23, 59, 59, 999999), None],
    ),
    (
        "instant",
        "timestamptz",
        "timestamptz",
        [
            datetime(1, 1, 2, tzinfo=timezone.utc),
            datetime(9999, 12, 30, 23, 59, 59, 999999, timezone.utc),
            datetime(2025, 6, 1, 12, 34, 56, 123456, timezone(timedelta(hours=5, minutes=45))),
            None,
        ],
    ),
    ("key", "uuid", "uuid", [UUID(int=0), UUID(int=2**128 - 1), UUID("5ef2f7a6-0000-4000-8000-000000000000"), None]),
    (
        "document",
        "jsonb",
        "jsonb",
        ['{"a": 1.50, "b": [null, true, "é\\n"]}', "[]", '{"n": 123456789012345678901234567890.000000001}', None],
    ),
    ("bytes", "bytea", "bytea", [bytes(range(256)), b"", b"\x00", None]),
    ("words", "text", "text", ['a\tb\n"é日😀", _x0041_;|', " padded ", "=1+1", None]),
    ("empty", "text", "text", ["", "x", "", None]),
    ("code", "text", "text", ["007", "12345678901234567890", "NULL", None]),
]
NAMES = [name for name, *_ in COLUMNS]
VALUES = {name: values for name, _, _, values in COLUMNS}
RESULT_TYPES = {name: result for name, _, result, _ in COLUMNS}
ROWS = range(len(COLUMNS[0][3]))

# The types of Arrow for the columns, where the library would not infer them.
ARROW_TYPES = {
    "money": pyarrow.decimal128(12, 2),
    "wide": pyarrow.decimal128(38, 10),
    "fine": pyarrow.decimal128(38, 20),
    "clock": pyarrow.timestamp("us"),
    "instant": pyarrow.timestamp("us", "UTC"),
    "key": pyarrow.uuid(),
    "document": pyarrow.json_(),
}


def text(value):
    """The value as a text file has it."""
    match value:
        case None | str():
            return value
        case bool():
            return str(value).lower()
        case bytes():
            return "\\x" + value.hex()
        case Decimal():
            return format(value, "f")
        case float():
            return repr(value)
        case datetime():
            return value.isoformat(" ", "microseconds")
        case _:
            return str(value)


def texts():
    """The values as texts, as lists by name."""
    return {name: [text(value) for value in values] for name, _, _, values in COLUMNS}


def arrow_table():
    columns = {
        name: pyarrow.array(plain(name, values), storage(ARROW_TYPES.get(name))) for name, _, _, values in COLUMNS
    }
    return pyarrow.table({name: extended(name, column) for name, column in columns.items()})


def plain(name, values):
    return [value.bytes if isinstance(value, UUID) else value for value in values]


def storage(data_type):
    return data_type.storage_type if isinstance(data_type, pyarrow.BaseExtensionType) else data_type


def extended(name, column):
    data_type = ARROW_TYPES.get(name)
    is_extension = isinstance(data_type, pyarrow.BaseExtensionType)
    return pyarrow.ExtensionArray.from_storage(data_type, column) if is_extension else column


def simple_table():
    """A table without extension types, for libraries that do not have them."""
    table = arrow_table()
    for name, values in (("key", texts()["key"]), ("document", texts()["document"])):
        table = table.set_column(table.column_names.index(name), name, pyarrow.array(values))
    return table


def text_frame(library):
    return library.DataFrame(texts())


def write_python_csv(path, encoding="utf-8", separator=",", opener=open):
    """Quotes each value, so that an empty text differs from no value."""
    columns = texts()
    with opener(path, "wt", encoding=encoding, newline="") as file:
        file.write(separator.join(NAMES) + "\r\n")
        for row in ROWS:
            fields = (columns[name][row] for name in NAMES)
            quoted = ("" if field is None else '"' + field.replace('"', '""') + '"' for field in fields)
            file.write(separator.join(quoted) + "\r\n")


def write_german_csv(path):
    """Semicolons, decimal commas and days as a German spreadsheet writes them, in UTF-16."""
    columns = texts()
    with open(path, "w", encoding="utf-16", newline="") as file:
        writer = csv.writer(file, delimiter=";", quoting=csv.QUOTE_MINIMAL)
        writer.writerow(GERMAN)
        for row in ROWS:
            value = lambda name: columns[name][row]
            comma = lambda field: None if field is None else field.replace(".", ",")
            day = VALUES["day"][row]
            days = None if day is None else f"{day.day:02}.{day.month:02}.{day.year:04}"
            writer.writerow(
                [value("id"), *(comma(value(name)) for name in ("money", "wide", "ratio")), days, value("words")]
            )


def json_value(name, row):
    """The value as JSON has it: numbers as numbers, `NaN` as a text."""
    value = VALUES[name][row]
    match value:
        case None | bool():
            return json.dumps(value)
        case float() if not math.isfinite(value):
            return json.dumps(str(value))
        case int() | float() | Decimal():
            return text(value)
        case _ if name == "document":
            return value
        case _:
            return json.dumps(text(value), ensure_ascii=row == 0)


def json_rows():
    return ["{" + ", ".join(f'"{name}": {json_value(name, row)}' for name in NAMES) + "}" for row in ROWS]


def write_arrow(path, stream):
    table = arrow_table()
    with (pyarrow.ipc.new_stream if stream else pyarrow.ipc.new_file)(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=3)


def write_duckdb(path, options, table):
    connection = duckdb.connect()
    connection.register("source", table)
    connection.sql(f"COPY (SELECT * FROM source ORDER BY id) TO '{path}' ({options})")


def cell(name, row):
    """The value as a person would type it into a sheet: numbers of 15 digits and dates since 1900, and texts otherwise."""
    value = VALUES[name][row]
    match value:
        case bool() | None | str():
            return value
        case int() if abs(value) < 10**15:
            return value
        case Decimal() if len(value.as_tuple().digits) <= 15 and name == "money":
            return float(value)
        case float() if 1e-300 < value < 1e300:
            return value
        case datetime():
            return text(value)
        case date() if 1900 < value.year:
            return value
        case _:
            return text(value)


def escaped(value):
    """What looks like an escape in a text is escaped itself, which openpyxl leaves to its caller."""
    return value.replace("_x", "_x005F_x") if isinstance(value, str) else value


def write_openpyxl(path):
    book = openpyxl.Workbook(write_only=True)
    book.create_sheet("Notes", 0).sheet_state = "hidden"
    sheet = book.create_sheet("Values")
    sheet.append(NAMES)
    for row in ROWS:
        cells = [openpyxl.cell.WriteOnlyCell(sheet, escaped(cell(name, row))) for name in NAMES]
        for formula in (made for made in cells if made.data_type == "f"):
            formula.data_type = "s"
        sheet.append(cells)
    book.save(path)


def write_xlsxwriter(path):
    frame = pandas.DataFrame({name: [cell(name, row) for row in ROWS] for name in NAMES}, dtype=object)
    options = {"options": {"strings_to_formulas": False, "strings_to_numbers": False, "strings_to_urls": False}}
    with pandas.ExcelWriter(path, engine="xlsxwriter", engine_kwargs=options) as writer:
        frame.to_excel(writer, index=False)


def copy_text(value):
    if value is None:
        return "\\N"
    return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def write_copy(path):
    """A block as `pg_dump --data-only` writes it."""
    columns = texts()
    lines = ["\t".join(copy_text(columns[name][row]) for name in NAMES) for row in ROWS]
    head = "--\n-- PostgreSQL database dump\n--\n\nSET client_encoding = 'UTF8';\n\n"
    copy = f"COPY public.source ({', '.join(NAMES)}) FROM stdin;\n"
    path.write_text(head + copy + "\n".join(lines) + "\n\\.\n\n--\n-- PostgreSQL database dump complete\n--\n")


# The files: who writes them, their ending, and the columns that they have. CSV of pandas and sheets do not tell an empty text
# from no value.
FILLED = [name for name in NAMES if name != "empty"]
GERMAN = ["id", "money", "wide", "ratio", "day", "words"]

WRITERS = [
    ("csv_python", "csv", write_python_csv, NAMES),
    ("csv_semicolon", "csv", lambda path: write_python_csv(path, separator=";"), NAMES),
    ("csv_pipe_utf16", "csv", lambda path: write_python_csv(path, "utf-16", "|"), NAMES),
    ("csv_tab_bom_gzip", "csv.gz", lambda path: write_python_csv(path, "utf-8-sig", "\t", gzip.open), NAMES),
    ("csv_pandas", "csv", lambda path: text_frame(pandas).to_csv(path, index=False), FILLED),
    ("csv_polars", "csv", lambda path: text_frame(polars).write_csv(path), NAMES),
    ("csv_duckdb", "csv", lambda path: write_duckdb(path, "FORMAT csv", pyarrow.table(texts())), NAMES),
    (
        "csv_duckdb_zstd",
        "csv.zst",
        lambda path: write_duckdb(path, "FORMAT csv, COMPRESSION zstd", pyarrow.table(texts())),
        NAMES,
    ),
    ("csv_german", "csv", write_german_csv, GERMAN),
    ("ndjson_python", "ndjson", lambda path: path.write_text("\n".join(json_rows()) + "\n"), NAMES),
    ("json_python", "json", lambda path: path.write_text("[" + ",\n".join(json_rows()) + "]"), NAMES),
    ("ndjson_pandas", "ndjson", lambda path: text_frame(pandas).to_json(path, orient="records", lines=True), NAMES),
    ("ndjson_polars", "ndjson", lambda path: text_frame(polars).write_ndjson(path), NAMES),
    ("json_duckdb", "json", lambda path: write_duckdb(path, "FORMAT json, ARRAY true", pyarrow.table(texts())), NAMES),
    ("parquet_pyarrow", "parquet", lambda path: pyarrow.parquet.write_table(arrow_table(), path), NAMES),
    (
        "parquet_pyarrow_plain",
        "parquet",
        lambda path: pyarrow.parquet.write_table(
            arrow_table(), path, compression="zstd", use_dictionary=False, data_page_version="2.0", row_group_size=2
        ),
        NAMES,
    ),
    (
        "parquet_pandas",
        "parquet",
        lambda path: arrow_table().to_pandas(types_mapper=pandas.ArrowDtype).to_parquet(path, compression="gzip"),
        NAMES,
    ),
    ("parquet_polars", "parquet", lambda path: polars.from_arrow(simple_table()).write_parquet(path), NAMES),
    ("parquet_duckdb", "parquet", lambda path: write_duckdb(path, "FORMAT parquet", simple_table()), NAMES),
    ("arrow_file", "arrow", lambda path: write_arrow(path, stream=False), NAMES),
    ("arrow_stream", "arrows", lambda path: write_arrow(path, stream=True), NAMES),
    (
        "feather_lz4",
        "feather",
        lambda path: pyarrow.feather.write_feather(simple_table(), path, compression="lz4"),
        NAMES,
    ),
    (
        "arrow_polars",
        "arrow",
        lambda path: polars.from_arrow(simple_table()).write_ipc(path, compression="zstd"),
        NAMES,
    ),
    ("xlsx_openpyxl", "xlsx", write_openpyxl, FILLED),
    ("xlsx_xlsxwriter", "xlsx", write_xlsxwriter, FILLED),
    ("copy_dump", "sql", write_copy, NAMES),
]
