//! A path with its methods. `HEAD`, `OPTIONS`, `Allow` and the refusal of other methods follow from them.

use std::rc::Rc;

use actix_web::body::BoxBody;
use actix_web::dev::{AppService, HttpServiceFactory, ServiceRequest};
use actix_web::http::Method;
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::middleware::{Next, from_fn};
use actix_web::{FromRequest, Handler, HttpResponse, Resource, Responder, guard, web};
use metricd_access::Scope;

use crate::auth::authenticate;
use crate::{Problem, ProblemCode};

/// A path without methods.
pub(super) fn resource(path: &str) -> PathResource {
    PathResource { path: path.to_owned(), resource: web::resource(path), methods: Vec::new() }
}

/// A path with its methods.
pub(super) struct PathResource {
    path: String,
    resource: Resource,
    methods: Vec<(Method, Option<Scope>)>,
}

impl PathResource {
    /// Adds a handler for callers with the scope. A handler of `GET` also answers `HEAD`; the server omits the body.
    pub(super) fn on<F, Args>(self, method: Method, scope: Scope, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.answer(method, Some(scope), handler)
    }

    /// Adds a handler for all callers, with or without a token.
    pub(super) fn open<F, Args>(self, method: Method, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.answer(method, None, handler)
    }

    fn answer<F, Args>(mut self, method: Method, scope: Option<Scope>, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let mut method_guard = guard::Any(guard::Method(method.clone()));
        if method == Method::GET {
            method_guard = method_guard.or(guard::Head());
        }
        self.resource = self.resource.route(web::route().guard(method_guard).to(handler));
        self.methods.push((method, scope));
        self
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    #[cfg(test)]
    pub(super) fn methods(&self) -> Vec<String> {
        self.methods.iter().map(|(method, _)| method.to_string()).collect()
    }

    /// The scope of each method that needs one.
    pub(super) fn scopes(&self) -> Vec<(Method, Scope)> {
        self.methods.iter().filter_map(|(method, scope)| Some((method.clone(), (*scope)?))).collect()
    }

    /// The value of `Allow`.
    fn allow(&self) -> String {
        let methods = || self.methods.iter().map(|(method, _)| method);
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
        let resource = self.resource.route(web::method(Method::OPTIONS).to(options));
        resource.default_service(web::to(refuse)).wrap(guarded).register(config);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allow_names_what_follows_from_the_methods() {
        let answer = || async { "" };
        let allow = |methods: &[Method]| {
            methods.iter().fold(resource("/"), |path, method| path.open(method.clone(), answer)).allow()
        };
        assert_eq!(allow(&[Method::GET]), "GET, HEAD, OPTIONS");
        assert_eq!(allow(&[Method::POST]), "OPTIONS, POST");
        assert_eq!(allow(&[Method::PATCH, Method::GET, Method::DELETE]), "GET, HEAD, OPTIONS, PATCH, DELETE");
    }
}
