//! Stores records: streams them by COPY into a temporary table, then inserts into the warehouse those that are
//! missing.

use std::cell::{Cell, RefCell};
use std::io::{self, Write};

use diesel::connection::SimpleConnection;
use diesel::pg::CopyFormat;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use metricd_domain::{QueryId, Record};
use metricd_repository::{ChangeCounts, Changes, Ingestion, RepositoryError};

use super::error::{corrupt, failed};

diesel::table! {
    /// The records that an ingestion brings, for the length of its transaction.
    staged_records (id) {
        id -> Text,
        date -> Date,
        obsolescence -> Nullable<Numeric>,
        alert_type -> Nullable<Text>,
        parts_flagged -> Nullable<Int8>,
        obsolescence_val -> Nullable<Numeric>,
        alert_category -> Nullable<Text>,
    }
}

const STAGE: &str = "CREATE TEMPORARY TABLE staged_records (LIKE warehouse.metrics) ON COMMIT DROP";

/// Counts how often each distinct record is in the stage, less how often it is stored. `GROUP BY` treats two NULLs as
/// equal, unlike a join, and needs no index over all columns. Amounts are compared as text: 1.1 and 1.10 are equal as
/// numbers, and one would be stored with the digits of the other.
const STORE: &str = "
    INSERT INTO warehouse.metrics
        (id, date, obsolescence, alert_type, parts_flagged, obsolescence_val, alert_category)
    SELECT id, date, obsolescence::numeric, alert_type, parts_flagged, obsolescence_val::numeric, alert_category
    FROM (
        SELECT id, date, obsolescence, alert_type, parts_flagged, obsolescence_val, alert_category,
            sum(brought) - sum(stored) AS missing
        FROM (
            SELECT id, date, obsolescence::text, alert_type, parts_flagged, obsolescence_val::text, alert_category,
                1 AS brought, 0 AS stored
            FROM pg_temp.staged_records
            UNION ALL
            SELECT id, date, obsolescence::text, alert_type, parts_flagged, obsolescence_val::text, alert_category, 0, 1
            FROM warehouse.metrics
            WHERE id IN (SELECT id FROM pg_temp.staged_records)
        ) AS both_sides
        GROUP BY id, date, obsolescence, alert_type, parts_flagged, obsolescence_val, alert_category
        HAVING sum(brought) > sum(stored)
    ) AS differences, generate_series(1, missing)";

const UNREAD: &str = "
    SELECT id, count(*) AS count FROM pg_temp.staged_records AS record
    WHERE NOT EXISTS (SELECT FROM catalog.queries WHERE queries.query_id = record.id)
    GROUP BY id ORDER BY id LIMIT 1000";

#[derive(QueryableByName)]
struct Unread {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// Why COPY did not get all records.
#[derive(Debug, thiserror::Error)]
enum CopyError {
    #[error("the input could not be read")]
    Input,
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
    #[error("the database did not take the records: {0}")]
    Write(io::Error),
}

/// Stores the records of the ingestion.
pub(super) fn store(
    connection: &mut PgConnection,
    ingestion: &mut dyn Ingestion,
    changes: &mut Changes,
) -> Result<(), RepositoryError> {
    let Some(first) = ingestion.next_record() else { return Ok(()) };
    let first = first.map_err(RepositoryError::Input)?;
    connection.batch_execute(STAGE).map_err(failed)?;
    let brought = copy(connection, first, ingestion)?;
    let added = diesel::sql_query(STORE).execute(connection).map_err(failed)?;
    changes.records = ChangeCounts { added: added as u64, changed: 0, unchanged: (brought - added) as u64 };
    for Unread { id, count } in diesel::sql_query(UNREAD).load(connection).map_err(failed)? {
        let id = QueryId::parse(id).map_err(corrupt)?;
        changes.unread_records.insert(id, u64::try_from(count).unwrap_or_default());
    }
    Ok(())
}

/// Streams the records into the temporary table. Returns their number.
fn copy(connection: &mut PgConnection, first: Record, ingestion: &mut dyn Ingestion) -> Result<usize, RepositoryError> {
    // Diesel calls the closure once, but requires `FnMut`.
    let source = RefCell::new((Some(first), ingestion));
    // If the closure fails, Diesel returns PostgreSQL's error about it, which says less.
    let broken_off = Cell::new(None);
    let write = |sink: &mut dyn Write| {
        let mut source = source.borrow_mut();
        let (first, ingestion) = &mut *source;
        let mut writer = csv::Writer::from_writer(sink);
        let mut next = first.take().map(Ok);
        while let Some(record) = next {
            match record {
                Ok(record) => write_record(&mut writer, &record)?,
                Err(cause) => {
                    broken_off.set(Some(cause));
                    return Err(CopyError::Input);
                }
            }
            next = ingestion.next_record();
        }
        writer.flush().map_err(CopyError::Write)
    };
    let copied = diesel::copy_from(staged_records::table)
        .from_raw_data(staged_records::table, write)
        .with_format(CopyFormat::Csv)
        .execute(connection);
    copied.map_err(|error| match (error, broken_off.take()) {
        (_, Some(cause)) => RepositoryError::Input(cause),
        (CopyError::Database(error), None) => failed(error),
        (other, None) => RepositoryError::Unavailable(other.to_string()),
    })
}

/// Writes one row in the column order of the table. NULL is an empty field in COPY.
fn write_record(writer: &mut csv::Writer<&mut dyn Write>, record: &Record) -> Result<(), CopyError> {
    let date = record.date.to_string();
    let parts_flagged = record.parts_flagged.map(|parts| parts.to_string());
    let fields = [
        record.query_id.as_str(),
        &date,
        record.obsolescence.as_ref().map_or("", |amount| amount.as_str()),
        record.alert_type.as_ref().map_or("", |label| label.as_str()),
        parts_flagged.as_deref().unwrap_or_default(),
        record.obsolescence_val.as_ref().map_or("", |amount| amount.as_str()),
        record.alert_category.as_ref().map_or("", |label| label.as_str()),
    ];
    writer.write_record(fields).map_err(|error| CopyError::Write(error.into()))
}
