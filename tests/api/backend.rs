//! A client of the control API.

use serde_json::Value;
use ureq::{Agent, http::Request};

use crate::support::{Kaibo, seconds, server::API_TOKEN};

/// What the API answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub kind: String,
    pub body: Value,
}

impl Answer {
    /// Status and code of a problem.
    pub fn refusal(&self) -> (u16, &str) {
        assert_eq!(self.kind, "application/problem+json", "{}", self.body);
        (self.status, self.body["code"].as_str().unwrap())
    }

    /// The body of a success.
    pub fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{} {}", self.status, self.body);
        self.body
    }
}

/// Calls `path` with the token of all scopes.
pub fn call(server: &Kaibo, method: &str, path: &str, body: Value) -> Answer {
    call_with(server, method, path, body, &[("authorization", &format!("Bearer {API_TOKEN}"))])
}

/// Calls `path` with `headers`; without a body where it is null.
pub fn call_with(server: &Kaibo, method: &str, path: &str, body: Value, headers: &[(&str, &str)]) -> Answer {
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .timeout_global(Some(seconds(15)))
        .build()
        .new_agent();
    let mut request = Request::builder().method(method).uri(format!("http://{}{path}", server.at.api));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = match body {
        Value::Null => agent.run(request.body(()).unwrap()),
        body => agent.run(request.header("content-type", "application/json").body(body.to_string()).unwrap()),
    };
    let mut answer = answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
    let kind = answer.headers().get("content-type").map_or("", |kind| kind.to_str().unwrap()).to_owned();
    let text = answer.body_mut().read_to_string().unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Answer { status: answer.status().as_u16(), kind, body }
}

/// Makes a broadcast of `live/STREAM`.
pub fn create(server: &Kaibo, body: Value) -> Value {
    let answer = call(server, "POST", "/api/v1/broadcasts", body);
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.body
}

/// Tells the broadcast `made` what to do.
pub fn command(server: &Kaibo, made: &Value, what: &str, body: Value) -> Answer {
    call(server, "POST", &format!("/api/v1/broadcasts/{}/{what}", made["id"].as_str().unwrap()), body)
}

/// The address of the broadcast `made`.
pub fn at(made: &Value) -> String {
    format!("/api/v1/broadcasts/{}", made["id"].as_str().unwrap())
}
