//! Who may call, and what for.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use kaibo_broadcast::Secret;

use super::idempotency;
use crate::{
    config::{Scope, Token},
    problem::Problem,
    server::Server,
};

/// Whose token a request has.
#[derive(Clone)]
pub struct Caller {
    pub name: String,
    scopes: Vec<Scope>,
}

impl Caller {
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

/// Lets a request in whose token is good for it.
pub async fn guard(State(server): State<Arc<Server>>, mut request: Request, next: Next) -> Response {
    let caller = match authorize(request.headers(), &server) {
        Ok(caller) => caller,
        Err(problem) => return problem.into_response(),
    };
    let needed = scope(request.method());
    if !caller.may(needed) {
        let detail = format!("this token has no scope {:?}", needed.name());
        return Problem::new(StatusCode::FORBIDDEN, "scope", detail).into_response();
    }
    request.extensions_mut().insert(caller.clone());
    idempotency::once(server, caller, request, next).await
}

fn authorize(headers: &HeaderMap, server: &Server) -> Result<Caller, Problem> {
    let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = header.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let given = Secret::new(token.map_or("", |(_, token)| token));
    // Every token is compared, each in constant time.
    let tokens = &server.settings().config.api.tokens;
    let known =
        tokens.iter().fold(None, |known, token| if token.token == given { Some(token) } else { known });
    match known {
        Some(Token { name, scopes, .. }) if !given.is_empty() => {
            Ok(Caller { name: name.clone(), scopes: scopes.clone() })
        }
        _ => {
            let detail = "a bearer token of this server is needed";
            Err(Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
                .with_header(header::WWW_AUTHENTICATE, "Bearer"))
        }
    }
}

/// What a call needs.
fn scope(method: &Method) -> Scope {
    match *method {
        Method::GET | Method::HEAD => Scope::Read,
        Method::POST | Method::PATCH => Scope::Control,
        // PUT bans, DELETE lifts bans or deletes for good.
        _ => Scope::Admin,
    }
}
