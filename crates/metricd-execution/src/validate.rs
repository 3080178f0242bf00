//! Validates SQL before it is stored. The guard checks the text, PostgreSQL resolves it, and the guard's rules are
//! applied to the resolved query.

mod period;
mod resolved;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use metricd_domain::{
    Contract, ContractParameter, ContractParts, Metric, Parameter, ParameterName, PeriodDeclaration, SqlText,
    TimeColumn,
};

use self::resolved::{check_resolution, check_special_dates};
use crate::arguments::numbered;
use crate::guard::uses;
use crate::position::position_of;
use crate::resolver::{PendingTable, PendingTableError, Resolution, Resolvable, ResolveError, Resolver};
use crate::rewritten_sql::RewrittenSql;
use crate::special_date::may_have_special_date;
use crate::{Allowed, Finding, FindingCode, Guard, Position, Statement};
use metricd_database::{Fault, Outage, Trouble};

/// Validates SQL before it is stored, and makes its contract.
#[derive(Debug, Clone)]
pub struct SqlValidator {
    guard: Guard,
    resolver: Arc<dyn Resolver>,
}

/// Why SQL is invalid, or could not be validated.
#[derive(Debug, thiserror::Error)]
pub enum SqlValidationError {
    /// The SQL has these findings.
    #[error("the SQL is refused: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Refused(Vec<Finding>),
    /// The database is unavailable.
    #[error("the SQL cannot be validated: {0}")]
    Unavailable(Outage),
}

impl From<Vec<Finding>> for SqlValidationError {
    fn from(findings: Vec<Finding>) -> Self {
        Self::Refused(findings)
    }
}

/// The declarations of a definition about its SQL.
#[derive(Debug, Clone, Copy, Default)]
pub struct Declarations<'a> {
    /// The declared parameters.
    pub parameters: &'a [Parameter],
    /// The column with the date or timestamp of each row.
    pub time_column: Option<&'a TimeColumn>,
    /// What a period applies to, if the definition declares it.
    pub period: Option<&'a PeriodDeclaration>,
}

impl<'a> Declarations<'a> {
    /// The declarations of a metric.
    #[must_use]
    pub fn of(metric: &'a Metric) -> Self {
        Self {
            parameters: &metric.parameters,
            time_column: metric.time_column.as_ref(),
            period: metric.period.as_ref(),
        }
    }
}

impl SqlValidator {
    /// Reads the functions and types of the data schemas, and also allows the functions that the operator adds: `name` for
    /// a function of PostgreSQL, `schema.name` for any other.
    ///
    /// # Errors
    ///
    /// [`SqlValidationError::Unavailable`] if the warehouse cannot be read.
    pub async fn new(
        resolver: Arc<dyn Resolver>,
        added_functions: &BTreeSet<String>,
    ) -> Result<Self, SqlValidationError> {
        let allowed = resolver.allowed().await.map_err(|error| match error {
            ResolveError::Unavailable(outage) => SqlValidationError::Unavailable(outage),
            error => SqlValidationError::Unavailable(Outage::unreachable(error.to_string())),
        })?;
        let allowed = Allowed { added_functions: added_functions.clone(), ..allowed };
        Ok(Self { guard: Guard::new(allowed), resolver })
    }

    /// Also allows the types that the operator adds: `name` for a type of PostgreSQL, `schema.name` for any other.
    #[must_use]
    pub fn with_types(self, added_types: &BTreeSet<String>) -> Self {
        let allowed = Allowed { added_types: added_types.clone(), ..self.guard.allowed().clone() };
        Self { guard: Guard::new(allowed), ..self }
    }

    /// Validates SQL for a database that has these tables as they will be.
    ///
    /// # Errors
    ///
    /// [`PendingTableError`] if PostgreSQL refuses a table, or is unavailable.
    pub async fn with_tables(&self, tables: Vec<PendingTable>) -> Result<Self, PendingTableError> {
        let resolver = Arc::clone(&self.resolver).with_tables(tables).await?;
        Ok(Self { guard: self.guard.clone(), resolver })
    }

    /// Checks the text of the SQL, without PostgreSQL.
    ///
    /// # Errors
    ///
    /// All findings.
    pub fn check_text(&self, sql: &SqlText) -> Result<(), Vec<Finding>> {
        let statement = Statement::parse(sql).map_err(|error| vec![Finding::from(&error)])?;
        self.guard.check(&statement)
    }

    /// Validates the SQL, and returns its contract.
    ///
    /// The future blocks its thread while it parses SQL and compares trees: for a tenth of a second if the SQL has the
    /// maximum size (`cargo bench -p metricd-execution --bench guard`). Do not poll it on a thread that serves other
    /// tasks.
    ///
    /// # Errors
    ///
    /// - [`SqlValidationError::Refused`] with all findings of the guard. If the guard has none, the findings are those
    ///   of PostgreSQL and those in the resolved query.
    /// - [`SqlValidationError::Unavailable`] if the database is unavailable.
    pub async fn validate(&self, sql: &SqlText, declared: Declarations<'_>) -> Result<Contract, SqlValidationError> {
        let statement = Statement::parse(sql).map_err(|error| vec![Finding::from(&error)])?;
        let mut findings = self.guard.check(&statement).err().unwrap_or_default();
        findings.extend(unused(&statement, declared.parameters));
        if !findings.is_empty() {
            return Err(findings.into());
        }
        let resolution = self.resolved(&statement, declared.parameters).await?;
        self.contract(&statement, declared, resolution).await
    }

    /// Resolves a statement that passed the guard, and applies the guard's rules to the resolved query.
    async fn resolved(&self, statement: &Statement, declared: &[Parameter]) -> Result<Resolution, SqlValidationError> {
        let resolution = self.resolve(statement, &numbered(statement, declared)).await?;
        let mut findings = check_resolution(&resolution, self.guard.allowed());
        if resolution.has_time_constants && may_have_special_date(statement) {
            findings.extend(check_special_dates(&uses(statement).special_dates, &resolution.tree));
        }
        if findings.is_empty() { Ok(resolution) } else { Err(findings.into()) }
    }

    async fn resolve(&self, statement: &Statement, numbered: &RewrittenSql) -> Result<Resolution, SqlValidationError> {
        let placeholders = numbered.replacements().into_iter().zip(statement.placeholders());
        // The blank before a parameter does not belong to it.
        let parameter = |range: Range<usize>| {
            let blanks = numbered.text.get(range.clone()).map_or(0, |text| text.len() - text.trim_start().len());
            range.start + blanks..range.end
        };
        let resolvable = Resolvable {
            text: numbered.text.clone(),
            placeholders: placeholders.map(|(range, of)| (parameter(range), of.index)).collect(),
        };
        let mut resolved = self.resolver.resolve(&resolvable).await;
        // If the database responds to another statement, this one is too complex.
        if matches!(resolved, Err(ResolveError::TooSlow(_)))
            && self.guard.is_large(statement)
            && self.resolver.allowed().await.is_ok()
        {
            resolved = Err(ResolveError::TooComplex);
        }
        resolved.map_err(|error| match error {
            ResolveError::Unavailable(outage) => SqlValidationError::Unavailable(outage),
            ResolveError::TooSlow(message) => {
                SqlValidationError::Unavailable(Outage { fault: Fault::Cancelled, message })
            }
            error @ ResolveError::ColumnRepeated(_) => {
                let message = format!("{error}: give each column a name of its own with AS");
                SqlValidationError::Refused(vec![Finding::new(
                    FindingCode::ColumnRepeated,
                    Position::START,
                    "",
                    message,
                )])
            }
            error @ ResolveError::TooComplex => {
                let message = format!(
                    "{error}: name the columns instead of `*`, join less at once, or put a long list into a table"
                );
                SqlValidationError::Refused(vec![Finding::new(FindingCode::TooComplex, Position::START, "", message)])
            }
            ResolveError::Refused { message, hint, character } => {
                let (message, parameter) = with_parameter_names(&message, statement.parameters());
                let written = |index| statement.placeholders().iter().find(|placeholder| placeholder.index == index);
                let origin = character.map(|character| numbered.origin(character));
                let origin = origin.or_else(|| Some(written(parameter?)?.range.start));
                let position = origin.map_or(Position::START, |origin| position_of(statement.text(), origin));
                let snippet = origin.map(|origin| snippet_at(statement.text(), origin)).unwrap_or_default();
                let hint = hint.map(|hint| format!("; {}", lowered(&hint))).unwrap_or_default();
                let name = parameter.and_then(|index| statement.parameters().get(index));
                let advice =
                    name.map(|name| format!("; declare the type of the parameter `{name}`")).unwrap_or_default();
                let message = format!("PostgreSQL says: {message}{hint}{advice}");
                SqlValidationError::Refused(vec![Finding::new(FindingCode::Unresolved, position, snippet, message)])
            }
        })
    }

    async fn contract(
        &self,
        statement: &Statement,
        declared: Declarations<'_>,
        mut resolution: Resolution,
    ) -> Result<Contract, SqlValidationError> {
        let names = statement.parameters().iter().cloned();
        let parameters = names.zip(std::mem::take(&mut resolution.parameter_types));
        let parameters = parameters.map(|(name, type_name)| ContractParameter { name, type_name }).collect();
        // PostgreSQL evaluated a special date literal when it resolved the statement, so later results differ.
        let fingerprint = resolution.fingerprint.take().filter(|_| !may_have_special_date(statement));
        let period = self.period(statement, declared, &resolution).await?;
        let Resolution { columns, tables, enums, .. } = resolution;
        let period_revision = Contract::PERIOD_REVISION;
        let parts = ContractParts { columns, parameters, tables, period, fingerprint, period_revision, enums };
        Contract::new(parts).map_err(|error| {
            let message = format!("PostgreSQL's answer contradicts itself: {error}");
            SqlValidationError::Unavailable(Outage { fault: Fault::Unavailable(Trouble::Internal), message })
        })
    }
}

/// Findings for declared parameters that the SQL does not use.
fn unused(statement: &Statement, declared: &[Parameter]) -> Vec<Finding> {
    let is_unused = |parameter: &&Parameter| !statement.parameters().contains(parameter.name());
    let finding = |parameter: &Parameter| {
        let name = parameter.name().as_str();
        let message = format!("the definition declares `{name}`, and the SQL does not have `:{name}`");
        Finding::new(FindingCode::ParameterUnused, Position::START, name, message)
    };
    declared.iter().filter(is_unused).map(finding).collect()
}

/// Replaces the numbers of parameters in a message of PostgreSQL by names. Also returns the index of the first one,
/// which is the parameter whose type PostgreSQL cannot infer.
fn with_parameter_names(message: &str, names: &[ParameterName]) -> (String, Option<usize>) {
    let mut parts = message.split('$');
    let mut text = parts.next().unwrap_or_default().to_owned();
    let mut first = None;
    for part in parts {
        let (number, rest) = part.split_at(part.bytes().take_while(u8::is_ascii_digit).count());
        let index = number.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        match index.and_then(|index| names.get(index)) {
            Some(name) => {
                text.extend([":", name.as_str(), rest]);
                first = first.or(index);
            }
            None => text.extend(["$", part]),
        }
    }
    (text, first)
}

/// The part of the text from this byte offset to white space, a comma, a parenthesis or a semicolon.
fn snippet_at(text: &str, offset: usize) -> &str {
    let rest = text.get(offset..).unwrap_or_default();
    let end = rest.find(|character: char| character.is_whitespace() || matches!(character, ',' | ')' | ';'));
    rest.get(..end.unwrap_or(rest.len())).unwrap_or_default()
}

/// Removes the full stop and the capital letter of a sentence of PostgreSQL, to append it to a message.
fn lowered(sentence: &str) -> String {
    let sentence = sentence.trim_end_matches('.');
    let mut characters = sentence.chars();
    characters.next().map(|first| first.to_lowercase().chain(characters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
