//! The schema of problem documents.

use metricd_domain::IngestionReport;
use utoipa::openapi::schema::{ArrayBuilder, Object, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::{ChecksResponse, Document, FindingResponse, ProblemCode};

/// A problem document with all extension members.
pub(crate) struct ProblemSchema;

impl PartialSchema for ProblemSchema {
    fn schema() -> RefOr<Schema> {
        let RefOr::T(Schema::Object(mut document)) = Document::schema() else { return Document::schema() };
        let findings = ArrayBuilder::new().items(reference::<FindingResponse>());
        let findings = findings.description(Some("With `sql-refused`: what is wrong with the SQL."));
        document.properties.insert("findings".to_owned(), RefOr::T(findings.into()));
        document.properties.insert("report".to_owned(), reference::<IngestionReport>());
        document.properties.insert("checks".to_owned(), reference::<ChecksResponse>());
        let metrics = ArrayBuilder::new().items(ObjectBuilder::new().schema_type(Type::String));
        let metrics = metrics.description(Some("With `table-in-use`: the ids of the metrics that read the table."));
        document.properties.insert("metrics".to_owned(), RefOr::T(metrics.into()));
        let failed = ObjectBuilder::new()
            .schema_type(Type::Object)
            .property("metric_id", ObjectBuilder::new().schema_type(Type::String))
            .required("metric_id")
            .property("status", ObjectBuilder::new().schema_type(Type::Integer))
            .required("status")
            .property("problem", reference::<Self>())
            .required("problem");
        let failed = ArrayBuilder::new().items(failed);
        let failed = failed.description(Some("If no metric of a file has a result: the problem of each."));
        document.properties.insert("results".to_owned(), RefOr::T(failed.into()));
        let text = |description: &str| {
            ObjectBuilder::new().schema_type(Type::String).description(Some(description.to_owned()))
        };
        let message = "The message, with an ellipsis for each value; null if it may be anything.";
        let database_error = ObjectBuilder::new()
            .schema_type(Type::Object)
            .description(Some(
                "With `query-failed`: PostgreSQL's error in the metric's SQL, for callers who may change it.",
            ))
            .property("sqlstate", text("PostgreSQL's error code."))
            .required("sqlstate")
            .property("message", text(message).schema_type(SchemaType::Array(vec![Type::String, Type::Null])))
            .required("message");
        document.properties.insert("database_error".to_owned(), RefOr::T(database_error.into()));
        RefOr::T(Schema::Object(document))
    }
}

impl ToSchema for ProblemSchema {
    fn name() -> std::borrow::Cow<'static, str> {
        "Problem".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Document::schemas(schemas);
        add::<FindingResponse>(schemas);
        add::<IngestionReport>(schemas);
        add::<ChecksResponse>(schemas);
    }
}

fn reference<T: ToSchema>() -> RefOr<Schema> {
    Ref::from_schema_name(T::name()).into()
}

fn add<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}

/// The schema of the codes.
pub(super) fn code() -> Object {
    let codes = ProblemCode::ALL.iter().map(|code| code.code());
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(codes)).build()
}
