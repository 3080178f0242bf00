//! A prepared statement with the columns of its result.

use std::borrow::Cow;
use std::sync::Arc;

use metricd_execution::{BoundStatement, Column, FieldType};

use super::Connection;
use super::types::{field_type, text_type};
use crate::session::{DescribedStatement, Format, SessionError};

/// How many bytes a value may take on the wire beyond its shortest encoding: its length, and a number of up to eight
/// bytes that prints as one digit.
const FIELD_OVERHEAD_BYTES: usize = 16;

/// The same for an array in text format: the bounds of up to six dimensions precede it.
const BOUNDS_BYTES: usize = 160;

/// How many times larger an array may be on the wire than printed: each element has a length, and an array as an
/// element, as in an array of a domain over arrays, has a header.
const ARRAY_SHRINKAGE: usize = 12;

/// The same for elements that print as they are sent.
const TEXT_ARRAY_SHRINKAGE: usize = 3;

/// The same for arrays in text format as elements: their quotes are escaped, and bounds may precede each.
const NESTED_LITERAL_SHRINKAGE: usize = 16;

/// The key of a statement in the cache of a connection: its text, after its time zone if it has one, since PostgreSQL
/// converts literals when it parses the text. No text has a NUL character.
pub(crate) fn cache_key(statement: &BoundStatement) -> Cow<'_, str> {
    match statement.time_zone() {
        None => statement.text().into(),
        Some(time_zone) => format!("{time_zone}\0{}", statement.text()).into(),
    }
}

/// A statement prepared on a connection, with the columns of its result.
#[derive(Debug)]
pub(crate) struct PreparedStatement {
    pub(crate) described: DescribedStatement,
    pub(crate) columns: Vec<Column>,
    parameter_types: Vec<String>,
}

impl PreparedStatement {
    /// A row message larger than this on the wire exceeds `size_bytes` in every output format.
    pub(crate) fn max_row_bytes(&self, size_bytes: usize) -> usize {
        let types = || self.columns.iter().map(|column| &column.field_type);
        let shrinkage = types().map(shrinkage).max().unwrap_or(1);
        let literals = types().filter(|field_type| matches!(field_type, FieldType::ArrayLiteral { .. })).count();
        let overhead = FIELD_OVERHEAD_BYTES * (self.columns.len() + 1) + BOUNDS_BYTES * literals;
        size_bytes.saturating_mul(shrinkage).saturating_add(overhead)
    }

    /// Whether the statement still has the columns and parameter types of its contract.
    pub(crate) fn meets_contract(&self, statement: &BoundStatement) -> bool {
        statement.expected().is_none_or(|expected| expected.matches(&self.columns, &self.parameter_types))
    }

    /// Prepares the statement, or takes it from the cache. Values of types without a binary encoding here arrive in
    /// text format, as the output function of the type prints them.
    pub(crate) async fn prepare(
        connection: &mut Connection,
        statement: &BoundStatement,
    ) -> Result<Arc<Self>, SessionError> {
        let key = cache_key(statement);
        let prepared = match connection.cached_statement(&key) {
            Some(prepared) => prepared,
            None => Self::prepare_uncached(connection, statement).await?,
        };
        if prepared.meets_contract(statement) {
            return Ok(prepared);
        }
        // The connection may know tables and types as they were before the contract.
        connection.evict_statement(&key)?;
        Self::prepare_uncached(connection, statement).await
    }

    async fn prepare_uncached(
        connection: &mut Connection,
        statement: &BoundStatement,
    ) -> Result<Arc<Self>, SessionError> {
        let description = connection.prepare(statement.text(), statement.time_zone()).await?;
        let name = |bytes: &[u8]| String::from_utf8(bytes.to_vec());
        let malformed = |_| SessionError::Lost("the name of a column is not UTF-8".to_owned());
        let columns_described = description.description.columns();
        let columns_described =
            columns_described.map(|column| name(column.name).map(|name| (name, column.type_oid, column.type_modifier)));
        let columns_described: Vec<_> = columns_described.collect::<Result<_, _>>().map_err(malformed)?;
        let (mut columns, mut formats) = (Vec::new(), Vec::new());
        for (name, type_oid, modifier) in columns_described {
            let data_type = connection.data_type(type_oid).await?;
            let (field_type, format) = match field_type(&data_type, modifier) {
                Some(field_type) => (field_type, Format::Binary),
                None => (text_type(&data_type, &|element| connection.delimiter(element)), Format::Text),
            };
            columns.push(Column { name, type_name: connection.type_name(type_oid).await?, field_type });
            formats.push(format);
        }
        let parameter_types = connection.type_names(&description.parameters).await?;
        let prepared = Arc::new(Self { described: description.with_formats(&formats), columns, parameter_types });
        connection.cache_statement(&cache_key(statement), &prepared)?;
        Ok(prepared)
    }
}

fn shrinkage(field_type: &FieldType) -> usize {
    match field_type {
        FieldType::Array(element) => match **element {
            FieldType::Text | FieldType::Json | FieldType::Jsonb | FieldType::Bytea => TEXT_ARRAY_SHRINKAGE,
            _ => ARRAY_SHRINKAGE,
        },
        FieldType::ArrayLiteral { element, .. } if **element != FieldType::Text => NESTED_LITERAL_SHRINKAGE,
        _ => 1,
    }
}
