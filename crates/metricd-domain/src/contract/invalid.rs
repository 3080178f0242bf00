//! The rules that a contract obeys.

use std::collections::HashSet;

use super::{ContractColumn, ContractForeignKey, ContractParts, Period, ReferencedColumn};
use crate::ParameterName;

/// Why parts are not a [`Contract`](super::Contract): they contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidContract {
    /// Two columns of the result have the same name.
    #[error("two columns of the result are named `{0}`")]
    ColumnRepeated(String),
    /// Two parameters have the same name.
    #[error("two parameters are named `{0}`")]
    ParameterRepeated(ParameterName),
    /// A table is repeated, or the tables are not ordered by schema and name.
    #[error("the tables are not ordered by schema and name, each once, at `{schema}.{table}`")]
    TablesUnordered {
        /// The schema of the table that is out of order.
        schema: String,
        /// The name of that table.
        table: String,
    },
    /// Two columns of a table have the same name.
    #[error("two columns of the table `{table}` are named `{column}`")]
    TableColumnRepeated {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// The type of a time column is neither `date` nor a timestamp.
    #[error("the time column `{column}` of the table `{table}` is `{type_name}`: expected a date or a timestamp")]
    NotATime {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// Its type.
        type_name: String,
    },
    /// A foreign key has a column that the SQL does not read, or not one referenced column for each of its columns.
    #[error(
        "a foreign key of the table `{table}` to `{referenced}` is incomplete: expected columns that the SQL reads, and a \
         referenced column for each"
    )]
    ForeignKey {
        /// The table.
        table: String,
        /// The referenced table.
        referenced: String,
    },
    /// A column of the result references a column that no foreign key of a table references.
    #[error("the column `{column}` of the result references `{referenced}`, which no foreign key of a table does")]
    Reference {
        /// The column of the result.
        column: String,
        /// The column that it references.
        referenced: ReferencedColumn,
    },
    /// A period sets parameters, but the SQL has neither `start_date` nor `end_date`.
    #[error("a period sets `start_date` and `end_date`, and the SQL has neither parameter")]
    PeriodUnbound,
    /// The SQL has a parameter that a period sets, but the period does not set parameters.
    #[error("the SQL has the parameter `{0}`, which a period sets, but the period does something else")]
    PeriodBound(ParameterName),
    /// A period selects by a column that is not a time column of any table.
    #[error(
        "a period selects by `{table}.{column}` of type `{type_name}`, which is no time column of a table that is read"
    )]
    PeriodSource {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// Its type.
        type_name: String,
    },
    /// A period selects by a column that the result does not have.
    #[error("a period selects by `{column}` of type `{type_name}`, which is no column of the result")]
    PeriodColumn {
        /// The column.
        column: String,
        /// Its type.
        type_name: String,
    },
    /// A period selects by a column of the result that is neither a date nor a timestamp.
    #[error("a period selects by the column `{0}` of the result: expected a date or a timestamp")]
    PeriodNotATime(String),
    /// An enum type has labels, but no column and no parameter has that type.
    #[error("there are labels of the type `{0}`, which no column and no parameter has")]
    EnumUnused(String),
}

/// Checks that the parts agree with each other.
pub(super) fn check(parts: &ContractParts) -> Result<(), InvalidContract> {
    let ContractParts { columns, parameters, tables, period, fingerprint: _, period_revision: _, enums } = parts;
    if let Some(name) = repeated(columns.iter().map(|column| column.name.as_str())) {
        return Err(InvalidContract::ColumnRepeated(name.to_owned()));
    }
    if let Some(name) = repeated(parameters.iter().map(|parameter| &parameter.name)) {
        return Err(InvalidContract::ParameterRepeated(name.clone()));
    }
    check_tables(parts)?;
    check_references(parts)?;
    match (period, parameters.iter().find(|parameter| parameter.name.is_set_by_period())) {
        (Period::Bound, Some(_)) | (Period::Unsupported { .. }, None) => {}
        (Period::Bound, None) => return Err(InvalidContract::PeriodUnbound),
        (_, Some(parameter)) => return Err(InvalidContract::PeriodBound(parameter.name.clone())),
        (Period::Narrowed(source), None) => {
            let mut namesakes =
                tables.iter().filter(|table| (&table.schema, &table.name) == (&source.schema, &source.table));
            let is_it =
                |column: &ContractColumn| (&column.name, &column.type_name) == (&source.column, &source.type_name);
            if !namesakes.any(|table| table.time_columns.iter().any(is_it)) {
                let (table, column) = (source.table.clone(), source.column.clone());
                return Err(InvalidContract::PeriodSource { table, column, type_name: source.type_name.clone() });
            }
        }
        (Period::Result(of), None) => {
            let is_it = |column: &&ContractColumn| (&column.name, &column.type_name) == (&of.column, &of.type_name);
            let Some(column) = columns.iter().find(is_it) else {
                let (column, type_name) = (of.column.clone(), of.type_name.clone());
                return Err(InvalidContract::PeriodColumn { column, type_name });
            };
            if !column.is_time() {
                return Err(InvalidContract::PeriodNotATime(column.name.clone()));
            }
        }
    }
    let of_columns = columns.iter().map(|column| &column.type_name);
    let types = of_columns.chain(parameters.iter().map(|parameter| &parameter.type_name));
    let types: HashSet<_> = types.map(|name| name.trim_end_matches("[]")).collect();
    match enums.keys().find(|name| !types.contains(name.as_str())) {
        Some(unused) => Err(InvalidContract::EnumUnused(unused.clone())),
        None => Ok(()),
    }
}

fn check_tables(ContractParts { tables, .. }: &ContractParts) -> Result<(), InvalidContract> {
    for pair in tables.windows(2) {
        if let [before, table] = pair
            && (&before.schema, &before.name) >= (&table.schema, &table.name)
        {
            let (schema, table) = (table.schema.clone(), table.name.clone());
            return Err(InvalidContract::TablesUnordered { schema, table });
        }
    }
    for table in tables {
        let times = table.time_columns.iter().map(|column| &column.name);
        if let Some(column) = repeated(table.columns.iter()).or_else(|| repeated(times)) {
            let (table, column) = (table.name.clone(), column.clone());
            return Err(InvalidContract::TableColumnRepeated { table, column });
        }
        if let Some(column) = table.time_columns.iter().find(|column| !column.is_time()) {
            let (table, column, type_name) = (table.name.clone(), column.name.clone(), column.type_name.clone());
            return Err(InvalidContract::NotATime { table, column, type_name });
        }
        let is_paired = |key: &&ContractForeignKey| {
            let is_read = key.columns.iter().all(|column| table.columns.contains(column));
            is_read && !key.columns.is_empty() && key.columns.len() == key.referenced_columns.len()
        };
        if let Some(key) = table.foreign_keys.iter().find(|key| !is_paired(key)) {
            let (table, referenced) = (table.name.clone(), key.referenced_table.clone());
            return Err(InvalidContract::ForeignKey { table, referenced });
        }
    }
    Ok(())
}

fn check_references(ContractParts { columns, tables, .. }: &ContractParts) -> Result<(), InvalidContract> {
    let keys = tables.iter().flat_map(|table| &table.foreign_keys).filter_map(ContractForeignKey::only_column);
    let known: Vec<_> = keys.map(|(_, referenced)| referenced).collect();
    for ContractColumn { name, references, .. } in columns {
        if let Some(referenced) = references.iter().find(|referenced| !known.contains(referenced)) {
            return Err(InvalidContract::Reference { column: name.clone(), referenced: referenced.clone() });
        }
    }
    Ok(())
}

fn repeated<T: std::hash::Hash + Eq + Copy>(names: impl Iterator<Item = T>) -> Option<T> {
    let mut seen = HashSet::new();
    names.into_iter().find(|name| !seen.insert(*name))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::Contract;

    /// A contract in which every part is present.
    fn complete() -> Value {
        let table = |name: &str| {
            json!({"schema": "warehouse", "name": name, "columns": ["id", "day"],
            "time_columns": [{"name": "day", "type": "date"}, {"name": "at", "type": "timestamp with time zone"}],
            "foreign_keys": [
                {"columns": ["id"], "referenced_schema": "warehouse", "referenced_table": "customers",
                 "referenced_columns": ["id"]},
                {"columns": ["id", "day"], "referenced_schema": "warehouse", "referenced_table": "visits",
                 "referenced_columns": ["customer", "day"]}
            ]})
        };
        json!({
            "columns": [
                {"name": "day", "type": "date"},
                {"name": "state", "type": "state"},
                {"name": "buyer", "type": "integer",
                 "references": [{"schema": "warehouse", "table": "customers", "column": "id"}]}
            ],
            "parameters": [{"name": "states", "type": "state[]"}, {"name": "n", "type": "integer"}],
            "tables": [table("metrics"), table("orders")],
            "period": {"applied": "narrowed", "schema": "warehouse", "table": "orders", "column": "day", "type": "date"},
            "fingerprint": "1",
            "period_revision": 3,
            "enums": {"state": ["open", "closed"]}
        })
    }

    #[test]
    fn consistent_parts_make_a_contract() {
        let contract: Contract = serde_json::from_value(complete()).unwrap();
        assert_eq!(serde_json::to_value(&contract).unwrap(), complete());
        let periods = [
            json!({"applied": "result", "column": "day", "type": "date"}),
            json!({"applied": "unsupported", "reason": "none"}),
        ];
        for period in periods {
            let mut document = complete();
            document["period"] = period;
            serde_json::from_value::<Contract>(document).unwrap();
        }
        let mut bound = complete();
        bound["period"] = json!({"applied": "bound"});
        bound["parameters"][1] = json!({"name": "end_date", "type": "date"});
        serde_json::from_value::<Contract>(bound).unwrap();
    }

    #[test]
    fn contradictory_parts_are_refused() {
        for (at, value, message) in [
            ("/columns/1/name", json!("day"), "two columns of the result are named `day`"),
            ("/parameters/1/name", json!("states"), "two parameters are named `states`"),
            (
                "/tables/1/name",
                json!("a"),
                "the tables are not ordered by schema and name, each once, at `warehouse.a`",
            ),
            (
                "/tables/1/name",
                json!("metrics"),
                "the tables are not ordered by schema and name, each once, at `warehouse.metrics`",
            ),
            ("/tables/0/columns/1", json!("id"), "two columns of the table `metrics` are named `id`"),
            ("/tables/0/time_columns/1/name", json!("day"), "two columns of the table `metrics` are named `day`"),
            (
                "/tables/0/time_columns/1/type",
                json!("text"),
                "the time column `at` of the table `metrics` is `text`: expected a date or a timestamp",
            ),
            (
                "/tables/0/foreign_keys/0/columns/0",
                json!("state"),
                "a foreign key of the table `metrics` to `customers` is incomplete: expected columns that the SQL reads, and a referenced column for each",
            ),
            (
                "/tables/1/foreign_keys/1/referenced_columns",
                json!(["customer"]),
                "a foreign key of the table `orders` to `visits` is incomplete: expected columns that the SQL reads, and a referenced column for each",
            ),
            (
                "/columns/2/references/0/table",
                json!("visits"),
                "the column `buyer` of the result references `warehouse.visits.id`, which no foreign key of a table does",
            ),
            (
                "/columns/2/references/0",
                json!({"schema": "warehouse", "table": "visits", "column": "customer"}),
                "the column `buyer` of the result references `warehouse.visits.customer`, which no foreign key of a table does",
            ),
            (
                "/period",
                json!({"applied": "bound"}),
                "a period sets `start_date` and `end_date`, and the SQL has neither parameter",
            ),
            (
                "/parameters/1/name",
                json!("start_date"),
                "the SQL has the parameter `start_date`, which a period sets, but the period does something else",
            ),
            (
                "/period/column",
                json!("id"),
                "a period selects by `orders.id` of type `date`, which is no time column of a table that is read",
            ),
            (
                "/period/table",
                json!("customers"),
                "a period selects by `customers.day` of type `date`, which is no time column of a table that is read",
            ),
            (
                "/period/type",
                json!("timestamp without time zone"),
                "a period selects by `orders.day` of type `timestamp without time zone`, which is no time column of a table that is read",
            ),
            (
                "/period",
                json!({"applied": "result", "column": "at", "type": "date"}),
                "a period selects by `at` of type `date`, which is no column of the result",
            ),
            (
                "/period",
                json!({"applied": "result", "column": "state", "type": "state"}),
                "a period selects by the column `state` of the result: expected a date or a timestamp",
            ),
            (
                "/enums",
                json!({"kind": ["a"]}),
                "there are labels of the type `kind`, which no column and no parameter has",
            ),
        ] {
            let mut document = complete();
            *document.pointer_mut(at).unwrap() = value;
            let error = serde_json::from_value::<Contract>(document).unwrap_err();
            assert_eq!(error.to_string(), message, "{at}");
        }
    }

    #[test]
    fn an_unreadable_stored_contract_is_none() {
        #[derive(Debug, PartialEq, serde::Deserialize)]
        struct Row {
            #[serde(default, deserialize_with = "Contract::deserialize_stored")]
            contract: Option<Contract>,
            version: u32,
        }
        let read = |document: Value| serde_json::from_value::<Row>(document).unwrap();
        let mut contradictory = complete();
        contradictory["columns"][1]["name"] = json!("day");
        for contract in
            [contradictory, json!({"columns": []}), json!({"period": {"applied": "later"}}), json!(7), Value::Null]
        {
            assert_eq!(read(json!({"contract": contract, "version": 2})), Row { contract: None, version: 2 });
        }
        assert_eq!(read(json!({"version": 2})).contract, None);
        assert!(read(json!({"contract": complete(), "version": 2})).contract.is_some());
    }
}
