//! The schema of several results.

use std::borrow::Cow;

use utoipa::openapi::schema::{ArrayBuilder, KnownFormat, ObjectBuilder, OneOfBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::problem::ProblemSchema;
use crate::results::document::ResultSchema;

/// The results of several metrics.
pub(in crate::routes) struct ResultsSchema;

impl PartialSchema for ResultsSchema {
    fn schema() -> RefOr<Schema> {
        let result = Ref::from_schema_name(ResultSchema::name()).into();
        RefOr::T(results_schema(ArrayBuilder::new().items(RefOr::T(entry_schema(None, Some(result)))).into()))
    }
}

impl ToSchema for ResultsSchema {
    fn name() -> Cow<'static, str> {
        "Results".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((ResultSchema::name().into_owned(), ResultSchema::schema()));
        ResultSchema::schemas(schemas);
    }
}

/// The schema of a document with these entries.
pub(crate) fn results_schema(entries: Schema) -> Schema {
    let instant = ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .description(Some("When the statements were sent to the database."));
    let results = ObjectBuilder::new().schema_type(Type::Object).property("results", entries).required("results");
    results.property("as_of", instant).required("as_of").into()
}

/// The schema of an entry of the metric, or of any: with a result, unless the metric is deleted, or with a problem.
pub(crate) fn entry_schema(metric_id: Option<&str>, result: Option<RefOr<Schema>>) -> Schema {
    let entry = |status: ObjectBuilder, key: &str, schema: RefOr<Schema>| {
        let id = ObjectBuilder::new().schema_type(Type::String).enum_values(metric_id.map(|id| [id]));
        let entry = ObjectBuilder::new().schema_type(Type::Object).property("metric_id", id).required("metric_id");
        entry.property("status", status).required("status").property(key, schema).required(key)
    };
    let status = || ObjectBuilder::new().schema_type(Type::Integer);
    let problem = Ref::from_schema_name(ProblemSchema::name()).into();
    let failed = entry(status().minimum(Some(400)).maximum(Some(599)), "problem", problem);
    match result {
        Some(result) => {
            let ok = entry(status().enum_values(Some([200])), "result", result);
            OneOfBuilder::new().item(ok).item(failed).into()
        }
        None => failed.into(),
    }
}
