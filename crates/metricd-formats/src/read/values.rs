//! Values of Arrow arrays as text in PostgreSQL's literal form.

mod columns;
mod json;
mod numbers;
mod text;
mod time;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, DurationMicrosecondType,
    DurationMillisecondType, DurationNanosecondType, DurationSecondType, Float16Type, Float32Type, Float64Type,
    Int8Type, Int16Type, Int32Type, Int64Type, IntervalDayTimeType, IntervalMonthDayNanoType, IntervalYearMonthType,
    Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{Array, ArrowPrimitiveType};
use arrow_schema::{DataType, IntervalUnit, TimeUnit};
use metricd_ingestion::Reason;

pub(super) use columns::{Form, MAX_DEPTH, describe};
pub(super) use text::MAX_ROW_BYTES;
pub(super) use time::{OutOfRange, TimestampForm, write_date, write_duration, write_timestamp};

const MILLIS: i64 = 1_000;
const MICROS: i64 = 1_000_000;
const NANOS: i64 = 1_000_000_000;
const DAY_MILLIS: i64 = 86_400 * MILLIS;

/// Why a value cannot be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) reason: Reason,
    pub(super) message: String,
    pub(super) value: Option<String>,
}

impl Fault {
    fn new(reason: Reason, message: impl Into<String>, value: Option<String>) -> Self {
        Self { reason, message: message.into(), value }
    }

    fn out_of_range(count: i64, unit: &str) -> Self {
        let message = "the date is outside the range of PostgreSQL: expected 4714-11-24 BC to 294276-12-31, or for a \
                       column of dates, to 5874897-12-31";
        Self::new(Reason::DateInvalid, message, Some(format!("{count} {unit} after 1970-01-01")))
    }
}

/// Follows the keys of dictionaries and the ends of runs to the array that has the value. `None` for no value.
pub(super) fn resolve(array: &dyn Array, index: usize) -> Option<(&dyn Array, usize)> {
    if array.is_null(index) {
        return None;
    }
    match array.data_type() {
        DataType::Null => None,
        DataType::Dictionary(keys, _) => {
            let values = array.as_any_dictionary_opt()?.values().as_ref();
            let key = match keys.as_ref() {
                DataType::Int8 => array.as_dictionary_opt::<Int8Type>()?.key(index),
                DataType::Int16 => array.as_dictionary_opt::<Int16Type>()?.key(index),
                DataType::Int32 => array.as_dictionary_opt::<Int32Type>()?.key(index),
                DataType::Int64 => array.as_dictionary_opt::<Int64Type>()?.key(index),
                DataType::UInt8 => array.as_dictionary_opt::<UInt8Type>()?.key(index),
                DataType::UInt16 => array.as_dictionary_opt::<UInt16Type>()?.key(index),
                DataType::UInt32 => array.as_dictionary_opt::<UInt32Type>()?.key(index),
                _ => array.as_dictionary_opt::<UInt64Type>()?.key(index),
            };
            resolve(values, key?)
        }
        DataType::RunEndEncoded(ends, _) => match ends.data_type() {
            DataType::Int16 => {
                let runs = array.as_run_opt::<Int16Type>()?;
                resolve(runs.values().as_ref(), runs.get_physical_index(index))
            }
            DataType::Int32 => {
                let runs = array.as_run_opt::<Int32Type>()?;
                resolve(runs.values().as_ref(), runs.get_physical_index(index))
            }
            _ => {
                let runs = array.as_run_opt::<Int64Type>()?;
                resolve(runs.values().as_ref(), runs.get_physical_index(index))
            }
        },
        _ => Some((array, index)),
    }
}

/// The value of a primitive array of this type.
fn get<T: ArrowPrimitiveType>(array: &dyn Array, index: usize) -> T::Native {
    array.as_primitive::<T>().value(index)
}

/// Appends the text of a value that [`resolve`] has found.
pub(super) fn write(array: &dyn Array, index: usize, form: Form, out: &mut String) -> Result<(), Fault> {
    if form == Form::Nested {
        return json::write(array, index, 0, out);
    }
    if write_number(array, index, out) || write_time(array, index, out) {
        return Ok(());
    }
    if write_moment(array, index, ' ', "+00", out)? {
        return Ok(());
    }
    match array.data_type() {
        DataType::Boolean => out.push_str(if array.as_boolean().value(index) { "true" } else { "false" }),
        DataType::Utf8 => text::write(array.as_string::<i32>().value(index), form, out)?,
        DataType::LargeUtf8 => text::write(array.as_string::<i64>().value(index), form, out)?,
        DataType::Utf8View => text::write(array.as_string_view().value(index), form, out)?,
        DataType::Binary => text::write_bytes(array.as_binary::<i32>().value(index), form, out)?,
        DataType::LargeBinary => text::write_bytes(array.as_binary::<i64>().value(index), form, out)?,
        DataType::BinaryView => text::write_bytes(array.as_binary_view().value(index), form, out)?,
        DataType::FixedSizeBinary(_) => {
            text::write_bytes(array.as_fixed_size_binary().value(index), form, out)?;
        }
        other => {
            let message = format!("values of the type {other} cannot be stored");
            return Err(Fault::new(Reason::FileMalformed, message, None));
        }
    }
    Ok(())
}

/// Appends a number. Returns whether the value is one.
fn write_number(array: &dyn Array, index: usize, out: &mut String) -> bool {
    match array.data_type() {
        DataType::Int8 => numbers::write_integer(get::<Int8Type>(array, index), out),
        DataType::Int16 => numbers::write_integer(get::<Int16Type>(array, index), out),
        DataType::Int32 => numbers::write_integer(get::<Int32Type>(array, index), out),
        DataType::Int64 => numbers::write_integer(get::<Int64Type>(array, index), out),
        DataType::UInt8 => numbers::write_integer(get::<UInt8Type>(array, index), out),
        DataType::UInt16 => numbers::write_integer(get::<UInt16Type>(array, index), out),
        DataType::UInt32 => numbers::write_integer(get::<UInt32Type>(array, index), out),
        DataType::UInt64 => numbers::write_integer(get::<UInt64Type>(array, index), out),
        DataType::Float16 => numbers::write_half(get::<Float16Type>(array, index), out),
        DataType::Float32 => numbers::write_float(get::<Float32Type>(array, index), out),
        DataType::Float64 => numbers::write_double(get::<Float64Type>(array, index), out),
        DataType::Decimal32(_, scale) => write_decimal(get::<Decimal32Type>(array, index), *scale, out),
        DataType::Decimal64(_, scale) => write_decimal(get::<Decimal64Type>(array, index), *scale, out),
        DataType::Decimal128(_, scale) => write_decimal(get::<Decimal128Type>(array, index), *scale, out),
        DataType::Decimal256(_, scale) => {
            numbers::write_decimal(&get::<Decimal256Type>(array, index).to_string(), *scale, out);
        }
        _ => return false,
    }
    true
}

fn write_decimal(unscaled: impl itoa::Integer, scale: i8, out: &mut String) {
    numbers::write_decimal(itoa::Buffer::new().format(unscaled), scale, out);
}

/// Appends a time, a duration or an interval. Returns whether the value is one.
fn write_time(array: &dyn Array, index: usize, out: &mut String) -> bool {
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    let (count, per_second) = match array.data_type() {
        DataType::Time32(Second) => (i64::from(get::<Time32SecondType>(array, index)), 1),
        DataType::Time32(_) => (i64::from(get::<Time32MillisecondType>(array, index)), MILLIS),
        DataType::Time64(Nanosecond) => (get::<Time64NanosecondType>(array, index), NANOS),
        DataType::Time64(_) => (get::<Time64MicrosecondType>(array, index), MICROS),
        DataType::Duration(Second) => (get::<DurationSecondType>(array, index), 1),
        DataType::Duration(Millisecond) => (get::<DurationMillisecondType>(array, index), MILLIS),
        DataType::Duration(Microsecond) => (get::<DurationMicrosecondType>(array, index), MICROS),
        DataType::Duration(Nanosecond) => (get::<DurationNanosecondType>(array, index), NANOS),
        DataType::Interval(unit) => {
            write_interval(array, index, *unit, out);
            return true;
        }
        _ => return false,
    };
    time::write_duration(count, per_second, out);
    true
}

fn write_interval(array: &dyn Array, index: usize, unit: IntervalUnit, out: &mut String) {
    match unit {
        IntervalUnit::YearMonth => {
            time::write_interval(get::<IntervalYearMonthType>(array, index).into(), 0, 0, out);
        }
        IntervalUnit::DayTime => {
            let value = get::<IntervalDayTimeType>(array, index);
            time::write_interval(0, value.days.into(), i64::from(value.milliseconds) * (NANOS / MILLIS), out);
        }
        IntervalUnit::MonthDayNano => {
            let value = get::<IntervalMonthDayNanoType>(array, index);
            time::write_interval(value.months.into(), value.days.into(), value.nanoseconds, out);
        }
    }
}

/// Appends a date or a timestamp. Returns whether the value is one.
fn write_moment(
    array: &dyn Array,
    index: usize,
    separator: char,
    utc: &'static str,
    out: &mut String,
) -> Result<bool, Fault> {
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    let (count, per_second, unit, zone) = match array.data_type() {
        DataType::Date32 => {
            let days = i64::from(get::<Date32Type>(array, index));
            return time::write_date(days, out).map(|()| true).map_err(|OutOfRange| Fault::out_of_range(days, "days"));
        }
        DataType::Date64 => {
            let count = get::<Date64Type>(array, index);
            if count % DAY_MILLIS != 0 {
                let message = "the value of a column of dates has a time";
                let value = Some(format!("{count} milliseconds after 1970-01-01"));
                return Err(Fault::new(Reason::DateTimestamp, message, value));
            }
            let written = time::write_date(count / DAY_MILLIS, out).map(|()| true);
            return written.map_err(|OutOfRange| Fault::out_of_range(count, "milliseconds"));
        }
        DataType::Timestamp(Second, zone) => (get::<TimestampSecondType>(array, index), 1, "seconds", zone),
        DataType::Timestamp(Millisecond, zone) => {
            (get::<TimestampMillisecondType>(array, index), MILLIS, "milliseconds", zone)
        }
        DataType::Timestamp(Microsecond, zone) => {
            (get::<TimestampMicrosecondType>(array, index), MICROS, "microseconds", zone)
        }
        DataType::Timestamp(Nanosecond, zone) => {
            (get::<TimestampNanosecondType>(array, index), NANOS, "nanoseconds", zone)
        }
        _ => return Ok(false),
    };
    let form = TimestampForm { separator, zone: if zone.is_some() { utc } else { "" } };
    let written = time::write_timestamp(count, per_second, form, out).map(|()| true);
    written.map_err(|OutOfRange| Fault::out_of_range(count, unit))
}

/// Whether a value of an array of timestamps in nanoseconds has digits below the microsecond.
pub(super) fn has_nanoseconds(array: &dyn Array) -> bool {
    match array.data_type() {
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            let timestamps = array.as_primitive::<TimestampNanosecondType>();
            timestamps.iter().flatten().any(|value| value % 1_000 != 0)
        }
        DataType::Dictionary(..) => {
            array.as_any_dictionary_opt().is_some_and(|array| has_nanoseconds(array.values().as_ref()))
        }
        DataType::RunEndEncoded(..) => (0..array.len()).any(|index| {
            resolve(array, index).is_some_and(|(values, index)| has_nanoseconds(values.slice(index, 1).as_ref()))
        }),
        _ => false,
    }
}
