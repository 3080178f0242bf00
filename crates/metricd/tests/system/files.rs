//! Results as files, from values of PostgreSQL.

use anyhow::{Context, Result};
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Int32Type, Time64MicrosecondType, TimestampMicrosecondType};
use arrow_array::{RecordBatch, StringArray};
use arrow_schema::{DataType, TimeUnit};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{Server, connect_as_owner, folder, metricd};

/// A table with a column of each kind of type, and the first and last values of the types as far as files hold them.
const TABLE: &str = "
    CREATE TYPE warehouse.mood AS ENUM ('sad', 'ok', 'happy');
    CREATE DOMAIN warehouse.price AS numeric(6,3);
    CREATE TABLE warehouse.kinds (
        id integer, amount numeric(12,2), price warehouse.price, huge numeric(60,5), free numeric, mood warehouse.mood,
        day date, clock time, moment timestamp, instant timestamptz, amounts numeric(8,1)[], names varchar(3)[], span interval,
        document jsonb, key uuid, bytes bytea, number bigint);
    COMMENT ON COLUMN warehouse.kinds.amount IS 'In EUR';
    INSERT INTO warehouse.kinds VALUES
        (1, 9999999999.99, 999.999, -1, 999999999999999999.99999999999999999999, 'happy', '4713-01-01 BC', '00:00',
         '4713-01-01 BC', '4713-01-01 BC', '{1.5,NULL}', '{a}', '1 day', '{\"a\": 1}', '5ef2f7a6-0000-4000-8000-000000000000',
         '\\x00ff', 9223372036854775807),
        (2, -9999999999.99, -999.999, 1, -0.00000000000000000001, 'sad', '5874897-12-31', '23:59:59.999999',
         '294246-12-31 23:59:59.999999', '294246-12-31 23:59:59.999999Z', '{}', '{}', '-1 year', '[]', NULL, '', 0);
    INSERT INTO warehouse.kinds VALUES (3);
    GRANT SELECT ON warehouse.kinds TO metricd_reader";

async fn store(server: &Server, id: &str, sql: &str) -> Result<()> {
    let body = json!({"id": id, "title": id, "sql": sql});
    let stored = reqwest::Client::new().post(format!("{}/metrics", server.address)).json(&body).send().await?;
    assert_eq!(stored.status(), 201, "{}", stored.text().await?);
    Ok(())
}

async fn parquet(server: &Server, path: &str) -> Result<RecordBatch> {
    let response = reqwest::get(format!("{}{path}", server.address)).await?;
    let (status, file) = (response.status(), response.bytes().await?);
    assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&file));
    let mut batches = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file.to_vec()))?.build()?;
    Ok(batches.next().context("a batch")??)
}

#[actix_web::test]
async fn a_file_has_the_types_and_values_of_postgresql() -> Result<()> {
    let folder = folder()?;
    let data_dir = folder.path().join("data");
    let server = Server::start(metricd(&data_dir).args(["serve", "--no-sample"]))?;
    connect_as_owner(&data_dir).await?.batch_execute(TABLE).await?;
    store(&server, "kinds", "SELECT * FROM warehouse.kinds ORDER BY id").await?;
    let batch = parquet(&server, "/metrics/kinds?format=parquet").await?;
    let schema = batch.schema();
    let data_type = |name: &str| schema.field_with_name(name).map(|field| field.data_type().clone());
    for (name, expected) in [
        ("amount", DataType::Decimal128(12, 2)),
        ("price", DataType::Decimal128(6, 3)),
        ("huge", DataType::Utf8),
        ("free", DataType::Decimal128(38, 20)),
        ("mood", DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))),
        ("day", DataType::Date32),
        ("clock", DataType::Time64(TimeUnit::Microsecond)),
        ("instant", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
        ("span", DataType::Utf8),
        ("document", DataType::Utf8),
        ("key", DataType::Utf8),
        ("bytes", DataType::Binary),
        ("number", DataType::Int64),
    ] {
        assert_eq!(data_type(name)?, expected, "{name}");
    }
    let DataType::List(amounts) = data_type("amounts")? else { panic!("{schema:?}") };
    assert_eq!(*amounts.data_type(), DataType::Decimal128(8, 1), "the modifier of an array is that of its elements");
    let metadata = schema.field_with_name("amount")?.metadata();
    assert_eq!(metadata.get("description").map(ToString::to_string).as_deref(), Some("In EUR"));

    let column = |name: &str| batch.column_by_name(name).with_context(|| name.to_owned());
    let decimals = |name: &str| anyhow::Ok(column(name)?.as_primitive::<Decimal128Type>().iter().collect::<Vec<_>>());
    assert_eq!(decimals("amount")?, [Some(999_999_999_999), Some(-999_999_999_999), None]);
    assert_eq!(decimals("price")?, [Some(999_999), Some(-999_999), None]);
    assert_eq!(decimals("free")?, [Some(10_i128.pow(38) - 1), Some(-1), None]);
    let moods = column("mood")?.as_dictionary::<Int32Type>();
    let moods = moods.downcast_dict::<StringArray>().context("labels")?.into_iter().collect::<Vec<_>>();
    assert_eq!(moods, [Some("happy"), Some("sad"), None]);
    let days: Vec<_> = column("day")?.as_primitive::<Date32Type>().iter().collect();
    assert_eq!(days, [Some(-2_440_550), Some(2_145_042_905), None]);
    let clock: Vec<_> = column("clock")?.as_primitive::<Time64MicrosecondType>().iter().collect();
    assert_eq!(clock, [Some(0), Some(86_399_999_999), None]);
    for name in ["moment", "instant"] {
        let values: Vec<_> = column(name)?.as_primitive::<TimestampMicrosecondType>().iter().collect();
        assert_eq!(values, [Some(-2_440_550 * 86_400_000_000), Some(9_223_371_244_799_999_999), None], "{name}");
    }
    assert_eq!(column("bytes")?.as_binary::<i32>().value(0), [0, 255]);
    Ok(())
}

#[actix_web::test]
async fn a_value_that_a_file_cannot_hold_is_a_text_on_request() -> Result<()> {
    let folder = folder()?;
    let server = Server::start(metricd(&folder.path().join("data")).args(["serve", "--no-sample"]))?;
    store(&server, "quotient", "SELECT 1 / 30000::numeric AS share, 'NaN'::numeric AS nothing, 1::bigint AS n").await?;
    let (status, problem) = server.get("/metrics/quotient?format=parquet").await?;
    assert_eq!((status, &problem["code"]), (422, &json!("result-unrepresentable")), "{problem}");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("`share`")), "{problem}");
    let batch = parquet(&server, "/metrics/quotient?format=parquet&numbers=string").await?;
    let texts: Vec<_> = batch.columns().iter().map(|column| column.as_string::<i32>().value(0).to_owned()).collect();
    assert_eq!(texts, ["0.000033333333333333333333", "NaN", "1"]);
    let (_, result) = server.get("/metrics/quotient?numbers=string").await?;
    let expected: Value = json!([{"share": "0.000033333333333333333333", "nothing": "NaN", "n": "1"}]);
    assert_eq!(result["rows"], expected);
    Ok(())
}
