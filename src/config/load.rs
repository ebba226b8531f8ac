//! From text and environment to settings.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use serde::{Deserialize, de::DeserializeOwned};
use toml::{
    Table, Value,
    de::{DeTable, DeValue},
};

use super::{
    check::{self, Fault},
    error::{Error, Place, words},
    settings::{App, Config, Settings},
};

/// Prefix of the environment variables that override keys: `KAIBO__RTMP__LISTEN`.
pub const PREFIX: &str = "KAIBO__";

/// Reads `path` (built-in defaults without one) and the environment.
pub fn load(path: Option<&Path>, env: impl Iterator<Item = (String, String)>) -> Result<Settings, Error> {
    let file = path.map(File::read).transpose()?.unwrap_or_default();
    let mut table = file.table()?;
    let mut variables = BTreeMap::new();
    for (variable, value) in env {
        if let Some(key) = variable.strip_prefix(PREFIX) {
            let key = overlay(&mut table, &variable, key, value)?;
            variables.insert(key, variable);
        }
    }
    let settings = settings(&table).map_err(|fault| place(fault, &file, &variables))?;
    check::check(&settings).map_err(|fault| place(fault, &file, &variables))?;
    Ok(settings)
}

/// A configuration file, or nothing.
#[derive(Default)]
struct File {
    path: String,
    text: String,
}

/// The apps of a file, typed: an error in one of them then has its line.
#[derive(Deserialize)]
struct Apps {
    #[serde(default, rename = "apps")]
    _apps: BTreeMap<kaibo_broadcast::App, App>,
}

impl File {
    fn read(path: &Path) -> Result<Self, Error> {
        let name = path.display().to_string();
        match fs::read_to_string(path) {
            Ok(text) => Ok(Self { path: name, text }),
            Err(error) => Err(Error::Read { what: name, error }),
        }
    }

    /// The file's keys, once it is known that they have the right names and types.
    fn table(&self) -> Result<Table, Error> {
        let _: Config = self.parse()?;
        let _: Apps = self.parse()?;
        self.parse()
    }

    fn parse<T: DeserializeOwned>(&self) -> Result<T, Error> {
        toml::from_str(&self.text).map_err(|error: toml::de::Error| Error::Invalid {
            place: Place::in_file(&self.path, &self.text, error.span()),
            what: words(error.message()),
        })
    }

    /// Where `key` or, if it is left out, its section stands.
    fn place(&self, key: &str) -> Option<Place> {
        let document = DeTable::parse(&self.text).ok()?;
        let mut table = document.get_ref();
        let mut span = None;
        for name in key.split('.') {
            let Some((name, value)) = table.get_key_value(name) else { break };
            span = Some(name.span());
            let DeValue::Table(below) = value.get_ref() else { break };
            table = below;
        }
        span.map(|span| Place::in_file(&self.path, &self.text, Some(span)))
    }
}

/// Says where the value came from that `fault` complains about.
fn place(fault: Fault, file: &File, variables: &BTreeMap<String, String>) -> Error {
    let Fault { key, what } = fault;
    match (variables.get(&key), file.place(&key)) {
        (Some(variable), _) => Error::Invalid { place: Place::Key(variable.clone()), what },
        (None, Some(place)) => Error::Invalid { place, what: format!("{key}: {what}") },
        (None, None) => Error::Invalid { place: Place::Key(key), what },
    }
}

/// Settings of the merged `table`: each app's are those of the file with its own laid over them.
fn settings(table: &Table) -> Result<Settings, Fault> {
    let config: Config = typed(table).map_err(|what| Fault::new("the configuration", what))?;
    let mut apps = BTreeMap::new();
    for (name, over) in &config.apps {
        let fault = |what: String| Fault::new(format!("apps.{name}"), what);
        name.parse::<kaibo_broadcast::App>().map_err(|error| fault(error.to_string()))?;
        let mut sections: Table = ["auth", "broadcast", "hls", "flv", "record"]
            .iter()
            .filter_map(|section| Some((section.to_string(), table.get(*section)?.clone())))
            .collect();
        merge(&mut sections, over);
        apps.insert(name.clone(), Arc::new(typed::<App>(&sections).map_err(fault)?));
    }
    Ok(Settings::new(config, apps))
}

fn typed<T: DeserializeOwned>(table: &Table) -> Result<T, String> {
    T::deserialize(Value::Table(table.clone())).map_err(|error: toml::de::Error| words(error.message()))
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

/// Sets the key that `SECTION__KEY` names (or reads it from the file that `SECTION__KEY_FILE` names) and returns it.
fn overlay(table: &mut Table, variable: &str, key: &str, value: String) -> Result<String, Error> {
    let key = key.to_lowercase();
    let (key, value) = match key.strip_suffix("_file") {
        // The name of the file stays out of the message: somebody may have put the key itself there.
        Some(key) => match fs::read_to_string(value) {
            Ok(text) => (key.to_string(), text.trim_end().to_string()),
            Err(error) => return Err(Error::Read { what: format!("the file that {variable} names"), error }),
        },
        None => (key, value),
    };
    let invalid = |what: String| Error::Invalid { place: Place::Key(variable.to_string()), what };
    let names: Vec<&str> = key.split("__").collect();
    let attempt = |value| -> Result<_, String> {
        let mut changed = table.clone();
        let key = set(&mut changed, &names, value)?;
        settings(&changed).map_err(|fault| fault.what)?;
        Ok((changed, key))
    };
    // Text where the key takes text, so that a key of digits is one, too. Otherwise it is read as it would be in a
    // file: a number, a boolean or a list.
    let done = match (attempt(Value::String(value.clone())), literal(&value)) {
        (Err(error), Some(literal)) if error.starts_with("invalid type") => attempt(literal),
        (done, _) => done,
    };
    let (changed, key) = done.map_err(invalid)?;
    *table = changed;
    Ok(key)
}

fn literal(value: &str) -> Option<Value> {
    format!("value = {value}").parse::<Table>().ok()?.remove("value")
}

/// Sets one key and returns its name as the file would have it. Sections that the file has may differ in case:
/// variables are upper case, apps needn't be lower.
fn set(table: &mut Table, names: &[&str], value: Value) -> Result<String, String> {
    let mut key = Vec::new();
    let mut at = table;
    for (index, name) in names.iter().enumerate() {
        let known = at.keys().find(|known| known.eq_ignore_ascii_case(name)).cloned();
        let name = known.unwrap_or_else(|| name.to_string());
        key.push(name.clone());
        if index + 1 == names.len() {
            at.insert(name, value);
            break;
        }
        let below = at.entry(&name).or_insert_with(|| Value::Table(Table::new()));
        at = below.as_table_mut().ok_or_else(|| format!("{name} is no section"))?;
    }
    Ok(key.join("."))
}
