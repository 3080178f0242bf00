//! The content of a metric in a request, and its validation.

use actix_web::HttpRequest;
use metricd_domain::{
    Contract, DisplayText, MAX_TITLE_CHARS, MetricDefinition, MetricDescription, MetricId, MetricLimits, MetricTitle,
    Parameter, ParameterDeclaration, Parameters, PeriodDeclaration, SqlText, TimeColumn,
};
use metricd_execution::{Declarations, SqlValidator};
use metricd_repository::MetricContent;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::auth::caller;
use crate::extract::fields::{Field, Fields, read};
use crate::{ApiState, Problem, ProblemCode};

/// A new metric.
#[derive(Debug, ToSchema)]
#[schema(as = NewMetric)]
pub(super) struct NewMetricRequest {
    /// The metric's id; by default it is derived from the title.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_-]+$")]
    pub(super) id: Option<MetricId>,
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    pub(super) title: MetricTitle,
    #[schema(value_type = Option<String>, min_length = 1, max_length = 2000)]
    description: Option<MetricDescription>,
    /// One SELECT over the tables of the data schemas, by default `warehouse`.
    #[schema(value_type = String, min_length = 1)]
    sql: SqlText,
    /// Declarations of parameters. PostgreSQL infers the types of the others.
    #[schema(value_type = Option<Vec<ParameterDeclaration>>)]
    parameters: Parameters,
    /// The time column of the rows, if there are several candidates: `column`, `table.column` or `schema.table.column`.
    #[schema(value_type = Option<String>)]
    time_column: Option<TimeColumn>,
    /// What a period applies to, if the SQL should not decide.
    period: Option<PeriodDeclaration>,
    #[schema(value_type = Option<MetricLimits>)]
    limits: MetricLimits,
}

impl NewMetricRequest {
    /// Reads a body.
    ///
    /// # Errors
    ///
    /// 422 with every fault.
    pub(super) fn read(body: Map<String, Value>) -> Result<Self, Problem> {
        let mut fields = Fields::of(body);
        let id = fields.take_text("id", |text| MetricId::parse(text)).given();
        let MetricPatchRequest { title, description, sql, parameters, time_column, period, limits } =
            MetricPatchRequest::take(&mut fields);
        fields.require("title", title != Field::Absent && title != Field::Null);
        fields.require("sql", sql != Field::Absent);
        fields.finish()?;
        let (Field::Given(title), Field::Given(sql)) = (title, sql) else {
            return Err(Problem::new(ProblemCode::InvalidBody));
        };
        let (description, parameters) = (description.given(), parameters.given().unwrap_or_default());
        let (time_column, period, limits) = (time_column.given(), period.given(), limits.given().unwrap_or_default());
        Ok(Self { id, title, description, sql, parameters, time_column, period, limits })
    }

    /// The content of the metric.
    pub(super) fn content(self) -> DraftContent {
        let Self { id: _, title, description, sql, parameters, time_column, period, limits } = self;
        let display_text = DisplayText { title: Some(title), description };
        DraftContent { display_text, sql, parameters, time_column, period, limits }
    }
}

/// A merge patch (RFC 7396): absent members keep their values, null removes them.
#[derive(Debug, ToSchema)]
#[schema(as = MetricPatch)]
pub(super) struct MetricPatchRequest {
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
    title: Field<MetricTitle>,
    #[schema(value_type = Option<String>, min_length = 1, max_length = 2000)]
    description: Field<MetricDescription>,
    /// One SELECT over the tables of the data schemas, by default `warehouse`.
    #[schema(value_type = Option<String>, nullable = false, min_length = 1)]
    sql: Field<SqlText>,
    #[schema(value_type = Option<Vec<ParameterDeclaration>>)]
    parameters: Field<Parameters>,
    #[schema(value_type = Option<String>)]
    time_column: Field<TimeColumn>,
    /// What a period applies to, if the SQL should not decide.
    #[schema(value_type = Option<PeriodDeclaration>)]
    period: Field<PeriodDeclaration>,
    #[schema(value_type = Option<MetricLimits>)]
    limits: Field<MetricLimits>,
}

impl MetricPatchRequest {
    /// Reads a body.
    ///
    /// # Errors
    ///
    /// 422 with every fault.
    pub(super) fn read(body: Map<String, Value>) -> Result<Self, Problem> {
        let mut fields = Fields::of(body);
        let patch = Self::take(&mut fields);
        fields.finish()?;
        Ok(patch)
    }

    /// Takes the fields, and records their faults.
    fn take(fields: &mut Fields) -> Self {
        let title = fields.take_text("title", MetricTitle::parse);
        let description = fields.take_text("description", MetricDescription::parse);
        let sql = fields.take_text("sql", |text| SqlText::parse(text));
        if sql == Field::Null {
            fields.error("sql", "expected a string, not null");
        }
        let time_column = fields.take_text("time_column", TimeColumn::parse);
        let period = fields.take("period", read::<PeriodDeclaration>);
        let limits = fields.take("limits", read::<MetricLimits>);
        let parameters = take_parameters(fields);
        Self { title, description, sql, parameters, time_column, period, limits }
    }

    /// Whether the request has anything that the contract depends on.
    pub(super) fn names_sql(&self) -> bool {
        self.sql != Field::Absent
            || self.parameters != Field::Absent
            || self.time_column != Field::Absent
            || self.period != Field::Absent
    }

    /// The content of a stored metric with the changes of the request.
    pub(super) fn applied_to(self, before: &MetricDefinition) -> DraftContent {
        let MetricDefinition { metric, display_text, sql, .. } = before.clone();
        let sql = self.sql.applied_to(Some(sql)).unwrap_or_else(|| before.sql.clone());
        let title = match self.title {
            Field::Absent => kept_title(before, &sql),
            title => title.applied_to(None),
        };
        let description = self.description.applied_to(display_text.description);
        DraftContent {
            display_text: DisplayText { title, description },
            sql,
            parameters: self.parameters.applied_to(Some(metric.parameters)).unwrap_or_default(),
            time_column: self.time_column.applied_to(metric.time_column),
            period: self.period.applied_to(metric.period),
            limits: self.limits.applied_to(Some(metric.limits)).unwrap_or_default(),
        }
    }
}

/// The title of a metric without a new title and with this SQL. A title from the old SQL's comment becomes the metric's
/// own unless the new SQL has the same one, so that an absent member changes nothing.
fn kept_title(before: &MetricDefinition, sql: &SqlText) -> Option<MetricTitle> {
    let given = before.display_text.title.clone();
    if given.is_some() || before.sql.title() == sql.title() {
        return given;
    }
    let shown = before.title().chars().filter(|character| !character.is_control()).take(MAX_TITLE_CHARS);
    MetricTitle::parse(&shown.collect::<String>()).ok()
}

/// Takes the declared parameters; a fault names the index.
fn take_parameters(fields: &mut Fields) -> Field<Parameters> {
    let entries = match fields.take("parameters", read::<Vec<Value>>) {
        Field::Given(entries) => entries,
        Field::Null => return Field::Null,
        Field::Absent => return Field::Absent,
    };
    let mut parameters = Parameters::default();
    for (index, entry) in entries.into_iter().enumerate() {
        let declared = read::<ParameterDeclaration>(entry)
            .and_then(|declaration| Parameter::try_from(declaration).map_err(|error| error.to_string()))
            .and_then(|parameter| parameters.push(parameter).map_err(|error| error.to_string()));
        if let Err(message) = declared {
            fields.error(&format!("parameters[{index}]"), message);
        }
    }
    Field::Given(parameters)
}

/// The content of a metric before validation.
#[derive(Debug, Clone)]
pub(super) struct DraftContent {
    display_text: DisplayText,
    sql: SqlText,
    parameters: Parameters,
    time_column: Option<TimeColumn>,
    period: Option<PeriodDeclaration>,
    limits: MetricLimits,
}

impl DraftContent {
    /// Validates the SQL, like all SQL that is stored, and adds its contract.
    ///
    /// # Errors
    ///
    /// 422 with every finding if the SQL is refused, 503 if PostgreSQL cannot be reached.
    pub(super) async fn validated(self, request: &HttpRequest, state: &ApiState) -> Result<MetricContent, Problem> {
        let permits =
            (caller::acquire_validation_permit(request, state).await?, state.acquire_validation_permit().await?);
        let draft = self.clone();
        let validation = async move |validator: SqlValidator| {
            let declared = Declarations {
                parameters: &draft.parameters,
                time_column: draft.time_column.as_ref(),
                period: draft.period.as_ref(),
            };
            validator.validate(&draft.sql, declared).await
        };
        let contract = state.validate(permits, validation).await??;
        Ok(self.with(contract))
    }

    /// Adds a known contract.
    pub(super) fn with(self, contract: Contract) -> MetricContent {
        let Self { display_text, sql, parameters, time_column, period, limits } = self;
        let mut content = MetricContent::new(sql, contract);
        (content.display_text, content.parameters) = (display_text, parameters);
        (content.time_column, content.period, content.limits) = (time_column, period, limits);
        content
    }

    /// The contract of the validated content, if everything that it depends on is the same.
    pub(super) fn contract_as_of(&self, validated: &MetricContent) -> Option<Contract> {
        let own = (&self.sql, &self.parameters, &self.time_column, &self.period);
        let is_same = own == (&validated.sql, &validated.parameters, &validated.time_column, &validated.period);
        is_same.then(|| validated.contract.clone())
    }
}
