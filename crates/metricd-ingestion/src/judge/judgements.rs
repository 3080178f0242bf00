//! What the judge has said in an ingestion, so that it is asked once for each SQL with the same declarations.
//!
//! Many metrics may read one query, and definitions are judged again where somebody has changed what is stored meanwhile.

use std::collections::HashMap;

use metricd_domain::{Contract, Metric, Parameter, PeriodDeclaration, SqlText, TimeColumn};
use metricd_execution::{Declarations, Finding, Judge, JudgeError};

/// A contract, or why there is none.
type Judgement = Result<Contract, Vec<Finding>>;

#[derive(Debug)]
pub(crate) struct Judgements {
    pub(crate) judge: Judge,
    of_sql: HashMap<SqlText, Vec<(Declared, Judgement)>>,
}

/// What a metric declares of its SQL.
#[derive(Debug, Default, PartialEq, Eq)]
struct Declared {
    parameters: Vec<Parameter>,
    time_column: Option<TimeColumn>,
    period: Option<PeriodDeclaration>,
}

impl Judgements {
    pub(crate) fn new(judge: Judge) -> Self {
        Self { judge, of_sql: HashMap::new() }
    }

    /// The judgement of the SQL with the metric's declarations; without any where no metric reads it.
    ///
    /// # Errors
    ///
    /// A sentence, where the database cannot be asked.
    pub(super) fn judge(&mut self, sql: &SqlText, metric: Option<&Metric>) -> Result<Judgement, String> {
        let Declarations { parameters, time_column, period } = metric.map(Declarations::of).unwrap_or_default();
        let declared =
            Declared { parameters: parameters.to_vec(), time_column: time_column.cloned(), period: period.cloned() };
        if let Some((_, said)) = self.of_sql.get(sql).and_then(|of_sql| of_sql.iter().find(|(of, _)| *of == declared)) {
            return Ok(said.clone());
        }
        let said = match self.judge.judge(sql, Declarations { parameters, time_column, period }) {
            Ok(contract) => Ok(contract),
            Err(JudgeError::Refused(findings)) => Err(findings),
            Err(JudgeError::Unavailable(outage)) => return Err(outage.message),
        };
        self.of_sql.entry(sql.clone()).or_default().push((declared, said.clone()));
        Ok(said)
    }
}
