//! Parquet, in batches of rows that the crate `parquet` decodes.
//!
//! Before anything is decoded, [`layout`] checks the footer and every page header, so that no size that the file claims
//! is allocated without a limit.

mod layout;
mod nanoseconds;
mod thrift;

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, FieldRef, Schema};
use metricd_domain::ReadOptions;
use metricd_ingestion::{ReadError, ReadSeek, TableFormat, TableReader};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;

use self::nanoseconds::Int96Unit;
use super::file::SharedFile;
use super::table::{BatchTable, Batches, check_rows, guard, malformed};

/// The rows that are decoded at once, if they are small.
const BATCH_ROWS: usize = 1_024;

/// The size of the values of a batch, as far as the schema shows it.
const BATCH_BYTES: u64 = 16 << 20;

/// The number of values of a list column in a batch, on average.
const BATCH_VALUES: u64 = 1 << 20;

/// Parquet.
#[derive(Debug)]
pub(super) struct Parquet;

impl TableFormat for Parquet {
    fn name(&self) -> &'static str {
        "Parquet"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["parquet"]
    }

    fn detect(&self, beginning: &[u8]) -> bool {
        beginning.starts_with(b"PAR1") || beginning.starts_with(b"PARE")
    }

    fn open(&self, file: Box<dyn ReadSeek>, _options: &ReadOptions) -> Result<Box<dyn TableReader>, ReadError> {
        let file = SharedFile::new(file)?;
        guard(|| Ok(Box::new(open(&file)?) as Box<dyn TableReader>))
    }
}

fn open(file: &SharedFile) -> Result<BatchTable<ParquetBatches>, ReadError> {
    layout::check_footer(file)?;
    let metadata = ArrowReaderMetadata::load(file, ArrowReaderOptions::new()).map_err(error)?;
    layout::check_pages(file, metadata.metadata())?;
    let rows = row_count(&metadata)?;
    check_rows(rows, file.size())?;

    let digits = nanoseconds::scan(file, &metadata)?;
    let metadata = with_reading_schema(&metadata, &digits.int96)?;
    let schema = metadata.schema().clone();
    let batch_rows = batch_rows(&metadata);
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file.clone(), metadata)
        .with_projection(ProjectionMask::all())
        .with_batch_size(batch_rows)
        .build()
        .map_err(error)?;
    BatchTable::new(ParquetBatches { reader, remaining: rows }, &schema, &digits.has_nanoseconds)
}

/// The number of rows that the footer claims.
fn row_count(metadata: &ArrowReaderMetadata) -> Result<u64, ReadError> {
    let mut sum: u64 = 0;
    for group in metadata.metadata().row_groups() {
        let rows = u64::try_from(group.num_rows()).ok().and_then(|rows| sum.checked_add(rows));
        sum = rows.ok_or_else(|| malformed("the number of rows of a row group is negative or too large"))?;
    }
    let claimed = metadata.metadata().file_metadata().num_rows();
    if u64::try_from(claimed) != Ok(sum) {
        return Err(malformed(format!("the footer claims {claimed} rows, and its row groups {sum}")));
    }
    Ok(sum)
}

/// The number of rows of a batch whose values have about [`BATCH_BYTES`], as far as the footer shows it.
fn batch_rows(metadata: &ArrowReaderMetadata) -> usize {
    let fields = metadata.schema().fields();
    let width = fields.iter().map(|field| width(field.data_type())).fold(1, u64::saturating_add);
    let mut rows = BATCH_BYTES / width;
    for group in metadata.metadata().row_groups() {
        for column in group.columns().iter().filter(|column| column.column_descr().max_rep_level() > 0) {
            let values = column.num_values().unsigned_abs() / group.num_rows().unsigned_abs().max(1);
            rows = rows.min(BATCH_VALUES / values.max(1));
        }
    }
    usize::try_from(rows).unwrap_or(BATCH_ROWS).clamp(1, BATCH_ROWS)
}

/// The size of a value, if the type decides it.
fn width(data_type: &DataType) -> u64 {
    match data_type {
        DataType::FixedSizeBinary(size) => u64::from(size.unsigned_abs()),
        DataType::FixedSizeList(item, size) => width(item.data_type()).saturating_mul(size.unsigned_abs().into()),
        DataType::Struct(fields) => fields.iter().map(|field| width(field.data_type())).fold(1, u64::saturating_add),
        _ => 16,
    }
}

/// Reads texts and bytes as views of the pages that have them: a value of a dictionary that many rows share is not
/// copied for each of them. INT96 is read in the unit that keeps its values.
fn with_reading_schema(
    metadata: &ArrowReaderMetadata,
    int96: &[Option<Int96Unit>],
) -> Result<ArrowReaderMetadata, ReadError> {
    let mut leaves = int96.iter().copied();
    let schema = metadata.schema();
    let fields: Vec<_> = schema.fields().iter().map(|field| reading_field(field, &mut leaves)).collect();
    let options =
        ArrowReaderOptions::new().with_schema(Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone())));
    ArrowReaderMetadata::try_new(metadata.metadata().clone(), options).map_err(error)
}

fn reading_field(field: &Field, leaves: &mut impl Iterator<Item = Option<Int96Unit>>) -> FieldRef {
    let data_type = reading_type(field.data_type(), leaves);
    Arc::new(field.clone().with_data_type(data_type))
}

fn reading_type(data_type: &DataType, leaves: &mut impl Iterator<Item = Option<Int96Unit>>) -> DataType {
    match data_type {
        DataType::Dictionary(_, values) => reading_type(values, leaves),
        DataType::RunEndEncoded(_, values) => reading_type(values.data_type(), leaves),
        DataType::List(item) => DataType::List(reading_field(item, leaves)),
        DataType::LargeList(item) => DataType::LargeList(reading_field(item, leaves)),
        DataType::ListView(item) => DataType::ListView(reading_field(item, leaves)),
        DataType::LargeListView(item) => DataType::LargeListView(reading_field(item, leaves)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(reading_field(item, leaves), *size),
        DataType::Map(entries, sorted) => DataType::Map(reading_field(entries, leaves), *sorted),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(|field| reading_field(field, leaves)).collect()),
        leaf => match (leaf, leaves.next().flatten()) {
            (DataType::Timestamp(_, zone), Some(unit)) => DataType::Timestamp(unit.time_unit(), zone.clone()),
            (DataType::Utf8 | DataType::LargeUtf8, _) => DataType::Utf8View,
            (DataType::Binary | DataType::LargeBinary, _) => DataType::BinaryView,
            _ => leaf.clone(),
        },
    }
}

#[derive(Debug)]
struct ParquetBatches {
    reader: ParquetRecordBatchReader,
    remaining: u64,
}

impl Batches for ParquetBatches {
    fn next_batch(&mut self) -> Result<Option<RecordBatch>, ReadError> {
        let Some(batch) = self.reader.next() else {
            return match self.remaining {
                0 => Ok(None),
                missing => Err(malformed(format!("the file ends {missing} rows too early"))),
            };
        };
        let batch = batch.map_err(|error| malformed(format!("the Parquet file cannot be decoded: {error}")))?;
        let remaining = self.remaining.checked_sub(batch.num_rows() as u64);
        self.remaining = remaining.ok_or_else(|| malformed("the file has more rows than its footer claims"))?;
        Ok(Some(batch))
    }
}

/// An error of the crate. Errors of the operating system keep their kind.
fn error(error: ParquetError) -> ReadError {
    match error {
        ParquetError::External(source) if source.is::<std::io::Error>() => match source.downcast::<std::io::Error>() {
            Ok(error) => ReadError::Io(*error),
            Err(error) => malformed(format!("the Parquet file cannot be decoded: {error}")),
        },
        other => malformed(format!("the Parquet file cannot be decoded: {other}")),
    }
}
