//! `config.toml`: every setting, its default and its meaning.
//!
//! A file is read whole or not at all: unknown keys, wrong types and senseless values are errors that name their
//! place. `KAIBO__SECTION__KEY` in the environment overrides a key, `KAIBO__SECTION__KEY_FILE` reads it from a file.

mod check;
mod difference;
mod error;
mod load;
mod network;
mod settings;
#[cfg(test)]
mod tests;
mod units;

pub use difference::Change;
pub use load::{PREFIX, load};
pub use settings::{
    Action, App, Auth, BucketName, Config, Hls, Hold, Http, Limits, Log, LogFormat, PlayKeys, ProxyHeader,
    PushKeys, Scope, Settings, Snapshot, Storage, Token, Webhook, WebhookFormat,
};
pub use units::{Batch, Duration};
