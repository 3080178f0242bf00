//! Builds Arrow arrays of PostgreSQL's values.

use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder, Float64Builder, Int16Builder,
    Int32Builder, Int64Builder, StringBuilder, Time64MicrosecondBuilder, TimestampMicrosecondBuilder, UInt32Builder,
};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray};
use arrow_schema::{DataType, TimeUnit};
use metricd_execution::{Column, FieldType, ResultHead};

use super::Refusal;
use super::labels::Labels;
use super::list::{ListBuilder, elements, texts};
use super::numeric::Decimals;
use super::time::{date, time, timestamp};

/// The array of a column, until its batch is complete.
#[derive(Debug)]
pub(super) enum ColumnBuilder {
    Boolean(BooleanBuilder),
    SmallInt(Int16Builder),
    Integer(Int32Builder),
    BigInt(Int64Builder),
    Oid(UInt32Builder),
    Real(Float32Builder),
    Double(Float64Builder),
    Decimal(Decimal128Builder, Decimals),
    /// Values that PostgreSQL sends as texts.
    Text(StringBuilder),
    /// `jsonb`: a text after a version.
    Jsonb(StringBuilder),
    /// Values that the encoders of text print.
    Printed(StringBuilder, Printer),
    Enum(Int32Builder, Labels),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    TimestampTz(TimestampMicrosecondBuilder),
    Bytea(BinaryBuilder),
    List(Box<ListBuilder>),
    /// An array that PostgreSQL sends as text.
    TextList(Box<ListBuilder>, Printer),
}

/// Prints values as text.
#[derive(Debug)]
pub(super) struct Printer {
    column: Column,
    text: Vec<u8>,
}

impl Printer {
    fn of(column: &Column) -> Self {
        Self { column: column.clone(), text: Vec::new() }
    }

    fn text(&mut self, bytes: &[u8]) -> Result<&[u8], Refusal> {
        self.text.clear();
        self.column.write_text(bytes, &mut self.text).map_err(|_| Refusal::Malformed)?;
        Ok(&self.text)
    }
}

impl ColumnBuilder {
    /// The builder of a column.
    pub(super) fn new(column: &Column, head: &ResultHead) -> Self {
        match head.enums.get(&column.type_name) {
            Some(labels) if column.field_type == FieldType::Text => {
                Self::Enum(Int32Builder::new(), Labels::new(labels))
            }
            _ if column.field_type == FieldType::Text && column.type_name == "time without time zone" => {
                Self::Time(Time64MicrosecondBuilder::new())
            }
            _ => Self::of_type(column),
        }
    }

    fn of_type(column: &Column) -> Self {
        let element = |element: &FieldType| Column { field_type: element.clone(), ..column.clone() };
        match &column.field_type {
            FieldType::Boolean => Self::Boolean(BooleanBuilder::new()),
            FieldType::SmallInt => Self::SmallInt(Int16Builder::new()),
            FieldType::Integer => Self::Integer(Int32Builder::new()),
            FieldType::BigInt => Self::BigInt(Int64Builder::new()),
            FieldType::Oid => Self::Oid(UInt32Builder::new()),
            FieldType::Real => Self::Real(Float32Builder::new()),
            FieldType::Double => Self::Double(Float64Builder::new()),
            FieldType::Numeric(declared) => match Decimals::of(*declared) {
                Some(decimals) => {
                    let data_type = DataType::Decimal128(decimals.precision, decimals.scale.cast_signed());
                    Self::Decimal(Decimal128Builder::new().with_data_type(data_type), decimals)
                }
                // DuckDB reads longer decimals as floats, and Polars does not read them.
                None => Self::Printed(StringBuilder::new(), Printer::of(column)),
            },
            FieldType::Text | FieldType::Json => Self::Text(StringBuilder::new()),
            FieldType::Jsonb => Self::Jsonb(StringBuilder::new()),
            FieldType::Date => Self::Date(Date32Builder::new()),
            FieldType::Timestamp => Self::Timestamp(TimestampMicrosecondBuilder::new()),
            FieldType::TimestampTz => Self::TimestampTz(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            FieldType::Bytea => Self::Bytea(BinaryBuilder::new()),
            FieldType::Array(of) => Self::List(Box::new(ListBuilder::new(Self::of_type(&element(of))))),
            FieldType::ArrayLiteral { element: of, .. } if **of == FieldType::Text => {
                let list = ListBuilder::new(Self::of_type(&element(of)));
                Self::TextList(Box::new(list), Printer::of(column))
            }
            FieldType::Uuid | FieldType::Void | FieldType::Quoted(_) | FieldType::ArrayLiteral { .. } => {
                Self::Printed(StringBuilder::new(), Printer::of(column))
            }
        }
    }

    /// The type of the array.
    pub(super) fn data_type(&self) -> DataType {
        match self {
            Self::Boolean(_) => DataType::Boolean,
            Self::SmallInt(_) => DataType::Int16,
            Self::Integer(_) => DataType::Int32,
            Self::BigInt(_) => DataType::Int64,
            Self::Oid(_) => DataType::UInt32,
            Self::Real(_) => DataType::Float32,
            Self::Double(_) => DataType::Float64,
            Self::Decimal(_, Decimals { precision, scale, .. }) => {
                DataType::Decimal128(*precision, scale.cast_signed())
            }
            Self::Text(_) | Self::Jsonb(_) | Self::Printed(..) => DataType::Utf8,
            Self::Enum(..) => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            Self::Date(_) => DataType::Date32,
            Self::Time(_) => DataType::Time64(TimeUnit::Microsecond),
            Self::Timestamp(_) => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::TimestampTz(_) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Bytea(_) => DataType::Binary,
            Self::List(list) | Self::TextList(list, _) => DataType::List(list.field()),
        }
    }

    /// Appends a value; `None` is NULL.
    pub(super) fn append(&mut self, field: Option<&[u8]>) -> Result<(), Refusal> {
        let Some(bytes) = field else {
            self.append_null();
            return Ok(());
        };
        match self {
            Self::Boolean(builder) => match bytes {
                [byte @ (0 | 1)] => builder.append_value(*byte == 1),
                _ => return Err(Refusal::Malformed),
            },
            Self::SmallInt(builder) => builder.append_value(i16::from_be_bytes(exactly(bytes)?)),
            Self::Integer(builder) => builder.append_value(i32::from_be_bytes(exactly(bytes)?)),
            Self::BigInt(builder) => builder.append_value(i64::from_be_bytes(exactly(bytes)?)),
            Self::Oid(builder) => builder.append_value(u32::from_be_bytes(exactly(bytes)?)),
            Self::Real(builder) => builder.append_value(f32::from_be_bytes(exactly(bytes)?)),
            Self::Double(builder) => builder.append_value(f64::from_be_bytes(exactly(bytes)?)),
            Self::Decimal(builder, decimals) => builder.append_value(decimals.decode(bytes)?),
            Self::Text(builder) => builder.append_value(utf8(bytes)?),
            Self::Jsonb(builder) => match bytes {
                [1, json @ ..] => builder.append_value(utf8(json)?),
                _ => return Err(Refusal::Malformed),
            },
            Self::Enum(builder, labels) => builder.append_value(labels.key(utf8(bytes)?)?),
            Self::Date(builder) => builder.append_value(date(i32::from_be_bytes(exactly(bytes)?))?),
            Self::Time(builder) => builder.append_value(time(bytes)?),
            Self::Timestamp(builder) | Self::TimestampTz(builder) => {
                builder.append_value(timestamp(i64::from_be_bytes(exactly(bytes)?))?);
            }
            Self::Bytea(builder) => builder.append_value(bytes),
            Self::Printed(builder, printer) => builder.append_value(utf8(printer.text(bytes)?)?),
            Self::List(list) => list.append(elements(bytes)?)?,
            Self::TextList(list, printer) => {
                let texts = texts(printer.text(bytes)?)?;
                list.append(texts.iter().map(|text| Ok(text.as_deref().map(str::as_bytes))))?;
            }
        }
        Ok(())
    }

    fn append_null(&mut self) {
        match self {
            Self::Boolean(builder) => builder.append_null(),
            Self::SmallInt(builder) => builder.append_null(),
            Self::Integer(builder) | Self::Enum(builder, _) => builder.append_null(),
            Self::BigInt(builder) => builder.append_null(),
            Self::Oid(builder) => builder.append_null(),
            Self::Real(builder) => builder.append_null(),
            Self::Double(builder) => builder.append_null(),
            Self::Decimal(builder, _) => builder.append_null(),
            Self::Text(builder) | Self::Jsonb(builder) | Self::Printed(builder, _) => builder.append_null(),
            Self::Date(builder) => builder.append_null(),
            Self::Time(builder) => builder.append_null(),
            Self::Timestamp(builder) | Self::TimestampTz(builder) => builder.append_null(),
            Self::Bytea(builder) => builder.append_null(),
            Self::List(list) | Self::TextList(list, _) => list.append_null(),
        }
    }

    /// Takes the values.
    pub(super) fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Boolean(builder) => Arc::new(builder.finish()),
            Self::SmallInt(builder) => Arc::new(builder.finish()),
            Self::Integer(builder) => Arc::new(builder.finish()),
            Self::BigInt(builder) => Arc::new(builder.finish()),
            Self::Oid(builder) => Arc::new(builder.finish()),
            Self::Real(builder) => Arc::new(builder.finish()),
            Self::Double(builder) => Arc::new(builder.finish()),
            Self::Decimal(builder, _) => Arc::new(builder.finish()),
            Self::Text(builder) | Self::Jsonb(builder) | Self::Printed(builder, _) => Arc::new(builder.finish()),
            Self::Enum(keys, labels) => {
                Arc::new(DictionaryArray::<Int32Type>::new(keys.finish(), Arc::new(labels.array())))
            }
            Self::Date(builder) => Arc::new(builder.finish()),
            Self::Time(builder) => Arc::new(builder.finish()),
            Self::Timestamp(builder) | Self::TimestampTz(builder) => Arc::new(builder.finish()),
            Self::Bytea(builder) => Arc::new(builder.finish()),
            Self::List(list) | Self::TextList(list, _) => Arc::new(list.finish()),
        }
    }
}

fn exactly<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Refusal> {
    bytes.try_into().map_err(|_| Refusal::Malformed)
}

/// Decodes UTF-8. A database with the encoding `SQL_ASCII` may send other bytes.
fn utf8(bytes: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(bytes).map_err(|_| Refusal::Malformed)
}
