//! Why a configuration is refused, in one line for the person who wrote it. No value of a key or token is in it.

use std::{fmt, io, ops::Range};

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("can't read {}: {error}", one_line(what))]
    Read { what: String, error: io::Error },
    /// `file:line:column: what`
    #[error("{}: {}", one_line(&place.to_string()), one_line(what))]
    Invalid { place: Place, what: String },
}

/// Where the fault is.
#[derive(Debug)]
pub enum Place {
    File {
        path: String,
        line: usize,
        column: usize,
    },
    /// A key, or the environment variable that sets it.
    Key(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line, column } => write!(f, "{path}:{line}:{column}"),
            Self::Key(key) => f.write_str(key),
        }
    }
}

impl Place {
    /// Line and column, from 1, of `span` in `text`.
    pub fn in_file(path: &str, text: &str, span: Option<Range<usize>>) -> Self {
        let before = text.get(..span.map_or(0, |span| span.start)).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Self::File { path: path.to_string(), line, column }
    }
}

/// A parser's message in our words: with the nearest known name for an unknown one, and without the value that has
/// the wrong type, which may be a key.
pub fn words(message: &str) -> String {
    if let Some((unknown, known)) = names(message, "unknown field ") {
        return format!("unknown key {unknown:?}{}", nearest(unknown, &known));
    }
    if let Some((unknown, known)) = names(message, "unknown variant ") {
        return format!("{unknown:?} is none of {}{}", known.join(", "), nearest(unknown, &known));
    }
    for fault in ["invalid type: ", "invalid value: "] {
        if let Some((found, expected)) =
            message.strip_prefix(fault).and_then(|rest| rest.rsplit_once(", expected "))
        {
            let kind = found.split(['"', '`']).next().unwrap_or_default().trim();
            return format!("{fault}{kind}, expected {expected}");
        }
    }
    message.to_string()
}

/// The name that "unknown … `x`, expected one of `a`, `b`" complains about, and those that it knows.
fn names<'m>(message: &'m str, fault: &str) -> Option<(&'m str, Vec<&'m str>)> {
    let (unknown, known) = message.strip_prefix(fault)?.strip_prefix('`')?.rsplit_once("`, expected ")?;
    Some((unknown, known.split('`').skip(1).step_by(2).collect()))
}

fn nearest(unknown: &str, known: &[&str]) -> String {
    let likeness = |name: &str| strsim::jaro_winkler(name, unknown);
    match known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b))) {
        Some(near) if likeness(near) > 0.7 => format!(", did you mean {near:?}?"),
        _ => String::new(),
    }
}

/// `text` with its control characters escaped: a name with a line break in it must not make two lines of a message.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.trim().chars() {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}
