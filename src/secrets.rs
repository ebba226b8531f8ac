//! Keys and the API token of a server that was given none: made at the first start, kept in `DATA/secrets.toml`.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use data_encoding::HEXLOWER;
use kaibo_broadcast::Secret;
use serde::Deserialize;

use crate::config::{Scope, Settings, Token};

/// Why the secrets can't be had. Names files, never their content.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("can't use {path}: {error}")]
    File { path: PathBuf, error: io::Error },
    #[error("{0} is no secrets file; remove it to have a new one made")]
    Malformed(PathBuf),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Secrets {
    push_key: Secret,
    play_key: Secret,
    api_token: Secret,
}

/// Gives `settings` the kept secrets where it has none of its own. The file is read or made only if one is missing.
pub fn fill(settings: &mut Settings) -> Result<(), Error> {
    let missing = settings.config.api.tokens.is_empty()
        || settings.all().any(|(_, app)| {
            (app.auth.push.enabled && app.auth.push.key.is_empty())
                || (app.auth.play.enabled && app.auth.play.key.is_empty())
        });
    if !missing {
        return Ok(());
    }
    let secrets = read_or_make(settings.config.data_dir.join("secrets.toml"))?;
    settings.set_push_key(&secrets.push_key);
    settings.set_play_key(&secrets.play_key);
    if settings.config.api.tokens.is_empty() {
        let (name, token) = ("first-start".into(), secrets.api_token);
        settings.config.api.tokens.push(Token { name, token, scopes: Scope::all() });
    }
    Ok(())
}

fn read_or_make(path: PathBuf) -> Result<Secrets, Error> {
    let failed = |error| Error::File { path: path.clone(), error };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    if path.try_exists().map_err(failed)? {
        tracing::debug!(path = %path.display(), "keys and API token are those of an earlier start");
    } else {
        make(&path).map_err(failed)?;
        tracing::info!(path = %path.display(), "made random keys and an API token");
    }
    let text = fs::read_to_string(&path).map_err(failed)?;
    toml::from_str(&text).map_err(|_| Error::Malformed(path.clone()))
}

/// Writes fresh secrets to `path`: whole, or not at all. Of two that are made at once, the last stays.
fn make(path: &Path) -> io::Result<()> {
    let [push, play, token] = [random(), random(), random()];
    let text = format!(
        "# Made at the first start. Whoever reads this file may push, play and control.\n\
         push_key = \"{push}\"\nplay_key = \"{play}\"\napi_token = \"{token}\"\n"
    );
    // A name of its own: nobody else writes to it.
    let fresh = path.with_extension(format!("toml.{}", std::process::id()));
    let written =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh).and_then(
            |mut file| {
                file.write_all(text.as_bytes())?;
                file.sync_all()?;
                fs::rename(&fresh, path)
            },
        );
    if written.is_err() {
        // It has secrets in it that nobody uses.
        let _ = fs::remove_file(&fresh);
    }
    written?;
    // The name, too, is to outlive a power cut. (A relative name has an empty parent.)
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    fs::File::open(folder)?.sync_all()
}

/// 122 random bits as 32 hexadecimal digits.
fn random() -> String {
    HEXLOWER.encode(uuid::Uuid::new_v4().as_bytes())
}
