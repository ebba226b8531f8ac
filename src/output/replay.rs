//! placeholder
use hyper::Response;
use crate::{http::{Body, Call}, problem::Problem};
pub fn playlist(_: &Call, _: &str) -> Result<Response<Body>, Problem> { Err(Problem::not_found()) }
pub async fn file(_: &Call, _: &str, _: &str) -> Result<Response<Body>, Problem> { Err(Problem::not_found()) }
