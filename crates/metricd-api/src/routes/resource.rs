//! A path with the methods that it takes, of which `HEAD`, `OPTIONS`, `Allow` and the answer to every other method follow.

use actix_web::dev::{AppService, HttpServiceFactory};
use actix_web::http::Method;
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::{FromRequest, Handler, HttpResponse, Resource, Responder, guard, web};

use crate::{Problem, ProblemCode};

/// A path that takes nothing yet.
pub(super) fn resource(path: &str) -> PathResource {
    PathResource {
        #[cfg(test)]
        path: path.to_owned(),
        resource: web::resource(path),
        methods: Vec::new(),
    }
}

/// A path and the methods that it takes.
pub(super) struct PathResource {
    #[cfg(test)]
    path: String,
    resource: Resource,
    methods: Vec<Method>,
}

impl PathResource {
    /// Answers the method with the handler. What answers `GET` answers `HEAD` as well: the server leaves the body out.
    pub(super) fn on<F, Args>(mut self, method: Method, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let mut asked = guard::Any(guard::Method(method.clone()));
        if method == Method::GET {
            asked = asked.or(guard::Head());
        }
        self.resource = self.resource.route(web::route().guard(asked).to(handler));
        self.methods.push(method);
        self
    }

    #[cfg(test)]
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    #[cfg(test)]
    pub(super) fn methods(&self) -> Vec<String> {
        self.methods.iter().map(ToString::to_string).collect()
    }

    /// The value of `Allow`.
    fn allow(&self) -> String {
        let reads = if self.methods.contains(&Method::GET) { "GET, HEAD, OPTIONS" } else { "OPTIONS" };
        let writes = self.methods.iter().filter(|method| **method != Method::GET);
        writes.fold(reads.to_owned(), |allow, method| format!("{allow}, {method}"))
    }
}

impl HttpServiceFactory for PathResource {
    fn register(self, config: &mut AppService) {
        // A method's name is made of what a header may hold.
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
        self.resource.route(web::method(Method::OPTIONS).to(options)).default_service(web::to(refuse)).register(config);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allow_names_what_follows_from_the_methods() {
        let answer = || async { "" };
        let allow = |methods: &[Method]| {
            methods.iter().fold(resource("/"), |path, method| path.on(method.clone(), answer)).allow()
        };
        assert_eq!(allow(&[Method::GET]), "GET, HEAD, OPTIONS");
        assert_eq!(allow(&[Method::POST]), "OPTIONS, POST");
        assert_eq!(allow(&[Method::PATCH, Method::GET, Method::DELETE]), "GET, HEAD, OPTIONS, PATCH, DELETE");
    }
}
