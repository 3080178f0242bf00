//! The parameters of a request, all of whose faults are told at once.

use std::borrow::Cow;

use crate::{FieldError, Problem, ProblemCode};

/// The parameters of a query string. What is taken is known; what remains at the end is not.
#[derive(Debug)]
pub(crate) struct QueryString<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    errors: Vec<FieldError>,
}

impl<'a> QueryString<'a> {
    pub(crate) fn parse(text: &'a str) -> Self {
        Self { pairs: form_urlencoded::parse(text.as_bytes()).collect(), errors: Vec::new() }
    }

    /// The value of the parameter, where there is one, as `parse` reads it. A parameter that stands twice is an error.
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
                self.error(name, format!("the parameter stands {} times: expected once", taken.len()));
                None
            }
        }
    }

    /// Ends the reading.
    ///
    /// # Errors
    ///
    /// A problem that names every parameter which is wrong or not known.
    pub(crate) fn finish(mut self) -> Result<(), Problem> {
        let mut unknown: Vec<_> = std::mem::take(&mut self.pairs).into_iter().map(|(name, _)| name).collect();
        unknown.sort();
        unknown.dedup();
        for name in unknown {
            let shown: String = name.chars().take(100).collect();
            self.error(&shown, "the parameter is not known".to_owned());
        }
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(Problem::new(ProblemCode::InvalidParameters).with_errors(self.errors))
        }
    }

    fn error(&mut self, field: &str, message: String) {
        self.errors.push(FieldError { field: field.to_owned(), message });
    }
}
