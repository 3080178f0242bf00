//! An operation of the API: a handler with what its `#[utoipa::path]` declares.

use actix_web::http::Method;
use actix_web::{FromRequest, Handler, Responder, Route, guard, web};
use metricd_access::Scope;
use utoipa::openapi::{OpenApi, PathItem, path};

/// The operation of a handler, from the scope that a token needs and the handler. `None` serves all callers, with or
/// without a token.
macro_rules! operation {
    ($scope:expr, $handler:path) => {{
        #[derive(utoipa::OpenApi)]
        #[openapi(paths($handler))]
        struct Documented;

        $crate::routes::operation::Operation::new::<Documented, _, _>($scope, $handler)
    }};
}

pub(super) use operation;

/// An operation. Path and method are those of its handler's `#[utoipa::path]`.
pub(crate) struct Operation {
    pub(super) path: String,
    pub(super) method: Method,
    pub(super) scope: Option<Scope>,
    pub(super) route: Route,
    document: OpenApi,
}

impl Operation {
    /// The operation that `D` documents. A handler of `GET` also answers `HEAD`; the server omits the body.
    pub(super) fn new<D, F, Args>(scope: impl Into<Option<Scope>>, handler: F) -> Self
    where
        D: utoipa::OpenApi,
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let mut document = D::openapi();
        let mut items = document.paths.paths.iter_mut();
        let declared = items.find_map(|(path, item)| Some((path.clone(), declared_operations(item).next()?.0)));
        let Some((path, method)) = declared else { unreachable!("`#[utoipa::path]` declares a path and a method") };
        let mut method_guard = guard::Any(guard::Method(method.clone()));
        if method == Method::GET {
            method_guard = method_guard.or(guard::Head());
        }
        Self { path, method, scope: scope.into(), route: web::route().guard(method_guard).to(handler), document }
    }

    /// The scope that a token needs, and the document of this operation alone with its schemas.
    pub(crate) fn into_document(self) -> (Option<Scope>, OpenApi) {
        (self.scope, self.document)
    }
}

/// The operations of a path, with their methods.
pub(crate) fn declared_operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut path::Operation)> {
    let PathItem { get, post, patch, delete, .. } = item;
    let operations = [(Method::GET, get), (Method::POST, post), (Method::PATCH, patch), (Method::DELETE, delete)];
    operations.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}
