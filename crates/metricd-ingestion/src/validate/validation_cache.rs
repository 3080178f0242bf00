//! Caches validations, so that an ingestion validates the same SQL with the same declarations only once.
//!
//! Many metrics may read one query, and definitions are validated again if the existing state changes.

use std::collections::HashMap;

use metricd_domain::{Contract, Metric, Parameter, PeriodDeclaration, SqlText, TableName, TimeColumn};
use metricd_execution::{Declarations, Finding, PendingTable, PendingTableError, SqlValidationError, SqlValidator};

/// A contract, or the findings.
pub(super) type Validation = Result<Contract, Vec<Finding>>;

/// Why nothing can be validated.
#[derive(Debug)]
pub(crate) enum ValidationFailure {
    /// The database is unavailable.
    Unavailable(String),
    /// PostgreSQL refuses a table that is not stored yet, with this message.
    Table(TableName, String),
}

#[derive(Debug)]
pub(crate) struct ValidationCache {
    pub(crate) validator: SqlValidator,
    /// The tables that are not stored yet, and the validator for them, which makes them when it is first needed.
    tables: Vec<PendingTable>,
    with_tables: Option<SqlValidator>,
    by_sql: HashMap<SqlText, Vec<(DeclarationKey, Validation)>>,
}

/// The declarations of a metric that affect the validation of its SQL.
#[derive(Debug, Default, PartialEq, Eq)]
struct DeclarationKey {
    parameters: Vec<Parameter>,
    time_column: Option<TimeColumn>,
    period: Option<PeriodDeclaration>,
}

impl ValidationCache {
    pub(crate) fn new(validator: SqlValidator) -> Self {
        Self { validator, tables: Vec::new(), with_tables: None, by_sql: HashMap::new() }
    }

    /// Validates SQL as if these tables were stored. Forgets validations with other tables.
    pub(crate) fn set_tables(&mut self, tables: Vec<PendingTable>) {
        if self.tables != tables {
            self.by_sql.clear();
            self.tables = tables;
            self.with_tables = None;
        }
    }

    /// Ends the validation: the tables that are not stored yet can be made.
    pub(crate) fn release_tables(&mut self) {
        self.with_tables = None;
    }

    /// Validates the SQL with the declarations of the metric. Without a metric, it has no declarations.
    ///
    /// # Errors
    ///
    /// [`ValidationFailure`] if the database is unavailable, or PostgreSQL refuses a table that is not stored yet.
    pub(super) async fn validate(
        &mut self,
        sql: &SqlText,
        metric: Option<&Metric>,
    ) -> Result<Validation, ValidationFailure> {
        let Declarations { parameters, time_column, period } = metric.map(Declarations::of).unwrap_or_default();
        let declared = DeclarationKey {
            parameters: parameters.to_vec(),
            time_column: time_column.cloned(),
            period: period.cloned(),
        };
        if let Some((_, known)) = self.by_sql.get(sql).and_then(|known| known.iter().find(|(of, _)| *of == declared)) {
            return Ok(known.clone());
        }
        if !self.tables.is_empty() && self.with_tables.is_none() {
            let validator = self.validator.with_tables(self.tables.clone()).await.map_err(|error| match error {
                PendingTableError::Refused { table, message } => ValidationFailure::Table(table, message),
                PendingTableError::Unavailable(outage) => ValidationFailure::Unavailable(outage.message),
            })?;
            self.with_tables = Some(validator);
        }
        let validator = self.with_tables.as_ref().unwrap_or(&self.validator);
        let validation = match validator.validate(sql, Declarations { parameters, time_column, period }).await {
            Ok(contract) => Ok(contract),
            Err(SqlValidationError::Refused(findings)) => Err(findings),
            Err(SqlValidationError::Unavailable(outage)) => {
                return Err(ValidationFailure::Unavailable(outage.message));
            }
        };
        self.by_sql.entry(sql.clone()).or_default().push((declared, validation.clone()));
        Ok(validation)
    }

    /// Whether the SQL is valid with the tables as they are stored. `None` if the database does not tell. The tables that
    /// are not stored yet have to be released.
    pub(super) async fn is_valid_as_stored(&self, sql: &SqlText, metric: &Metric) -> Option<bool> {
        match self.validator.validate(sql, Declarations::of(metric)).await {
            Ok(_) => Some(true),
            Err(SqlValidationError::Refused(_)) => Some(false),
            Err(SqlValidationError::Unavailable(_)) => None,
        }
    }
}
