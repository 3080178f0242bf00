//! Splits a CSV record into fields.

use csv_core::{ReadRecordResult, ReaderBuilder};

/// Splits records into fields, and reuses its buffers for each record.
#[derive(Debug)]
pub(super) struct FieldSplitter {
    reader: csv_core::Reader,
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl FieldSplitter {
    pub(super) fn new(separator: u8) -> Self {
        Self { reader: ReaderBuilder::new().delimiter(separator).build(), text: Vec::new(), ends: Vec::new() }
    }

    /// Splits a record that has balanced quotes and `fields` fields.
    pub(super) fn split(&mut self, record: &[u8], fields: usize) -> Fields<'_> {
        self.reader.reset();
        // Unquoting never lengthens the text, so the buffers are large enough.
        self.text.resize(record.len().max(1), 0);
        self.ends.resize(fields + 1, 0);
        let (mut read, mut written, mut ended) = (0, 0, 0);
        loop {
            let (result, input, output, ends) =
                self.reader.read_record(&record[read..], &mut self.text[written..], &mut self.ends[ended..]);
            read += input;
            written += output;
            ended += ends;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.text.resize(self.text.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::Record | ReadRecordResult::End => break,
            }
        }
        Fields { text: &self.text, ends: &self.ends[..ended] }
    }
}

/// The unquoted fields of a record, as bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a> {
    text: &'a [u8],
    ends: &'a [usize],
}

impl<'a> Fields<'a> {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn get(&self, index: usize) -> Option<&'a [u8]> {
        let end = *self.ends.get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.text.get(start..end)
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        (0..self.len()).filter_map(move |index| self.get(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unquotes_each_field() {
        let mut splitter = FieldSplitter::new(b',');
        let split = |splitter: &mut FieldSplitter, record: &str, fields| {
            let fields = splitter.split(record.as_bytes(), fields);
            fields.iter().map(|field| String::from_utf8(field.to_vec()).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(split(&mut splitter, "a,\"b \"\"c\"\"\nd\",", 3), ["a", "b \"c\"\nd", ""]);
        assert_eq!(split(&mut splitter, "\"\"", 1), [""]);
        assert_eq!(split(&mut splitter, "x", 1), ["x"]);
    }
}
