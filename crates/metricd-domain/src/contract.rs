//! What PostgreSQL says of a metric's SQL: the contract that clients may rely on.

mod period;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use self::period::{NoPeriodSource, Period, PeriodColumn, PeriodSource};
use crate::{ParameterName, TimeColumn};

/// What a metric takes and returns, and what it reads, as PostgreSQL has resolved its SQL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contract {
    /// The columns of the result, in their order. No two have one name.
    pub columns: Vec<ContractColumn>,
    /// The parameters, in the order in which they first stand in the SQL.
    pub parameters: Vec<ContractParameter>,
    /// The tables and views that are read, in the order of their names.
    pub tables: Vec<ContractTable>,
    /// What a request's `start_date` and `end_date` do.
    pub period: Period,
    /// A fingerprint of the tables that are read, where the result follows from their rows and the parameters alone; none
    /// where it may depend on the clock, or on anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// The revision of the rules by which the period was validated. Another revision would rewrite the SQL differently, so a
    /// period is applied only if its rewrite was validated by the current one.
    #[serde(default)]
    pub period_revision: u32,
    /// The labels of the enum types among the types of columns and parameters, by the name of the type, in their order.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub enums: BTreeMap<String, Vec<String>>,
}

impl Contract {
    /// The present revision of the rules by which periods are applied. It counts up whenever the SQL that runs for a period
    /// would be another.
    pub const PERIOD_REVISION: u32 = 3;

    /// Whether the contract was validated by the current rules.
    #[must_use]
    pub fn is_of_these_rules(&self) -> bool {
        self.period_revision == Self::PERIOD_REVISION
    }

    /// What a request's `start_date` and `end_date` do now: nothing, if they would change SQL that was validated by rules other
    /// than the current ones.
    #[must_use]
    pub fn current_period(&self) -> Cow<'_, Period> {
        match &self.period {
            Period::Narrowed(_) | Period::Result(_) if !self.is_of_these_rules() => {
                let reason =
                    "its SQL was validated by another version of metricd, and has not been validated again yet";
                Cow::Owned(Period::Unsupported { reason: reason.to_owned() })
            }
            period => Cow::Borrowed(period),
        }
    }
}

impl Default for Contract {
    fn default() -> Self {
        Self {
            columns: Vec::new(),
            parameters: Vec::new(),
            tables: Vec::new(),
            period: Period::default(),
            fingerprint: None,
            period_revision: Self::PERIOD_REVISION,
            enums: BTreeMap::new(),
        }
    }
}

/// A column with its type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct ContractColumn {
    /// The name.
    pub name: String,
    /// The type, as PostgreSQL's `format_type` prints it, without modifiers.
    #[serde(rename = "type")]
    pub type_name: String,
    /// The comment of the table's column that this one shows as it is, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

impl ContractColumn {
    /// A column without a description.
    pub fn new(name: impl Into<String>, type_name: impl Into<String>) -> Self {
        Self { name: name.into(), type_name: type_name.into(), description: None }
    }
}

/// A parameter with its type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ContractParameter {
    /// The name.
    pub name: ParameterName,
    /// The type, as PostgreSQL's `format_type` prints it: the declared one, or the one that PostgreSQL infers.
    #[serde(rename = "type")]
    pub type_name: String,
}

/// A table or a view that the SQL reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ContractTable {
    /// The schema.
    pub schema: String,
    /// The name.
    pub name: String,
    /// Whether the name without the schema means this table. Otherwise a schema that is searched earlier has a table of
    /// the same name.
    #[serde(default = "is_visible_by_default", skip_serializing_if = "is_true")]
    #[cfg_attr(feature = "openapi", schema(required = false, default = true))]
    pub is_visible: bool,
    /// The columns that are read, in the table's order.
    pub columns: Vec<String>,
    /// The columns of the table that tell a day or an instant, read or not, in the table's order.
    pub time_columns: Vec<ContractColumn>,
}

/// Contracts that were stored before there was more than one schema do not say so.
fn is_visible_by_default() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_true(value: &bool) -> bool {
    *value
}

impl Contract {
    /// The labels of an enum type, or of the elements of an array of one.
    #[must_use]
    pub fn labels(&self, type_name: &str) -> Option<&[String]> {
        self.enums.get(type_name.trim_end_matches("[]")).map(Vec::as_slice)
    }

    /// The table and column that a period narrows: the declared one, or the only one there is.
    ///
    /// # Errors
    ///
    /// [`NoPeriodSource`] if there is none, or more than one.
    pub fn period_source(&self, declared: Option<&TimeColumn>) -> Result<PeriodSource, NoPeriodSource> {
        let source = |table: &ContractTable, column: &ContractColumn| PeriodSource {
            schema: table.schema.clone(),
            table: table.name.clone(),
            column: column.name.clone(),
            type_name: column.type_name.clone(),
        };
        if let Some(declared) = declared {
            let columns =
                self.tables.iter().flat_map(|table| table.time_columns.iter().map(move |column| (table, column)));
            let named: Vec<_> = columns
                .filter(|(table, column)| declared.is_column(&table.schema, &table.name, &column.name))
                .collect();
            return match named.as_slice() {
                [(table, column)] => Ok(source(table, column)),
                [] => Err(NoPeriodSource::NotFound(declared.clone())),
                _ => Err(NoPeriodSource::Ambiguous(declared.clone())),
            };
        }
        let timed: Vec<_> = self.tables.iter().filter(|table| !table.time_columns.is_empty()).collect();
        match timed.as_slice() {
            [] => Err(NoPeriodSource::NoTable),
            [table] => match table.time_columns.as_slice() {
                [column] => Ok(source(table, column)),
                _ => Err(NoPeriodSource::SeveralColumns { table: table.name.clone() }),
            },
            _ => Err(NoPeriodSource::SeveralTables),
        }
    }

    /// What is different in `now`, a sentence each.
    #[must_use]
    pub fn drift(&self, now: &Self) -> Vec<String> {
        let mut drift = Vec::new();
        let kinds = [
            ("column", columns(&self.columns), columns(&now.columns)),
            ("parameter", parameters(&self.parameters), parameters(&now.parameters)),
        ];
        for (kind, before, after) in kinds {
            for (name, type_name) in &before {
                match after.iter().find(|(other, _)| other == name) {
                    None => drift.push(format!("the {kind} `{name}` is gone")),
                    Some((_, other)) if other != type_name => {
                        drift.push(format!("the {kind} `{name}` was `{type_name}` and is `{other}`"));
                    }
                    Some(_) => {}
                }
            }
            let is_new = |(name, _): &&(&str, &str)| !before.iter().any(|(other, _)| other == name);
            drift.extend(after.iter().filter(is_new).map(|(name, _)| format!("the {kind} `{name}` is new")));
        }
        if drift.is_empty() && columns(&self.columns) != columns(&now.columns) {
            drift.push("the columns are in another order".to_owned());
        }
        // A table may have appeared in a schema that is searched earlier.
        let tables = |contract: &Self| -> BTreeSet<String> {
            contract.tables.iter().map(|table| format!("{}.{}", table.schema, table.name)).collect()
        };
        let (before, after) = (tables(self), tables(now));
        drift.extend(before.difference(&after).map(|table| format!("the SQL no longer reads `{table}`")));
        drift.extend(after.difference(&before).map(|table| format!("the SQL now reads `{table}`")));
        // SQL that was validated by other rules is validated again. That is not drift.
        let is_unsupported = |period: &Period| matches!(period, Period::Unsupported { .. });
        // The reason is a message, which another release may word differently.
        let is_same = self.period == now.period || is_unsupported(&self.period) && is_unsupported(&now.period);
        if self.period_revision == now.period_revision && !is_same {
            drift.push("what a period does has changed".to_owned());
        }
        drift
    }
}

fn columns(columns: &[ContractColumn]) -> Vec<(&str, &str)> {
    columns.iter().map(|column| (column.name.as_str(), column.type_name.as_str())).collect()
}

fn parameters(parameters: &[ContractParameter]) -> Vec<(&str, &str)> {
    parameters.iter().map(|parameter| (parameter.name.as_str(), parameter.type_name.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, type_name: &str) -> ContractColumn {
        ContractColumn::new(name, type_name)
    }

    fn table(name: &str, time_columns: &[&str]) -> ContractTable {
        ContractTable {
            schema: "warehouse".into(),
            name: name.into(),
            is_visible: true,
            columns: Vec::new(),
            time_columns: time_columns.iter().map(|name| column(name, "date")).collect(),
        }
    }

    fn reads(tables: Vec<ContractTable>) -> Contract {
        Contract { tables, ..Contract::default() }
    }

    #[test]
    fn the_only_time_column_is_the_one_unless_another_is_declared() {
        let source = |contract: &Contract, declared: Option<&str>| {
            let declared = declared.map(|text| TimeColumn::parse(text).unwrap());
            contract.period_source(declared.as_ref()).map(|source| format!("{}.{}", source.table, source.column))
        };
        let one = reads(vec![table("customers", &[]), table("metrics", &["date"])]);
        assert_eq!(source(&one, None), Ok("metrics.date".to_owned()));
        assert_eq!(source(&one, Some("metrics.date")), Ok("metrics.date".to_owned()));
        assert!(source(&one, Some("day")).is_err());
        let two = reads(vec![table("orders", &["placed", "paid"])]);
        assert!(source(&two, None).is_err());
        assert_eq!(source(&two, Some("paid")), Ok("orders.paid".to_owned()));
        let both = reads(vec![table("a", &["day"]), table("b", &["day"])]);
        assert!(source(&both, None).is_err());
        assert!(source(&both, Some("day")).is_err());
        assert_eq!(source(&both, Some("b.day")), Ok("b.day".to_owned()));
        assert!(source(&reads(Vec::new()), None).is_err());
        let elsewhere = ContractTable { schema: "sales".into(), is_visible: false, ..table("a", &["day"]) };
        let alike = reads(vec![table("a", &["day"]), elsewhere]);
        assert!(source(&alike, Some("a.day")).is_err());
        let declared = TimeColumn::parse("sales.a.day").unwrap();
        assert_eq!(alike.period_source(Some(&declared)).unwrap().schema, "sales");
    }

    #[test]
    fn a_period_that_was_validated_by_other_rules_is_not_applied() {
        let document = r#"{"columns":[],"parameters":[],"tables":[],
            "period":{"applied":"narrowed","table":"metrics","column":"date","type":"date"}}"#;
        let old: Contract = serde_json::from_str(document).unwrap();
        assert!(
            matches!(old.current_period().as_ref(), Period::Unsupported { reason } if reason.contains("another version"))
        );
        let now = Contract { period_revision: Contract::PERIOD_REVISION, ..old.clone() };
        assert_eq!(now.current_period().as_ref(), &old.period);
        let bound = Contract { period: Period::Bound, ..old };
        assert_eq!(bound.current_period().as_ref(), &Period::Bound, "the SQL names it, whatever the rules are");
    }

    #[test]
    fn another_table_of_the_same_name_is_drift() {
        let before = reads(vec![table("orders", &[])]);
        let after = reads(vec![ContractTable { schema: "sales".into(), ..table("orders", &[]) }]);
        assert_eq!(
            before.drift(&after),
            ["the SQL no longer reads `warehouse.orders`", "the SQL now reads `sales.orders`"]
        );
    }

    #[test]
    fn drift_tells_what_is_gone_new_and_changed() {
        let mut before = Contract { columns: vec![column("a", "date"), column("b", "text")], ..Contract::default() };
        let after = Contract { columns: vec![column("a", "text"), column("c", "text")], ..Contract::default() };
        let drift = ["the column `a` was `date` and is `text`", "the column `b` is gone", "the column `c` is new"];
        assert_eq!(before.drift(&after), drift);
        assert!(before.drift(&before).is_empty());
        let after = Contract { columns: vec![column("b", "text"), column("a", "date")], ..Contract::default() };
        assert_eq!(before.drift(&after), ["the columns are in another order"]);
        let described = before.clone();
        before.columns[0].description = Some("Another word for it.".into());
        assert!(before.drift(&described).is_empty(), "a comment is no part of what clients rely on");

        let unsupported =
            |reason: &str| Contract { period: Period::Unsupported { reason: reason.into() }, ..before.clone() };
        assert!(unsupported("it has a window").drift(&unsupported("the SQL has a window")).is_empty());
        let bound = Contract { period: Period::Bound, ..before.clone() };
        assert_eq!(bound.drift(&unsupported("it has a window")), ["what a period does has changed"]);
    }
}
