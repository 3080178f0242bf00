//! A prepared statement with its columns.

use std::sync::Arc;

use metricd_execution::{BoundStatement, Column, FieldType};
use tokio_postgres::types::Type;

use super::connection::{CASTING_KEY, Connection};
use super::session::{Prepared, SessionError};
use super::types::{field_type, is_array, text_type, type_name};

/// How many bytes a value may take on the wire beyond those that any format gives it: its length, and a number of up to eight
/// bytes that is printed as one digit.
const FIELD_OVERHEAD_BYTES: usize = 16;

/// How many times larger an array may be on the wire than printed: each element in it has its own length, and an array that is
/// an element, as in an array of a domain over arrays, a head of its own.
const ARRAY_SHRINKAGE: usize = 12;

/// The same for elements that are printed as they come.
const TEXT_ARRAY_SHRINKAGE: usize = 3;

/// A statement that is prepared on a connection, and the columns of its result.
#[derive(Debug)]
pub(super) struct Plan {
    /// The name under which it is prepared.
    pub(super) name: String,
    /// How many parameters it has.
    pub(super) parameters: usize,
    pub(super) columns: Vec<Column>,
}

impl Plan {
    /// A row of more bytes than that on the wire does not fit into so many, whatever its format. The message that it comes in
    /// is counted as well.
    pub(super) fn max_row_bytes(&self, size_bytes: usize) -> usize {
        let shrinkage = self.columns.iter().map(|column| shrinkage(&column.field_type)).max().unwrap_or(1);
        size_bytes.saturating_mul(shrinkage).saturating_add(FIELD_OVERHEAD_BYTES * (self.columns.len() + 1))
    }

    /// Prepares the statement, or finds it prepared. Values of types that have no form of their own are cast to text in the
    /// database, so that they come as PostgreSQL prints them.
    pub(super) async fn prepare(
        connection: &mut Connection,
        statement: &BoundStatement,
    ) -> Result<Arc<Self>, SessionError> {
        if let Some(plan) = connection.plan(statement.text()) {
            return Ok(plan);
        }
        let name = connection.new_name()?;
        let prepared = connection.session.prepare(&name, statement.text()).await?;
        let types = types(connection, &prepared).await?;
        let columns = prepared.columns.iter().zip(&types).map(|((name, _), data_type)| Column {
            name: name.clone(),
            type_name: type_name(data_type),
            field_type: field_type(data_type).unwrap_or_else(|| text_type(data_type)),
        });
        let columns = columns.collect();
        let parameters = prepared.parameters;
        if types.iter().all(|data_type| field_type(data_type).is_some()) {
            let plan = Arc::new(Self { name, parameters, columns });
            connection.keep_plan(statement.text(), &plan)?;
            return Ok(plan);
        }
        // The casts hide from PostgreSQL that a column has become another since, so that it would not object: what the
        // columns are is asked each time. The statement with the casts is kept under its own text, which tells them.
        let casting = casting(statement.text(), &types);
        let key = format!("{CASTING_KEY}{casting}");
        if let Some(kept) = connection.plan(&key) {
            return Ok(Arc::new(Self { name: kept.name.clone(), parameters, columns }));
        }
        let name = connection.new_name()?;
        connection.session.prepare(&name, &casting).await?;
        let plan = Arc::new(Self { name, parameters, columns });
        connection.keep_plan(&key, &plan)?;
        Ok(plan)
    }
}

fn shrinkage(field_type: &FieldType) -> usize {
    match field_type {
        FieldType::Array(element) => match **element {
            FieldType::Text | FieldType::Json | FieldType::Jsonb | FieldType::Bytea => TEXT_ARRAY_SHRINKAGE,
            _ => ARRAY_SHRINKAGE,
        },
        _ => 1,
    }
}

async fn types(connection: &mut Connection, prepared: &Prepared) -> Result<Vec<Type>, SessionError> {
    let mut types = Vec::with_capacity(prepared.columns.len());
    for (_, oid) in &prepared.columns {
        types.push(connection.data_type(*oid).await?);
    }
    Ok(types)
}

/// The statement with those columns cast to text that have no form of their own.
fn casting(body: &str, types: &[Type]) -> String {
    // The columns are named anew, since two of them may have one name.
    let names: Vec<_> = (1..=types.len()).map(|number| format!("c{number}")).collect();
    let cast = types.iter().zip(&names).map(|(data_type, name)| match field_type(data_type) {
        Some(_) => name.clone(),
        None if is_array(data_type) => format!("{name}::text[]"),
        None => format!("{name}::text"),
    });
    let cast: Vec<_> = cast.collect();
    format!("SELECT {} FROM (\n{body}\n) AS result ({})", cast.join(", "), names.join(", "))
}
