//! What is said when something can't be had: RFC 9457 problem documents with stable codes, to viewers and backends.

use axum::response::IntoResponse;
use bytes::Bytes;
use hyper::{
    Response, StatusCode,
    header::{self, HeaderName, HeaderValue},
};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::http::Body;

/// How a [`Problem`] looks in JSON (RFC 9457).
#[derive(ToSchema)]
#[schema(as = Problem)]
#[expect(dead_code, reason = "describes a document that is made field by field")]
pub struct Document {
    /// `about:blank`: `code` says what it is.
    r#type: String,
    title: String,
    status: u16,
    /// Stable: decide by it.
    code: String,
    /// For people.
    detail: String,
}

/// A refusal with its reason.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    /// Stable: clients decide by it.
    code: &'static str,
    /// For people.
    detail: String,
    more: Map<String, Value>,
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), more: Map::new(), header: None }
    }

    /// 404 for an address that means nothing.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this address")
    }

    /// 405.
    pub fn method_not_allowed(allowed: &str) -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            format!("this address takes {allowed}"),
        )
    }

    /// 422: understood, but not to be done as it is.
    pub fn invalid(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", reason)
    }

    /// One more field of the document.
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.more.insert(name.to_string(), value);
        self
    }

    /// A header of the response.
    pub fn with_header(self, name: HeaderName, value: &'static str) -> Self {
        Self { header: Some(Box::new((name, HeaderValue::from_static(value)))), ..self }
    }

    /// It is a 404.
    pub fn is_not_found(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }

    /// It may be different in so many seconds.
    pub fn with_retry_after(self, seconds: u64) -> Self {
        Self { header: Some(Box::new((header::RETRY_AFTER, seconds.into()))), ..self }
    }

    fn response<B>(self, body: impl FnOnce(Bytes) -> B) -> Response<B> {
        let mut document = self.more;
        document.insert("type".into(), json!("about:blank"));
        document.insert("title".into(), json!(self.status.canonical_reason().unwrap_or_default()));
        document.insert("status".into(), json!(self.status.as_u16()));
        document.insert("code".into(), json!(self.code));
        document.insert("detail".into(), json!(self.detail));
        let mut response = Response::new(body(Bytes::from(Value::Object(document).to_string())));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        // What is missing now may be there in a second.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(self.header.map(|header| *header));
        response
    }
}

impl From<Problem> for Response<Body> {
    fn from(problem: Problem) -> Self {
        problem.response(Body::from)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> axum::response::Response {
        self.response(axum::body::Body::from)
    }
}
