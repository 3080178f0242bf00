//! The grammar of `sort` and `filter`, which is a part of PostgREST's.
//!
//! ```text
//! sort   = key *("," key)          key    = ["-"] name
//! filter = name "." ["not."] operator "." value
//! name   = quoted / 1*(any character but `"`, `,` in a sort, `.` in a filter)
//! quoted = `"` *(any character but `"` and `\` / `\` any character) `"`
//! list   = "(" [element *("," element)] ")"      of `in`
//! array  = "{" [element *("," element)] "}"
//! ```

use std::borrow::Cow;

use super::operator::Operator;

/// A filter by its parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ParsedFilter<'a> {
    pub(super) column: Cow<'a, str>,
    pub(super) is_negated: bool,
    pub(super) operator: Operator,
    /// Everything after the operator and its dot.
    pub(super) value: &'a str,
}

/// A sort key by its parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ParsedKey<'a> {
    pub(super) column: Cow<'a, str>,
    pub(super) is_descending: bool,
    /// The key as it is written.
    pub(super) text: &'a str,
}

/// An element of a list or an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) text: String,
    pub(super) is_quoted: bool,
}

/// Parses a filter.
///
/// # Errors
///
/// What is wrong, and what is expected.
pub(super) fn filter(text: &str) -> Result<ParsedFilter<'_>, String> {
    const FORM: &str = "expected `column.operator.value`, such as `amount.gte.10`";
    let (column, rest) = name(text, &['.'])?;
    let rest = rest.strip_prefix('.').ok_or(FORM)?;
    if column.is_empty() {
        return Err(format!("the column is missing: {FORM}"));
    }
    let (is_negated, rest) = rest.strip_prefix("not.").map_or((false, rest), |rest| (true, rest));
    let Some((operator, value)) = rest.split_once('.') else {
        // An operator that does not exist is the more likely fault.
        Operator::parse(rest)?;
        return Err(format!("the value is missing: {FORM}"));
    };
    Ok(ParsedFilter { column, is_negated, operator: Operator::parse(operator)?, value })
}

/// Parses the keys of a sort, in order.
///
/// # Errors
///
/// What is wrong, and what is expected.
pub(super) fn sort(text: &str) -> Result<Vec<ParsedKey<'_>>, String> {
    let mut keys = Vec::new();
    let mut rest = text;
    loop {
        let begin = rest;
        let (is_descending, named) = rest.strip_prefix('-').map_or((false, rest), |rest| (true, rest));
        let (column, after) = name(named, &[','])?;
        if column.is_empty() {
            return Err("a column is missing: expected columns between commas, such as `-amount,country`".to_owned());
        }
        let text = begin.get(..begin.len() - after.len()).unwrap_or_default();
        keys.push(ParsedKey { column, is_descending, text });
        match after.strip_prefix(',') {
            Some(following) => rest = following,
            None => return Ok(keys),
        }
    }
}

/// Takes a name up to one of the delimiters or the end, which is left.
fn name<'a>(text: &'a str, delimiters: &[char]) -> Result<(Cow<'a, str>, &'a str), String> {
    if let Some(quoted) = text.strip_prefix('"') {
        let (name, rest) = unquoted(quoted).ok_or("a name in double quotes does not end")?;
        if !rest.is_empty() && !rest.starts_with(delimiters) {
            return Err(format!("expected `{}` after a name in double quotes", delimiters.iter().collect::<String>()));
        }
        return Ok((name.into(), rest));
    }
    let end = text.find(delimiters).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.contains('"') {
        return Err("a name with a double quote is written in double quotes, with `\\\"` for each".to_owned());
    }
    Ok((name.into(), rest))
}

/// Reads what is between double quotes, after the first of them: `\` makes the next character literal. `None` if the
/// second is missing.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((name, text.get(at + 1..).unwrap_or_default())),
            '\\' => name.push(characters.next()?.1),
            _ => name.push(character),
        }
    }
    None
}

/// Parses elements between brackets, such as `(a,b,"c,d")`. Nothing between the brackets is no element. White space
/// belongs to an element in a list; in an array it does not, as in PostgreSQL.
///
/// # Errors
///
/// What is wrong, and what is expected.
pub(super) fn elements(text: &str, brackets: (char, char), max: usize) -> Result<Vec<Element>, String> {
    let (open, close) = brackets;
    let is_array = open == '{';
    let form = if is_array { "`{a,b}`" } else { "`(a,b)`" };
    let skip = |text: &str| text.len() - if is_array { text.trim_start() } else { text }.len();
    let rest = text.strip_prefix(open);
    let mut rest = rest.ok_or_else(|| format!("expected elements between commas in brackets, such as {form}"))?;
    let mut elements = Vec::new();
    if rest.get(skip(rest)..) == Some(close.to_string().as_str()) {
        return Ok(elements);
    }
    loop {
        rest = rest.get(skip(rest)..).unwrap_or_default();
        let (element, after) = if let Some(quoted) = rest.strip_prefix('"') {
            let (text, after) = unquoted(quoted).ok_or("an element in double quotes does not end")?;
            (Element { text, is_quoted: true }, after.get(skip(after)..).unwrap_or_default())
        } else {
            let end = rest.find([',', close]).unwrap_or(rest.len());
            let (text, after) = rest.split_at(end);
            let text = if is_array { text.trim_end() } else { text };
            if is_array && (text.is_empty() || text.contains(['{', '"', '\\'])) {
                return Err(format!(
                    "expected an array of one dimension, such as {form}, with double quotes around an element that is empty \
                     or has a comma, a brace, a quote or a backslash"
                ));
            }
            (Element { text: text.to_owned(), is_quoted: false }, after)
        };
        elements.push(element);
        if elements.len() > max {
            return Err(format!("expected at most {max} elements"));
        }
        if let Some(following) = after.strip_prefix(',') {
            rest = following;
        } else if after.strip_prefix(close) == Some("") {
            return Ok(elements);
        } else {
            return Err(format!("expected a comma or the closing `{close}` after an element, and nothing after that"));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> Result<(String, bool, &'static str, String), String> {
        let ParsedFilter { column, is_negated, operator, value } = filter(text)?;
        Ok((column.into_owned(), is_negated, operator.name(), value.to_owned()))
    }

    #[test]
    fn a_filter_is_a_column_an_operator_and_the_rest() {
        for (text, column, is_negated, operator, value) in [
            ("country.eq.DE", "country", false, "eq", "DE"),
            ("a.eq.", "a", false, "eq", ""),
            ("a.eq.1.5", "a", false, "eq", "1.5"),
            ("a.eq.x,y.z", "a", false, "eq", "x,y.z"),
            ("a.eq.\"q\"", "a", false, "eq", "\"q\""),
            ("a.not.eq.1", "a", true, "eq", "1"),
            ("not.eq.1", "not", false, "eq", "1"),
            ("not.not.is.null", "not", true, "is", "null"),
            ("eq.eq.eq", "eq", false, "eq", "eq"),
            ("\"a.b\".in.(1,2)", "a.b", false, "in", "(1,2)"),
            (r#""say \"hi\" \\ ,".like.*x"#, "say \"hi\" \\ ,", false, "like", "*x"),
            ("Unit Price.lt.200", "Unit Price", false, "lt", "200"),
            ("größe.isdistinct.\u{1f600}", "größe", false, "isdistinct", "\u{1f600}"),
            ("?column?.gt.1", "?column?", false, "gt", "1"),
            ("a,b.ov.{}", "a,b", false, "ov", "{}"),
            ("-a.eq.1", "-a", false, "eq", "1"),
            ("x\" = 1 OR \"x", "", false, "", ""),
        ] {
            match shown(text) {
                Ok(parsed) => assert_eq!(parsed, (column.into(), is_negated, operator, value.into()), "{text}"),
                Err(message) => assert!(column.is_empty(), "{text}: {message}"),
            }
        }
    }

    #[test]
    fn refuses_what_is_no_filter() {
        for (text, wrong) in [
            ("", "expected `column.operator.value`"),
            ("a", "expected `column.operator.value`"),
            ("a=1", "expected `column.operator.value`"),
            (".eq.1", "the column is missing"),
            ("\"\".eq.1", "the column is missing"),
            ("a.eq", "the value is missing"),
            ("a.not.eq", "the value is missing"),
            ("a.DE", "there is no operator `DE`"),
            ("a..1", "there is no operator ``"),
            ("a.not.not.eq.1", "stands once"),
            ("a.eq(any).{1}", "modifiers"),
            ("a.fts.x", "of PostgREST is not supported"),
            ("or.(a.eq.1)", "there is no operator `(a`"),
            ("\"a.eq.1", "does not end"),
            ("\"a\\", "does not end"),
            ("\"a\"b.eq.1", "expected `.` after a name"),
            ("a\"b.eq.1", "in double quotes"),
        ] {
            let message = filter(text).unwrap_err();
            assert!(message.contains(wrong), "{text}: {message}");
        }
    }

    #[test]
    fn a_sort_is_columns_between_commas() {
        let keys = |text: &str| {
            let keys = sort(text)?;
            let key = |key: ParsedKey<'_>| format!("{}{}", if key.is_descending { "-" } else { "+" }, key.column);
            Ok::<_, String>(keys.into_iter().map(key).collect::<Vec<_>>())
        };
        for (text, expected) in [
            ("a", vec!["+a"]),
            ("-a,b", vec!["-a", "+b"]),
            ("\"a,b\",-\"-c\"", vec!["+a,b", "--c"]),
            ("--a", vec!["--a"]),
            ("a.desc", vec!["+a.desc"]),
            (" a", vec!["+ a"]),
            ("größe,-?column?", vec!["+größe", "-?column?"]),
            ("a; DROP TABLE x", vec!["+a; DROP TABLE x"]),
        ] {
            assert_eq!(keys(text).unwrap(), expected, "{text}");
        }
        for text in ["", "-", ",", "a,", ",a", "a,,b", "\"\"", "\"a", "\"a\"b", "a\"b\"", "-,a"] {
            assert!(sort(text).is_err(), "{text}");
        }
        assert_eq!(sort("-\"a,b\",c").unwrap()[0].text, "-\"a,b\"");
    }

    #[test]
    fn elements_are_between_commas_and_may_be_quoted() {
        let list = |text: &str| Ok::<_, String>(elements(text, ('(', ')'), 4)?.into_iter().map(|e| e.text).collect());
        for (text, expected) in [
            ("()", vec![]),
            ("(a)", vec!["a"]),
            ("(a,b)", vec!["a", "b"]),
            ("(a,\"c,d\",\"e\\\"f\\\\\")", vec!["a", "c,d", "e\"f\\"]),
            ("(,)", vec!["", ""]),
            ("( a,b )", vec![" a", "b "]),
            ("(a\"b)", vec!["a\"b"]),
            ("(\"\")", vec![""]),
        ] {
            assert_eq!(list(text), Ok(expected.into_iter().map(str::to_owned).collect::<Vec<_>>()), "{text}");
        }
        for text in ["", "a,b", "(a", "(a,", "(a)b", "(\"a)", "(\"a\"b)", "(1,2,3,4,5)", "(a))", "[a]"] {
            assert!(list(text).is_err(), "{text}");
        }
        let array = |text: &str| {
            let elements = elements(text, ('{', '}'), 4)?;
            let shown = |e: Element| if e.is_quoted { format!("\"{}\"", e.text) } else { e.text };
            Ok::<_, String>(elements.into_iter().map(shown).collect::<Vec<_>>())
        };
        for (text, expected) in [
            ("{}", vec![]),
            ("{ }", vec![]),
            ("{a, b }", vec!["a", "b"]),
            ("{ \"a,b\" ,NULL}", vec!["\"a,b\"", "NULL"]),
            ("{\"\"}", vec!["\"\""]),
        ] {
            assert_eq!(array(text).unwrap(), expected, "{text}");
        }
        for text in ["{{a},{b}}", "{,}", "{a,}", "{a\"b}", "{a", "a}", "{a}}", "{\"a\" b}", "{1,2,3,4,5}"] {
            assert!(array(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[a-b.,\"\\\\(){}é\u{1f600} -]{0,30}") {
            let _ = (filter(&text), sort(&text));
            let _ = (elements(&text, ('(', ')'), 9), elements(&text, ('{', '}'), 9));
        }

        #[test]
        fn a_quoted_name_is_read_as_it_was(name in ".{1,20}") {
            let quoted = format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
            let text = format!("{quoted}.eq.x");
            prop_assert_eq!(filter(&text).unwrap().column, name.as_str());
            let text = format!("-{quoted},\"b\"");
            prop_assert_eq!(&sort(&text).unwrap()[0].column, name.as_str());
        }
    }
}
