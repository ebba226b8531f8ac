//! From text and environment to checked settings.

use std::{collections::BTreeMap, fmt, io, ops::Range, path::Path, sync::Arc};

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::settings::{App, Config, Settings};

/// Prefix of the environment variables that override keys: `KAIBO__RTMP__LISTEN`.
const PREFIX: &str = "KAIBO__";

/// Why a configuration was refused. Shown to an operator as it is; holds no secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("can't read {path}: {error}")]
    Read { path: String, error: io::Error },
    /// `file:line:column: what`
    #[error("{place}: {what}")]
    Invalid { place: Place, what: String },
}

/// Where the fault is.
#[derive(Debug)]
pub enum Place {
    File { path: String, line: usize, column: usize },
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

/// Reads `path` (built-in defaults without one) and the environment.
pub fn load(path: Option<&Path>, env: impl Iterator<Item = (String, String)>) -> Result<Settings, Error> {
    let (name, text) = match path {
        None => (String::new(), String::new()),
        Some(path) => {
            let name = path.display().to_string();
            let text = std::fs::read_to_string(path).map_err(|error| Error::Read { path: name.clone(), error })?;
            (name, text)
        }
    };
    // The file alone first: its errors know line and column, those of the merged table only a key.
    let mut table: Table = located(&name, &text)?;
    let _: Config = located(&name, &text)?;
    for (key, value) in env {
        if let Some(key) = key.strip_prefix(PREFIX) {
            overlay(&mut table, key, &value)?;
        }
    }
    let config: Config = from_table(&table, "the environment")?;
    let mut apps = BTreeMap::new();
    for (app, over) in &config.apps {
        let place = format!("apps.{app}");
        if let Err(error) = app.parse::<kaibo_broadcast::App>() {
            return Err(invalid(place, error));
        }
        let mut merged: Table =
            ["auth", "broadcast", "hls", "flv", "record"]
                .iter()
                .filter_map(|section| Some((section.to_string(), table.get(*section)?.clone())))
                .collect();
        merge(&mut merged, over);
        apps.insert(app.clone(), Arc::new(from_table::<App>(&merged, &place)?));
    }
    let settings = Settings::new(config, apps);
    check(&settings)?;
    Ok(settings)
}

/// Senseless values that parse all the same.
fn check(settings: &Settings) -> Result<(), Error> {
    for (app, sections) in settings.all() {
        let key = |key: &str| app.map_or(key.to_string(), |app| format!("apps.{app}.{key}"));
        let within = |name: &str, value: super::units::Duration, low: super::units::Duration, high: super::units::Duration| {
            if value < low || value > high {
                return Err(invalid(key(name), format!("{value:?} is outside {low:?} to {high:?}")));
            }
            Ok(())
        };
        use super::units::Duration as D;
        within("broadcast.resume_window", sections.broadcast.resume_window, D::secs(0), D::secs(1800))?;
        // FLV carries 31 bits of milliseconds: 24.8 days.
        within("broadcast.max_duration", sections.broadcast.max_duration, D::secs(1), D::secs(20 * 86_400))?;
        within("hls.segment", sections.hls.segment, D::millis(500), D::secs(20))?;
        within("hls.part", sections.hls.part, D::millis(100), sections.hls.segment)?;
        within("hls.window", sections.hls.window, D(sections.hls.segment.0 * 6), D::secs(600))?;
        within("flv.batch", sections.flv.batch, D::secs(0), D::secs(1))?;
        within("record.sync", sections.record.sync, D::millis(100), D::secs(60))?;
        if sections.auth.push.enabled && sections.auth.push.key.is_empty() && !sections.auth.push.backup_key.is_empty()
        {
            return Err(invalid(key("auth.push.key"), "a backup key needs a main key"));
        }
    }
    for (index, token) in settings.config.api.tokens.iter().enumerate() {
        if token.token.expose().len() < 16 {
            return Err(invalid(format!("api.tokens[{index}].token"), "an API token has at least 16 characters"));
        }
    }
    for (key, url, scheme) in [
        ("http.public_url", &settings.config.http.public_url, ["http://", "https://"]),
        ("http.public_rtmp_url", &settings.config.http.public_rtmp_url, ["rtmp://", "rtmps://"]),
    ] {
        if !url.is_empty() && !scheme.iter().any(|scheme| url.starts_with(scheme)) {
            return Err(invalid(key, format!("{url:?} does not begin with {} or {}", scheme[0], scheme[1])));
        }
    }
    Ok(())
}

fn invalid(key: impl Into<String>, what: impl fmt::Display) -> Error {
    Error::Invalid { place: Place::Key(key.into()), what: what.to_string() }
}

/// Parses `text`; an error names its line and column.
fn located<T: DeserializeOwned>(path: &str, text: &str) -> Result<T, Error> {
    toml::from_str(text).map_err(|error: toml::de::Error| Error::Invalid {
        place: position(path, text, error.span()),
        what: suggest(error.message()),
    })
}

fn from_table<T: DeserializeOwned>(table: &Table, place: &str) -> Result<T, Error> {
    T::deserialize(Value::Table(table.clone()))
        .map_err(|error: toml::de::Error| invalid(place, suggest(error.to_string().trim())))
}

fn position(path: &str, text: &str, span: Option<Range<usize>>) -> Place {
    let before = text.get(..span.map_or(0, |span| span.start)).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Place::File { path: path.to_string(), line, column }
}

/// "unknown field `x`, expected one of `a`, `b`" becomes "unknown key x, did you mean a?".
fn suggest(message: &str) -> String {
    let Some(rest) = message.strip_prefix("unknown field `") else {
        return message.replace('\n', " ");
    };
    let mut names = rest.split('`').step_by(2);
    let unknown = names.next().unwrap_or_default();
    let nearest = names
        .chain(rest.split('`').skip(2).step_by(2))
        .filter(|name| !name.trim().is_empty())
        .max_by(|a, b| strsim::jaro_winkler(a, unknown).total_cmp(&strsim::jaro_winkler(b, unknown)));
    match nearest {
        Some(near) if strsim::jaro_winkler(near, unknown) > 0.7 => {
            format!("unknown key {unknown:?}, did you mean {near:?}?")
        }
        _ => format!("unknown key {unknown:?}"),
    }
}

/// Lays `over` upon `base`, table by table.
fn merge(base: &mut Table, over: &Table) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => merge(below, above),
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Sets `SECTION__KEY` (or reads it from the file that `SECTION__KEY_FILE` names).
fn overlay(table: &mut Table, key: &str, value: &str) -> Result<(), Error> {
    let variable = format!("{PREFIX}{key}");
    let key = key.to_lowercase();
    let (path, value) = match key.strip_suffix("_file") {
        Some(path) => {
            let secret = std::fs::read_to_string(value)
                .map_err(|error| Error::Read { path: format!("{value} (named by {variable})"), error })?;
            (path.to_string(), Value::String(secret.trim_end().to_string()))
        }
        // Numbers, booleans and lists are written as in the file; anything else is a string.
        None => (key, format!("v = {value}").parse::<Table>().ok().and_then(|mut t| t.remove("v")).unwrap_or_else(|| Value::String(value.to_string()))),
    };
    let mut at = table;
    let mut names = path.split("__").peekable();
    while let Some(name) = names.next() {
        if names.peek().is_none() {
            at.insert(name.to_string(), value);
            return Ok(());
        }
        let below = at.entry(name.to_string()).or_insert_with(|| Value::Table(Table::new()));
        at = below.as_table_mut().ok_or_else(|| invalid(variable.clone(), format!("{name} is no section")))?;
    }
    Ok(())
}
