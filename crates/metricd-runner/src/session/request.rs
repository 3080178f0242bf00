//! Encodes requests that run statements.

use std::io;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use postgres_protocol::{IsNull, Oid};

use super::description::{Format, RowDescription};

/// The name of the unnamed statement, which the next unnamed one replaces.
const UNNAMED: &str = "";

/// A statement sent before those of a run. Its response is skipped.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PreludeStatement<'a> {
    /// SQL without parameters.
    Sql(&'a str),
    /// A prepared statement by its name, with its only parameter.
    Prepared(&'a str, &'a str),
    /// SQL with its only parameter.
    Unnamed(&'a str, &'a str),
}

impl PreludeStatement<'_> {
    /// Encodes it.
    pub(super) fn write(&self, unsent: &mut BytesMut) -> io::Result<()> {
        match *self {
            Self::Sql(sql) => write_unnamed(sql, [].into_iter(), unsent),
            Self::Prepared(name, value) => execute(name, [Some(value)].into_iter(), unsent),
            Self::Unnamed(sql, value) => write_unnamed(sql, [Some(value)].into_iter(), unsent),
        }
    }
}

/// A statement that PostgreSQL has prepared or described.
#[derive(Debug, Clone, Default)]
pub(crate) struct DescribedStatement {
    /// The name under which it is prepared. Without one, its SQL is sent with each execution.
    pub(super) name: Option<String>,
    /// The types of its parameters.
    pub(crate) parameters: Vec<Oid>,
    /// Its columns. The result has to match them.
    pub(crate) description: RowDescription,
    /// The encodings of the values: one for each column, or one for all.
    formats: Vec<i16>,
}

impl DescribedStatement {
    pub(super) fn new(name: Option<String>) -> Self {
        Self { name, ..Self::default() }
    }

    /// The name under which it is prepared, if any.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The name to send in Parse and Bind.
    pub(super) fn name_or_unnamed(&self) -> &str {
        self.name.as_deref().unwrap_or(UNNAMED)
    }

    /// The same, with its values in these encodings.
    pub(crate) fn with_formats(self, formats: &[Format]) -> Self {
        let description = self.description.with_formats(formats);
        let mut codes: Vec<_> = formats.iter().map(|format| format.code()).collect();
        // A single code applies to all columns.
        if codes.windows(2).all(|pair| pair.first() == pair.last()) {
            codes.truncate(1);
        }
        Self { description, formats: codes, ..self }
    }

    /// Encodes Bind, Describe and Execute with these parameters, after Parse if it is unnamed.
    pub(super) fn write<'a>(
        &self,
        sql: &str,
        arguments: impl Iterator<Item = Option<&'a str>>,
        unsent: &mut BytesMut,
    ) -> io::Result<()> {
        if self.name.is_none() {
            frontend::parse(UNNAMED, sql, [], unsent)?;
        }
        bind(self.name_or_unnamed(), arguments, self.formats.iter().copied(), unsent)?;
        frontend::describe(b'P', "", unsent)?;
        frontend::execute("", 0, unsent)
    }
}

/// Encodes an unnamed statement: Parse, Bind and Execute.
pub(super) fn write_unnamed<'a>(
    sql: &str,
    arguments: impl Iterator<Item = Option<&'a str>>,
    unsent: &mut BytesMut,
) -> io::Result<()> {
    frontend::parse(UNNAMED, sql, [], unsent)?;
    execute(UNNAMED, arguments, unsent)
}

/// Encodes Bind and Execute of a prepared statement. Its values arrive as text.
fn execute<'a>(name: &str, arguments: impl Iterator<Item = Option<&'a str>>, unsent: &mut BytesMut) -> io::Result<()> {
    bind(name, arguments, [Format::Text.code()], unsent)?;
    frontend::execute("", 0, unsent)
}

/// Parameters are sent as text.
fn bind<'a>(
    name: &str,
    arguments: impl Iterator<Item = Option<&'a str>>,
    formats: impl IntoIterator<Item = i16>,
    unsent: &mut BytesMut,
) -> io::Result<()> {
    let write = |argument: Option<&str>, unsent: &mut BytesMut| {
        let Some(text) = argument else { return Ok(IsNull::Yes) };
        unsent.extend_from_slice(text.as_bytes());
        Ok(IsNull::No)
    };
    frontend::bind("", name, [], arguments, write, formats, unsent).map_err(|error| match error {
        frontend::BindError::Serialization(error) => error,
        frontend::BindError::Conversion(error) => io::Error::other(error),
    })
}
