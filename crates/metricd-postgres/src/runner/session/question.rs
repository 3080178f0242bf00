//! What is sent to have statements run.

use std::io;

use bytes::BytesMut;
use postgres_protocol::IsNull;
use postgres_protocol::message::frontend;

/// Values are sent as text, and come in binary form.
const BINARY: i16 = 1;

/// A statement that is asked for ahead of others. Its answer is passed over.
#[derive(Debug, Clone, Copy)]
pub(in crate::runner) enum Ahead<'a> {
    /// SQL without parameters.
    Sql(&'a str),
    /// A prepared statement, by its name, with its only value.
    Prepared(&'a str, &'a str),
}

impl Ahead<'_> {
    /// Runs it.
    pub(super) fn write(&self, unsent: &mut BytesMut) -> io::Result<()> {
        match *self {
            Self::Sql(sql) => once(sql, [].into_iter(), unsent),
            Self::Prepared(name, value) => execute(name, [Some(value)].into_iter(), unsent),
        }
    }
}

/// Prepares a statement for this once and runs it.
pub(super) fn once<'a>(
    sql: &str,
    arguments: impl Iterator<Item = Option<&'a str>>,
    unsent: &mut BytesMut,
) -> io::Result<()> {
    frontend::parse("", sql, [], unsent)?;
    execute("", arguments, unsent)
}

/// Runs a prepared statement with these values.
pub(super) fn execute<'a>(
    name: &str,
    arguments: impl Iterator<Item = Option<&'a str>>,
    unsent: &mut BytesMut,
) -> io::Result<()> {
    let write = |argument: Option<&str>, unsent: &mut BytesMut| {
        let Some(text) = argument else { return Ok(IsNull::Yes) };
        unsent.extend_from_slice(text.as_bytes());
        Ok(IsNull::No)
    };
    frontend::bind("", name, [], arguments, write, [BINARY], unsent).map_err(|error| match error {
        frontend::BindError::Serialization(error) => error,
        frontend::BindError::Conversion(error) => io::Error::other(error),
    })?;
    frontend::execute("", 0, unsent)
}
