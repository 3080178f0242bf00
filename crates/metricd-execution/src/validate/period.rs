//! Decides how a period applies to a statement. A rewrite for a period is validated like the statement itself, by its
//! text and by its resolved query. It must differ from the statement only in what the period changes.

use metricd_domain::{ContractColumn, Parameter, Period, PeriodApply, PeriodColumn, PeriodDeclaration, PeriodSource};

use super::{Declarations, SqlValidationError, SqlValidator};
use crate::arguments::is_period;
use crate::period::{Clock, narrowed, rewritten, source_rows};
use crate::tree::SourceSubquery;
use crate::{Finding, FindingCode, Position, QueryTree, Resolution, Statement};
use metricd_database::Outage;

/// What the author can do if a period cannot be applied.
const PERIOD_ADVICE: &str = "name `:start_date` and `:end_date` in it, or declare another `period`";

/// Why a period cannot be applied.
enum Obstacle {
    /// The reason.
    Reason(String),
    /// The database is unavailable.
    Unavailable(Outage),
}

impl<T: ToString> From<T> for Obstacle {
    fn from(reason: T) -> Self {
        Self::Reason(reason.to_string())
    }
}

impl SqlValidator {
    /// Decides how a period applies to the statement: as the definition declares, or else in a way that keeps the
    /// meaning of the SQL.
    pub(super) async fn period(
        &self,
        statement: &Statement,
        declared: Declarations<'_>,
        resolution: &Resolution,
    ) -> Result<Period, SqlValidationError> {
        let source = PeriodSource::among(&resolution.tables, declared.time_column);
        if let (Err(reason), Some(column)) = (&source, declared.time_column) {
            let finding =
                Finding::new(FindingCode::TimeColumn, Position::START, &column.to_string(), reason.to_string());
            return Err(vec![finding].into());
        }
        let apply = declared.period.and_then(PeriodDeclaration::apply);
        let refused = |reason: &str| {
            let finding = Finding::new(FindingCode::Period, Position::START, "period", reason);
            Err(SqlValidationError::Refused(vec![finding]))
        };
        if statement.parameters().iter().any(|name| is_period(name.as_str())) {
            return match declared.period {
                None => Ok(Period::Bound),
                Some(_) => refused("the SQL names the days of a period itself: leave `period` out"),
            };
        }
        let validation = PeriodValidation { validator: self, statement, declared, resolution };
        let period = match apply {
            Some(PeriodApply::None) => Err(Obstacle::from("the definition says that it takes none")),
            Some(PeriodApply::Source) => match source {
                Ok(source) => validation.to_source(source).await,
                Err(reason) => Err(reason.into()),
            },
            Some(PeriodApply::Result) => validation.to_result(source.ok().as_ref()).await,
            None => match source {
                Ok(source) => validation.by_default(source).await,
                Err(reason) => Err(reason.into()),
            },
        };
        match (period, apply) {
            (Ok(period), _) => Ok(period),
            (Err(Obstacle::Unavailable(outage)), _) => Err(SqlValidationError::Unavailable(outage)),
            // A declared application must be possible.
            (Err(Obstacle::Reason(reason)), Some(PeriodApply::Source | PeriodApply::Result)) => refused(&reason),
            (Err(Obstacle::Reason(reason)), _) => Ok(Period::Unsupported { reason }),
        }
    }
}

/// Validates the application of a period to a statement.
struct PeriodValidation<'a> {
    validator: &'a SqlValidator,
    statement: &'a Statement,
    declared: Declarations<'a>,
    resolution: &'a Resolution,
}

impl PeriodValidation<'_> {
    /// Narrows the source if that keeps the meaning of the SQL. Otherwise it filters the result by the declared column,
    /// or by the column that shows the time column of the source.
    async fn by_default(&self, time: PeriodSource) -> Result<Period, Obstacle> {
        let source = self.source(&time, Clock::Utc).await?;
        let dependences = source.dependences(&self.resolution.tree)?;
        let Some(dependence) = dependences.first() else { return self.narrow(time, &source).await };
        let column = match self.declared.period.and_then(PeriodDeclaration::column) {
            Some(name) => self.named_column(name),
            None => self.shown_column(&time, &source)?,
        };
        let because = |reason: String| {
            let PeriodSource { table, .. } = &time;
            format!(
                "the SQL has {}, which would mean something else on a part of `{table}`, and {reason}: {PERIOD_ADVICE}",
                dependence.name()
            )
        };
        self.filter(column.map_err(because)?).await
    }

    async fn to_source(&self, time: PeriodSource) -> Result<Period, Obstacle> {
        let source = self.source(&time, Clock::Utc).await?;
        self.narrow(time, &source).await
    }

    async fn to_result(&self, time: Option<&PeriodSource>) -> Result<Period, Obstacle> {
        let column = match (self.declared.period.and_then(PeriodDeclaration::column), time) {
            (Some(name), _) => self.named_column(name)?,
            (None, Some(time)) => self.shown_column(time, &self.source(time, Clock::Utc).await?)??,
            (None, None) => self.only_column()?,
        };
        self.filter(column).await
    }

    /// Resolves the subquery that replaces the source.
    async fn source(&self, time: &PeriodSource, clock: Clock) -> Result<SourceSubquery, Obstacle> {
        let rows = source_rows(self.statement, time, &self.resolution.tables, clock)?;
        let (columns, tree) = self.resolved(&rows, &[]).await?;
        let position = columns.iter().position(|column| column.name == time.column);
        Ok(SourceSubquery::new(tree, position)?)
    }

    /// Narrows the source, so that the statement reads only its rows inside the period.
    async fn narrow(&self, time: PeriodSource, source: &SourceSubquery) -> Result<Period, Obstacle> {
        let because =
            |reason: String| format!("the SQL cannot be run on a part of `{}` ({reason}): {PERIOD_ADVICE}", time.table);
        let check = async {
            self.resolution.tree.is_narrowable(source)?;
            self.check_narrowed(&time, source, Clock::Utc).await?;
            if Period::Narrowed(time.clone()).is_of_instants() {
                let source = self.source(&time, Clock::Session).await?;
                self.check_narrowed(&time, &source, Clock::Session).await?;
            }
            Ok(())
        };
        match check.await {
            Ok(()) => Ok(Period::Narrowed(time)),
            Err(Obstacle::Reason(reason)) => Err(because(reason).into()),
            Err(unavailable) => Err(unavailable),
        }
    }

    async fn check_narrowed(&self, time: &PeriodSource, source: &SourceSubquery, clock: Clock) -> Result<(), Obstacle> {
        let narrowed = narrowed(self.statement, time, &self.resolution.tables, clock)?;
        let (_, tree) = self.resolved(&narrowed, self.declared.parameters).await?;
        Ok(self.resolution.tree.is_narrowed_by(&tree, source)?)
    }

    /// Filters the result, so that only its rows inside the period are returned.
    async fn filter(&self, column: PeriodColumn) -> Result<Period, Obstacle> {
        let period = Period::Result(column);
        self.check_filtered(&period, Clock::Utc).await?;
        if period.is_of_instants() {
            self.check_filtered(&period, Clock::Session).await?;
        }
        Ok(period)
    }

    async fn check_filtered(&self, period: &Period, clock: Clock) -> Result<(), Obstacle> {
        let filtered = rewritten(self.statement, period, &self.resolution.tables, clock);
        let filtered = filtered.ok_or_else(|| Obstacle::from("it has no rewrite"))??;
        let (columns, tree) = self.resolved(&filtered, self.declared.parameters).await?;
        if columns != self.resolution.columns {
            return Err("its columns would be others".into());
        }
        Ok(self.resolution.tree.is_filtered_by(&tree)?)
    }

    /// Validates a rewrite, and returns its columns and its tree.
    async fn resolved(
        &self,
        rewrite: &Statement,
        declared: &[Parameter],
    ) -> Result<(Vec<ContractColumn>, QueryTree), Obstacle> {
        let first =
            |findings: Vec<Finding>| findings.first().map(|finding| finding.message.clone()).unwrap_or_default();
        self.validator.guard.check(rewrite).map_err(first)?;
        let resolution = self.validator.resolved(rewrite, declared).await.map_err(|error| match error {
            SqlValidationError::Refused(findings) => Obstacle::from(first(findings)),
            SqlValidationError::Unavailable(outage) => Obstacle::Unavailable(outage),
        })?;
        Ok((resolution.columns, resolution.tree))
    }

    /// The column of the result that shows the time column of the source: the only one, or else the one of the same
    /// name.
    fn shown_column(
        &self,
        time: &PeriodSource,
        source: &SourceSubquery,
    ) -> Result<Result<PeriodColumn, String>, Obstacle> {
        let shown = source.shown_in(&self.resolution.tree)?;
        let columns: Vec<_> = shown.into_iter().filter_map(|position| self.resolution.columns.get(position)).collect();
        let PeriodSource { table, column, .. } = time;
        let found = match columns.as_slice() {
            [] => Err(format!("no column of the result is `{table}.{column}`")),
            [only] => Ok(only),
            several => several
                .iter()
                .find(|shown| shown.name == *column)
                .ok_or_else(|| format!("several columns of the result are `{table}.{column}`")),
        };
        Ok(found.and_then(|column| as_time(column)))
    }

    fn named_column(&self, name: &str) -> Result<PeriodColumn, String> {
        let column = self.resolution.columns.iter().find(|column| column.name == name);
        as_time(column.ok_or_else(|| format!("the result has no column `{name}`"))?)
    }

    /// The only column of the result that is a date or a timestamp.
    fn only_column(&self) -> Result<PeriodColumn, String> {
        let times: Vec<_> = self.resolution.columns.iter().filter_map(|column| as_time(column).ok()).collect();
        match times.as_slice() {
            [] => Err("the result has no column that is a date or a timestamp".to_owned()),
            [only] => Ok(only.clone()),
            _ => Err("the result has several columns that are dates or timestamps: name one as `column`".to_owned()),
        }
    }
}

fn as_time(column: &ContractColumn) -> Result<PeriodColumn, String> {
    let ContractColumn { name, type_name, .. } = column;
    if column.is_time() {
        Ok(PeriodColumn { column: name.clone(), type_name: type_name.clone() })
    } else {
        Err(format!("the column `{name}` of the result is `{type_name}`: expected a date or a timestamp"))
    }
}
