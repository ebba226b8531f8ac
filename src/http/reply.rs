//! Replies whose length is known: types, caching, conditions, ranges.

use std::{
    borrow::Cow,
    collections::VecDeque,
    ops,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use hyper::{
    Method, Response, StatusCode,
    header::{self, HeaderValue},
};

use kaibo_media::UnixMillis;

use super::{Body, Call};

/// Headers of a reply, with those of [`allow_origin`].
const HEADERS: usize = 12;

/// How long a reply may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// The name is never used twice: keep it for good.
    Immutable,
    /// Good for this many seconds (a live playlist: half a target duration).
    Seconds(u32),
    /// Ask again each time.
    Revalidate,
    /// Never keep it.
    No,
}

/// A reply made of bytes at hand.
pub struct Content<'a> {
    pub kind: &'static str,
    pub cache: Cache,
    /// Strong validator, without quotes; empty for none.
    pub etag: &'a str,
    pub chunks: &'a [Bytes],
    /// The same, gzipped; sent to those who accept it.
    pub gzip: Option<&'a [Bytes]>,
}

impl Content<'_> {
    /// As [`Content::answer`], with the time of what it shows: `Last-Modified`, and `If-Modified-Since` where no other
    /// condition is given (RFC 9110 §13.2.2).
    pub fn answer_dated(self, call: &Call, modified: SystemTime) -> Response<Body> {
        let since = httpdate::parse_http_date(call.header(header::IF_MODIFIED_SINCE)).ok();
        let unchanged = call.header(header::IF_NONE_MATCH).is_empty()
            && since.is_some_and(|since| whole_seconds(modified) <= since);
        let mut response = self.answer(call);
        if unchanged && response.status() == StatusCode::OK {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            *response.body_mut() = Body::Empty;
            response.headers_mut().remove(header::CONTENT_LENGTH);
        }
        if let Ok(value) = HeaderValue::from_str(&httpdate::fmt_http_date(modified)) {
            response.headers_mut().insert(header::LAST_MODIFIED, value);
        }
        response
    }

    /// Answers `call`: conditions (RFC 9110 §13), a single byte range (§14), HEAD.
    pub fn answer(self, call: &Call) -> Response<Body> {
        let mut response = Response::new(Body::Empty);
        let headers = response.headers_mut();
        headers.reserve(HEADERS);
        let mut chunks = self.chunks;
        let zipped = match self.gzip {
            Some(gzip) => {
                headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
                let asked = accepts_gzip(call.header(header::ACCEPT_ENCODING));
                if asked {
                    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                    chunks = gzip;
                }
                asked
            }
            None => false,
        };
        let etag: Cow<'_, str> = match (self.etag, zipped) {
            (etag @ "", _) | (etag, false) => etag.into(),
            // Another encoding is another representation (RFC 9110 §8.8.3.3).
            (etag, true) => format!("{etag}-gzip").into(),
        };
        let total = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        let ranged = Ranged { kind: self.kind, cache: self.cache, etag: &etag, modified: None, total };
        let body = |range| Body::Bytes(slice(chunks, range));
        match zipped {
            true => ranged.whole(call, response, body),
            false => ranged.answer(call, response, body),
        }
    }
}

/// What a reply says of its bytes, of which a stretch may be asked for.
pub struct Ranged<'a> {
    pub kind: &'static str,
    pub cache: Cache,
    /// Strong validator, without quotes; empty for none.
    pub etag: &'a str,
    /// When it became what it is, for good.
    pub modified: Option<UnixMillis>,
    /// Bytes of the whole.
    pub total: u64,
}

impl Ranged<'_> {
    /// Answers `call`: conditions (RFC 9110 §13), a single byte range (§14), HEAD. `response` has the headers that are
    /// known already, `body` makes the body for a range.
    pub fn answer(
        self,
        call: &Call,
        mut response: Response<Body>,
        body: impl FnOnce(ops::Range<u64>) -> Body,
    ) -> Response<Body> {
        response.headers_mut().insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        // Only a GET has ranges (§14.2).
        let asked =
            match *call.request.method() == Method::GET && self.is_still(call.header(header::IF_RANGE)) {
                true => range(call.header(header::RANGE), self.total),
                false => Range::Whole,
            };
        self.send(call, response, asked, body)
    }

    /// The same without ranges.
    fn whole(
        self,
        call: &Call,
        response: Response<Body>,
        body: impl FnOnce(ops::Range<u64>) -> Body,
    ) -> Response<Body> {
        self.send(call, response, Range::Whole, body)
    }

    /// `if_range` speaks of these very bytes (§13.1.5).
    fn is_still(&self, if_range: &str) -> bool {
        if_range.is_empty() || if_range == self.quoted() || self.date().is_some_and(|date| date == if_range)
    }

    fn quoted(&self) -> String {
        if self.etag.is_empty() { String::new() } else { ["\"", self.etag, "\""].concat() }
    }

    fn date(&self) -> Option<String> {
        let since = Duration::from_millis(u64::try_from(self.modified?.0).ok()?);
        Some(httpdate::fmt_http_date(UNIX_EPOCH.checked_add(since)?))
    }

    fn send(
        self,
        call: &Call,
        mut response: Response<Body>,
        asked: Range,
        body: impl FnOnce(ops::Range<u64>) -> Body,
    ) -> Response<Body> {
        let total = self.total;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.kind));
        headers.insert(header::CACHE_CONTROL, cache_control(self.cache));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(Ok(date)) = self.date().map(|date| HeaderValue::from_str(&date)) {
            headers.insert(header::LAST_MODIFIED, date);
        }
        let etag = self.quoted();
        let unchanged = !etag.is_empty() && none_match(call.header(header::IF_NONE_MATCH), &etag);
        if let (false, Ok(value)) = (etag.is_empty(), HeaderValue::try_from(etag)) {
            headers.insert(header::ETAG, value);
        }
        if unchanged {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        let wanted = match asked {
            Range::Whole => 0..total,
            Range::Part { first, last } => {
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                if let Ok(value) = HeaderValue::from_str(&format!("bytes {first}-{last}/{total}")) {
                    response.headers_mut().insert(header::CONTENT_RANGE, value);
                }
                first..last + 1
            }
            Range::Outside => {
                *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
                // The next range may be within it: the refusal must not stand in caches for what is here.
                response.headers_mut().insert(header::CACHE_CONTROL, cache_control(Cache::No));
                if let Ok(value) = HeaderValue::from_str(&format!("bytes */{total}")) {
                    response.headers_mut().insert(header::CONTENT_RANGE, value);
                }
                return response;
            }
        };
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(wanted.end - wanted.start));
        if call.request.method() != Method::HEAD {
            *response.body_mut() = body(wanted);
        }
        response
    }
}

/// Lets pages of the configured origins read `response`, whatever its status.
pub fn allow_origin(origins: &[String], origin: &str, response: &mut Response<Body>) {
    let allowed = if origins.iter().any(|allowed| allowed == "*") {
        HeaderValue::from_static("*")
    } else {
        response.headers_mut().append(header::VARY, HeaderValue::from_static("Origin"));
        match HeaderValue::from_str(origin) {
            Ok(value) if origins.iter().any(|allowed| allowed == origin) => value,
            _ => return,
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("Content-Length, Content-Range, Date, Age, ETag"),
    );
}

fn cache_control(cache: Cache) -> HeaderValue {
    match cache {
        Cache::Immutable => HeaderValue::from_static("public, max-age=31536000, immutable"),
        Cache::Seconds(seconds) => HeaderValue::try_from(format!("public, max-age={seconds}"))
            .unwrap_or_else(|_| HeaderValue::from_static("no-cache")),
        Cache::Revalidate => HeaderValue::from_static("no-cache"),
        Cache::No => HeaderValue::from_static("no-store"),
    }
}

fn accepts_gzip(accepted: &str) -> bool {
    accepted.split(',').any(|coding| {
        let mut fields = coding.split(';').map(str::trim);
        fields.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"))
            && !fields.any(|weight| matches!(weight, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

/// What a header's date can say of a time.
fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

fn none_match(condition: &str, etag: &str) -> bool {
    condition.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

#[derive(Debug, PartialEq, Eq)]
enum Range {
    Whole,
    Part { first: u64, last: u64 },
    Outside,
}

/// A single range; several, or anything not understood, mean the whole (RFC 9110 §14.2 allows it).
fn range(header: &str, total: u64) -> Range {
    let bytes = header.split_once('=').filter(|(unit, _)| unit.eq_ignore_ascii_case("bytes"));
    let ends = bytes.and_then(|(_, range)| range.split_once('-'));
    let Some((Some(first), Some(last))) = ends.map(|(first, last)| (position(first), position(last))) else {
        return Range::Whole;
    };
    match (first, last) {
        (Some(first), last) if last.is_some_and(|last| last < first) => Range::Whole,
        (Some(first), _) if first >= total => Range::Outside,
        (Some(first), last) => Range::Part { first, last: last.unwrap_or(u64::MAX).min(total - 1) },
        (None, Some(0)) => Range::Outside,
        (None, Some(suffix)) if total > 0 => {
            Range::Part { first: total.saturating_sub(suffix), last: total - 1 }
        }
        (None, _) => Range::Whole,
    }
}

/// One end of a range: `Some(None)` where it is open, `None` if it is no number. What is beyond 64 bits is beyond
/// any end.
fn position(text: &str) -> Option<Option<u64>> {
    match text.trim() {
        "" => Some(None),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(Some(digits.parse().unwrap_or(u64::MAX)))
        }
        _ => None,
    }
}

/// The bytes of `range`, without copying.
fn slice(chunks: &[Bytes], range: ops::Range<u64>) -> VecDeque<Bytes> {
    let (mut skip, mut left) = (range.start, range.end.saturating_sub(range.start));
    let mut kept = VecDeque::with_capacity(chunks.len());
    for chunk in chunks {
        let size = chunk.len() as u64;
        if skip >= size {
            skip -= size;
            continue;
        }
        let end = (skip + left).min(size);
        // Both are at most the chunk's length, so they fit.
        kept.push_back(chunk.slice(skip as usize..end as usize));
        left -= end - skip;
        skip = 0;
        if left == 0 {
            break;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_rfc_9110() {
        for (header, expected) in [
            ("", Range::Whole),
            ("bytes=0-0", Range::Part { first: 0, last: 0 }),
            ("bytes=2-", Range::Part { first: 2, last: 9 }),
            ("bytes=-3", Range::Part { first: 7, last: 9 }),
            ("bytes=-30", Range::Part { first: 0, last: 9 }),
            ("bytes=3-100", Range::Part { first: 3, last: 9 }),
            ("bytes=10-", Range::Outside),
            ("bytes=10-11", Range::Outside),
            ("bytes=-0", Range::Outside),
            ("bytes=5-2", Range::Whole),
            ("bytes=0-1,3-4", Range::Whole),
            ("Bytes = 2-3", Range::Whole),
            ("Bytes=2-3", Range::Part { first: 2, last: 3 }),
            ("bytes=5-99999999999999999999", Range::Part { first: 5, last: 9 }),
            ("bytes=99999999999999999999-", Range::Outside),
            ("bytes=+1-2", Range::Whole),
            ("bytes=-", Range::Whole),
            ("lines=0-1", Range::Whole),
        ] {
            assert_eq!(range(header, 10), expected, "{header}");
        }
        assert_eq!(range("bytes=0-0", 0), Range::Outside);
    }

    #[test]
    fn a_slice_spans_chunks() {
        let chunks = vec![Bytes::from_static(b"abc"), Bytes::from_static(b"defg"), Bytes::from_static(b"h")];
        for first in 0..8u64 {
            for length in 1..=8 - first {
                let got = Vec::from(slice(&chunks, first..first + length)).concat();
                assert_eq!(got, b"abcdefgh"[first as usize..(first + length) as usize]);
            }
        }
    }

    #[test]
    fn gzip_only_where_it_is_wanted() {
        assert!(accepts_gzip("br, gzip;q=0.5"));
        assert!(!accepts_gzip("br, gzip;q=0"));
        assert!(!accepts_gzip(""));
    }
}
