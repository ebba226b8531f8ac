//! What a client says of itself in `connect`, and what we say in return (RTMP 1.0 §7.2.1.1).

use crate::{Query, amf0::Value, location::split_query};

/// `capsEx` of a peer that understands a reconnect request.
const RECONNECT: u32 = 1;

/// `capsEx` of a peer that understands ModEx packets.
const MOD_EX: u32 = 4;

/// The codecs that we can forward, as FourCCs.
const VIDEO_CODECS: [&str; 4] = ["avc1", "hvc1", "av01", "vp09"];
const AUDIO_CODECS: [&str; 2] = ["mp4a", "Opus"];
const CAN_FORWARD: f64 = 4.0;

/// What a client says of itself in `connect`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Client {
    /// Application, without the query.
    pub app: String,
    /// The URL it connects to, without the query.
    pub tc_url: String,
    /// Query of the application, or else of `tcUrl`.
    pub query: Query,
    /// Program and version, e.g. `FMLE/3.0 (compatible; FMSc/1.0)`.
    pub flash_ver: String,
    /// Enhanced RTMP: reconnect 1, multitrack 2, ModEx 4, nanosecond offsets 8.
    pub caps_ex: u32,
    /// Enhanced RTMP: FourCCs of the codecs it names.
    pub four_cc: Vec<String>,
}

impl Client {
    /// It understands [`Connection::request_reconnect`](crate::Connection::request_reconnect).
    pub fn can_reconnect(&self) -> bool {
        self.caps_ex & RECONNECT != 0
    }

    /// From the object of a `connect` command.
    pub(crate) fn new(object: Option<&Value>) -> Self {
        let property = |name| object.and_then(|object| object.get(name));
        // Some encoders put the URL in quotes.
        let text = |name| property(name).and_then(Value::as_str).unwrap_or_default().trim_matches('"');
        let (app, app_query) = split_query(text("app"));
        let (tc_url, url_query) = split_query(text("tcUrl"));
        let four_cc = match property("fourCcList") {
            Some(Value::StrictArray(codes)) => {
                codes.iter().filter_map(|code| code.as_str().map(str::to_owned)).collect()
            }
            _ => Vec::new(),
        };
        Self {
            app: app.to_owned(),
            tc_url: tc_url.to_owned(),
            query: if app_query.is_empty() { url_query } else { app_query },
            flash_ver: text("flashVer").to_owned(),
            caps_ex: property("capsEx").and_then(Value::as_number).unwrap_or_default() as u32,
            four_cc,
        }
    }
}

/// A `connect` that speaks of Enhanced RTMP. Others get the answer that old clients know.
pub fn is_enhanced(object: &Value) -> bool {
    ["capsEx", "fourCcList", "videoFourCcInfoMap", "audioFourCcInfoMap"]
        .iter()
        .any(|name| object.get(name).is_some())
}

/// What we state of Enhanced RTMP (Enhanced RTMP v2, "Enhancing NetConnection connect Command").
pub fn enhanced_capabilities() -> Vec<(String, Value)> {
    let codes = VIDEO_CODECS.iter().chain(&AUDIO_CODECS).map(|code| Value::from(*code)).collect();
    let map = |codes: &[&str]| {
        Value::Object(codes.iter().map(|code| ((*code).to_owned(), CAN_FORWARD.into())).collect())
    };
    vec![
        ("capsEx".to_owned(), f64::from(RECONNECT | MOD_EX).into()),
        ("fourCcList".to_owned(), Value::StrictArray(codes)),
        ("videoFourCcInfoMap".to_owned(), map(&VIDEO_CODECS)),
        ("audioFourCcInfoMap".to_owned(), map(&AUDIO_CODECS)),
    ]
}
