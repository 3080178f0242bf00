//! Looks up types that are not built in.

use tokio_postgres::types::{Kind, Oid, Type};

use super::Connection;
use super::types::built_in_name;
use crate::session::SessionError;

/// The delimiter of nearly every array.
const COMMA: u8 = b',';

pub(super) const TYPE_SQL: &str = "
    SELECT t.typname::text, n.nspname::text, t.typtype::text, t.typbasetype::text,
           CASE WHEN t.typsubscript::oid = 'pg_catalog.array_subscript_handler'::regproc::oid AND t.typlen = -1 THEN t.typelem::text END,
           pg_catalog.ascii(t.typdelim::text)::text, pg_catalog.format_type(t.oid, NULL)
    FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
    WHERE t.oid = $1::text::oid";

impl Connection {
    /// The type, looked up if it is not built in.
    pub(crate) async fn data_type(&mut self, oid: Oid) -> Result<Type, SessionError> {
        if let Some(known) = Type::from_oid(oid).or_else(|| self.types.get(&oid).cloned()) {
            return Ok(known);
        }
        let row = self.row(TYPE_SQL, &oid.to_string()).await?;
        let text = |index: usize| row.get(index).cloned().flatten();
        let oid_at = |index| text(index).and_then(|text| text.parse().ok());
        let kind = match (text(2).as_deref(), oid_at(3), oid_at(4)) {
            // The labels are not needed.
            (Some("e"), ..) => Kind::Enum(Vec::new()),
            (Some("d"), Some(base), _) => Kind::Domain(Box::pin(self.data_type(base)).await?),
            (_, _, Some(element)) => Kind::Array(Box::pin(self.data_type(element)).await?),
            _ => Kind::Simple,
        };
        let data_type = Type::new(text(0).unwrap_or_default(), oid, kind, text(1).unwrap_or_default());
        self.types.insert(oid, data_type.clone());
        self.type_names.insert(oid, text(6).unwrap_or_default());
        if let Some(delimiter) = text(5).and_then(|code| code.parse().ok()).filter(|delimiter| *delimiter != COMMA) {
            self.delimiters.insert(oid, delimiter);
        }
        Ok(data_type)
    }

    /// The name that `format_type` prints.
    pub(crate) async fn type_name(&mut self, oid: Oid) -> Result<String, SessionError> {
        let data_type = self.data_type(oid).await?;
        Ok(self.type_names.get(&oid).cloned().unwrap_or_else(|| built_in_name(&data_type)))
    }

    /// The names of several types.
    pub(crate) async fn type_names(&mut self, oids: &[Oid]) -> Result<Vec<String>, SessionError> {
        let mut names = Vec::with_capacity(oids.len());
        for oid in oids {
            names.push(self.type_name(*oid).await?);
        }
        Ok(names)
    }

    /// Drops what was looked up: a type may have changed.
    pub(crate) fn forget_types(&mut self) {
        self.types.clear();
        self.type_names.clear();
        self.delimiters.clear();
    }

    /// The delimiter of this element type in an array's text format, if the type was looked up.
    pub(crate) fn delimiter(&self, element: &Type) -> u8 {
        match *element {
            // The only built-in type with another delimiter.
            Type::BOX => b';',
            _ => self.delimiters.get(&element.oid()).copied().unwrap_or(COMMA),
        }
    }
}
