//! The command line.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use kaibo_broadcast::{App, Stream};

use crate::{
    access::{self, Access},
    config::{self, Config, Settings},
    demo,
    reload::Hangups,
    secrets,
    server::{Listening, Server, Stop},
    telemetry,
};

/// Self-hosted live-streaming media server: RTMP in, HLS and FLV out, every broadcast a replay.
#[derive(Parser)]
#[command(version, about, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server. SIGTERM or SIGINT stop it (a second one at once), SIGHUP reads the configuration again.
    Serve {
        /// The configuration file; without it every key has its default.
        #[arg(short, long)]
        config: Option<PathBuf>,
    },
    /// Run the server on a temporary data folder and publish a small built-in clip to it, in a loop.
    Demo,
    /// Print a signed push URL, the server and stream key for OBS, and the play URLs.
    Url {
        /// Name of the stream: letters, digits, `_` and `-`.
        stream: String,
        /// The configuration file.
        #[arg(short, long)]
        config: Option<PathBuf>,
        /// The app.
        #[arg(long, default_value = "live")]
        app: String,
        /// How long the URL may be used to begin a push.
        #[arg(long, default_value = "24h", value_parser = humantime::parse_duration)]
        expires: std::time::Duration,
        /// The host that streamers and viewers reach; by default taken from the configuration.
        #[arg(long, value_parser = access::host)]
        host: Option<String>,
    },
    /// Validate the configuration: exit 0, or 1 with file:line:column of the fault.
    Check {
        /// The configuration file.
        #[arg(short, long, default_value = "config.toml")]
        config: PathBuf,
    },
}

/// Runs what the command line asks for.
pub fn run() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Serve { config } => serve(config.as_deref()),
        Command::Demo => demo::run(),
        Command::Url { stream, config, app, expires, host } => {
            url(config.as_deref(), &app, &stream, expires, host.as_deref())
        }
        Command::Check { config } => check(&config),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("kaibo: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn serve(config: Option<&Path>) -> Result<(), String> {
    let mut settings = load(config)?;
    let log = telemetry::start(&settings.config.log)?;
    secrets::fill(&mut settings).map_err(|error| error.to_string())?;
    runtime()?.block_on(async {
        // Before the start, so that a stop during a long repair is a stop, too.
        let (stop, hangups) = (Stop::signal(), Hangups::signal());
        let running = Server::start(settings).await.map_err(|error| error.to_string())?;
        let server = running.server.clone();
        tokio::select! {
            () = running.run_until(stop) => {}
            () = hangups.obey(server, config, &log) => {}
        }
        Ok(())
    })
}

/// What a server runs with: the file, the environment and the secrets that were made for it.
pub fn settings(config: Option<&Path>) -> Result<Settings, String> {
    let mut settings = load(config)?;
    secrets::fill(&mut settings).map_err(|error| error.to_string())?;
    Ok(settings)
}

fn check(path: &Path) -> Result<(), String> {
    let settings = load(Some(path))?;
    for warning in access::weaknesses(&settings) {
        eprintln!("warning: {warning}");
    }
    eprintln!("{} is valid", path.display());
    Ok(())
}

#[allow(clippy::print_stdout, reason = "this command's output is what it prints")]
fn url(
    config: Option<&Path>,
    app: &str,
    stream: &str,
    expires: std::time::Duration,
    host: Option<&str>,
) -> Result<(), String> {
    let settings = settings(config)?;
    let app = app.parse::<App>().map_err(|error| error.to_string())?;
    let stream = stream.parse::<Stream>().map_err(|error| error.to_string())?;
    if access::is_reserved(&app) {
        return Err(format!("{app} can't be an app: other addresses begin with it"));
    }
    let listening = match unknown_port(&settings.config) {
        None => None,
        Some(key) => Some(
            Listening::of_running(&settings.config.data_dir)
                .ok_or(format!("{key} has port 0, so its port is known only while the server runs"))?,
        ),
    };
    let addresses = access::Addresses::of(&settings.config, listening.as_ref(), host);
    let keys = Access::new(&settings).map_err(|error| error.to_string())?;
    if let Some(longest) = keys.longest_push(&app).filter(|longest| expires > *longest) {
        let longest = humantime::format_duration(longest);
        return Err(format!("--expires is more than auth.push.max_key_ttl allows: {longest}"));
    }
    let push = access::push_url(&keys, &addresses, &app, &stream, access::unix_now() + expires);
    let play = access::play_urls(&addresses, &app, &stream);
    println!("push URL    {}", push.url);
    println!("OBS server  {}", push.server);
    println!("OBS key     {}", push.key);
    println!("expires     {}", push.expires_at);
    for (name, url) in play.named() {
        println!("{name:<10}  {url}");
    }
    Ok(())
}

/// The key of an address that goes into the URLs, and whose port is any.
fn unknown_port(config: &Config) -> Option<&'static str> {
    let (rtmp, http) = (&config.rtmp.listen, &config.http.listen);
    if rtmp.port() == 0 && config.http.public_rtmp_url.is_empty() {
        return Some("rtmp.listen");
    }
    (http.port() == 0 && config.http.public_url.is_empty()).then_some("http.listen")
}

/// The settings of the file and of this process's environment.
pub fn load(path: Option<&Path>) -> Result<Settings, String> {
    let mut env = Vec::new();
    for (key, value) in std::env::vars_os() {
        match (key.into_string(), value.into_string()) {
            (Ok(key), Ok(value)) => env.push((key, value)),
            // Its value may be a key, so it is not shown.
            (Ok(key), Err(_)) if key.starts_with(config::PREFIX) => {
                return Err(format!("{key}: its value is no Unicode text"));
            }
            (Err(key), _) if key.to_string_lossy().starts_with(config::PREFIX) => {
                return Err(format!("{key:?}: the name of this variable is no Unicode text"));
            }
            // Not ours.
            _ => {}
        }
    }
    config::load(path, env.into_iter()).map_err(|error| error.to_string())
}

/// Tasks that a busy worker runs before it looks at its sockets again. A new part wakes everybody who waits for it: if the
/// next requests of the first ones came in between (tokio's default is 61), the last ones had their playlist twice as
/// late. Tens of microseconds each, so 20 ms at the most.
const TASKS_BETWEEN_LOOKS: u32 = 500;

/// The runtime of every command that opens sockets.
pub fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .event_interval(TASKS_BETWEEN_LOOKS)
        .build()
        .map_err(|error| format!("no runtime: {error}"))
}
