//! What two configurations differ in, in words that may be logged.

use std::{collections::BTreeMap, fmt, net::SocketAddr, path::PathBuf};

use kaibo_broadcast::{Algorithm, ConflictPolicy, EndOnUnpublish, ExpiredResume, Secret};

use super::{
    network::Network,
    settings::{Action, Hold, LogFormat, ProxyHeader, Token, Webhook},
    units::{Batch, Duration, Size},
};

/// A key with two values. What is secret about them is not in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub key: String,
    old: String,
    new: String,
}

impl Change {
    /// Takes effect only with the next start: it is about a socket, a file or a table made at the start.
    pub fn needs_restart(&self) -> bool {
        const FIXED: [&str; 11] = [
            "data_dir",
            "rtmp.listen",
            "http.listen",
            "api.listen",
            "store.url",
            "log.format",
            "limits.rtmp_connections",
            "limits.rtmp_connections_per_address",
            "limits.http_connections",
            "limits.http_connections_per_address",
            "snapshot.processes",
        ];
        // Certificates are followed in their files; which files those are is not.
        let sections = ["rtmp.tls.", "http.tls.", "storage."];
        sections.iter().any(|section| self.key.starts_with(section)) || FIXED.contains(&self.key.as_str())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, old, new } = self;
        // Secrets look alike.
        if old == new { write!(f, "{key} (changed)") } else { write!(f, "{key}: {old} -> {new}") }
    }
}

/// A value of the configuration. It is shown as its `Debug` has it, which for secrets is redacted.
pub trait Compare: fmt::Debug + PartialEq {
    /// Adds what `new` has otherwise to `changes`; `key` is where the value stands.
    fn compare(&self, new: &Self, key: &str, changes: &mut Vec<Change>) {
        if self != new {
            let (key, old, new) = (key.to_string(), format!("{self:?}"), format!("{new:?}"));
            changes.push(Change { key, old, new });
        }
    }
}

macro_rules! values {
    ($($type:ty)*) => { $(impl Compare for $type {})* };
}

values! {
    bool u32 u64 usize String PathBuf SocketAddr Batch Duration Size Secret Hold LogFormat ProxyHeader
    Algorithm ConflictPolicy EndOnUnpublish ExpiredResume
    Vec<String> Vec<Network> Vec<Action> Vec<Token> Vec<Webhook>
}

/// `[apps]` as it stands in the file: what each app comes to is compared instead.
impl Compare for BTreeMap<String, toml::Table> {
    fn compare(&self, _: &Self, _: &str, _: &mut Vec<Change>) {}
}
