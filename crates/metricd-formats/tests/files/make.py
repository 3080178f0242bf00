"""Makes the files of this folder with the programs that people export from.

    pip install pandas polars duckdb pyarrow openpyxl
    python make.py
"""

import datetime as dt
import decimal
import uuid
from pathlib import Path

import duckdb
import openpyxl
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet

folder = Path(__file__).parent
berlin = dt.timezone(dt.timedelta(hours=2))

frame = pd.DataFrame(
    {
        "id": pd.array([1, 2, None], dtype="Int64"),
        "amount": [0.1, float("nan"), 1e300],
        "day": pd.to_datetime(["2025-06-01", "1969-12-31", None]).as_unit("ns"),
        "at": pd.to_datetime(["2025-06-01 12:00:00.000001+02:00", None, "1700-01-01 00:00:00Z"], utc=True, format="ISO8601"),
        "exact": pd.Series(["2025-06-01T12:00:00.000000001", None, None]).astype("datetime64[ns]").values,
        "name": ["Zoë", None, ""],
        "colour": pd.Categorical(["red", None, "red"]),
        "tags": [["a", "b"], [], None],
        "price": [decimal.Decimal("12.50"), decimal.Decimal("-0.01"), None],
        "active": pd.array([True, False, None], dtype="boolean"),
        "clock": [dt.time(23, 59, 59, 999999), dt.time(0), None],
        "kept": pd.to_timedelta(["1 day 00:00:01", None, "-1 s"]),
    },
    index=pd.Index(["x", "y", "z"]),
)
frame.to_parquet(folder / "pandas.parquet")
# The values of INT96 have digits below the microsecond in one column only.
frame[["at", "exact"]].to_parquet(folder / "pandas-int96.parquet", use_deprecated_int96_timestamps=True)
frame.reset_index(drop=True).to_feather(folder / "pandas.feather")

table = pl.DataFrame(
    {
        "id": pl.Series([1, 2**64 - 1, None], dtype=pl.UInt64),
        "at": pl.Series([dt.datetime(2025, 6, 1, 12), dt.datetime(1, 1, 1), None], dtype=pl.Datetime("us", "UTC")),
        "price": pl.Series(["12.50", "-0.01", None]).cast(pl.Decimal(38, 10)),
        "colour": pl.Series(["red", "green", None], dtype=pl.Categorical),
        "kind": pl.Series(["a", "b", None], dtype=pl.Enum(["b", "a"])),
        "point": pl.Series([{"x": 1, "y": None}, {"x": None, "y": [1.5]}, None]),
        "clock": [dt.time(1, 2, 3, 4), None, dt.time(0)],
        "kept": [dt.timedelta(hours=30), dt.timedelta(microseconds=-1), None],
        "bytes": [b"\x00\xff", b"", None],
        "empty": [None, None, None],
    }
)
table.write_parquet(folder / "polars.parquet")
table.write_ipc(folder / "polars.arrow", compression="zstd")
table.write_ipc_stream(folder / "polars.arrows", compression="lz4")

duckdb.sql(
    """
    COPY (SELECT * FROM (VALUES
        (1::hugeint, 'a'::varchar, DATE '2025-06-01', TIMESTAMP '2025-06-01 12:00:00.000001',
         TIMESTAMPTZ '2025-06-01 12:00:00+00', TIME '01:02:03', 12.5::decimal(10,2),
         '00010203-0405-0607-0809-0a0b0c0d0e0f'::uuid, '{"a": [1, null]}'::json, MAP {'k': 1}, {'x': [1, 2]},
         TIMESTAMP_NS '2025-06-01 12:00:00.000001', 'b'::enum_type, 'infinity'::double),
        (NULL, NULL, DATE '0044-03-15 (BC)', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)
    ) AS t(huge, words, day, moment, instant, clock, price, key, document, pairs, nested, exact, kind, ratio))
    TO '%s' (FORMAT parquet)
    """.replace("enum_type", "enum('a', 'b')")
    % (folder / "duckdb.parquet")
)

schema = pa.schema(
    [
        pa.field("id", pa.uuid(), metadata={"comment": "The key"}),
        pa.field("document", pa.json_()),
        pa.field("moment", pa.timestamp("ms", tz="Europe/Berlin"), metadata={"description": "When it began"}),
        pa.field("span", pa.month_day_nano_interval()),
    ]
)
columns = [
    [uuid.UUID(int=1).bytes, None],
    ['{"a": 1}', None],
    [dt.datetime(2025, 6, 1, 12, tzinfo=berlin), None],
    [pa.MonthDayNano([14, 3, 1_500_000_000]), None],
]
arrays = [pa.array(values, field.type) for values, field in zip(columns, schema)]
pyarrow.feather.write_feather(pa.Table.from_arrays(arrays, schema=schema), str(folder / "pyarrow.arrow"))
parts = pa.Table.from_arrays(arrays[:3], schema=pa.schema(list(schema)[:3]))
for compression in ["gzip", "brotli", "lz4", "zstd", "none"]:
    pyarrow.parquet.write_table(parts, folder / f"pyarrow-{compression}.parquet", compression=compression)

book = openpyxl.Workbook()
sheet = book.active
sheet.title = "Sales"
sheet.append([])
sheet.append([None, "Day", "At", "Amount", "Text", "Big", "Active", "Clock", "Sum", "Kept"])
sheet.append(
    [None, dt.date(2025, 6, 1), dt.datetime(2025, 6, 1), 0.1, "007", 12345678901234567890, True, dt.time(1, 2, 3), None,
     dt.timedelta(hours=30, seconds=1)]
)
sheet.append(
    [None, dt.date(1900, 1, 1), dt.datetime(2025, 6, 1, 12, 30, 15, 250000), -2, " padded ", 1e20, False,
     dt.time(23, 59, 59), None, None]
)
book.create_sheet("Other").append(["only"])
book.save(folder / "openpyxl.xlsx")
book = openpyxl.Workbook()
book.epoch = openpyxl.utils.datetime.CALENDAR_MAC_1904
book.active.append(["day"])
book.active.append([dt.date(2025, 6, 1)])
book.active.append(["=1+1"])
book.active.append([None])
book.save(folder / "openpyxl-1904.xlsx")
frame[["id", "day", "name"]].to_excel(folder / "pandas.xlsx")
