//! Durations and sizes as people write them.

use std::{fmt, time};

use serde::{Deserialize, Deserializer, de::Error as _};

/// A duration written as `"500ms"`, `"15m"`, `"365d"`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(pub time::Duration);

/// How long frames gather before viewers get them: `"auto"`, or a duration.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Batch {
    /// Not at all, but for the time in which a busy core comes round to its viewers again.
    Auto,
    /// This long.
    Fixed(Duration),
}

/// A number of bytes written as `"64KiB"`, `"16MiB"`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub usize);

impl Duration {
    pub const fn secs(secs: u64) -> Self {
        Self(time::Duration::from_secs(secs))
    }

    pub const fn millis(millis: u64) -> Self {
        Self(time::Duration::from_millis(millis))
    }

    /// Milliseconds, saturating.
    pub fn as_millis(self) -> i64 {
        i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX)
    }
}

impl Size {
    pub const fn kib(kib: usize) -> Self {
        Self(kib << 10)
    }

    pub const fn mib(mib: usize) -> Self {
        Self(mib << 20)
    }

    pub const fn gib(gib: usize) -> Self {
        Self(gib << 30)
    }
}

impl fmt::Debug for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", humantime::format_duration(self.0))
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Fixed(duration) => duration.fmt(f),
        }
    }
}

impl fmt::Debug for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", bytesize::ByteSize(self.0 as u64))
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(&text).map(Self).map_err(|error| {
            D::Error::custom(format!("{text:?} is no duration like \"15m\" or \"500ms\": {error}"))
        })
    }
}

impl<'de> Deserialize<'de> for Batch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "auto" => Ok(Self::Auto),
            _ => humantime::parse_duration(&text).map(|time| Self::Fixed(Duration(time))).map_err(|error| {
                D::Error::custom(format!(
                    "{text:?} is neither \"auto\" nor a duration like \"50ms\": {error}"
                ))
            }),
        }
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes: bytesize::ByteSize = text.parse().map_err(|error| {
            D::Error::custom(format!("{text:?} is no size like \"64KiB\" or \"16MiB\": {error}"))
        })?;
        usize::try_from(bytes.0).map(Self).map_err(|_| D::Error::custom(format!("{text:?} is too large")))
    }
}
