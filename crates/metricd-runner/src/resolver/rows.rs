//! The answers of the catalog queries of the resolver.

use std::collections::BTreeSet;

use metricd_domain::ContractTable;
use metricd_execution::{AllowedSchema, ResolvedFunction, ResolvedType};
use serde::Deserialize;

use super::foreign_keys::Source;

#[derive(Debug, Deserialize)]
pub(super) struct ResolvedQuery {
    pub(super) columns: Vec<ColumnRow>,
    pub(super) tables: Vec<ContractTable>,
    pub(super) functions: Vec<FunctionRow>,
    pub(super) types: Vec<TypeRow>,
    pub(super) has_time_constants: bool,
    pub(super) forbidden_constructs: Vec<String>,
    pub(super) unknown_nodes: Vec<String>,
    /// Whether the result depends only on the rows of the tables and the parameters.
    pub(super) is_repeatable: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct SchemaRow {
    pub(super) name: String,
    pub(super) functions: BTreeSet<String>,
    pub(super) types: BTreeSet<String>,
}

impl From<SchemaRow> for AllowedSchema {
    fn from(SchemaRow { name, functions, types }: SchemaRow) -> Self {
        Self { name, functions, types }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct ColumnRow {
    #[serde(rename = "type")]
    pub(super) type_name: String,
    pub(super) description: Option<String>,
    pub(super) source: Option<Source>,
}

#[expect(clippy::struct_excessive_bools, reason = "as the catalog has it")]
#[derive(Debug, Deserialize)]
pub(super) struct FunctionRow {
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) is_volatile: bool,
    pub(super) is_security_definer: bool,
    pub(super) is_named: bool,
    pub(super) is_implied_by_type: bool,
    pub(super) is_built_in: bool,
    pub(super) is_untrusted: bool,
    pub(super) extension: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct TypeRow {
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) is_built_in: bool,
}

impl From<TypeRow> for ResolvedType {
    fn from(TypeRow { schema, name, is_built_in }: TypeRow) -> Self {
        Self { schema, name, is_built_in }
    }
}

impl From<FunctionRow> for ResolvedFunction {
    fn from(row: FunctionRow) -> Self {
        let FunctionRow {
            schema,
            name,
            is_volatile,
            is_security_definer,
            is_named,
            is_implied_by_type,
            is_built_in,
            is_untrusted,
            extension,
        } = row;
        Self {
            schema,
            name,
            is_volatile,
            is_security_definer,
            is_named,
            is_implied_by_type,
            is_built_in,
            is_untrusted,
            extension,
        }
    }
}
