//! placeholder
use hyper::Response;
use crate::http::{Body, Call, not_found};
pub fn playlist(_: &Call, _: &str) -> Response<Body> { not_found() }
pub async fn file(_: &Call, _: &str, _: &str) -> Response<Body> { not_found() }
