//! Names that are safe to show, to hash and to log: every one of them matches `[A-Za-z0-9_-]{1,128}`.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// The longest name, in characters: long enough for any key that an encoder shows, short enough for a log line.
const LONGEST: usize = 128;

/// Why a name is refused, in words for the person who typed it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("the {noun} is empty")]
    Empty {
        /// What the name is for, e.g. `stream name`.
        noun: &'static str,
    },
    /// Longer than 128 bytes.
    #[error("the {noun} is {length} bytes long; at most 128 are allowed")]
    TooLong {
        /// What the name is for.
        noun: &'static str,
        /// Its length in bytes.
        length: usize,
    },
    /// A character outside the alphabet.
    #[error("the {noun} has '{}' at position {position}; only A-Z, a-z, 0-9, _ and - are allowed", found.escape_default())]
    Character {
        /// What the name is for.
        noun: &'static str,
        /// Where the character stands, counted in bytes from 1.
        position: usize,
        /// The character.
        found: char,
    },
}

fn check(name: &str, noun: &'static str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty { noun });
    }
    if name.len() > LONGEST {
        return Err(NameError::TooLong { noun, length: name.len() });
    }
    let stranger = name.char_indices().find(|(_, c)| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-'));
    stranger.map_or(Ok(()), |(at, found)| Err(NameError::Character { noun, position: at + 1, found }))
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $noun:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(name: &str) -> Result<Self, NameError> {
                check(name, $noun).map(|()| Self(name.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(name: String) -> Result<Self, NameError> {
                name.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.as_str().to_owned()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    };
}

name!(
    /// The application part of a push or play URL, e.g. `live`.
    App,
    "app name"
);
name!(
    /// The stream part of a push or play URL: the streamer's own name in it.
    Stream,
    "stream name"
);
name!(
    /// The identity of one broadcast. Made by the server, never by a client, so that it may name a folder.
    BroadcastId,
    "broadcast id"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_pass_and_print_as_they_are() {
        for name in ["a", "room-1", "wx40f8626ddf43d361_2796", "-rf", "CON", &"x".repeat(128)] {
            assert_eq!(name.parse::<Stream>().unwrap().to_string(), *name);
        }
    }

    #[test]
    fn hostile_names_are_refused_with_a_reason_that_is_safe_to_print() {
        let long = "x".repeat(129);
        for (name, says) in [
            ("", "the stream name is empty"),
            (long.as_str(), "the stream name is 129 bytes long; at most 128 are allowed"),
            ("../x", "the stream name has '.' at position 1"),
            ("a b", "the stream name has ' ' at position 2"),
            ("a\r\nb", r"the stream name has '\r' at position 2"),
            ("a\0", r"the stream name has '\u{0}' at position 2"),
            ("a\u{202e}b", r"the stream name has '\u{202e}' at position 2"),
            ("%2e%2e", "the stream name has '%' at position 1"),
            ("room1\u{80}", r"the stream name has '\u{80}' at position 6"),
        ] {
            let error = name.parse::<Stream>().unwrap_err().to_string();
            assert!(error.starts_with(says), "{error}");
            assert!(error.chars().all(|c| c.is_ascii_graphic() || c == ' '), "{error:?}");
        }
    }

    #[test]
    fn a_stored_name_is_checked_again_when_it_is_read() {
        assert!(serde_json::from_str::<BroadcastId>(r#""b-1""#).is_ok());
        assert!(serde_json::from_str::<BroadcastId>(r#""../b""#).is_err());
    }
}
