//! HTTP as bytes: what is sent is exactly what a test says, and nothing of the answer is hidden.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::Value;

/// An answer, with its headers as they came.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    /// A header's value, empty without one.
    ///
    /// # Panics
    /// If it is there twice.
    pub fn header(&self, name: &str) -> &str {
        let mut values = self.headers.iter().filter(|(known, _)| known == name);
        let value = values.next().map_or("", |(_, value)| value);
        assert!(values.next().is_none(), "{name} twice in {:?}", self.headers);
        value
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }

    /// Asserts that it is an RFC 9457 problem document, and returns its code.
    pub fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!(self.header("cache-control"), "no-store", "an error must not be kept");
        let document = self.json();
        assert_eq!(document["status"], self.status);
        assert_eq!(document["type"], "about:blank");
        assert!(document["title"].is_string() && document["detail"].is_string(), "{document}");
        document["code"].as_str().unwrap().to_owned()
    }
}

/// Sends a request of `line` ("GET /x") and `headers`, and reads the whole answer.
pub fn request(address: &str, line: &str, headers: &[&str]) -> Reply {
    with_body(address, line, headers, b"")
}

/// As [`request`], with a body; its length is among the headers if there is any.
pub fn with_body(address: &str, line: &str, headers: &[&str], body: &[u8]) -> Reply {
    let mut head = format!("{line} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    for header in headers {
        head += &format!("{header}\r\n");
    }
    if !body.is_empty() {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    reply(&exchange(address, &[head.as_bytes(), b"\r\n", body].concat()))
}

/// Sends `bytes` and returns everything until the server closes.
pub fn exchange(address: &str, bytes: &[u8]) -> Vec<u8> {
    let mut socket = connect(address);
    // The server may answer and close before it has read all of it.
    let _ = socket.write_all(bytes);
    read_to_close(&mut socket)
}

pub fn connect(address: &str) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket
}

pub fn read_to_close(socket: &mut TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    match socket.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("the server leaves the connection open: {error}"),
    }
    answer
}

/// Reads a head up to and with its empty line.
pub fn read_head(socket: &mut TcpStream) -> Vec<u8> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    head
}

/// Takes an answer apart. Its body has to be as long as its head says.
pub fn reply(bytes: &[u8]) -> Reply {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("no answer but {:?}", String::from_utf8_lossy(bytes)));
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap();
    let headers = lines
        .map(|line| line.split_once(": ").unwrap_or_else(|| panic!("{line:?} is no header")))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    Reply { status, headers, body: bytes[end + 4..].to_vec() }
}
