//! The texts that cells share.

use metricd_ingestion::ReadError;
use quick_xml::events::Event;

use super::package::Part;
use super::xml::{Xml, push_text};
use crate::read::table::malformed;

/// The maximum size of the part with shared texts, which are kept in memory.
const MAX_STRINGS_BYTES: u64 = 512 << 20;

/// The shared texts, in one buffer.
#[derive(Debug, Default)]
pub(super) struct Strings {
    text: String,
    ends: Vec<u32>,
}

impl Strings {
    /// Reads the part.
    pub(super) fn read(part: &Part) -> Result<Self, ReadError> {
        let mut xml = Xml::open(part, MAX_STRINGS_BYTES)?;
        let mut strings = Self::default();
        let mut item = RichText::default();
        loop {
            let event = xml.next()?;
            if matches!(event, Event::Eof) {
                return Ok(strings);
            }
            let is_end = matches!(&event, Event::End(element) if element.local_name().as_ref() == "si");
            item.add(&event)?;
            if is_end {
                item.take_into(&mut strings.text);
                let end = u32::try_from(strings.text.len());
                strings.ends.push(end.map_err(|_| malformed("the shared texts of the workbook are too long"))?);
            }
        }
    }

    /// The text of this number, from 0.
    pub(super) fn get(&self, index: usize) -> Option<&str> {
        let end = *self.ends.get(index)?;
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or_default();
        self.text.get(start as usize..end as usize)
    }
}

/// Collects the text of a shared or an inline string: its runs, without formats and phonetic hints.
#[derive(Debug, Default)]
pub(super) struct RichText {
    text: String,
    is_text: bool,
    is_phonetic: bool,
}

impl RichText {
    /// Adds an event of the element with the text.
    pub(super) fn add(&mut self, event: &Event<'_>) -> Result<(), ReadError> {
        match event {
            Event::Start(element) => match element.local_name().as_ref() {
                "t" => self.is_text = !self.is_phonetic,
                "rPh" => self.is_phonetic = true,
                _ => {}
            },
            Event::End(element) => match element.local_name().as_ref() {
                "t" => self.is_text = false,
                "rPh" => self.is_phonetic = false,
                _ => {}
            },
            other if self.is_text => push_text(other, &mut self.text)?,
            _ => {}
        }
        Ok(())
    }

    /// Appends the text, and begins a new one.
    pub(super) fn take_into(&mut self, out: &mut String) {
        push_unescaped(&self.text, out);
        self.text.clear();
        (self.is_text, self.is_phonetic) = (false, false);
    }
}

/// Appends a text in which `_x000D_` is the character of this number.
pub(super) fn push_unescaped(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(position) = rest.find("_x") {
        let (before, escape) = rest.split_at(position);
        out.push_str(before);
        let digits = escape.get(2..6).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let digits = digits.filter(|_| escape.as_bytes().get(6) == Some(&b'_'));
        let character = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).and_then(char::from_u32);
        let length = if let Some(character) = character {
            out.push(character);
            7
        } else {
            out.push_str("_x");
            2
        };
        rest = escape.get(length..).unwrap_or_default();
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_characters_are_decoded() {
        for (text, expected) in [
            ("a_x000D_b", "a\rb"),
            ("_x005F_x000D_", "_x000D_"),
            ("_x", "_x"),
            ("_x000", "_x000"),
            ("_xD800_", "_xD800_"),
            ("snake_xyz_é", "snake_xyz_é"),
            ("_x00é__", "_x00é__"),
        ] {
            let mut out = String::new();
            push_unescaped(text, &mut out);
            assert_eq!(out, expected);
        }
    }
}
