//! A path with its operations. `HEAD`, `OPTIONS`, `Allow` and the refusal of other methods follow from them.

use std::rc::Rc;

use actix_web::body::BoxBody;
use actix_web::dev::{AppService, HttpServiceFactory, ServiceRequest};
use actix_web::http::Method;
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::middleware::{Next, from_fn};
use actix_web::{HttpResponse, Resource, web};
use metricd_access::Scope;

use super::operation::Operation;
use crate::auth::authenticate;
use crate::{Problem, ProblemCode};

/// A path with its operations.
pub(super) struct PathResource {
    path: String,
    operations: Vec<Operation>,
}

impl PathResource {
    /// Groups operations by path, in the order of each path's first operation.
    pub(super) fn group(operations: Vec<Operation>) -> Vec<Self> {
        let mut resources: Vec<Self> = Vec::new();
        for operation in operations {
            match resources.iter_mut().find(|resource| resource.path == operation.path) {
                Some(resource) => resource.operations.push(operation),
                None => resources.push(Self { path: operation.path.clone(), operations: vec![operation] }),
            }
        }
        resources
    }

    /// The scope of each method that needs one.
    fn scopes(&self) -> Vec<(Method, Scope)> {
        self.operations.iter().filter_map(|operation| Some((operation.method.clone(), operation.scope?))).collect()
    }

    /// The value of `Allow`.
    fn allow(&self) -> String {
        let methods = || self.operations.iter().map(|operation| &operation.method);
        let reads = if methods().any(|method| *method == Method::GET) { "GET, HEAD, OPTIONS" } else { "OPTIONS" };
        let writes = methods().filter(|method| **method != Method::GET);
        writes.fold(reads.to_owned(), |allow, method| format!("{allow}, {method}"))
    }
}

impl HttpServiceFactory for PathResource {
    fn register(self, config: &mut AppService) {
        // Method names are valid in headers.
        let allow = HeaderValue::try_from(self.allow()).unwrap_or_else(|_| HeaderValue::from_static("OPTIONS"));
        let allowed = allow.clone();
        let options = move || {
            let options = HttpResponse::NoContent().insert_header((ALLOW, allowed.clone())).finish();
            async { options }
        };
        let refuse = move || {
            let problem = Problem::new(ProblemCode::MethodNotAllowed).with_header(ALLOW, allow.clone());
            async { Err::<HttpResponse, _>(problem) }
        };
        let scopes = Rc::new(self.scopes());
        // Runs before a body is read, and before anything is read from the database.
        let guarded = from_fn(move |request: ServiceRequest, next: Next<BoxBody>| {
            let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
            let scope = scopes.iter().find(|(of, _)| of == method).map(|(_, scope)| *scope);
            let checked = scope.map_or(Ok(()), |scope| authenticate::check(&request, scope));
            async move {
                match checked {
                    Ok(()) => next.call(request).await,
                    Err(problem) => Ok(request.error_response(problem)),
                }
            }
        });
        let routes = self.operations.into_iter().map(|operation| operation.route);
        let resource = routes.fold(web::resource(&self.path), Resource::route);
        let resource = resource.route(web::method(Method::OPTIONS).to(options));
        resource.default_service(web::to(refuse)).wrap(guarded).register(config);
    }
}

#[cfg(test)]
mod tests {
    use super::super::operations;
    use super::*;

    #[test]
    fn allow_names_what_follows_from_the_methods() {
        let resources = PathResource::group(operations());
        let allow = |path: &str| {
            let mut of = resources.iter().filter(|resource| resource.path == path);
            let resource = of.next().unwrap();
            assert!(of.next().is_none(), "{path} is one resource");
            resource.allow()
        };
        assert_eq!(allow("/health"), "GET, HEAD, OPTIONS");
        assert_eq!(allow("/ingestions"), "OPTIONS, POST");
        assert_eq!(allow("/metrics"), "GET, HEAD, OPTIONS, POST");
        assert_eq!(allow("/metrics/{metric_id}"), "GET, HEAD, OPTIONS, PATCH, DELETE");
    }
}
