//! The contract of a metric: what it takes, returns and reads, according to PostgreSQL. Clients may rely on it.

mod drift;
mod foreign_key;
mod invalid;
mod period;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

pub use self::foreign_key::{ContractForeignKey, ReferencedColumn};
pub use self::invalid::InvalidContract;
pub use self::period::{NoPeriodSource, Period, PeriodColumn, PeriodSource, TimeColumnCandidates};
use crate::ParameterName;

/// The parameters and columns of a metric with their types, the tables that it reads, and what a period does.
///
/// PostgreSQL resolves the SQL to describe it. The parts agree with each other; [`InvalidContract`] lists the rules.
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

/// The parts of a [`Contract`], in the form in which it is stored. They may contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContractParts {
    /// The columns of the result, in the order of the result. Their names are unique.
    pub columns: Vec<ContractColumn>,
    /// The parameters, in the order in which the SQL first uses them. Their names are unique.
    pub parameters: Vec<ContractParameter>,
    /// The tables and views that are read, ordered by schema and name.
    pub tables: Vec<ContractTable>,
    /// What a request's `start_date` and `end_date` do.
    pub period: Period,
    /// A fingerprint of the tables, if only their rows and the parameters determine the result. Absent if the result
    /// may depend on anything else, such as the clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// The revision of the rules by which the period was validated. Another revision may rewrite the SQL differently,
    /// so a period is applied only if its rewrite was validated by the current one.
    #[serde(default)]
    pub period_revision: u32,
    /// The labels of each enum type that a column or a parameter has, in the order of the type. The key is the name of
    /// the type.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub enums: BTreeMap<String, Vec<String>>,
}

impl Default for ContractParts {
    /// No columns, parameters or tables; validated by the current rules.
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
    /// The current revision of the rules by which periods are applied. It increases whenever a release would run other
    /// SQL for a period.
    pub const PERIOD_REVISION: u32 = 5;

    /// Makes a contract of its parts.
    ///
    /// # Errors
    ///
    /// [`InvalidContract`] if the parts contradict each other.
    pub fn new(parts: ContractParts) -> Result<Self, InvalidContract> {
        invalid::check(&parts)?;
        Ok(Self(parts))
    }

    /// Reads a contract that another release may have stored. For `#[serde(deserialize_with)]`.
    ///
    /// It is `None` if no contract is stored, or one that this release cannot read. The SQL is then validated again.
    ///
    /// # Errors
    ///
    /// Those of the deserializer.
    pub fn deserialize_stored<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        /// Consumes the whole value in either case, because the deserializer has to reach the field after it.
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

    /// The parts, for example to make another contract of them.
    #[must_use]
    pub fn into_parts(self) -> ContractParts {
        self.0
    }

    /// The columns of the result, in the order of the result. Their names are unique.
    #[must_use]
    pub fn columns(&self) -> &[ContractColumn] {
        &self.0.columns
    }

    /// The parameters, in the order in which the SQL first uses them. Their names are unique.
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

    /// A fingerprint of the tables, if only their rows and the parameters determine the result.
    #[must_use]
    pub fn fingerprint(&self) -> Option<&str> {
        self.0.fingerprint.as_deref()
    }

    /// The labels of each enum type that a column or a parameter has, in the order of the type. The key is the name of
    /// the type.
    #[must_use]
    pub fn enums(&self) -> &BTreeMap<String, Vec<String>> {
        &self.0.enums
    }

    /// Whether the period was validated by the current revision of the rules.
    #[must_use]
    pub fn has_current_period_revision(&self) -> bool {
        self.0.period_revision == Self::PERIOD_REVISION
    }

    /// What a request's `start_date` and `end_date` do now. A period that rewrites the SQL or filters the result is
    /// unsupported until the SQL is validated by the current rules.
    #[must_use]
    pub fn current_period(&self) -> Cow<'_, Period> {
        match self.period() {
            Period::Narrowed(_) | Period::Result(_) if !self.has_current_period_revision() => {
                let reason =
                    "its SQL was validated by another version of metricd, and has not been validated again yet";
                Cow::Owned(Period::Unsupported { reason: reason.to_owned() })
            }
            period => Cow::Borrowed(period),
        }
    }
}

/// A column of a result or of a table, with its type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct ContractColumn {
    /// The name.
    pub name: String,
    /// The type, as PostgreSQL's `format_type` prints it, without modifiers.
    #[serde(rename = "type")]
    pub type_name: String,
    /// The comment of the table column that this column shows unchanged. Absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The columns that this column references: it shows a table column unchanged that is a foreign key by itself. Absent
    /// if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<ReferencedColumn>,
}

impl ContractColumn {
    /// Makes a column without a description and references.
    pub fn new(name: impl Into<String>, type_name: impl Into<String>) -> Self {
        Self { name: name.into(), type_name: type_name.into(), description: None, references: Vec::new() }
    }

    /// Whether the type is `date` or a timestamp.
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
#[non_exhaustive]
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
    /// The columns that the SQL reads, in the order of the table.
    pub columns: Vec<String>,
    /// The columns of type `date` or timestamp, whether the SQL reads them or not, in the order of the table.
    pub time_columns: Vec<ContractColumn>,
    /// The foreign keys to tables of the data schemas, if the SQL reads all their columns. Absent if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub foreign_keys: Vec<ContractForeignKey>,
}

impl ContractTable {
    /// Makes a visible table without columns that the SQL reads, time columns or foreign keys.
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Self {
        let (schema, name) = (schema.into(), name.into());
        Self { schema, name, is_visible: true, columns: Vec::new(), time_columns: Vec::new(), foreign_keys: Vec::new() }
    }
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
    /// The labels of an enum type, or of the element type of an array of enums.
    #[must_use]
    pub fn labels(&self, type_name: &str) -> Option<&[String]> {
        self.enums().get(type_name.trim_end_matches("[]")).map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TimeColumn;

    pub(super) fn contract(parts: ContractParts) -> Contract {
        Contract::new(parts).unwrap()
    }

    pub(super) fn of_columns(columns: Vec<ContractColumn>) -> Contract {
        contract(ContractParts { columns, ..ContractParts::default() })
    }

    pub(super) fn column(name: &str, type_name: &str) -> ContractColumn {
        ContractColumn::new(name, type_name)
    }

    pub(super) fn table(name: &str, time_columns: &[&str]) -> ContractTable {
        let time_columns = time_columns.iter().map(|name| column(name, "date")).collect();
        ContractTable { time_columns, ..ContractTable::new("warehouse", name) }
    }

    #[test]
    fn the_only_time_column_is_the_source_unless_one_is_declared() {
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
        assert_eq!(
            bound.current_period().as_ref(),
            &Period::Bound,
            "the SQL names it, so it does not depend on the rules"
        );
    }
}
