//! What callers send: JSON bodies, names and times, each refused with its reason.

use std::{fmt, marker::PhantomData};

use axum::{
    Json,
    extract::{
        FromRequest, FromRequestParts, OptionalFromRequest, Path, Query, Request, rejection::JsonRejection,
    },
    http::{StatusCode, request::Parts},
};
use kaibo_broadcast::{App, Millis, NameError, Stream};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::{MOST, PAGE};
use crate::{access, problem::Problem};

/// A JSON body.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let Json(Object(body)) = <Json<Object<T>> as FromRequest<S>>::from_request(request, state)
            .await
            .map_err(|rejection| unreadable(&rejection))?;
        Ok(Self(body))
    }
}

/// A JSON body that may be left out, or be `null`.
pub struct Optional<T>(pub T);

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for Optional<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body = <Json<Option<Object<T>>> as OptionalFromRequest<S>>::from_request(request, state)
            .await
            .map_err(|rejection| unreadable(&rejection))?;
        Ok(Self(body.and_then(|Json(body)| body).map(|Object(body)| body).unwrap_or_default()))
    }
}

/// A JSON object. By itself serde also takes an array of a struct's fields in their order.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(fields))
            }
        }

        deserializer.deserialize_any(Fields(PhantomData)).map(Self)
    }
}

/// Why a request body was not read.
fn unreadable(rejection: &JsonRejection) -> Problem {
    let code = match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => "too_large",
        StatusCode::UNPROCESSABLE_ENTITY => "invalid",
        _ => "malformed",
    };
    Problem::new(rejection.status(), code, rejection.body_text())
}

/// The query of a list.
pub struct Filter<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Filter<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        let Query(filter) = query.map_err(|error| Problem::invalid(error.body_text()))?;
        Ok(Self(filter))
    }
}

/// The cursor of a list, as it was handed out.
pub fn cursor(text: Option<String>) -> Result<Option<u64>, Problem> {
    let number = text.map(|text| text.parse()).transpose();
    number.map_err(|_| Problem::invalid("cursor is not a next_cursor of this list"))
}

/// APP and STREAM of a path.
pub struct Name(pub App, pub Stream);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((app, stream)) = path.map_err(|_| Problem::not_found())?;
        Ok(Self(name(&app)?, name(&stream)?))
    }
}

pub fn name<T: std::str::FromStr<Err = NameError>>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error: NameError| Problem::invalid(error.to_string()))
}

/// An app that streams may be pushed under.
pub fn app(text: &str) -> Result<App, Problem> {
    let app = name(text)?;
    if access::is_reserved(&app) {
        return Err(Problem::invalid(format!("{app} can't be an app: other addresses begin with it")));
    }
    Ok(app)
}

/// The app of a request that names none.
pub fn default_app() -> String {
    "live".into()
}

/// A point in time, written as RFC 3339 has it, with any offset from UTC.
#[derive(Clone, Copy)]
pub struct Time(pub Millis);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let example = "\"2026-05-01T20:00:00+08:00\"";
        time(&text).map(Self).ok_or_else(|| D::Error::custom(format!("{text:?} is no time like {example}")))
    }
}

/// How many items a list may have; what is out of bounds, however far, is brought within.
pub struct Limit(pub usize);

impl Default for Limit {
    fn default() -> Self {
        Self(PAGE)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(D::Error::custom(format!("limit: {text:?} is no number")));
        }
        Ok(Self(text.parse().unwrap_or(MOST).clamp(1, MOST)))
    }
}

/// A whole number of seconds. JSON knows no integers: `60.0` is one too (JSON Schema core §4.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seconds(pub u64);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        whole(deserializer, "seconds").map(Self)
    }
}

/// A point in media time, in whole milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaTime(pub i64);

impl<'de> Deserialize<'de> for MediaTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // What is beyond that is beyond every end.
        whole(deserializer, "milliseconds").map(|millis| Self(i64::try_from(millis).unwrap_or(i64::MAX)))
    }
}

fn whole<'de, D: Deserializer<'de>>(deserializer: D, unit: &str) -> Result<u64, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    let written_as_float = || number.to_string().strip_suffix(".0")?.parse().ok();
    let known = number.as_u64().or_else(written_as_float);
    known.ok_or_else(|| D::Error::custom(format!("{number} is no whole number of {unit}")))
}

/// Reads a field that may be `null`, which is not the same as one that is left out.
pub fn nullable<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// RFC 3339 §5.6, from 1970 on.
fn time(text: &str) -> Option<Millis> {
    let upper = text.to_ascii_uppercase();
    let (local, offset) = match upper.strip_suffix('Z') {
        Some(local) => (local, 0),
        None => {
            let (local, offset) = upper.split_at_checked(upper.len().checked_sub(6)?)?;
            (local, offset_minutes(offset)?)
        }
    };
    let since = humantime::parse_rfc3339(&format!("{local}Z"))
        .ok()?
        .duration_since(std::time::SystemTime::UNIX_EPOCH)
        .ok()?;
    Some(Millis(i64::try_from(since.as_millis()).ok()?.checked_sub(offset * 60_000)?))
}

/// `+08:00` in minutes east of UTC.
fn offset_minutes(offset: &str) -> Option<i64> {
    let (sign, rest) = match offset.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let number = |digits: &str, most: i64| {
        let digits =
            Some(digits).filter(|digits| digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit()));
        digits?.parse::<i64>().ok().filter(|number| *number <= most)
    };
    Some(sign * (number(hours, 23)? * 60 + number(minutes, 59)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_any_offset_mean_the_same_moment() {
        let utc = time("2026-05-01T12:00:00.250Z").unwrap();
        assert_eq!(access::rfc3339(utc), "2026-05-01T12:00:00.250Z");
        for same in
            ["2026-05-01T20:00:00.250+08:00", "2026-05-01T06:30:00.250-05:30", "2026-05-01t12:00:00.25z"]
        {
            assert_eq!(time(same), Some(utc), "{same}");
        }
        assert_eq!(time("1970-01-01T00:00:00Z"), Some(Millis(0)));
    }

    #[test]
    fn seconds_are_whole_however_they_are_written() {
        let seconds = |json| serde_json::from_str::<Seconds>(json).ok();
        assert_eq!(seconds("60"), Some(Seconds(60)));
        assert_eq!(seconds("60.0"), Some(Seconds(60)));
        assert_eq!(seconds("6e1"), Some(Seconds(60)));
        for refused in ["60.5", "-1", "-1.0", "1e300", "\"60\"", "null", "true"] {
            assert_eq!(seconds(refused), None, "{refused}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "Z",
            "tomorrow",
            "2026-05-01",
            "2026-05-01T12:00:00",
            "2026-05-01T12:00:00+8:00",
            "2026-05-01T12:00:00+24:00",
            "2026-05-01T12:00:00+08:60",
            "2026-05-01T12:00:00+0800",
            "2026-13-01T12:00:00Z",
            "1969-12-31T23:59:59Z",
            "2026-05-01T12:00:00+-1:00",
            "直播直播直播",
        ] {
            assert_eq!(time(text), None, "{text}");
        }
    }
}
