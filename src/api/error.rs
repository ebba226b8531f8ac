//! Errors of the API: RFC 9457 problem documents with stable codes.

use std::fmt::Display;

use axum::{
    Json,
    extract::rejection::JsonRejection,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

/// The stable codes.
pub mod code {
    pub const NOT_FOUND: &str = "not_found";
    pub const METHOD_NOT_ALLOWED: &str = "method_not_allowed";
    pub const UNAUTHORIZED: &str = "unauthorized";
    pub const STOPPING: &str = "stopping";
    pub const NO_BROADCAST: &str = "no_such_broadcast";
    pub const INVALID: &str = "invalid";
    pub const MALFORMED: &str = "malformed";
    pub const TOO_LARGE: &str = "too_large";
}

/// A refusal with its reason.
#[derive(Debug)]
pub struct Error {
    status: StatusCode,
    code: &'static str,
    detail: String,
}

impl Error {
    pub fn new(status: StatusCode, code: &'static str, detail: &str) -> Self {
        Self { status, code, detail: detail.to_string() }
    }

    /// 422: understood, but not to be done as it is.
    pub fn invalid(reason: &dyn Display) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, code: code::INVALID, detail: reason.to_string() }
    }
}

impl From<JsonRejection> for Error {
    fn from(rejection: JsonRejection) -> Self {
        let status = rejection.status();
        let code = match status {
            StatusCode::PAYLOAD_TOO_LARGE => code::TOO_LARGE,
            StatusCode::UNPROCESSABLE_ENTITY => code::INVALID,
            _ => code::MALFORMED,
        };
        Self { status, code, detail: rejection.body_text() }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let document = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or_default(),
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
        });
        let mut response = (self.status, Json(document)).into_response();
        let kind = header::HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
        }
        response
    }
}
