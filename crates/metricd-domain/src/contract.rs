//! What PostgreSQL says of a metric's SQL: the contract that clients may rely on.

mod invalid;
mod period;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize};

pub use self::invalid::InvalidContract;
pub use self::period::{NoPeriodSource, Period, PeriodColumn, PeriodSource};
use crate::ParameterName;

/// What a metric takes and returns, and what it reads, as PostgreSQL has resolved its SQL.
///
/// Its parts do not contradict each other, see [`InvalidContract`] for the rules.
///
/// ```
/// use metricd_domain::{Contract, ContractColumn, ContractParts, Period, PeriodColumn};
///
/// let day = ContractColumn::new("day", "date");
/// let period = Period::Result(PeriodColumn { column: "day".into(), type_name: "date".into() });
/// let contract = Contract::new(ContractParts { columns: vec![day], period, ..ContractParts::default() })?;
/// assert_eq!(contract.columns()[0].name, "day");
///
/// // A period by a column that the result does not have.
/// let parts = ContractParts { columns: Vec::new(), ..contract.into_parts() };
/// let error = Contract::new(parts).unwrap_err();
/// assert_eq!(error.to_string(), "a period selects by `day` of type `date`, which is no column of the result");
/// # Ok::<(), metricd_domain::InvalidContract>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ContractParts", into = "ContractParts")]
pub struct Contract(ContractParts);

/// The parts of a [`Contract`], in the form in which it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContractParts {
    /// The columns of the result, in their order. No two have one name.
    pub columns: Vec<ContractColumn>,
    /// The parameters, in the order in which they first stand in the SQL. No two have one name.
    pub parameters: Vec<ContractParameter>,
    /// The tables and views that are read, ordered by schema and name.
    pub tables: Vec<ContractTable>,
    /// What a request's `start_date` and `end_date` do.
    pub period: Period,
    /// A fingerprint of the tables that are read, if the result follows from their rows and the parameters alone; none
    /// if it may depend on the clock, or on anything else.
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

impl Default for ContractParts {
    /// No columns, parameters and tables, validated by the current rules.
    fn default() -> Self {
        Self {
            columns: Vec::new(),
            parameters: Vec::new(),
            tables: Vec::new(),
            period: Period::default(),
            fingerprint: None,
            period_revision: Contract::PERIOD_REVISION,
            enums: BTreeMap::new(),
        }
    }
}

impl TryFrom<ContractParts> for Contract {
    type Error = InvalidContract;

    fn try_from(parts: ContractParts) -> Result<Self, InvalidContract> {
        Self::new(parts)
    }
}

impl From<Contract> for ContractParts {
    fn from(contract: Contract) -> Self {
        contract.0
    }
}

impl Contract {
    /// The present revision of the rules by which periods are applied. It counts up whenever the SQL that runs for a period
    /// would be another.
    pub const PERIOD_REVISION: u32 = 3;

    /// The contract of these parts.
    ///
    /// # Errors
    ///
    /// [`InvalidContract`] if the parts contradict each other.
    pub fn new(parts: ContractParts) -> Result<Self, InvalidContract> {
        invalid::check(&parts)?;
        Ok(Self(parts))
    }

    /// Reads a contract that may have been stored by another release. `None` if there is none, or one that this release
    /// cannot read: its SQL is then validated again. For `#[serde(deserialize_with)]`.
    ///
    /// # Errors
    ///
    /// Those of the format.
    pub fn deserialize_stored<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        /// Any document is read to its end, as what follows it has to be read as well.
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Stored {
            Readable(Box<Contract>),
            Unreadable(serde::de::IgnoredAny),
        }
        Ok(match Option::<Stored>::deserialize(deserializer)? {
            Some(Stored::Readable(contract)) => Some(*contract),
            Some(Stored::Unreadable(_)) | None => None,
        })
    }

    /// The parts, to make another contract of them.
    #[must_use]
    pub fn into_parts(self) -> ContractParts {
        self.0
    }

    /// The columns of the result, in their order. No two have one name.
    #[must_use]
    pub fn columns(&self) -> &[ContractColumn] {
        &self.0.columns
    }

    /// The parameters, in the order in which they first stand in the SQL. No two have one name.
    #[must_use]
    pub fn parameters(&self) -> &[ContractParameter] {
        &self.0.parameters
    }

    /// The tables and views that are read, ordered by schema and name.
    #[must_use]
    pub fn tables(&self) -> &[ContractTable] {
        &self.0.tables
    }

    /// What a request's `start_date` and `end_date` did when the SQL was validated; see [`Self::current_period`].
    #[must_use]
    pub fn period(&self) -> &Period {
        &self.0.period
    }

    /// A fingerprint of the tables that are read, if the result follows from their rows and the parameters alone.
    #[must_use]
    pub fn fingerprint(&self) -> Option<&str> {
        self.0.fingerprint.as_deref()
    }

    /// The labels of the enum types among the types of columns and parameters, by the name of the type, in their order.
    #[must_use]
    pub fn enums(&self) -> &BTreeMap<String, Vec<String>> {
        &self.0.enums
    }

    /// Whether the contract was validated by the current rules.
    #[must_use]
    pub fn is_of_these_rules(&self) -> bool {
        self.0.period_revision == Self::PERIOD_REVISION
    }

    /// What a request's `start_date` and `end_date` do now: nothing, if they would change SQL that was validated by rules other
    /// than the current ones.
    #[must_use]
    pub fn current_period(&self) -> Cow<'_, Period> {
        match self.period() {
            Period::Narrowed(_) | Period::Result(_) if !self.is_of_these_rules() => {
                let reason =
                    "its SQL was validated by another version of metricd, and has not been validated again yet";
                Cow::Owned(Period::Unsupported { reason: reason.to_owned() })
            }
            period => Cow::Borrowed(period),
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

    /// Whether its type is `date` or a timestamp.
    #[must_use]
    pub fn is_time(&self) -> bool {
        ["date", "timestamp without time zone", "timestamp with time zone"].contains(&self.type_name.as_str())
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
        self.enums().get(type_name.trim_end_matches("[]")).map(Vec::as_slice)
    }

    /// What is different in `now`, a sentence each.
    #[must_use]
    pub fn drift(&self, now: &Self) -> Vec<String> {
        let mut drift = Vec::new();
        let kinds = [
            ("column", columns(self.columns()), columns(now.columns())),
            ("parameter", parameters(self.parameters()), parameters(now.parameters())),
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
        if drift.is_empty() && columns(self.columns()) != columns(now.columns()) {
            drift.push("the columns are in another order".to_owned());
        }
        // A table may have appeared in a schema that is searched earlier.
        let tables = |contract: &Self| -> BTreeSet<String> {
            contract.tables().iter().map(|table| format!("{}.{}", table.schema, table.name)).collect()
        };
        let (before, after) = (tables(self), tables(now));
        drift.extend(before.difference(&after).map(|table| format!("the SQL no longer reads `{table}`")));
        drift.extend(after.difference(&before).map(|table| format!("the SQL now reads `{table}`")));
        // SQL that was validated by other rules is validated again. That is not drift.
        let is_unsupported = |period: &Period| matches!(period, Period::Unsupported { .. });
        // The reason is a message, which another release may word differently.
        let is_same = self.period() == now.period() || is_unsupported(self.period()) && is_unsupported(now.period());
        if self.0.period_revision == now.0.period_revision && !is_same {
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
    use crate::TimeColumn;

    fn contract(parts: ContractParts) -> Contract {
        Contract::new(parts).unwrap()
    }

    fn of_columns(columns: Vec<ContractColumn>) -> Contract {
        contract(ContractParts { columns, ..ContractParts::default() })
    }

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

    #[test]
    fn the_only_time_column_is_the_one_unless_another_is_declared() {
        let source = |tables: &[ContractTable], declared: Option<&str>| {
            let declared = declared.map(|text| TimeColumn::parse(text).unwrap());
            PeriodSource::among(tables, declared.as_ref()).map(|source| format!("{}.{}", source.table, source.column))
        };
        let one = [table("customers", &[]), table("metrics", &["date"])];
        assert_eq!(source(&one, None), Ok("metrics.date".to_owned()));
        assert_eq!(source(&one, Some("metrics.date")), Ok("metrics.date".to_owned()));
        assert!(source(&one, Some("day")).is_err());
        let two = [table("orders", &["placed", "paid"])];
        assert!(source(&two, None).is_err());
        assert_eq!(source(&two, Some("paid")), Ok("orders.paid".to_owned()));
        let both = [table("a", &["day"]), table("b", &["day"])];
        assert!(source(&both, None).is_err());
        assert!(source(&both, Some("day")).is_err());
        assert_eq!(source(&both, Some("b.day")), Ok("b.day".to_owned()));
        assert!(source(&[], None).is_err());
        let elsewhere = ContractTable { schema: "sales".into(), is_visible: false, ..table("a", &["day"]) };
        let alike = [elsewhere, table("a", &["day"])];
        assert!(source(&alike, Some("a.day")).is_err());
        let declared = TimeColumn::parse("sales.a.day").unwrap();
        assert_eq!(PeriodSource::among(&alike, Some(&declared)).unwrap().schema, "sales");
    }

    #[test]
    fn a_period_that_was_validated_by_other_rules_is_not_applied() {
        let document = r#"{"columns":[],"parameters":[],"tables":[{"schema":"warehouse","name":"metrics","columns":[],
            "time_columns":[{"name":"date","type":"date"}]}],"period":{"applied":"narrowed","table":"metrics","column":"date","type":"date"}}"#;
        let old: Contract = serde_json::from_str(document).unwrap();
        assert!(
            matches!(old.current_period().as_ref(), Period::Unsupported { reason } if reason.contains("another version"))
        );
        let parts = ContractParts { period_revision: Contract::PERIOD_REVISION, ..old.clone().into_parts() };
        assert_eq!(contract(parts).current_period().as_ref(), old.period());
        let parameters =
            vec![ContractParameter { name: ParameterName::parse("end_date").unwrap(), type_name: "date".into() }];
        let bound = contract(ContractParts { parameters, period: Period::Bound, ..old.into_parts() });
        assert_eq!(bound.current_period().as_ref(), &Period::Bound, "the SQL names it, whatever the rules are");
    }

    #[test]
    fn another_table_of_the_same_name_is_drift() {
        let reads = |table| contract(ContractParts { tables: vec![table], ..ContractParts::default() });
        let before = reads(table("orders", &[]));
        let after = reads(ContractTable { schema: "sales".into(), ..table("orders", &[]) });
        assert_eq!(
            before.drift(&after),
            ["the SQL no longer reads `warehouse.orders`", "the SQL now reads `sales.orders`"]
        );
    }

    #[test]
    fn drift_tells_what_is_gone_new_and_changed() {
        let before = of_columns(vec![column("a", "date"), column("b", "text")]);
        let after = of_columns(vec![column("a", "text"), column("c", "text")]);
        let drift = ["the column `a` was `date` and is `text`", "the column `b` is gone", "the column `c` is new"];
        assert_eq!(before.drift(&after), drift);
        assert!(before.drift(&before).is_empty());
        let after = of_columns(vec![column("b", "text"), column("a", "date")]);
        assert_eq!(before.drift(&after), ["the columns are in another order"]);
        let mut described = before.columns().to_vec();
        described[0].description = Some("Another word for it.".into());
        let described = of_columns(described);
        assert!(before.drift(&described).is_empty(), "a comment is no part of what clients rely on");

        let with = |period: Period| {
            let parameter =
                ContractParameter { name: ParameterName::parse("end_date").unwrap(), type_name: "date".into() };
            let parameters = if period == Period::Bound { vec![parameter] } else { Vec::new() };
            contract(ContractParts { parameters, period, ..before.clone().into_parts() })
        };
        let unsupported = |reason: &str| with(Period::Unsupported { reason: reason.into() });
        assert!(unsupported("it has a window").drift(&unsupported("the SQL has a window")).is_empty());
        let changed = ["the parameter `end_date` is gone", "what a period does has changed"];
        assert_eq!(with(Period::Bound).drift(&unsupported("it has a window")), changed);
    }
}
