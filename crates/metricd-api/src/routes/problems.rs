//! `/problems`: the pages that `type` of a problem refers to.

pub(super) mod get;
pub(super) mod list;
mod page;

use serde::Serialize;
use utoipa::ToSchema;

use crate::ProblemCode;

/// A problem code.
#[derive(Serialize, ToSchema)]
#[schema(as = ProblemKind)]
struct ProblemResponse {
    code: &'static str,
    /// The path of the page that explains it.
    r#type: String,
    /// The status of its responses.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    title: &'static str,
    detail: &'static str,
}

impl From<ProblemCode> for ProblemResponse {
    fn from(code: ProblemCode) -> Self {
        Self {
            code: code.code(),
            r#type: format!("/problems/{}", code.code()),
            status: code.status().as_u16(),
            title: code.title(),
            detail: code.detail(),
        }
    }
}
