//! Logs and metrics.

use std::{fmt::Write, io::IsTerminal, sync::atomic::AtomicI64, time::Duration};

use hyper::StatusCode;
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, registry, reload, util::SubscriberInitExt};

use crate::{
    config::{Action, Log, LogFormat},
    gate::Verdict,
};

/// What is logged now.
pub struct LogFilter(Box<dyn Fn(EnvFilter) + Send + Sync>);

impl LogFilter {
    /// From now on `level` decides. One that is no filter was refused with the configuration, and changes nothing.
    pub fn set(&self, level: &str) {
        if let Ok(filter) = EnvFilter::try_new(level) {
            (self.0)(filter);
        }
    }
}

/// Starts logging to standard error.
pub fn start(log: &Log) -> Result<LogFilter, String> {
    let filter =
        EnvFilter::try_new(&log.level).map_err(|error| format!("log.level {:?}: {error}", log.level))?;
    let (filter, handle) = reload::Layer::new(filter);
    let colours = std::io::stderr().is_terminal();
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
    let registry = registry().with(filter);
    // A second start (the demo's server in one process with its publisher) keeps the first one's settings.
    let _ = match log.format {
        LogFormat::Text => registry.with(lines.with_target(false)).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
    Ok(LogFilter(Box::new(move |filter| {
        // An error means that nothing is logged at all.
        let _ = handle.reload(filter);
    })))
}

/// How somebody watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    Flv,
    WsFlv,
    Rtmp,
    /// Without a connection of their own.
    Hls,
    /// The same, after the fact.
    Replay,
    /// After the fact, as one file. Who watches that is one of those, too.
    Mp4,
}

impl EncodeLabelValue for Protocol {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
        encoder.write_str(match self {
            Self::Flv => "flv",
            Self::WsFlv => "ws_flv",
            Self::Rtmp => "rtmp",
            Self::Hls => "hls",
            Self::Replay => "replay",
            Self::Mp4 => "mp4",
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByProtocol {
    protocol: Protocol,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByStatus {
    status: u16,
}

/// What the backend was asked, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    action: &'static str,
    result: &'static str,
}

/// What a picture was wanted for, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Pictured {
    purpose: &'static str,
    result: &'static str,
}

/// How long something took that usually takes a tenth of a second.
#[derive(Clone)]
pub struct Seconds(Histogram);

impl Default for Seconds {
    fn default() -> Self {
        Self(Histogram::new([0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0]))
    }
}

impl Seconds {
    pub fn observe(&self, took: Duration) {
        self.0.observe(took.as_secs_f64());
    }
}

/// The counters of a server. No label carries a name, an address or a key: series stay bounded.
#[derive(Default)]
pub struct Metrics {
    pub ingest_bytes: Counter,
    pub ingest_frames: Counter,
    pub rejected: Counter,
    pub resumes: Counter,
    pub publishers: Gauge,
    pub broadcasts: Gauge,
    pub holding: Gauge,
    pub record_errors: Counter,
    pub record_losing: Gauge,
    pub record_free_bytes: Gauge,
    pub archive_backlog: Gauge,
    pub archive_errors: Counter,
    pub archive_sent: Counter,
    pub spool_bytes: Gauge,
    pub store_errors: Counter,
    pub store_pending: Gauge,
    pub events_dropped: Counter,
    pub webhooks_delivered: Counter,
    pub webhooks_failed: Counter,
    pub panics: Counter,
    pub tasks: Gauge,
    pub snapshot_seconds: Seconds,
    snapshots: Family<Pictured, Counter>,
    lags: Family<ByProtocol, Counter>,
    viewers: Family<ByProtocol, Gauge<i64, AtomicI64>>,
    sent: Family<ByProtocol, Counter>,
    responses: Family<ByStatus, Counter>,
    asked: Family<Asked, Counter>,
}

impl Metrics {
    pub fn viewers(&self, protocol: Protocol) -> Gauge {
        self.viewers.get_or_create(&ByProtocol { protocol }).clone()
    }

    pub fn sent_bytes(&self, protocol: Protocol) -> Counter {
        self.sent.get_or_create(&ByProtocol { protocol }).clone()
    }

    pub fn lags(&self, protocol: Protocol) -> Counter {
        self.lags.get_or_create(&ByProtocol { protocol }).clone()
    }

    pub fn asked(&self, action: Action, verdict: &Verdict) {
        let action = match action {
            Action::Publish => "publish",
            Action::Play => "play",
        };
        let result = match verdict {
            Verdict::Allowed => "allowed",
            Verdict::Denied(_) => "denied",
            Verdict::Failed => "failed",
        };
        self.asked.get_or_create(&Asked { action, result }).inc();
    }

    pub fn snapshot(&self, purpose: &'static str, result: &'static str) {
        self.snapshots.get_or_create(&Pictured { purpose, result }).inc();
    }

    pub fn http_response(&self, status: StatusCode) {
        self.responses.get_or_create(&ByStatus { status: status.as_u16() }).inc();
    }

    /// Everything in the OpenMetrics text format.
    pub fn render(&self) -> String {
        let mut registry = Registry::with_prefix("kaibo");
        registry.register(
            "build",
            "The version that runs",
            Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]),
        );
        registry.register("broadcasts", "Broadcasts that are not over", self.broadcasts.clone());
        registry.register(
            "broadcasts_holding",
            "Broadcasts whose viewers see the last picture while the publisher is away",
            self.holding.clone(),
        );
        registry.register("publishers", "Connected publishers", self.publishers.clone());
        registry.register(
            "viewers",
            "Viewers: connected, or those of HLS and replays seen lately",
            self.viewers.clone(),
        );
        registry.register("ingest_bytes", "Media bytes received", self.ingest_bytes.clone());
        registry.register("ingest_frames", "Frames received", self.ingest_frames.clone());
        registry.register("sent_bytes", "Media bytes handed to viewers' sockets", self.sent.clone());
        registry.register("viewer_lags", "Times a slow viewer was moved on to a keyframe", self.lags.clone());
        registry.register("push_rejected", "Publish requests refused", self.rejected.clone());
        registry.register("auth_questions", "Questions to the backend (auth.url)", self.asked.clone());
        registry.register("resumes", "Broadcasts that a returning publisher continued", self.resumes.clone());
        registry.register("record_errors", "Failed writes of recordings", self.record_errors.clone());
        registry.register(
            "record_losing",
            "Broadcasts that are not being recorded right now, though they are to be",
            self.record_losing.clone(),
        );
        registry.register(
            "record_free_bytes",
            "Room on the disk of the recordings",
            self.record_free_bytes.clone(),
        );
        registry.register(
            "archive_backlog_bytes",
            "Bytes of segments that wait for the bucket",
            self.archive_backlog.clone(),
        );
        registry.register("archive_errors", "Requests that the bucket failed", self.archive_errors.clone());
        registry.register("archive_sent_bytes", "Bytes that the bucket confirmed", self.archive_sent.clone());
        registry.register(
            "spool_bytes",
            "Bytes of segments on the disk, where there is a bucket too",
            self.spool_bytes.clone(),
        );
        registry.register("store_errors", "Transitions that could not be stored", self.store_errors.clone());
        registry.register(
            "store_pending",
            "Broadcasts whose newest state could not be stored yet",
            self.store_pending.clone(),
        );
        registry.register(
            "events_dropped",
            "Events that were lost since too many waited to be stored",
            self.events_dropped.clone(),
        );
        registry.register("webhooks_delivered", "Webhooks that were taken", self.webhooks_delivered.clone());
        registry.register(
            "webhooks_failed",
            "Attempts at webhooks that failed",
            self.webhooks_failed.clone(),
        );
        registry.register(
            "snapshots",
            "Pictures wanted of ffmpeg, by purpose and result",
            self.snapshots.clone(),
        );
        registry.register(
            "snapshot_seconds",
            "How long ffmpeg took for a picture",
            self.snapshot_seconds.0.clone(),
        );
        registry.register("http_responses", "Replies to viewers by status", self.responses.clone());
        registry.register("panics", "Connections ended by a fault of ours; must stay 0", self.panics.clone());
        registry.register(
            "tasks",
            "What the server does at once: connections, broadcasts and their parts",
            self.tasks.clone(),
        );
        let mut text = String::new();
        // Writing to a String can't fail.
        let _ = encode(&mut text, &registry);
        text
    }
}
