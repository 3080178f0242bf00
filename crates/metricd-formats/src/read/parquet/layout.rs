//! Checks the sizes that a file claims, before memory is reserved for them.

use std::io::{BufReader, ErrorKind};

use metricd_domain::MAX_TABLE_COLUMNS;
use metricd_ingestion::{ReadError, Reason};
use parquet::basic::{ConvertedType, LogicalType};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};

use super::thrift::{I32, I64, LIST, STRUCT, ThriftReader};
use crate::read::file::SharedFile;
use crate::read::table::{check_columns, expands, malformed};
use crate::read::values::MAX_DEPTH;

const MAX_FOOTER_BYTES: u64 = 32 << 20;
const MAX_SCHEMA_ELEMENTS: u64 = 10_000;

/// The maximum size of a page after decompression.
const MAX_PAGE_BYTES: u64 = 256 << 20;

/// The maximum size of what is decompressed at once: a dictionary and a page of each column of a row group.
const MAX_GROUP_BYTES: u64 = 1 << 30;

/// The number of values of a list column that a page may have, whatever its size.
const MIN_VALUE_LIMIT: u64 = 1 << 20;

/// The maximum number of values of a list column for each byte of a larger page.
const MAX_VALUES_PER_BYTE: u64 = 1_000;

/// Checks the magic numbers, the size of the footer, and the nesting of the schema.
pub(super) fn check_footer(file: &SharedFile) -> Result<(), ReadError> {
    let truncated = || malformed("the Parquet file is truncated: it does not end with a footer");
    let position = file.size().checked_sub(12).ok_or_else(truncated)?;
    let tail = file.read_exact_at(position + 4, 8)?;
    let (Some(length), Some(magic)) = (tail.first_chunk::<4>(), tail.last_chunk::<4>()) else {
        return Err(truncated());
    };
    match magic {
        b"PAR1" => {}
        b"PARE" => return Err(malformed("the Parquet file is encrypted: write it without encryption")),
        _ => return Err(truncated()),
    }
    let length = u64::from(u32::from_le_bytes(*length));
    if length > MAX_FOOTER_BYTES {
        let message = format!("the footer has {length} bytes: expected at most {MAX_FOOTER_BYTES}");
        return Err(expands(message));
    }
    let start = position.checked_sub(length).ok_or_else(|| malformed("the footer is larger than the file"))?;
    let bytes = file.read_exact_at(start + 4, usize::try_from(length).unwrap_or_default())?;
    check_schema(bytes.as_slice())
}

/// Checks the schema, which is the second field of the footer.
fn check_schema(footer: &[u8]) -> Result<(), ReadError> {
    let mut reader = ThriftReader::new(footer);
    let mut id = 0;
    while let Some((next, kind)) = reader.field(id).map_err(thrift_error)? {
        id = next;
        if (id, kind) == (2, LIST) {
            let (size, kind) = reader.list().map_err(thrift_error)?;
            if size > MAX_SCHEMA_ELEMENTS {
                let message = format!(
                    "the schema has {size} elements: expected at most {MAX_TABLE_COLUMNS} columns, and with those of \
                     lists and structs at most {MAX_SCHEMA_ELEMENTS}"
                );
                return Err(malformed(message));
            }
            if kind != STRUCT {
                return Err(malformed("the schema is not a list of structures"));
            }
            return check_elements(&mut reader, size);
        }
        reader.skip(kind).map_err(thrift_error)?;
    }
    Err(malformed("the footer has no schema"))
}

/// Checks the tree of the schema, whose elements are in depth-first order, each with the number of its children.
fn check_elements(reader: &mut ThriftReader<&[u8]>, size: u64) -> Result<(), ReadError> {
    // The numbers of children that are still to come, of an element and of those that it is in.
    let mut open: Vec<i64> = Vec::new();
    for position in 0..size {
        let children = child_count(reader).map_err(thrift_error)?;
        if position == 0 {
            check_columns(usize::try_from(children).unwrap_or_default())?;
        } else {
            let Some(remaining) = open.last_mut() else {
                return Err(malformed("the schema has an element that is in no other"));
            };
            *remaining -= 1;
        }
        open.push(children);
        while open.last() == Some(&0) {
            open.pop();
        }
        // A list consists of three elements in each other.
        if open.len() > 3 * MAX_DEPTH {
            return Err(malformed(format!("the schema is nested deeper than {MAX_DEPTH} levels")));
        }
        if open.iter().any(|children| children.unsigned_abs() > size) {
            return Err(malformed("an element of the schema claims more children than there are"));
        }
    }
    if open.is_empty() { Ok(()) } else { Err(malformed("the schema lacks elements")) }
}

fn child_count(reader: &mut ThriftReader<&[u8]>) -> std::io::Result<i64> {
    let (mut id, mut children) = (0, 0);
    while let Some((next, kind)) = reader.field(id)? {
        id = next;
        if (id, kind) == (5, I32) { children = reader.integer()? } else { reader.skip(kind)? }
    }
    Ok(children)
}

/// Checks every page header: sizes, and the number of values.
pub(super) fn check_pages(file: &SharedFile, metadata: &ParquetMetaData) -> Result<(), ReadError> {
    for group in metadata.row_groups() {
        let mut group_bytes = 0;
        for column in group.columns() {
            check_type(column)?;
            let pages = read_pages(file, column)?;
            let is_flat = column.column_descr().max_rep_level() == 0;
            if pages.values != column.num_values().unsigned_abs()
                || is_flat && pages.values != group.num_rows().unsigned_abs()
            {
                let path = column.column_path().string();
                return Err(malformed(format!("the pages of the column `{path}` have fewer or more values than it")));
            }
            group_bytes += pages.dictionary_bytes + pages.largest_bytes;
            if group_bytes > MAX_GROUP_BYTES {
                let message = "the pages of a row group take more than 1 GiB at once: write smaller pages";
                return Err(expands(message));
            }
        }
    }
    Ok(())
}

/// Refuses the type whose values the crate does not read completely.
fn check_type(column: &ColumnChunkMetaData) -> Result<(), ReadError> {
    let info = column.column_descr().self_type().get_basic_info();
    let is_interval = info.converted_type() == ConvertedType::INTERVAL;
    let is_unknown = matches!(info.logical_type_ref(), Some(LogicalType::_Unknown { .. }));
    if is_interval || is_unknown {
        let what = if is_interval { "INTERVAL" } else { "a newer version of Parquet" };
        let message = format!("the column `{}` has a type of {what}: write it as text", column.column_path().string());
        return Err(malformed(message));
    }
    Ok(())
}

#[derive(Debug, Default)]
struct Pages {
    values: u64,
    dictionary_bytes: u64,
    largest_bytes: u64,
}

/// Reads the page headers of a column chunk.
fn read_pages(file: &SharedFile, column: &ColumnChunkMetaData) -> Result<Pages, ReadError> {
    let path = column.column_path().string();
    let (start, length) = column.byte_range();
    let end = start.checked_add(length).filter(|end| *end <= file.size());
    let end = end.ok_or_else(|| malformed(format!("the column `{path}` ends behind the file")))?;
    let mut pages = Pages::default();
    let mut position = start;
    while position < end {
        let mut reader = ThriftReader::new(BufReader::with_capacity(512, file.reader_at(position)));
        let header = read_header(&mut reader).map_err(thrift_error)?;
        let next = position.saturating_add(reader.count()).saturating_add(header.compressed_bytes);
        if next > end {
            return Err(malformed(format!("a page of the column `{path}` ends behind its column")));
        }
        position = next;
        if header.bytes > MAX_PAGE_BYTES {
            let mib = MAX_PAGE_BYTES >> 20;
            let message = format!(
                "a page of the column `{path}` has {} bytes: expected at most {mib} MiB: write smaller pages",
                header.bytes
            );
            return Err(expands(message));
        }
        if header.is_dictionary {
            pages.dictionary_bytes = header.bytes;
            continue;
        }
        let limit = header.compressed_bytes.saturating_mul(MAX_VALUES_PER_BYTE).max(MIN_VALUE_LIMIT);
        if column.column_descr().max_rep_level() > 0 && header.values > limit {
            let message =
                format!("a page of the column `{path}` has {} values: expected at most {limit}", header.values);
            return Err(expands(message));
        }
        pages.values += header.values;
        pages.largest_bytes = pages.largest_bytes.max(header.bytes);
    }
    Ok(pages)
}

#[derive(Debug, Default)]
struct PageHeader {
    is_dictionary: bool,
    bytes: u64,
    compressed_bytes: u64,
    values: u64,
}

fn read_header(reader: &mut ThriftReader<BufReader<crate::read::file::FileReader>>) -> std::io::Result<PageHeader> {
    let unsigned = |value: i64| u64::try_from(value).map_err(|_| std::io::Error::from(ErrorKind::InvalidData));
    let mut header = PageHeader::default();
    let mut id = 0;
    while let Some((next, kind)) = reader.field(id)? {
        id = next;
        match (id, kind) {
            (2, I32) => header.bytes = unsigned(reader.integer()?)?,
            (3, I32) => header.compressed_bytes = unsigned(reader.integer()?)?,
            (7, STRUCT) => {
                header.is_dictionary = true;
                reader.skip(kind)?;
            }
            // The header of a data page of either version begins with the number of values.
            (5 | 8, STRUCT) => {
                let mut id = 0;
                while let Some((next, kind)) = reader.field(id)? {
                    id = next;
                    match (id, kind) {
                        (1, I32 | I64) => header.values = unsigned(reader.integer()?)?,
                        _ => reader.skip(kind)?,
                    }
                }
            }
            _ => reader.skip(kind)?,
        }
    }
    Ok(header)
}

fn thrift_error(error: std::io::Error) -> ReadError {
    match error.kind() {
        ErrorKind::UnexpectedEof => malformed("the Parquet file is truncated: its metadata ends too early"),
        ErrorKind::InvalidData => ReadError::Content {
            reason: Reason::FileMalformed,
            message: "the metadata of the Parquet file is not valid".to_owned(),
        },
        _ => ReadError::Io(error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::sync::Arc;

    use parquet::basic::Type as PhysicalType;
    use parquet::schema::types::{ColumnDescriptor, ColumnPath, Type};

    use super::*;

    /// Integers are doubled, and take seven bits a byte.
    fn varint(mut value: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while value > 0x7f {
            bytes.push(0x80 | u8::try_from(value & 0x7f).unwrap());
            value >>= 7;
        }
        bytes.push(u8::try_from(value).unwrap());
        bytes
    }

    /// The page header of a file that has nothing else.
    fn pages(bytes: i32, compressed_bytes: i32, values: i32) -> Result<Pages, Reason> {
        let zigzag = |value: i32| varint(u64::from(((value << 1) ^ (value >> 31)).cast_unsigned()));
        let sizes = [&[0x15, 0, 0x15][..], &zigzag(bytes), &[0x15], &zigzag(compressed_bytes)].concat();
        let header = [&sizes[..], &[0x2c, 0x15], &zigzag(values), &[0, 0]].concat();
        let size = i64::try_from(header.len()).unwrap();
        let file = SharedFile::new(Box::new(Cursor::new(header))).unwrap();
        let leaf = Type::primitive_type_builder("c", PhysicalType::INT64).build().unwrap();
        let descriptor = ColumnDescriptor::new(Arc::new(leaf), 0, 0, ColumnPath::from("c"));
        let column = ColumnChunkMetaData::builder(Arc::new(descriptor));
        let column = column.set_data_page_offset(0).set_total_compressed_size(size).build().unwrap();
        read_pages(&file, &column).map_err(|error| match error {
            ReadError::Content { reason, .. } => reason,
            ReadError::Io(error) => panic!("{error}"),
        })
    }

    #[test]
    fn sizes_that_a_page_claims_are_limited() {
        let read = pages(100, 0, 7).unwrap();
        assert_eq!((read.values, read.largest_bytes), (7, 100));
        assert_eq!(pages(i32::MAX, 0, 7).unwrap_err(), Reason::FileExpands);
        assert_eq!(pages(100, i32::MAX, 7).unwrap_err(), Reason::FileMalformed);
        for (bytes, compressed_bytes, values) in [(-1, 0, 7), (100, -1, 7), (100, 0, -1)] {
            assert_eq!(pages(bytes, compressed_bytes, values).unwrap_err(), Reason::FileMalformed);
        }
    }

    #[test]
    fn a_schema_of_elements_in_each_other_is_checked() {
        // Each element has the number of its children only; field 5 is an integer.
        let footer = |children: &[u8]| {
            let elements: Vec<u8> = children.iter().flat_map(|count| [0x55, count * 2, 0]).collect();
            let list = [&[0x29, 0xfc][..], &varint(children.len() as u64), &elements].concat();
            check_schema(&list).map_err(|error| error.to_string())
        };
        footer(&[2, 0, 1, 0]).unwrap();
        assert!(footer(&[2, 0]).unwrap_err().contains("lacks elements"));
        assert!(footer(&[1, 0, 0]).unwrap_err().contains("in no other"));
        assert!(footer(&[1, 9, 0]).unwrap_err().contains("more children than there are"));
        assert!(footer(&[&[1; 1_000][..], &[0]].concat()).unwrap_err().contains("nested deeper"));
        assert!(footer(&[0]).unwrap_err().contains("no columns"));
    }
}
