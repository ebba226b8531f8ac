//! A plain HTTP client.

use std::{io::Read, time::Duration};

use ureq::{Agent, Body, http::Response};

/// A whole answer.
pub struct Reply {
    pub status: u16,
    headers: ureq::http::HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value, empty without one.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Bytes of an answer: far more than any segment or playlist of a test has.
const MOST: u64 = 64 << 20;

pub fn get(url: &str, headers: &[(&str, &str)]) -> Reply {
    try_get(url, headers).unwrap_or_else(|error| panic!("GET {url}: {error}"))
}

pub fn head(url: &str) -> Reply {
    let reply = agent(Some(Duration::from_secs(15))).head(url).call().and_then(read);
    reply.unwrap_or_else(|error| panic!("HEAD {url}: {error}"))
}

/// As [`get`], for a server that may be away.
pub fn try_get(url: &str, headers: &[(&str, &str)]) -> Result<Reply, ureq::Error> {
    let request = agent(Some(Duration::from_secs(15))).get(url);
    read(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).call()?)
}

pub fn post(url: &str, headers: &[(&str, &str)]) -> Reply {
    let request = agent(Some(Duration::from_secs(15))).post(url);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.send_empty().and_then(read).unwrap_or_else(|error| panic!("POST {url}: {error}"))
}

pub fn delete(url: &str, headers: &[(&str, &str)]) -> Reply {
    let request = agent(Some(Duration::from_secs(15))).delete(url);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.call().and_then(read).unwrap_or_else(|error| panic!("DELETE {url}: {error}"))
}

/// A body that goes on for as long as the server likes.
pub fn stream(url: &str) -> Response<Body> {
    agent(None).get(url).call().unwrap_or_else(|error| panic!("GET {url}: {error}"))
}

fn agent(limit: Option<Duration>) -> Agent {
    Agent::config_builder().http_status_as_error(false).timeout_global(limit).build().new_agent()
}

fn read(response: Response<Body>) -> Result<Reply, ureq::Error> {
    let (head, body) = response.into_parts();
    let mut bytes = Vec::new();
    body.into_reader().take(MOST).read_to_end(&mut bytes)?;
    Ok(Reply { status: head.status.as_u16(), headers: head.headers, body: bytes })
}
