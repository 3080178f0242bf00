//! Checks the positions and sizes that a file claims, before memory is reserved for them.

use arrow_ipc::{Block, RecordBatch};
use metricd_ingestion::ReadError;

use crate::read::table::{expands, malformed};

/// The maximum size of a record batch, or of all dictionaries, before and after decompression.
pub(super) const MAX_BATCH_BYTES: u64 = 1 << 30;

/// The bytes between two messages of a file: less than an alignment of 64 bytes, and the end mark after the last one.
const MAX_GAP_BYTES: u64 = 64 + 8;

/// The size of the buffers of a batch after decompression, if they are in the body and within the limit.
pub(super) fn decoded_bytes(batch: &RecordBatch<'_>, body: &[u8]) -> Result<u64, ReadError> {
    let is_compressed = batch.compression().is_some();
    let mut sum: u64 = 0;
    for buffer in batch.buffers().into_iter().flatten() {
        let range = usize::try_from(buffer.offset()).ok().zip(usize::try_from(buffer.length()).ok());
        let content = range.and_then(|(start, length)| body.get(start..start.checked_add(length)?));
        let content = content.ok_or_else(|| malformed("a buffer of a batch is not in its body"))?;
        // A compressed buffer begins with its size after decompression, or -1 if it is not compressed.
        let claimed = content.first_chunk::<8>().filter(|_| is_compressed).map(|size| i64::from_le_bytes(*size));
        let size = claimed.and_then(|size| u64::try_from(size).ok()).unwrap_or(content.len() as u64);
        sum = sum.saturating_add(size);
    }
    if sum > MAX_BATCH_BYTES {
        return Err(expands(format!("a batch expands to {sum} bytes: expected at most 1 GiB: write smaller batches")));
    }
    Ok(sum)
}

/// The position at which a message begins.
pub(super) fn position_of(block: &Block) -> Result<u64, ReadError> {
    u64::try_from(block.offset()).map_err(|_| malformed("the position of a batch is negative"))
}

/// Checks that the messages that a footer names leave no room for others. A footer has no checksum: a damaged one could
/// hide a batch.
pub(super) fn check_blocks<'a>(
    blocks: impl Iterator<Item = &'a Block>,
    schema_end: Option<u64>,
    footer: u64,
) -> Result<(), ReadError> {
    let mut ranges = Vec::new();
    for block in blocks {
        let start = position_of(block)?;
        let length = u64::try_from(i64::from(block.metaDataLength()).saturating_add(block.bodyLength()));
        let length = length.map_err(|_| malformed("the size of a batch is negative"))?;
        ranges.push((start, start.saturating_add(length)));
    }
    ranges.sort_unstable();
    let first = ranges.first().map_or(footer, |(start, _)| *start);
    let mut position = schema_end.unwrap_or(first);
    for (start, end) in ranges.into_iter().chain([(footer, footer)]) {
        if start < position || start - position > MAX_GAP_BYTES {
            return Err(malformed("the footer does not name the batches that the file has"));
        }
        position = end;
    }
    Ok(())
}
