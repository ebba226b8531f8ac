//! Webhooks: the outbox's way to its receivers, at least once and in order per broadcast. What is told stands in the
//! store before anybody is told; media never waits for any of this.

mod address;
mod client;
mod schedule;
mod sign;
mod target;
mod tencent;

use std::{collections::HashMap, sync::Arc, time::Duration};

use hyper::{Method, Request, StatusCode};
use kaibo_broadcast::{Millis, Secret};
use kaibo_store::{Attempt, Delivery, DisabledEndpoint};
use serde_json::Value;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use self::client::Answer;
pub use self::{client::Client, sign::Key, target::Target};
use crate::{
    access::unix_now,
    config::{Webhook, WebhookFormat},
    notices,
    server::Server,
};

/// Deliveries to one receiver at the same time, each about another broadcast.
const AT_ONCE: usize = 8;

/// From looking up the name to the end of the answer; Standard Webhooks recommends 15 to 30 s.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often the store is asked for what is due without something new: the shortest pause is 5 s.
const LOOK: Duration = Duration::from_secs(1);

/// How long a delivery stays put whose result the store did not take: it is made again then.
const STORE_PAUSE: Duration = Duration::from_secs(10);

/// Why webhooks can't be served as configured: which, and what is wrong. Has no secret and no URL in it.
#[derive(Debug, thiserror::Error)]
#[error("the webhook {name:?} {what}")]
pub struct Error {
    name: String,
    what: String,
}

/// What asks other people's addresses.
pub fn client() -> Result<Arc<Client>, Error> {
    let client = Client::new().map_err(|error| Error { name: "TLS".into(), what: error.to_string() })?;
    Ok(Arc::new(client))
}

/// The receivers of a server, as they are now.
pub struct Hooks(watch::Sender<Arc<Endpoints>>);

/// Receivers, each with a name of its own.
#[derive(Default)]
pub struct Endpoints(Vec<Arc<Endpoint>>);

/// One receiver.
pub struct Endpoint {
    name: String,
    target: Target,
    signer: Signer,
    /// Names of events; none for all.
    events: Option<Vec<String>>,
    allow_private: bool,
    client: Arc<Client>,
}

/// What a receiver gets, and how it is signed.
enum Signer {
    Kaibo(Key),
    Tencent(Secret),
}

impl Signer {
    const fn format(&self) -> WebhookFormat {
        match self {
            Self::Kaibo(_) => WebhookFormat::Kaibo,
            Self::Tencent(_) => WebhookFormat::Tencent,
        }
    }
}

impl Endpoints {
    /// The receivers in the configuration.
    pub fn new(webhooks: &[Webhook]) -> Result<Self, Error> {
        if webhooks.is_empty() {
            return Ok(Self::default());
        }
        let client = client()?;
        let mut endpoints: Vec<Arc<Endpoint>> = Vec::new();
        for webhook in webhooks {
            let endpoint = Endpoint::new(webhook, client.clone())?;
            if endpoints.iter().any(|known| known.name == endpoint.name) {
                let what = "is there twice: webhooks need names of their own".to_string();
                return Err(Error { name: endpoint.name, what });
            }
            endpoints.push(Arc::new(endpoint));
        }
        Ok(Self(endpoints))
    }

    fn named(&self, name: &str) -> Option<&Arc<Endpoint>> {
        self.0.iter().find(|endpoint| endpoint.name == name)
    }
}

impl Hooks {
    pub fn new(endpoints: Endpoints) -> Self {
        Self(watch::Sender::new(Arc::new(endpoints)))
    }

    /// The names of those who are to be told of an event.
    pub fn wanting(&self, kind: &str, data: &Value) -> Vec<String> {
        let endpoints = self.0.borrow();
        let wanting = endpoints.0.iter().filter(|endpoint| endpoint.wants(kind, data));
        wanting.map(|endpoint| endpoint.name.clone()).collect()
    }

    /// From now on these are told. One that keeps its name gets what is not delivered yet.
    pub fn replace(&self, endpoints: Endpoints) {
        self.0.send_replace(Arc::new(endpoints));
    }

    /// Serves the receivers, one task for each name, until the server stops.
    pub async fn serve(server: Arc<Server>) {
        let mut current = server.hooks.0.subscribe();
        let mut closing = server.closing();
        let mut tasks = JoinSet::new();
        let mut serving: HashMap<String, watch::Sender<Arc<Endpoint>>> = HashMap::new();
        loop {
            let endpoints = current.borrow_and_update().clone();
            // A task whose receiver is gone from here ends.
            serving.retain(|name, _| endpoints.named(name).is_some());
            for endpoint in &endpoints.0 {
                match serving.get(&endpoint.name) {
                    Some(task) => {
                        task.send_replace(endpoint.clone());
                    }
                    None => {
                        let (task, changes) = watch::channel(endpoint.clone());
                        tasks.spawn(serve(server.clone(), changes));
                        serving.insert(endpoint.name.clone(), task);
                    }
                }
            }
            tokio::select! {
                _ = current.changed() => {}
                Some(_) = tasks.join_next() => {}
                () = closing.wait() => return,
            }
        }
    }
}

/// Sends one receiver what is due, until the server stops or the receiver is configured no more. What is under way when
/// its configuration changes ends as it began.
async fn serve(server: Arc<Server>, mut changes: watch::Receiver<Arc<Endpoint>>) {
    let mut closing = server.closing();
    let mut news = server.events.subscribe();
    let mut endpoint = changes.borrow_and_update().clone();
    endpoint.enable(&server).await;
    let mut deliveries = JoinSet::new();
    let mut under_way = HashMap::new();
    loop {
        for delivery in endpoint.due(&server, &under_way).await {
            let id = delivery.id;
            let task = deliveries.spawn(endpoint.clone().deliver(server.clone(), delivery));
            under_way.insert(task.id(), id);
        }
        tokio::select! {
            // Whatever it is: a look at the store tells.
            _ = news.recv() => while !news.is_empty() {
                let _ = news.recv().await;
            },
            Some(done) = deliveries.join_next_with_id() => {
                let task = match &done {
                    Ok((task, ())) => *task,
                    Err(error) => error.id(),
                };
                under_way.remove(&task);
            }
            changed = changes.changed() => {
                if changed.is_err() {
                    // Each of them ends within PATIENCE.
                    while deliveries.join_next().await.is_some() {}
                    return;
                }
                endpoint = changes.borrow_and_update().clone();
                endpoint.enable(&server).await;
            }
            () = sleep(LOOK) => {}
            () = closing.wait() => return,
        }
    }
}

impl Endpoint {
    fn new(webhook: &Webhook, client: Arc<Client>) -> Result<Self, Error> {
        let Webhook { name, url, secret, format, events, allow_private } = webhook;
        let wrong = |name: &str, what: String| Error { name: name.to_string(), what };
        let target =
            Target::parse(url.expose()).map_err(|what| wrong(name, format!("has a url that {what}")))?;
        let name = if name.is_empty() { target.shown() } else { name.clone() };
        let signer = match format {
            WebhookFormat::Kaibo => Key::new(secret).map(Signer::Kaibo),
            WebhookFormat::Tencent if secret.is_empty() => Err("is empty"),
            WebhookFormat::Tencent => Ok(Signer::Tencent(secret.clone())),
        };
        let signer = signer.map_err(|what| wrong(&name, format!("has a secret that {what}")))?;
        if let Some(stranger) =
            events.iter().find(|event| *event != "*" && !notices::NAMES.contains(&event.as_str()))
        {
            let known = notices::NAMES.join(", ");
            return Err(wrong(
                &name,
                format!("wants {stranger:?}, which is neither \"*\" nor one of {known}"),
            ));
        }
        let all = events.iter().any(|event| event == "*");
        let events = (!all).then(|| events.clone());
        Ok(Self { name, target, signer, events, allow_private: *allow_private, client })
    }

    fn wants(&self, kind: &str, data: &Value) -> bool {
        let chosen = self.events.as_ref().is_none_or(|events| events.iter().any(|event| event == kind));
        chosen
            && match self.signer {
                Signer::Kaibo(_) => true,
                Signer::Tencent(_) => tencent::tells(kind, data),
            }
    }

    /// What is written down when this receiver wants nothing any more; another URL makes it another text.
    fn gone(&self) -> String {
        format!("{} answered 410 Gone", self.target.shown())
    }

    /// A receiver that was gone is asked again once the configuration has another address for it.
    async fn enable(&self, server: &Server) {
        let (name, gone) = (self.name.clone(), self.gone());
        let asked = server.store.ask(move |store| {
            let disabled = store.disabled_endpoints()?.into_iter().find(|endpoint| endpoint.name == name);
            match disabled {
                Some(endpoint) if endpoint.reason != gone => store.enable_endpoint(&name).map(|_| None),
                disabled => Ok(disabled),
            }
        });
        match asked.await {
            Ok(None) => {}
            Ok(Some(DisabledEndpoint { reason, .. })) => {
                tracing::warn!(webhook = self.name, reason, "this webhook is off until its URL changes");
            }
            Err(error) => {
                tracing::error!(webhook = self.name, %error, "can't see whether this webhook is on")
            }
        }
    }

    /// What may begin now.
    async fn due(&self, server: &Server, under_way: &HashMap<tokio::task::Id, u64>) -> Vec<Delivery> {
        let free = AT_ONCE.saturating_sub(under_way.len());
        if free == 0 {
            return Vec::new();
        }
        let (name, now) = (self.name.clone(), server.clock.now());
        // Those under way are due until their result is stored.
        match server.store.ask(move |store| store.due(&name, now, 2 * AT_ONCE)).await {
            Ok(due) => {
                let idle = |delivery: &Delivery| under_way.values().all(|id| *id != delivery.id);
                due.into_iter().filter(idle).take(free).collect()
            }
            Err(error) => {
                tracing::error!(webhook = self.name, %error, "can't read the outbox");
                Vec::new()
            }
        }
    }

    /// One attempt, and what follows from it.
    async fn deliver(self: Arc<Self>, server: Arc<Server>, delivery: Delivery) {
        let (at, begin) = (server.clock.now(), Instant::now());
        let answer = match timeout(PATIENCE, self.send(&delivery)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {PATIENCE:?}")),
        };
        let (status, retry_after, error) = match answer {
            Ok(Answer { status, .. }) if status.is_success() => (Some(status), None, None),
            Ok(Answer { status, retry_after }) => {
                (Some(status), retry_after, Some(format!("answered {status}")))
            }
            Err(error) => (None, None, Some(error)),
        };
        let attempt = Attempt {
            at,
            took: begin.elapsed(),
            status: status.map(|status| status.as_u16()),
            error: error.clone(),
        };
        let number = delivery.attempts.saturating_add(1);
        let pause = schedule::pause(self.signer.format(), number, retry_after);
        self.report(&server, &delivery, number, error.as_deref(), pause);
        let next = pause.map(|pause| server.clock.now() + pause);
        let gone = (status == Some(StatusCode::GONE)).then(|| self.disabled(server.clock.now()));
        let id = delivery.id;
        let stored = server.store.ask(move |store| {
            if let Some(gone) = &gone {
                store.disable_endpoint(gone)?;
            }
            match (attempt.error.is_some(), next) {
                (false, _) => store.delivered(id, &attempt),
                (true, Some(next)) => store.failed(id, &attempt, next),
                (true, None) => store.give_up(id, &attempt),
            }
        });
        if let Err(error) = stored.await {
            tracing::error!(webhook = self.name, %error, "can't store what became of a delivery");
            sleep(STORE_PAUSE).await;
        }
    }

    fn disabled(&self, since: Millis) -> DisabledEndpoint {
        tracing::warn!(webhook = self.name, "the receiver is gone (410): it is sent nothing more");
        DisabledEndpoint { name: self.name.clone(), since, reason: self.gone() }
    }

    fn report(
        &self,
        server: &Server,
        delivery: &Delivery,
        attempt: u32,
        error: Option<&str>,
        pause: Option<Duration>,
    ) {
        let (webhook, event, id) = (&self.name, &delivery.notice.kind, &delivery.notice.id);
        match (error, pause) {
            (None, _) => {
                server.metrics.webhooks_delivered.inc();
                tracing::debug!(webhook, event, id, attempt, "delivered");
            }
            (Some(error), Some(pause)) => {
                server.metrics.webhooks_failed.inc();
                tracing::warn!(webhook, event, id, attempt, error, again_in = ?pause, "a webhook failed");
            }
            (Some(error), None) => {
                server.metrics.webhooks_failed.inc();
                tracing::warn!(webhook, event, id, attempt, error, "a webhook failed for the last time");
            }
        }
    }

    async fn send(&self, delivery: &Delivery) -> Result<Answer, String> {
        let notice = &delivery.notice;
        let now = unix_now().as_secs();
        let request = Request::builder().method(Method::POST);
        let (request, body) = match &self.signer {
            Signer::Kaibo(key) => {
                let request = request
                    .header("webhook-id", &notice.id)
                    .header("webhook-timestamp", now)
                    .header("webhook-signature", key.signature(&notice.id, now, &notice.body));
                (request, notice.body.clone())
            }
            Signer::Tencent(secret) => {
                let body = tencent::callback(&notice.body, secret, now);
                (request, body.ok_or("the stored event has no form in this format")?)
            }
        };
        let sent = self.client.send(&self.target, self.allow_private, request, body);
        sent.await.map_err(|error| error.to_string())
    }
}
