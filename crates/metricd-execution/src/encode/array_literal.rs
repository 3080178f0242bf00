//! Arrays in PostgreSQL's text format: `{a,NULL,"b, c"}`.

use super::FieldType;
use super::field::{Malformed, write_value};

/// PostgreSQL's limit on the dimensions of an array (`MAXDIM`).
const MAX_DIMENSIONS: usize = 6;

/// Writes an array as a JSON array. With several dimensions, it is an array of arrays.
///
/// The format is that of `array_out` in PostgreSQL's `arrayfuncs.c`. The bounds precede it if one of them is not 1:
/// `[0:1]={a,b}`. An element is quoted if it is empty, is `NULL`, or contains a special character. Within quotes, a
/// backslash escapes quotes and backslashes. The type of the elements determines the delimiter.
pub(super) fn write_array_literal(
    element: &FieldType,
    delimiter: u8,
    bytes: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    let rest = match bytes {
        [b'[', ..] => {
            let bounds = bytes.iter().position(|byte| *byte == b'=').ok_or(Malformed)?;
            bytes.get(bounds + 1..).unwrap_or_default()
        }
        _ => bytes,
    };
    let mut reader = LiteralReader { element, delimiter, rest, unescaped: Vec::new() };
    reader.write_dimension(MAX_DIMENSIONS, out)?;
    if reader.rest.is_empty() { Ok(()) } else { Err(Malformed) }
}

struct LiteralReader<'a> {
    element: &'a FieldType,
    delimiter: u8,
    rest: &'a [u8],
    /// The current element, if it has escapes.
    unescaped: Vec<u8>,
}

impl<'a> LiteralReader<'a> {
    fn next(&mut self) -> Result<u8, Malformed> {
        let (first, rest) = self.rest.split_first().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*first)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    fn write_dimension(&mut self, dimensions: usize, out: &mut Vec<u8>) -> Result<(), Malformed> {
        if dimensions == 0 || self.next()? != b'{' {
            return Err(Malformed);
        }
        out.push(b'[');
        if self.rest.first() == Some(&b'}') {
            self.rest = self.rest.get(1..).unwrap_or_default();
            out.push(b']');
            return Ok(());
        }
        loop {
            match self.rest.first() {
                Some(b'{') => self.write_dimension(dimensions - 1, out)?,
                Some(b'"') => self.write_quoted(out)?,
                _ => self.write_unquoted(out)?,
            }
            match self.next()? {
                b'}' => break,
                byte if byte == self.delimiter => out.push(b','),
                _ => return Err(Malformed),
            }
        }
        out.push(b']');
        Ok(())
    }

    fn write_unquoted(&mut self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let is_end = |byte: &u8| *byte == self.delimiter || *byte == b'}';
        let count = self.rest.iter().position(is_end).filter(|count| *count > 0).ok_or(Malformed)?;
        match self.take(count)? {
            b"NULL" => out.extend_from_slice(b"null"),
            value => write_value(self.element, value, out)?,
        }
        Ok(())
    }

    fn write_quoted(&mut self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        self.next()?;
        let count = self.rest.iter().position(|byte| matches!(byte, b'"' | b'\\')).ok_or(Malformed)?;
        let plain = self.take(count)?;
        if self.rest.first() == Some(&b'"') {
            self.next()?;
            return write_value(self.element, plain, out);
        }
        self.unescaped.clear();
        self.unescaped.extend_from_slice(plain);
        loop {
            match self.next()? {
                b'"' => return write_value(self.element, &self.unescaped, out),
                b'\\' => {
                    let escaped = self.next()?;
                    self.unescaped.push(escaped);
                }
                byte => self.unescaped.push(byte),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn json_of(element: &FieldType, delimiter: u8, text: &[u8]) -> Result<String, Malformed> {
        let mut out = Vec::new();
        write_array_literal(element, delimiter, text, &mut out).map(|()| String::from_utf8_lossy(&out).into_owned())
    }

    fn json(text: &str) -> Result<String, Malformed> {
        json_of(&FieldType::Text, b',', text.as_bytes())
    }

    #[test]
    fn reads_what_postgresql_prints() {
        for (text, expected) in [
            ("{}", "[]"),
            ("{a,b}", r#"["a","b"]"#),
            ("{NULL,\"NULL\",\"null\",\"\"}", r#"[null,"NULL","null",""]"#),
            ("{\"a, b\",\"{}\",\"a\\\"b\\\\c\"}", r#"["a, b","{}","a\"b\\c"]"#),
            ("[0:2]={1 day,2 days,NULL}", r#"["1 day","2 days",null]"#),
            ("[-1:0][5:5]={{a},{b}}", r#"[["a"],["b"]]"#),
            ("{{a,b},{c,NULL}}", r#"[["a","b"],["c",null]]"#),
            ("{{{{{{a}}}}}}", r#"[[[[[["a"]]]]]]"#),
            ("{\"a=b\",[x}", r#"["a=b","[x"]"#),
            ("{é,日本}", r#"["é","日本"]"#),
        ] {
            assert_eq!(json(text).unwrap(), expected, "{text}");
        }
        let boxes = b"{(2,2),(1,1);(4,4),(3,3)}";
        assert_eq!(json_of(&FieldType::Text, b';', boxes).unwrap(), r#"["(2,2),(1,1)","(4,4),(3,3)"]"#);
    }

    #[test]
    fn an_array_within_an_element_is_an_array() {
        let inner = FieldType::ArrayLiteral { element: Box::new(FieldType::Text), delimiter: b',' };
        let text = r#"{"{\"1 day\",NULL}",NULL,{}}"#;
        // PostgreSQL quotes an element that is an empty array.
        assert_eq!(
            json_of(&inner, b',', text.replace("{}}", "\"{}\"}").as_bytes()).unwrap(),
            r#"[["1 day",null],null,[]]"#
        );
    }

    #[test]
    fn refuses_malformed_arrays() {
        for text in
            ["", "a", "{", "{a", "{a,", "{a,}", "{,}", "{a}b", "{\"a}", "{\"a\\", "[0:1]", "{{{{{{{a}}}}}}}", "{a}}"]
        {
            assert_eq!(json(text), Err(Malformed), "{text}");
        }
        assert_eq!(json_of(&FieldType::Text, b',', b"{\xff}"), Err(Malformed));
    }

    /// An element as `array_out` writes it.
    fn literal(element: Option<&str>) -> String {
        let Some(text) = element else { return "NULL".to_owned() };
        let is_special = |character: char| "\"\\{},".contains(character) || character.is_ascii_whitespace();
        if text.is_empty() || text.eq_ignore_ascii_case("null") || text.contains(is_special) {
            format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
        } else {
            text.to_owned()
        }
    }

    proptest! {
        #[test]
        fn texts_round_trip_through_array_literals(elements in prop::collection::vec(prop::option::of("[ab\"\\\\{},; \n]{0,6}|.*|(?i)null"), 0..6)) {
            let literals: Vec<_> = elements.iter().map(|element| literal(element.as_deref())).collect();
            let json = json(&format!("{{{}}}", literals.join(","))).unwrap();
            prop_assert_eq!(serde_json::from_str::<Vec<Option<String>>>(&json).unwrap(), elements);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(prop::sample::select(b"{}[]=\"\\,aN".to_vec()), 0..40)) {
            let _ = json_of(&FieldType::Text, b',', &bytes);
        }
    }
}
