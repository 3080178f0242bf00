//! Looks through the columns with timestamps in nanoseconds: whether microseconds keep all their digits.

use arrow_schema::TimeUnit;
use metricd_ingestion::ReadError;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::basic::Type;
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{DataType, Int64Type, Int96, Int96Type};
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::error;
use crate::read::file::SharedFile;
use crate::read::table::{malformed, nanosecond_columns};

const NANOS_PER_DAY: i128 = 86_400_000_000_000;
const JULIAN_DAY_OF_EPOCH: i128 = 2_440_588;
const BATCH_RECORDS: usize = 1_024;

/// The unit in which a column of INT96 is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Int96Unit {
    Microseconds,
    Nanoseconds,
}

impl Int96Unit {
    pub(super) fn time_unit(self) -> TimeUnit {
        match self {
            Self::Microseconds => TimeUnit::Microsecond,
            Self::Nanoseconds => TimeUnit::Nanosecond,
        }
    }
}

/// What the values of a file show.
#[derive(Debug)]
pub(super) struct Digits {
    /// For each column, whether a timestamp has digits below the microsecond.
    pub(super) has_nanoseconds: Vec<bool>,
    /// For each leaf of the schema, the unit if it is INT96.
    pub(super) int96: Vec<Option<Int96Unit>>,
}

/// Reads the columns with timestamps in nanoseconds to their end.
pub(super) fn scan(file: &SharedFile, metadata: &ArrowReaderMetadata) -> Result<Digits, ReadError> {
    let descriptor = metadata.parquet_schema();
    let columns = nanosecond_columns(metadata.schema());
    let mut has_nanoseconds = vec![false; metadata.schema().fields().len()];
    let mut int96 = vec![None; descriptor.num_columns()];
    let mut reader = None;
    for (leaf, unit) in int96.iter_mut().enumerate() {
        let column = descriptor.get_column_root_idx(leaf);
        let is_int96 = descriptor.column(leaf).physical_type() == Type::INT96;
        if !is_int96 && !columns.contains(&column) {
            continue;
        }
        let reader = match &mut reader {
            Some(reader) => reader,
            none => none.insert(SerializedFileReader::new(file.clone()).map_err(error)?),
        };
        let has_digits = if is_int96 {
            let mut seen = Seen::default();
            read_leaf::<Int96Type>(reader, leaf, |value| seen.add(value))?;
            *unit = Some(seen.unit(&descriptor.column(leaf).path().string())?);
            seen.has_nanoseconds
        } else {
            let mut has_digits = false;
            read_leaf::<Int64Type>(reader, leaf, |value| has_digits |= value % 1_000 != 0)?;
            has_digits
        };
        if columns.contains(&column)
            && let Some(column) = has_nanoseconds.get_mut(column)
        {
            *column |= has_digits;
        }
    }
    Ok(Digits { has_nanoseconds, int96 })
}

/// Gives every value of a leaf to the function.
fn read_leaf<T: DataType>(
    reader: &SerializedFileReader<SharedFile>,
    leaf: usize,
    mut each: impl FnMut(&T::T),
) -> Result<(), ReadError> {
    let (mut definitions, mut repetitions, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group).map_err(error)?;
        let mut column = get_typed_column_reader::<T>(group.get_column_reader(leaf).map_err(error)?);
        loop {
            definitions.clear();
            repetitions.clear();
            values.clear();
            let (records, ..) = column
                .read_records(BATCH_RECORDS, Some(&mut definitions), Some(&mut repetitions), &mut values)
                .map_err(error)?;
            values.iter().for_each(&mut each);
            if records == 0 {
                break;
            }
        }
    }
    Ok(())
}

/// What the values of a column of INT96 have shown.
#[derive(Debug, Default)]
struct Seen {
    has_nanoseconds: bool,
    exceeds_nanoseconds: bool,
    is_invalid: bool,
}

impl Seen {
    fn add(&mut self, value: &Int96) {
        let [low, high, day] = value.data() else { return };
        let nanoseconds = i128::from(*high) << 32 | i128::from(*low);
        let day = i128::from(day.cast_signed());
        let total = (day - JULIAN_DAY_OF_EPOCH) * NANOS_PER_DAY + nanoseconds;
        self.has_nanoseconds |= nanoseconds % 1_000 != 0;
        self.exceeds_nanoseconds |= i64::try_from(total).is_err();
        self.is_invalid |= nanoseconds >= NANOS_PER_DAY || i64::try_from(total / 1_000).is_err();
    }

    fn unit(&self, column: &str) -> Result<Int96Unit, ReadError> {
        match self {
            Self { is_invalid: true, .. } => {
                Err(malformed(format!("a timestamp of the column `{column}` is not a time of a day")))
            }
            Self { has_nanoseconds: true, exceeds_nanoseconds: true, .. } => Err(malformed(format!(
                "the column `{column}` has timestamps with nanoseconds and timestamps outside the years 1678 to 2261, \
                 which cannot be read together: write it as text, or in microseconds"
            ))),
            Self { has_nanoseconds: true, .. } => Ok(Int96Unit::Nanoseconds),
            _ => Ok(Int96Unit::Microseconds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: u32 = 2_440_588;

    fn unit(values: &[(u64, u32)]) -> Result<Int96Unit, String> {
        let mut seen = Seen::default();
        for (nanoseconds, day) in values {
            let mut value = Int96::new();
            let [low, high] =
                [nanoseconds & u64::from(u32::MAX), nanoseconds >> 32].map(|part| part.try_into().unwrap());
            value.set_data(low, high, *day);
            seen.add(&value);
        }
        seen.unit("at").map_err(|error| error.to_string())
    }

    #[test]
    fn the_unit_of_timestamps_of_96_bits_keeps_their_values() {
        assert_eq!(unit(&[]), Ok(Int96Unit::Microseconds));
        assert_eq!(unit(&[(1_000, EPOCH), (0, 0), (0, 5_373_484)]), Ok(Int96Unit::Microseconds));
        assert_eq!(unit(&[(1, EPOCH)]), Ok(Int96Unit::Nanoseconds));
        assert!(unit(&[(1, EPOCH), (0, 0)]).unwrap_err().contains("cannot be read together"));
        assert!(unit(&[(86_400_000_000_000, EPOCH)]).unwrap_err().contains("not a time of a day"));
        assert!(unit(&[(0, 0x7fff_ffff)]).unwrap_err().contains("not a time of a day"));
    }
}
