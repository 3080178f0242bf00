//! The XML of a part, in events.

use std::io::BufReader;

use metricd_ingestion::ReadError;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::package::{Part, PartReader};
use crate::read::table::malformed;

/// The maximum size of the text of a cell, in bytes.
const MAX_TEXT_BYTES: usize = 16 << 20;

/// Reads the events of a part.
pub(super) struct Xml {
    reader: Reader<BufReader<PartReader>>,
    buffer: Vec<u8>,
}

impl std::fmt::Debug for Xml {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Xml").field("position", &self.reader.buffer_position()).finish_non_exhaustive()
    }
}

impl Xml {
    /// Opens a part. It may not have more than `max_bytes`.
    pub(super) fn open(part: &Part, max_bytes: u64) -> Result<Self, ReadError> {
        let mut reader = Reader::from_reader(BufReader::new(part.open(max_bytes)?));
        reader.config_mut().expand_empty_elements = true;
        Ok(Self { reader, buffer: Vec::new() })
    }

    /// The next event. An element without content has a start and an end.
    pub(super) fn next(&mut self) -> Result<Event<'_>, ReadError> {
        self.reader.get_mut().get_mut().begin_event();
        self.buffer.clear();
        self.reader.read_event_into(&mut self.buffer).map_err(error)
    }

    /// The next event of a part that has not ended yet.
    pub(super) fn next_inside(&mut self) -> Result<Event<'_>, ReadError> {
        match self.next()? {
            Event::Eof => Err(malformed("a part of the workbook ends too early")),
            event => Ok(event),
        }
    }

    /// Calls the function for the start of each element.
    pub(super) fn for_each_start(
        mut self,
        mut each: impl FnMut(&str, &BytesStart<'_>) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        loop {
            match self.next()? {
                Event::Start(element) => each(element.local_name().as_ref(), &element)?,
                Event::Eof => return Ok(()),
                _ => {}
            }
        }
    }
}

/// Appends the text of an event, if it has one. Entities are those of XML only.
pub(super) fn push_text(event: &Event<'_>, text: &mut String) -> Result<(), ReadError> {
    match event {
        Event::Text(part) => text.push_str(&part.xml10_content()),
        Event::CData(part) => text.push_str(&part.xml10_content()),
        Event::GeneralRef(reference) => {
            let character = reference.resolve_char_ref().map_err(error)?;
            let character = character.or(match reference.as_ref() {
                "amp" => Some('&'),
                "lt" => Some('<'),
                "gt" => Some('>'),
                "quot" => Some('"'),
                "apos" => Some('\''),
                _ => None,
            });
            text.push(character.ok_or_else(|| malformed("the workbook has an XML entity that is not defined"))?);
        }
        _ => {}
    }
    if text.len() > MAX_TEXT_BYTES {
        return Err(malformed(format!("a text of the workbook is longer than {} MiB", MAX_TEXT_BYTES >> 20)));
    }
    Ok(())
}

/// The value of an attribute, by its name without a prefix.
pub(super) fn attribute(element: &BytesStart<'_>, name: &str) -> Result<Option<String>, ReadError> {
    for attribute in element.attributes() {
        let attribute = attribute.map_err(|error| malformed(format!("a tag of the workbook is not valid: {error}")))?;
        if attribute.key.local_name().as_ref() == name {
            let value = attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0).map_err(error)?;
            return Ok(Some(value.into_owned()));
        }
    }
    Ok(None)
}

fn error(error: impl Into<quick_xml::Error>) -> ReadError {
    let error = error.into();
    if let quick_xml::Error::Io(source) = &error
        && source.raw_os_error().is_some()
    {
        return ReadError::Io(std::io::Error::new(source.kind(), source.to_string()));
    }
    malformed(format!("the workbook cannot be read: {error}"))
}
