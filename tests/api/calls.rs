//! Scopes, repeated requests, and what is refused.

use serde_json::{Value, json};

use crate::{
    backend::{at, call, call_with, create},
    support::{
        Kaibo,
        server::{API_TOKEN, CONTROL_TOKEN, READ_TOKEN},
    },
};

#[test]
fn a_token_is_good_for_its_scopes() {
    let server = Kaibo::start("");
    let made = create(&server, json!({ "stream": "room" }));
    let with = |token: &str, method: &str, path: &str, body: Value| {
        call_with(&server, method, path, body, &[("authorization", &format!("Bearer {token}"))])
    };
    let seen = with(READ_TOKEN, "GET", &at(&made), Value::Null).ok();
    assert_eq!((&seen["id"], &seen["push"]), (&made["id"], &Value::Null), "whoever only looks can't push");
    for (token, method, path, body) in [
        (READ_TOKEN, "POST", "/api/v1/broadcasts", json!({ "stream": "other" })),
        (READ_TOKEN, "POST", "/api/v1/push-urls", json!({ "stream": "room", "expires_in_s": 60 })),
        (READ_TOKEN, "PATCH", &at(&made), json!({ "title": "mine" })),
        (CONTROL_TOKEN, "GET", &at(&made), Value::Null),
        (CONTROL_TOKEN, "GET", "/metrics", Value::Null),
        (CONTROL_TOKEN, "GET", "/api/v1/events", Value::Null),
        (CONTROL_TOKEN, "PUT", "/api/v1/streams/live/room/ban", json!({ "reason": "" })),
        (CONTROL_TOKEN, "DELETE", "/api/v1/streams/live/room/ban", Value::Null),
        (CONTROL_TOKEN, "DELETE", &at(&made), Value::Null),
    ] {
        assert_eq!(with(token, method, path, body).refusal(), (403, "scope"), "{method} {path}");
    }
    assert!(
        with(CONTROL_TOKEN, "PATCH", &at(&made), json!({ "title": "ours" })).ok()["push"]["url"].is_string()
    );
    let nobody = call_with(&server, "GET", "/api/v1/broadcasts", Value::Null, &[]);
    assert_eq!(nobody.refusal(), (401, "unauthorized"));
    let wrong = [("authorization", "Bearer api-token-of-the-test-81d0e6c5")];
    assert_eq!(call_with(&server, "GET", "/metrics", Value::Null, &wrong).refusal(), (401, "unauthorized"));
    assert_eq!(call_with(&server, "GET", "/livez", Value::Null, &[]).status, 200);
    assert_eq!(call(&server, "GET", "/openapi.json", Value::Null).ok()["openapi"], "3.1.0");
}

#[test]
fn a_repeated_request_is_carried_out_once() {
    let mut server = Kaibo::start("");
    let bearer = format!("Bearer {API_TOKEN}");
    let keyed = |server: &Kaibo, key: &str, stream: &str| {
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
        call_with(server, "POST", "/api/v1/broadcasts", json!({ "stream": stream }), &headers)
    };
    let first = keyed(&server, "k1", "room");
    assert_eq!(first.status, 201);
    assert_eq!(keyed(&server, "k1", "room"), first);
    assert_eq!(keyed(&server, "k1", "other").refusal(), (409, "idempotency_conflict"));
    assert_eq!(keyed(&server, "k2", "room").refusal(), (409, "name_taken"));
    server.kill9();
    server.restart();
    assert_eq!(keyed(&server, "k1", "room"), first);
    assert_eq!(server.broadcasts("room").len(), 1);
    // What was refused may be tried again.
    call(
        &server,
        "POST",
        &format!("/api/v1/broadcasts/{}/stop", first.body["id"].as_str().unwrap()),
        Value::Null,
    )
    .ok();
    assert_eq!(keyed(&server, "k2", "room").status, 201);
    for key in [&"k".repeat(256), "two words"] {
        assert_eq!(keyed(&server, key, "room").refusal(), (422, "invalid"), "{key}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_its_reason() {
    let server = Kaibo::start("");
    for (body, why) in [
        (json!({}), "stream"),
        (json!({ "stream": "a b" }), "' ' at position 2"),
        (json!({ "stream": "room", "app": "watch" }), "watch can't be an app"),
        (json!({ "stream": "room", "colour": "red" }), "colour"),
        (json!({ "stream": "room", "resume_window_s": 1801 }), "resume_window_s is more than 1800"),
        (json!({ "stream": "room", "resume_window_s": -1 }), "resume_window_s"),
        (json!({ "stream": "room", "title": "x".repeat(257) }), "title has more than 256"),
        (json!({ "stream": "room", "planned_end": "2020-01-01T00:00:00Z" }), "planned_end has passed"),
        (
            json!({ "stream": "room", "planned_start": "2036-05-02T00:00:00Z", "planned_end": "2036-05-01T00:00:00Z" }),
            "not after planned_start",
        ),
        (json!({ "stream": "room", "planned_start": "tomorrow" }), "is no time like"),
    ] {
        let answer = call(&server, "POST", "/api/v1/broadcasts", body.clone());
        assert_eq!(answer.refusal(), (422, "invalid"), "{body}");
        assert!(answer.body["detail"].as_str().unwrap().contains(why), "{body}: {}", answer.body);
    }
    assert!(server.broadcasts("room").is_empty());
    for (path, code) in [
        ("/api/v1/broadcasts/none", "no_such_broadcast"),
        ("/api/v1/broadcasts/%2e%2e", "no_such_broadcast"),
        ("/api/v1/streams/live/none", "no_such_stream"),
        ("/api/v2/broadcasts", "not_found"),
    ] {
        assert_eq!(call(&server, "GET", path, Value::Null).refusal(), (404, code), "{path}");
    }
    let retry = call(&server, "POST", "/api/v1/webhooks/deliveries/1/retry", Value::Null);
    assert_eq!(retry.refusal(), (404, "no_such_delivery"));
    assert_eq!(
        call(&server, "GET", "/api/v1/webhooks/deliveries?state=lost", Value::Null).refusal(),
        (422, "invalid")
    );
    assert_eq!(server.api("/webhooks/deliveries")["items"], json!([]));
}
