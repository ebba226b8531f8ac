//! `kaibo demo`: a server on a temporary folder, and a publisher that loops a built-in clip to it over real RTMP.

mod publisher;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use kaibo_broadcast::{App, Stream};

use crate::{
    access::{self, Addresses},
    cli,
    config::Settings,
    secrets,
    server::{Running, Server, StartError, Stop},
    telemetry,
};

/// How long the demo's push URL may be used; its publisher comes back at once if the connection breaks.
const KEY_LIFE: Duration = Duration::from_secs(24 * 3600);

/// A data folder that goes away with the demo.
struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    fn create() -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("kaibo-demo-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // What can't be removed is the system's temporary folder's to clean.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs until SIGTERM or SIGINT.
pub fn run() -> Result<(), String> {
    let folder = TemporaryFolder::create().map_err(|error| format!("no temporary folder: {error}"))?;
    let mut settings = cli::load(None)?;
    settings.config.data_dir = folder.0.clone();
    settings.config.log.level = "warn".into();
    telemetry::start(&settings.config.log)?;
    secrets::fill(&mut settings).map_err(|error| error.to_string())?;
    cli::runtime()?.block_on(async {
        let running = start(settings).await.map_err(|error| error.to_string())?;
        let server = &running.server;
        let (app, stream) = (valid("live".parse::<App>())?, valid("demo".parse::<Stream>())?);
        let addresses = Addresses::of(&server.settings().config, Some(&server.addresses), None);
        let push = access::push_url(&server.access, &addresses, &app, &stream, access::unix_now() + KEY_LIFE);
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, server.addresses.rtmp.port()));
        let publisher = tokio::spawn(publisher::run(local, "live".to_string(), push.key.clone()));
        print(&folder.0, &addresses, &access::play_urls(&addresses, &app, &stream), &push);
        running.run_until(Stop::signal()).await;
        publisher.abort();
        Ok(())
    })
}

fn valid<T, E: std::fmt::Display>(name: Result<T, E>) -> Result<T, String> {
    name.map_err(|error| error.to_string())
}

/// On the usual ports where they are free, else on any.
async fn start(settings: Settings) -> Result<Running, StartError> {
    match Server::start(settings.clone()).await {
        Err(StartError::Listen { .. }) => {
            let mut settings = settings;
            settings.config.rtmp.listen.set_port(0);
            settings.config.http.listen.set_port(0);
            settings.config.api.listen.set_port(0);
            settings.config.rtmp.tls.listen.set_port(0);
            settings.config.http.tls.listen.set_port(0);
            Server::start(settings).await
        }
        started => started,
    }
}

#[allow(clippy::print_stdout, reason = "this command's output is what it prints")]
fn print(folder: &Path, addresses: &Addresses, play: &access::PlayUrls, push: &access::PushUrl) {
    println!("Kaibo demo: a built-in clip is being pushed over RTMP.\n");
    for (name, url) in play.named() {
        println!("  {name:<8}  {url}");
    }
    println!("\nPush something of your own (OBS: Settings, Stream, Service \"Custom\"):");
    println!("  Server    {}", push.server);
    println!("  Key       make one with the API's POST /push-urls");
    println!(
        "\nControl API  {}/api/v1/broadcasts  (token: {})",
        addresses.api,
        folder.join("secrets.toml").display()
    );
    println!("Ctrl-C stops it and removes its data.");
}
