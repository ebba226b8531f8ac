//! The watch page, built from `web/` and carried in the binary.

use bytes::Bytes;
use hyper::{Response, StatusCode, header};
use kaibo_broadcast::{App, Stream};
use rust_embed::RustEmbed;

use crate::{
    http::{Body, Cache, Call, Content},
    problem::Problem,
};

#[derive(RustEmbed)]
#[folder = "web/dist"]
#[allow_missing = true]
struct Built;

/// What the page may load: itself, and media that it fetched. Nothing inline, nothing from elsewhere.
const POLICY: &str = "default-src 'self'; media-src 'self' blob:; worker-src 'self' blob:; style-src 'self'; \
                      img-src 'self' data:; frame-ancestors *; base-uri 'none'; form-action 'none'";

/// `/watch/APP/STREAM`
pub fn page(call: &Call, app: &str, stream: &str) -> Result<Response<Body>, Problem> {
    if app.parse::<App>().is_err() || stream.parse::<Stream>().is_err() {
        return Err(Problem::not_found());
    }
    let Some(page) = Built::get("index.html") else {
        let detail = "this binary was built without Node.js, so it has no watch page; every stream URL works";
        return Err(Problem::new(StatusCode::NOT_FOUND, "built_without_web", detail));
    };
    let mut response = answer(call, "text/html; charset=utf-8", Cache::Revalidate, page.data);
    for (name, value) in [(header::CONTENT_SECURITY_POLICY, POLICY), (header::REFERRER_POLICY, "no-referrer")]
    {
        response.headers_mut().insert(name, header::HeaderValue::from_static(value));
    }
    Ok(response)
}

/// `/assets/FILE`: names carry a hash of their content.
pub fn asset(call: &Call, file: &str) -> Result<Response<Body>, Problem> {
    let kind = match file.rsplit_once('.') {
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        Some((_, "png")) => "image/png",
        Some((_, "woff2")) => "font/woff2",
        _ => return Err(Problem::not_found()),
    };
    match Built::get(&format!("assets/{file}")).or_else(|| Built::get(file)) {
        Some(asset) => Ok(answer(call, kind, Cache::Immutable, asset.data)),
        None => Err(Problem::not_found()),
    }
}

fn answer(
    call: &Call,
    kind: &'static str,
    cache: Cache,
    data: std::borrow::Cow<'static, [u8]>,
) -> Response<Body> {
    let bytes = match data {
        std::borrow::Cow::Borrowed(data) => Bytes::from_static(data),
        std::borrow::Cow::Owned(data) => Bytes::from(data),
    };
    Content { kind, cache, etag: "", chunks: &[bytes], gzip: None }.answer(call)
}
