//! Keys and the API token of a server that was given none: made at the first start, kept in `DATA/secrets.toml`.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
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
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
        Ok(mut file) => {
            let [push, play, token] = [random(), random(), random()];
            let text = format!(
                "# Made at the first start. Whoever reads this file may push, play and control.\n\
                 push_key = \"{push}\"\nplay_key = \"{play}\"\napi_token = \"{token}\"\n"
            );
            file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
            tracing::info!(path = %path.display(), "made random keys and an API token");
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            tracing::info!(path = %path.display(), "keys and API token are those of an earlier start");
        }
        Err(error) => return Err(failed(error)),
    }
    let text = fs::read_to_string(&path).map_err(failed)?;
    toml::from_str(&text).map_err(|_| Error::Malformed(path.clone()))
}

/// 122 random bits as 32 hexadecimal digits.
fn random() -> String {
    HEXLOWER.encode(uuid::Uuid::new_v4().as_bytes())
}
