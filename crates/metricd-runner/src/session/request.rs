//! What is sent to have statements run.

use std::io;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use postgres_protocol::{IsNull, Oid};

use super::description::{Format, RowDescription};

/// What PostgreSQL calls the statement that the next one without a name replaces.
const UNNAMED: &str = "";

/// A statement that is asked for ahead of others. Its answer is passed over.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PreludeStatement<'a> {
    /// SQL without parameters.
    Sql(&'a str),
    /// A prepared statement, by its name, with its only value.
    Prepared(&'a str, &'a str),
    /// SQL with its only value.
    Unnamed(&'a str, &'a str),
}

impl PreludeStatement<'_> {
    /// Runs it.
    pub(super) fn write(&self, unsent: &mut BytesMut) -> io::Result<()> {
        match *self {
            Self::Sql(sql) => write_unnamed(sql, [].into_iter(), unsent),
            Self::Prepared(name, value) => execute(name, [Some(value)].into_iter(), unsent),
            Self::Unnamed(sql, value) => write_unnamed(sql, [Some(value)].into_iter(), unsent),
        }
    }
}

/// A statement that PostgreSQL has prepared, or described.
#[derive(Debug, Clone, Default)]
pub(crate) struct DescribedStatement {
    /// The name under which it is prepared. Without a name, its SQL is sent each time.
    pub(super) name: Option<String>,
    /// The types of its parameters.
    pub(crate) parameters: Vec<Oid>,
    /// Its columns. What comes back is held to this.
    pub(crate) description: RowDescription,
    /// In which forms the values come: one for each column, or one for all of them.
    formats: Vec<i16>,
}

impl DescribedStatement {
    pub(super) fn new(name: Option<String>) -> Self {
        Self { name, ..Self::default() }
    }

    /// The name under which it is prepared, if it has one.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The name under which PostgreSQL is told to prepare it.
    pub(super) fn name_or_unnamed(&self) -> &str {
        self.name.as_deref().unwrap_or(UNNAMED)
    }

    /// The same, with its values in these forms.
    pub(crate) fn with_formats(self, formats: &[Format]) -> Self {
        let description = self.description.with_formats(formats);
        let mut codes: Vec<_> = formats.iter().map(|format| format.code()).collect();
        // One stands for all of them.
        if codes.windows(2).all(|pair| pair.first() == pair.last()) {
            codes.truncate(1);
        }
        Self { description, formats: codes, ..self }
    }

    /// Runs it with these values, and has PostgreSQL say what the columns of the result are.
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

/// Prepares a statement for this once and runs it.
pub(super) fn write_unnamed<'a>(
    sql: &str,
    arguments: impl Iterator<Item = Option<&'a str>>,
    unsent: &mut BytesMut,
) -> io::Result<()> {
    frontend::parse(UNNAMED, sql, [], unsent)?;
    execute(UNNAMED, arguments, unsent)
}

/// Runs a prepared statement with these values. Its own come as text.
fn execute<'a>(name: &str, arguments: impl Iterator<Item = Option<&'a str>>, unsent: &mut BytesMut) -> io::Result<()> {
    bind(name, arguments, [Format::Text.code()], unsent)?;
    frontend::execute("", 0, unsent)
}

/// Values are sent as text.
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
