//! How numbers are written.

use metricd_execution::{MetricStatement, Numbers};
use utoipa::ToSchema;

use crate::extract::query_string::QueryString;

/// How numbers are written.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "read by the document alone")]
pub(crate) enum NumbersParam {
    Number,
    String,
}

/// The name of the parameter.
const NUMBERS: &str = "numbers";

/// Takes the parameter, unless one of the statements has a parameter of its own with this name.
pub(crate) fn take_numbers<'a>(
    query: &mut QueryString<'_>,
    mut statements: impl Iterator<Item = &'a MetricStatement>,
) -> Numbers {
    let has_own = statements.any(|statement| statement.parameters().any(|(name, _, _)| name == NUMBERS));
    let taken = if has_own { None } else { query.take(NUMBERS, parse) };
    taken.unwrap_or_default()
}

fn parse(text: &str) -> Result<Numbers, &'static str> {
    match text {
        "number" => Ok(Numbers::Number),
        "string" => Ok(Numbers::Text),
        _ => Err("expected `number` or `string`"),
    }
}
