//! Parses the tables of a file of definitions.

use metricd_domain::{
    ColumnName, ColumnText, ColumnType, InvalidTableName, Load, ReadOptions, Table, TableColumn, TableName, TableParts,
};

use super::checks::{ONE_OF, parse_checks};
use super::declarations::read;
use super::object::{Object, at_pointer};
use crate::Reason;
use crate::findings::Findings;
use crate::json::Json;
use crate::readers::check_options;
use crate::validate::Located;

const KEYS: [&str; 9] = ["name", "file", "columns", "key", "timeColumn", "time_column", "indexes", "load", "format"];
const COLUMN_KEYS: [&str; 9] =
    ["name", "type", "description", "unit", "required", "minimum", "maximum", ONE_OF[0], ONE_OF[1]];
const TIME_COLUMN: [&str; 2] = ["timeColumn", "time_column"];

/// The tables of a file, in their order.
#[derive(Debug, Default)]
pub(crate) struct DraftTables {
    pub(crate) tables: Vec<Located<Table>>,
    /// The names of tables whose declaration was refused. Their files are not loaded.
    pub(crate) refused: Vec<TableName>,
}

/// Parses the declaration of a table, and reports all faults in it.
pub(super) fn parse_table(file: &str, index: usize, table: &Json, draft: &mut DraftTables, findings: &mut Findings) {
    let pointer = format!("/tables/{index}");
    let Json::Object(members) = table else {
        let message = format!("table {} is {}: expected an object", index + 1, table.type_name());
        findings.refuse(at_pointer(file, &pointer), Some(&table.shown()), Reason::TypeMismatch, message);
        return;
    };
    let object = Object::new(file, pointer, members);
    object.notice_unknown_keys(&KEYS, findings);
    let mut is_refused = object.refuse_repeated_keys(&KEYS, findings);
    is_refused |= object.refuse_contradiction(TIME_COLUMN, Reason::KeyRepeated, findings);
    let name = parse_name(&object, TableName::parse, findings);
    let columns = parse_columns(&object, findings);
    let data_file = optional(&object, "file", parse_file, findings);
    let key = optional(&object, "key", read::<Vec<ColumnName>>, findings);
    let time_column = optional(&object, object.spelling(TIME_COLUMN), read::<ColumnName>, findings);
    let indexes = optional(&object, "indexes", read::<Vec<Vec<ColumnName>>>, findings);
    let load = optional(&object, "load", read::<Load>, findings);
    let format = optional(&object, "format", parse_format, findings);
    let parts = (name.clone(), columns, data_file, key, time_column, (indexes, load, format));
    let (Some(table_name), Some(columns), Ok(data_file), Ok(key), Ok(time_column), (Ok(indexes), Ok(load), Ok(format))) =
        parts
    else {
        draft.refused.extend(name);
        return;
    };
    let parts = TableParts {
        file: data_file,
        key: key.unwrap_or_default(),
        time_column,
        indexes: indexes.unwrap_or_default(),
        load: load.unwrap_or_default(),
        format: format.unwrap_or_default(),
        declared: true,
        ..TableParts::new(table_name.clone(), columns)
    };
    match Table::new(parts) {
        Ok(value) if !is_refused => draft.tables.push(Located { value, location: object.here() }),
        Ok(_) => draft.refused.push(table_name),
        Err(error) => {
            findings.refuse(object.here(), Some(table_name.as_str()), Reason::TableInvalid, error.to_string());
            draft.refused.push(table_name);
        }
    }
}

/// How files are read. What cannot be used is refused here, and not when a file is read.
fn parse_format(value: &Json) -> Result<ReadOptions, String> {
    let format: ReadOptions = read(value)?;
    check_options(&format)?;
    Ok(format)
}

/// Marks a value that was refused.
struct Refused;

/// Parses the value under the key, if there is one.
fn optional<T>(
    object: &Object<'_>,
    key: &str,
    parse: impl Fn(&Json) -> Result<T, String>,
    findings: &mut Findings,
) -> Result<Option<T>, Refused> {
    let value = match object.get(key) {
        None | Some(Json::Null) => return Ok(None),
        Some(value) => value,
    };
    parse(value).map(Some).map_err(|message| {
        findings.refuse(object.at(key), Some(&value.shown()), Reason::TableInvalid, message);
        Refused
    })
}

/// Parses the name of the object. `None` after it was refused.
fn parse_name<T>(
    object: &Object<'_>,
    parse: impl Fn(String) -> Result<T, InvalidTableName>,
    findings: &mut Findings,
) -> Option<T> {
    match object.get("name") {
        Some(Json::String(text)) => match parse(text.clone()) {
            Ok(name) => Some(name),
            Err(error) => {
                findings.refuse(object.at("name"), Some(text), Reason::TableInvalid, error.to_string());
                None
            }
        },
        None | Some(Json::Null) => {
            findings.refuse(object.here(), None, Reason::TableInvalid, "`name` is missing");
            None
        }
        Some(other) => {
            object.refuse_type("name", "a string", other, findings);
            None
        }
    }
}

fn parse_file(value: &Json) -> Result<String, String> {
    match value {
        Json::String(name) if name.contains(['/', '\\']) => {
            Err("expected the name of a file without folders, such as `sales.csv`".to_owned())
        }
        Json::String(name) if !name.trim().is_empty() => Ok(name.clone()),
        other => Err(format!("expected the name of a file, such as `sales.csv`, not {}", other.type_name())),
    }
}

/// Parses the columns. `None` after a fault was reported.
fn parse_columns(object: &Object<'_>, findings: &mut Findings) -> Option<Vec<TableColumn>> {
    let entries = match object.get("columns") {
        Some(Json::Array(entries)) => entries,
        None | Some(Json::Null) => {
            let message = "`columns` is missing: expected an array of `{\"name\", \"type\"}`";
            findings.refuse(object.here(), None, Reason::TableInvalid, message);
            return None;
        }
        Some(other) => {
            object.refuse_type("columns", "an array of columns", other, findings);
            return None;
        }
    };
    let refusals = findings.refusal_count;
    let columns = entries.iter().enumerate().filter_map(|(index, entry)| {
        let pointer = format!("{}/columns/{index}", object.pointer);
        let Json::Object(members) = entry else {
            let message = format!("column {} is {}: expected an object", index + 1, entry.type_name());
            findings.refuse(at_pointer(object.file, &pointer), Some(&entry.shown()), Reason::TypeMismatch, message);
            return None;
        };
        parse_column(&Object::new(object.file, pointer, members), findings)
    });
    let columns = columns.collect();
    (findings.refusal_count == refusals).then_some(columns)
}

fn parse_column(object: &Object<'_>, findings: &mut Findings) -> Option<TableColumn> {
    object.notice_unknown_keys(&COLUMN_KEYS, findings);
    object.refuse_repeated_keys(&COLUMN_KEYS, findings);
    let name = parse_name(object, ColumnName::parse, findings);
    if object.get("type").is_none_or(|value| *value == Json::Null) {
        findings.refuse(object.here(), None, Reason::TableInvalid, format!("`type` is missing: {}", expected_types()));
    }
    let data_type = optional(object, "type", parse_type, findings).ok().flatten();
    let checks = data_type.map(|data_type| parse_checks(object, data_type, findings)).unwrap_or_default();
    let text = |value: &Json| match value {
        Json::String(text) => Ok(text.clone()),
        other => Err(format!("expected a string, not {}", other.type_name())),
    };
    let description = |value: &Json| ColumnText::description(&text(value)?).map_err(|error| error.to_string());
    let unit = |value: &Json| ColumnText::unit(&text(value)?).map_err(|error| error.to_string());
    let description = optional(object, "description", description, findings).ok()?;
    let unit = optional(object, "unit", unit, findings).ok()?;
    let required = optional(object, "required", read::<bool>, findings).ok()?.unwrap_or_default();
    Some(TableColumn { description, unit, required, checks, ..TableColumn::new(name?, data_type?) })
}

fn parse_type(value: &Json) -> Result<ColumnType, String> {
    let name = match value {
        Json::String(name) => name.trim().to_lowercase(),
        other => return Err(format!("the type is {}: {}", other.type_name(), expected_types())),
    };
    // The other names that PostgreSQL has for these types.
    let name = match name.as_str() {
        "bool" => "boolean",
        "int8" => "bigint",
        "decimal" => "numeric",
        "float8" => "double precision",
        "timestamp without time zone" => "timestamp",
        "timestamp with time zone" => "timestamptz",
        other => other,
    };
    ColumnType::of_name(name).ok_or_else(|| format!("`{name}` is not a type of a column: {}", expected_types()))
}

fn expected_types() -> String {
    let names: Vec<_> = ColumnType::ALL.iter().map(|data_type| format!("`{data_type}`")).collect();
    format!("expected one of {}", names.join(", "))
}
