//! What the tests save.

use kaibo_broadcast::{Broadcast, Millis, Plan, Policy};
use kaibo_store::{NewNotice, Record};

const NOW: Millis = Millis(1_790_000_000_000);

pub fn record(id: &str, name: &str) -> Record {
    let (app, stream) = ("live".parse().unwrap(), name.parse().unwrap());
    let (broadcast, _) =
        Broadcast::create(id.parse().unwrap(), app, stream, Plan::default(), Policy::default(), NOW);
    Record::new(&broadcast, "node-1", 1).unwrap()
}

pub fn notice(id: &str, broadcast: Option<&str>) -> NewNotice {
    NewNotice {
        id: id.to_owned(),
        broadcast: broadcast.map(|id| id.parse().unwrap()),
        kind: "broadcast.created".into(),
        at: NOW,
        body: "{}".into(),
        endpoints: vec!["crm".into()],
    }
}
