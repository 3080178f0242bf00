//! Extracts the parameters of a query string, and reports all faults at once.

use std::borrow::Cow;
use std::collections::BTreeMap;

use metricd_execution::InvalidArgument;

use crate::extract::decoding::{decode_form, shown};
use crate::{FieldError, Problem, ProblemCode};

/// Parses `true` or `false`.
pub(crate) fn parse_bool(text: &str) -> Result<bool, &'static str> {
    text.parse().map_err(|_| "expected `true` or `false`")
}

/// The longest search text.
const MAX_SEARCH_CHARS: usize = 200;

/// Parses a text to search for.
pub(crate) fn parse_search(words: &str) -> Result<String, String> {
    let is_sane = (1..=MAX_SEARCH_CHARS).contains(&words.chars().count()) && !words.contains('\0');
    is_sane.then(|| words.to_owned()).ok_or(format!("expected 1 to {MAX_SEARCH_CHARS} characters without NUL"))
}

/// The remaining parameters of a query string. A parameter that is never taken is unknown.
#[derive(Debug)]
pub(crate) struct QueryString<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    errors: Vec<FieldError>,
}

impl<'a> QueryString<'a> {
    /// Parses a query string (<https://url.spec.whatwg.org/#urlencoded-parsing>), and records names and values that
    /// cannot be decoded.
    pub(crate) fn parse(text: &'a str) -> Self {
        let mut parsed = Self { pairs: Vec::new(), errors: Vec::new() };
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match (decode_form(name), decode_form(value)) {
                (Ok(name), Ok(value)) => parsed.pairs.push((name, value)),
                (Ok(name), Err(error)) => parsed.error(&shown(&name), error.to_string()),
                (Err(error), _) => {
                    parsed.error(&shown(name), format!("the name of the parameter cannot be read: {error}"));
                }
            }
        }
        parsed
    }

    /// Takes and parses the parameter. Records a fault if it occurs twice.
    pub(crate) fn take<T, E: ToString>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, E>) -> Option<T> {
        let (taken, rest): (Vec<_>, Vec<_>) = self.pairs.drain(..).partition(|(key, _)| key == name);
        self.pairs = rest;
        match taken.as_slice() {
            [] => None,
            [(_, value)] => match parse(value) {
                Ok(value) => Some(value),
                Err(error) => {
                    self.error(name, error.to_string());
                    None
                }
            },
            _ => {
                self.error(name, format!("the parameter occurs {} times: expected once", taken.len()));
                None
            }
        }
    }

    /// Takes every value of the parameter, in order.
    pub(crate) fn take_all(&mut self, name: &str) -> Vec<String> {
        let (taken, rest): (Vec<_>, Vec<_>) = self.pairs.drain(..).partition(|(key, _)| key == name);
        self.pairs = rest;
        taken.into_iter().map(|(_, value)| value.into_owned()).collect()
    }

    /// Takes all remaining parameters by name. Records a fault if one occurs twice.
    pub(crate) fn take_rest(&mut self) -> BTreeMap<String, String> {
        let mut rest = BTreeMap::new();
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for (name, value) in std::mem::take(&mut self.pairs) {
            *counts.entry(name.clone().into_owned()).or_default() += 1;
            rest.entry(name.into_owned()).or_insert_with(|| value.into_owned());
        }
        for (name, count) in counts.into_iter().filter(|(_, count)| *count > 1) {
            self.error(&shown(&name), format!("the parameter occurs {count} times: expected once"));
        }
        rest
    }

    /// Reports the recorded faults, and these unless one of their parameter is recorded.
    ///
    /// # Errors
    ///
    /// 422 with every fault.
    pub(crate) fn finish_with(mut self, invalid: Vec<InvalidArgument>) -> Result<(), Problem> {
        let is_recorded = |name: &str| self.errors.iter().any(|error| error.field == name);
        let invalid: Vec<_> = invalid.into_iter().filter(|invalid| !is_recorded(&invalid.name)).collect();
        for InvalidArgument { name, message } in invalid {
            self.error(&name, message);
        }
        if self.errors.is_empty() {
            Ok(())
        } else {
            self.errors.sort_by(|left, right| left.field.cmp(&right.field));
            Err(Problem::new(ProblemCode::InvalidParameters).with_errors(self.errors))
        }
    }

    /// Reports the recorded faults and the unknown parameters.
    ///
    /// # Errors
    ///
    /// 422 with every fault.
    pub(crate) fn finish(mut self) -> Result<(), Problem> {
        let unknown = self.take_rest();
        let unknown = unknown
            .keys()
            .map(|name| InvalidArgument { name: shown(name), message: "the parameter is not known".to_owned() });
        self.finish_with(unknown.collect())
    }

    /// Records a fault.
    pub(crate) fn error(&mut self, field: &str, message: String) {
        self.errors.push(FieldError { field: field.to_owned(), message });
    }
}
