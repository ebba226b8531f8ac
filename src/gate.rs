//! The backend's word on who may push and who may play (`[auth] url`), asked once the key is right.

mod remembered;

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use hyper::{Method, Request, StatusCode};
use kaibo_broadcast::{App, BroadcastId, Refusal, Stream};
use serde::Serialize;
use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};

use self::remembered::{Answered, Key, Remembered};
use crate::{
    access::unix_now,
    broadcasts::Peer,
    config::{Action, Auth},
    hooks::{self, Client, Target},
    server::Server,
};

/// Questions under way at once. More wait for their turn within their time.
const AT_ONCE: usize = 64;

/// Of the failures of one kind, one is logged within this time: a backend that is down fails every question.
const COMPLAINT: Duration = Duration::from_secs(10);

/// Characters of a reason that a streamer is shown: OBS has one line for it.
const REASON: usize = 200;

/// How somebody comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    Rtmp,
    Flv,
    WsFlv,
    Hls,
}

/// What the backend is asked. Has no secret in it.
#[derive(Debug, Serialize)]
pub struct Question {
    action: Action,
    app: App,
    stream: Stream,
    protocol: Protocol,
    address: IpAddr,
    query: String,
    broadcast: Option<BroadcastId>,
}

impl Question {
    /// About somebody at `address` who came with `query`.
    pub fn new(
        action: Action,
        app: &App,
        stream: &Stream,
        protocol: Protocol,
        (address, query): (IpAddr, &str),
        broadcast: Option<BroadcastId>,
    ) -> Self {
        let peer = Peer::new(address, query);
        let (address, query) = (peer.address(), peer.query().to_string());
        Self { action, app: app.clone(), stream: stream.clone(), protocol, address, query, broadcast }
    }
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Allowed,
    /// With the backend's reason, where it gave one.
    Denied(Option<String>),
    /// No usable answer in time.
    Failed,
}

impl Verdict {
    /// Whether this allows a push: only what the backend allows may begin.
    pub fn of_push(self) -> Result<(), Refusal> {
        match self {
            Self::Allowed => Ok(()),
            Self::Denied(reason) => Err(Refusal::Forbidden { reason }),
            Self::Failed => Err(Refusal::Unanswered),
        }
    }

    /// Whether this allows a viewer: a backend that is down must not darken every screen.
    pub fn of_play(self) -> Result<(), Option<String>> {
        match self {
            Self::Denied(reason) => Err(reason),
            Self::Allowed | Self::Failed => Ok(()),
        }
    }
}

/// Asks the backend, the same question once at a time, and remembers what it said.
pub struct Gate {
    client: Arc<Client>,
    places: Semaphore,
    remembered: Mutex<Remembered>,
    /// When failures were last complained of, and how many there were since.
    complained: Mutex<(Option<Instant>, u64)>,
}

impl Gate {
    pub fn new() -> Result<Self, hooks::Error> {
        Ok(Self {
            client: hooks::client()?,
            places: Semaphore::new(AT_ONCE),
            remembered: Mutex::default(),
            complained: Mutex::default(),
        })
    }

    /// What the backend says, where it is to be asked. Returns within `auth.timeout`.
    pub async fn ask(&self, server: &Arc<Server>, question: Question) -> Verdict {
        let settings = server.app_settings(question.app.as_ref());
        if !settings.auth.asks(question.action) {
            return Verdict::Allowed;
        }
        let key = Key::of(&question);
        let (known, answer) = {
            let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
            remembered.look_up(key, settings.auth.cache.0, Instant::now())
        };
        let mut answer = match (known, answer) {
            (answer, None) => answer,
            // In a task of its own: others may wait for the answer when whoever asked first is gone.
            (answer, Some(told)) => {
                let server = server.clone();
                tokio::spawn(async move {
                    let verdict = server.gate.put(&server, &settings.auth, &question).await;
                    told.send_replace(Some(Answered { verdict, at: Instant::now() }));
                });
                answer
            }
        };
        match answer.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(answered)) => answered.verdict.clone(),
            // The task that asked is gone without an answer.
            _ => Verdict::Failed,
        }
    }

    /// Puts the question, and counts and logs what comes of it.
    async fn put(&self, server: &Server, auth: &Auth, question: &Question) -> Verdict {
        let asked = async {
            // The semaphore is never closed, so an error can't be.
            let _place = self.places.acquire().await.map_err(|error| error.to_string())?;
            self.send(auth, question).await
        };
        let answer = match timeout(auth.timeout.0, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {:?}", auth.timeout)),
        };
        let verdict = match answer {
            Ok((status, _)) if status.is_success() => Verdict::Allowed,
            Ok((StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, said)) => Verdict::Denied(reason(&said)),
            Ok((status, _)) => self.failed(question, &format!("answered {status}")),
            Err(error) => self.failed(question, &error),
        };
        server.metrics.asked(question.action, &verdict);
        tracing::debug!(action = ?question.action, app = %question.app, stream = %question.stream, ?verdict, "asked");
        verdict
    }

    async fn send(&self, auth: &Auth, question: &Question) -> Result<(StatusCode, Vec<u8>), String> {
        // Both were found right when the configuration was read.
        let target = Target::parse(auth.url.expose())?;
        let key = hooks::Key::new(&auth.secret)?;
        let body = serde_json::to_string(question).map_err(|error| error.to_string())?;
        let (id, now) = (format!("ask_{}", uuid::Uuid::now_v7().simple()), unix_now().as_secs());
        let request = Request::builder()
            .method(Method::POST)
            .header("webhook-id", &id)
            .header("webhook-timestamp", now)
            .header("webhook-signature", key.signature(&id, now, &body));
        let asked = self.client.ask(&target, auth.allow_private, request, body).await;
        asked.map(|(answer, said)| (answer.status, said)).map_err(|error| error.to_string())
    }

    fn failed(&self, question: &Question, error: &str) -> Verdict {
        let mut complained = self.complained.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, failures) = &mut *complained;
        *failures = failures.saturating_add(1);
        if at.is_none_or(|at| at.elapsed() >= COMPLAINT) {
            let consequence = match question.action {
                Action::Publish => "the push is refused",
                Action::Play => "the viewer is let in",
            };
            tracing::warn!(
                app = %question.app, action = ?question.action, error, consequence, failures,
                "the backend could not be asked"
            );
            (*at, *failures) = (Some(Instant::now()), 0);
        }
        Verdict::Failed
    }
}

/// What the backend wants a streamer to read, in one line.
fn reason(said: &[u8]) -> Option<String> {
    let said: serde_json::Value = serde_json::from_slice(said).ok()?;
    let reason = said.get("reason")?.as_str()?;
    let reason: String = reason.chars().filter(|letter| !letter.is_control()).take(REASON).collect();
    (!reason.is_empty()).then_some(reason)
}

/// Who waits for an answer, and who gives it.
type Answer = watch::Receiver<Option<Answered>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_short_line_or_none() {
        assert_eq!(reason(br#"{"reason":"Room is\r\n closed"}"#).unwrap(), "Room is closed");
        let long = format!(r#"{{"reason":"{}"}}"#, "\u{623f}".repeat(1000));
        assert_eq!(reason(long.as_bytes()).unwrap().chars().count(), REASON);
        for said in ["", "ok", "{}", r#"{"reason":7}"#, r#"{"reason":""}"#, "[1]"] {
            assert_eq!(reason(said.as_bytes()), None, "{said}");
        }
    }

    #[test]
    fn a_question_has_no_secret_in_it() {
        let (app, stream) = ("live".parse().unwrap(), "room".parse().unwrap());
        let from = (IpAddr::from([10, 0, 0, 1]), "txSecret=abc&txTime=66A0B2C0&user=7&preview=xyz");
        let question = Question::new(Action::Play, &app, &stream, Protocol::WsFlv, from, None);
        assert_eq!(
            serde_json::to_value(&question).unwrap(),
            serde_json::json!({
                "action": "play", "app": "live", "stream": "room", "protocol": "ws_flv", "address": "10.0.0.1",
                "query": "txTime=66A0B2C0&user=7", "broadcast": null,
            })
        );
    }
}
