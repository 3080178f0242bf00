//! Arrow IPC, as a file and as a stream.
//!
//! The messages are found and measured here. The crate `arrow-ipc` decodes them.

mod layout;

use std::collections::{HashMap, VecDeque};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::sync::Arc as Shared;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_buffer::Buffer;
use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::reader::{read_dictionary, read_record_batch};
use arrow_ipc::{Message, MessageHeader, root_as_footer, root_as_message};
use arrow_schema::{ArrowError, SchemaRef};
use metricd_domain::ReadOptions;
use metricd_ingestion::{ReadError, ReadSeek, TableFormat, TableReader};

use self::layout::{MAX_BATCH_BYTES, check_blocks, decoded_bytes, position_of};
use super::file::{FileReader, SharedFile};
use super::table::{BatchTable, Batches, check_columns, check_rows, expands, guard, malformed, nanosecond_columns};
use super::values;

const MAGIC: &[u8; 6] = b"ARROW1";
const CONTINUATION: [u8; 4] = [0xff; 4];

/// The maximum size of the metadata of a message, or of the footer.
const MAX_METADATA_BYTES: u64 = 32 << 20;

/// Arrow IPC.
#[derive(Debug)]
pub(super) struct Arrow;

impl TableFormat for Arrow {
    fn name(&self) -> &'static str {
        "Arrow IPC"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["arrow", "arrows", "feather", "ipc"]
    }

    fn detect(&self, beginning: &[u8]) -> bool {
        // A stream begins with the size of its schema, which is less than 16 MiB.
        let is_stream = beginning.starts_with(&CONTINUATION) && beginning.get(7) == Some(&0);
        beginning.starts_with(MAGIC) || beginning.starts_with(b"FEA1") || is_stream
    }

    fn open(&self, file: Box<dyn ReadSeek>, _options: &ReadOptions) -> Result<Box<dyn TableReader>, ReadError> {
        let file = SharedFile::new(file)?;
        guard(|| Ok(Box::new(open(&file)?) as Box<dyn TableReader>))
    }
}

fn open(file: &SharedFile) -> Result<BatchTable<IpcBatches>, ReadError> {
    let batches = IpcBatches::open(file, None)?;
    let schema = batches.schema.clone();
    check_columns(schema.fields().len())?;
    let columns = nanosecond_columns(&schema);
    let mut has_nanoseconds = vec![false; schema.fields().len()];
    if !columns.is_empty() {
        let mut scanned = IpcBatches::open(file, Some(columns.clone()))?;
        while let Some(batch) = scanned.next_batch()? {
            for (array, column) in batch.columns().iter().zip(&columns) {
                if let Some(has_nanoseconds) = has_nanoseconds.get_mut(*column) {
                    *has_nanoseconds |= values::has_nanoseconds(array.as_ref());
                }
            }
        }
    }
    BatchTable::new(batches, &schema, &has_nanoseconds)
}

/// Reads the record batches of a file or a stream.
#[derive(Debug)]
struct IpcBatches {
    file: SharedFile,
    input: BufReader<FileReader>,
    schema: SchemaRef,
    dictionaries: HashMap<i64, ArrayRef>,
    dictionary_bytes: u64,
    projection: Option<Vec<usize>>,
    /// The positions of the batches that are still to be read. `None` in a stream, in which they follow each other.
    blocks: Option<VecDeque<u64>>,
    rows: u64,
}

/// An encapsulated message.
struct Encapsulated {
    metadata: Vec<u8>,
    body: Buffer,
}

impl IpcBatches {
    fn open(file: &SharedFile, projection: Option<Vec<usize>>) -> Result<Self, ReadError> {
        let beginning = file.read_exact_at(0, 6).unwrap_or_default();
        if beginning.starts_with(b"FEA1") {
            return Err(malformed("the file is Feather version 1: write it as Arrow IPC, which is version 2"));
        }
        let is_file = beginning == MAGIC;
        let mut batches = Self {
            file: file.clone(),
            input: BufReader::new(file.reader_at(0)),
            schema: Shared::new(arrow_schema::Schema::empty()),
            dictionaries: HashMap::new(),
            dictionary_bytes: 0,
            projection,
            blocks: None,
            rows: 0,
        };
        let opened = if is_file { batches.read_footer() } else { batches.read_stream_schema() };
        opened?;
        Ok(batches)
    }

    /// Reads the footer of a file: the schema, the dictionaries, and the positions of the batches.
    fn read_footer(&mut self) -> Result<(), ReadError> {
        let truncated = || malformed("the Arrow file is truncated: it does not end with a footer");
        let size = self.file.size();
        let position = size.checked_sub(18).ok_or_else(truncated)? + 8;
        let tail = self.file.read_exact_at(position, 10)?;
        let Some((length, magic)) = tail.split_first_chunk::<4>() else { return Err(truncated()) };
        if magic != MAGIC {
            return Err(truncated());
        }
        let length = u64::from(u32::from_le_bytes(*length));
        let start = position.checked_sub(length).filter(|_| length <= MAX_METADATA_BYTES);
        let start = start.ok_or_else(|| malformed("the size of the footer is not possible"))?;
        let footer = self.file.read_exact_at(start, usize::try_from(length).unwrap_or_default())?;
        let footer =
            root_as_footer(&footer).map_err(|error| malformed(format!("the footer cannot be decoded: {error}")))?;
        let schema = footer.schema().ok_or_else(|| malformed("the footer has no schema"))?;
        self.schema = Shared::new(try_fb_to_schema(schema).map_err(error)?);
        let dictionaries: Vec<_> = footer.dictionaries().into_iter().flatten().copied().collect();
        let batches: Vec<_> = footer.recordBatches().into_iter().flatten().copied().collect();
        let schema_end = self.schema_end();
        check_blocks(dictionaries.iter().chain(&batches), schema_end, start)?;
        for block in &dictionaries {
            let message = self.read_block(position_of(block)?)?;
            self.add_dictionary(&message)?;
        }
        self.blocks = Some(batches.iter().map(position_of).collect::<Result<_, _>>()?);
        Ok(())
    }

    /// The position after the schema with which the messages of a file begin. `None` if it has no such message, which
    /// is so in files of polars.
    fn schema_end(&mut self) -> Option<u64> {
        let beginning = self.file.read_exact_at(0, 72).ok()?;
        let start = (8..=64).step_by(8).find(|start| beginning.get(*start..start + 4) == Some(&CONTINUATION))?;
        self.input.seek(SeekFrom::Start(start as u64)).ok()?;
        let metadata = self.read_metadata().ok()??;
        let is_schema = parse(&metadata).is_ok_and(|message| message.header_type() == MessageHeader::Schema);
        self.input.stream_position().ok().filter(|_| is_schema)
    }

    /// Reads the first message of a stream.
    fn read_stream_schema(&mut self) -> Result<(), ReadError> {
        let message = self.read_message()?.ok_or_else(|| malformed("the Arrow stream has no schema"))?;
        let message = parse(&message.metadata)?;
        let schema = message.header_as_schema().ok_or_else(|| malformed("the stream does not begin with a schema"))?;
        self.schema = Shared::new(try_fb_to_schema(schema).map_err(error)?);
        Ok(())
    }

    fn read_block(&mut self, position: u64) -> Result<Encapsulated, ReadError> {
        self.input.seek(SeekFrom::Start(position))?;
        self.read_message()?.ok_or_else(|| malformed("a batch is missing where the footer says that it begins"))
    }

    /// Reads the metadata of the next message. `None` for the mark at the end of a stream.
    fn read_metadata(&mut self) -> Result<Option<Vec<u8>>, ReadError> {
        let mut length = [0; 4];
        self.input.read_exact(&mut length).map_err(truncated)?;
        if length == CONTINUATION {
            self.input.read_exact(&mut length).map_err(truncated)?;
        }
        let length = u64::from(u32::from_le_bytes(length));
        if length == 0 {
            return Ok(None);
        }
        if length > MAX_METADATA_BYTES {
            let message =
                format!("the metadata of a message has {length} bytes: expected at most {MAX_METADATA_BYTES}");
            return Err(malformed(message));
        }
        self.read_bytes(length).map(Some)
    }

    /// Reads the next message. `None` for the mark at the end of a stream.
    fn read_message(&mut self) -> Result<Option<Encapsulated>, ReadError> {
        let Some(metadata) = self.read_metadata()? else { return Ok(None) };
        let body_bytes = u64::try_from(parse(&metadata)?.bodyLength());
        let body_bytes = body_bytes.map_err(|_| malformed("the size of a message is negative"))?;
        if body_bytes > MAX_BATCH_BYTES {
            let message = format!("a batch has {body_bytes} bytes: expected at most 1 GiB: write smaller batches");
            return Err(expands(message));
        }
        let body = Buffer::from_vec(self.read_bytes(body_bytes)?);
        Ok(Some(Encapsulated { metadata, body }))
    }

    /// Reads so many bytes, and reserves memory for those that the file has.
    fn read_bytes(&mut self, length: u64) -> Result<Vec<u8>, ReadError> {
        let capacity = usize::try_from(length.min(self.file.size())).unwrap_or_default();
        let mut bytes = Vec::with_capacity(capacity);
        let count = self.input.by_ref().take(length).read_to_end(&mut bytes)?;
        if (count as u64) < length { Err(truncated(io::ErrorKind::UnexpectedEof.into())) } else { Ok(bytes) }
    }

    fn add_dictionary(&mut self, message: &Encapsulated) -> Result<(), ReadError> {
        let parsed = parse(&message.metadata)?;
        let Some(batch) = parsed.header_as_dictionary_batch() else {
            return Err(malformed("a message is no dictionary, although the footer says so"));
        };
        let bytes = batch.data().map_or(Ok(0), |data| decoded_bytes(&data, &message.body))?;
        self.dictionary_bytes = if batch.isDelta() { self.dictionary_bytes.saturating_add(bytes) } else { bytes };
        if self.dictionary_bytes > MAX_BATCH_BYTES {
            return Err(expands("the dictionaries have more than 1 GiB"));
        }
        read_dictionary(&message.body, batch, &self.schema, &mut self.dictionaries, &parsed.version()).map_err(error)
    }

    fn decode(&mut self, message: &Encapsulated) -> Result<RecordBatch, ReadError> {
        let parsed = parse(&message.metadata)?;
        let Some(batch) = parsed.header_as_record_batch() else {
            return Err(malformed(format!("a message is {:?}, not a record batch", parsed.header_type())));
        };
        decoded_bytes(&batch, &message.body)?;
        let rows = u64::try_from(batch.length()).map_err(|_| malformed("the number of rows is negative"))?;
        self.rows = self.rows.saturating_add(rows);
        check_rows(self.rows, self.file.size())?;
        let projection = self.projection.as_deref();
        read_record_batch(&message.body, batch, self.schema.clone(), &self.dictionaries, projection, &parsed.version())
            .map_err(error)
    }
}

impl Batches for IpcBatches {
    fn next_batch(&mut self) -> Result<Option<RecordBatch>, ReadError> {
        if let Some(blocks) = &mut self.blocks {
            let Some(position) = blocks.pop_front() else { return Ok(None) };
            let message = self.read_block(position)?;
            return self.decode(&message).map(Some);
        }
        while let Some(message) = self.read_message()? {
            if parse(&message.metadata)?.header_type() == MessageHeader::DictionaryBatch {
                self.add_dictionary(&message)?;
            } else {
                return self.decode(&message).map(Some);
            }
        }
        if self.input.stream_position()? != self.file.size() {
            return Err(malformed("the Arrow stream has bytes after its end mark"));
        }
        Ok(None)
    }
}

fn parse(metadata: &[u8]) -> Result<Message<'_>, ReadError> {
    root_as_message(metadata).map_err(|error| malformed(format!("a message cannot be decoded: {error}")))
}

fn truncated(error: io::Error) -> ReadError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => malformed("the Arrow file or stream is truncated: it has no end mark"),
        _ => ReadError::Io(error),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn error(error: ArrowError) -> ReadError {
    malformed(format!("the Arrow file cannot be decoded: {error}"))
}
