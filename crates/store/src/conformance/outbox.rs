use super::*;
use crate::{DeliveryFilter, DeliveryState, DisabledEndpoint, Error, Store};

/// The notices that are due to `endpoint` at second `seconds`, by their ids.
fn due(store: &impl Store, endpoint: &str, seconds: i64) -> Vec<String> {
    store.due(endpoint, at(seconds), 100).unwrap().into_iter().map(|delivery| delivery.notice.id).collect()
}

/// The delivery of the notice `id` to `endpoint`.
fn delivery(store: &impl Store, id: &str, endpoint: &str) -> crate::Delivery {
    let mut all = store.deliveries(&DeliveryFilter::default()).unwrap().items.into_iter();
    all.find(|delivery| delivery.notice.id == id && delivery.endpoint == endpoint).unwrap()
}

pub(crate) fn notices_come_with_their_transition_or_not_at_all(store: &mut impl Store) {
    let saved = store.save(&record("b1", "room"), &[notice("n1", Some("b1"), &["crm"])]).unwrap();
    assert_eq!(saved.len(), 1);
    let refused = store.save(&record("b2", "room"), &[notice("n2", Some("b2"), &["crm"])]);
    assert!(matches!(refused, Err(Error::NameTaken { .. })), "{refused:?}");
    assert_eq!(due(store, "crm", 0), ["n1"]);
    let sent = &store.due("crm", at(0), 1).unwrap()[0];
    assert_eq!((sent.notice.sequence, &*sent.notice.body), (saved[0], r#"{"id":"n1"}"#));
}

pub(crate) fn a_save_that_is_repeated_tells_nobody_twice(store: &mut impl Store) {
    let notices = [notice("n1", Some("b1"), &["crm", "crm"]), notice("n2", Some("b1"), &["crm"])];
    let first = store.save(&record("b1", "room"), &notices).unwrap();
    assert_eq!(store.save(&record("b1", "room"), &notices).unwrap(), first);
    assert_eq!(store.deliveries(&DeliveryFilter::default()).unwrap().items.len(), 2);
}

pub(crate) fn deliveries_about_a_broadcast_go_out_in_order(store: &mut impl Store) {
    let of = |id, broadcast| notice(id, broadcast, &["crm"]);
    store.save(&record("b1", "a"), &[of("a1", Some("b1")), of("a2", Some("b1"))]).unwrap();
    store.save(&record("b2", "b"), &[of("b1", Some("b2")), of("b2", Some("b2"))]).unwrap();
    store.post(&[of("x1", None), of("x2", None)]).unwrap();
    assert_eq!(due(store, "crm", 0), ["a1", "b1", "x1", "x2"]);
    assert_eq!(store.due("crm", at(0), 2).unwrap().len(), 2);
    assert_eq!(due(store, "crm", -1), [""; 0], "before it happened");

    store.delivered(delivery(store, "a1", "crm").id, &answered(200, 1)).unwrap();
    store.give_up(delivery(store, "b1", "crm").id, &answered(500, 1)).unwrap();
    store.save(&record("b1", "a"), &[of("a3", Some("b1"))]).unwrap();
    assert_eq!(due(store, "crm", 2), ["x1", "x2", "a2", "b2"]);
    store.delivered(delivery(store, "a2", "crm").id, &answered(200, 3)).unwrap();
    assert_eq!(due(store, "crm", 4), ["x1", "x2", "b2", "a3"]);
}

pub(crate) fn a_failed_delivery_is_due_again_at_its_time(store: &mut impl Store) {
    let notices = [notice("n1", Some("b1"), &["crm"]), notice("n2", Some("b1"), &["crm"])];
    store.save(&record("b1", "a"), &notices).unwrap();
    let id = delivery(store, "n1", "crm").id;
    store.failed(id, &answered(503, 1), at(6)).unwrap();
    assert_eq!(due(store, "crm", 5), [""; 0], "the second one overtook the first");
    assert_eq!(due(store, "crm", 6), ["n1"]);
    store.failed(id, &answered(502, 6), at(300)).unwrap();
    let failing = delivery(store, "n1", "crm");
    assert_eq!((failing.attempts, failing.last), (2, Some(answered(502, 6))));
    // An answer that comes late, after another attempt settled it, changes nothing.
    store.delivered(id, &answered(200, 300)).unwrap();
    store.failed(id, &answered(500, 301), at(302)).unwrap();
    assert_eq!(delivery(store, "n1", "crm").state, DeliveryState::Delivered);
    assert_eq!(due(store, "crm", 400), ["n2"]);
}

pub(crate) fn endpoints_do_not_wait_for_each_other(store: &mut impl Store) {
    let notices = [notice("n1", Some("b1"), &["crm", "chat"]), notice("n2", Some("b1"), &["chat"])];
    store.save(&record("b1", "a"), &notices).unwrap();
    store.delivered(delivery(store, "n1", "chat").id, &answered(200, 1)).unwrap();
    assert_eq!(due(store, "chat", 2), ["n2"]);
    assert_eq!(due(store, "crm", 2), ["n1"]);
    assert_eq!(due(store, "nobody", 2), [""; 0]);
}

pub(crate) fn a_delivery_is_sent_again_on_request(store: &mut impl Store) {
    let notices = ["n1", "n2", "n3"].map(|id| notice(id, Some("b1"), &["crm"]));
    store.save(&record("b1", "a"), &notices).unwrap();
    let ids = ["n1", "n2", "n3"].map(|id| delivery(store, id, "crm").id);
    store.give_up(ids[0], &answered(500, 1)).unwrap();
    store.failed(ids[1], &answered(500, 2), at(1000)).unwrap();
    for id in ids {
        assert!(store.retry(id, at(3)).unwrap());
    }
    assert!(!store.retry(u64::MAX, at(3)).unwrap(), "there is no such delivery");
    assert_eq!(due(store, "crm", 3), ["n1", "n2"], "the third one overtook the second");
    assert_eq!(delivery(store, "n1", "crm").attempts, 0);
    for id in &ids[..2] {
        store.delivered(*id, &answered(200, 4)).unwrap();
    }
    assert_eq!(due(store, "crm", 5), ["n3"]);
}

pub(crate) fn a_disabled_endpoint_is_sent_nothing_and_loses_nothing(store: &mut impl Store) {
    let off = DisabledEndpoint { name: "crm".into(), since: at(1), reason: "answered 410".into() };
    store.post(&[notice("n1", None, &["crm", "chat"])]).unwrap();
    store.disable_endpoint(&off).unwrap();
    store.disable_endpoint(&DisabledEndpoint { since: at(2), ..off.clone() }).unwrap();
    store.post(&[notice("n2", None, &["crm"])]).unwrap();
    assert_eq!(due(store, "crm", 3), [""; 0]);
    assert_eq!(due(store, "chat", 3), ["n1"]);
    assert_eq!(store.disabled_endpoints().unwrap(), [off]);
    assert!(store.enable_endpoint("crm").unwrap());
    assert!(!store.enable_endpoint("crm").unwrap(), "enabled twice");
    assert_eq!(due(store, "crm", 3), ["n1", "n2"]);
}

pub(crate) fn deliveries_are_listed_with_their_results(store: &mut impl Store) {
    let notices = ["n1", "n2", "n3"].map(|id| notice(id, Some("b1"), &["crm"]));
    store.save(&record("b1", "a"), &notices).unwrap();
    store.post(&[notice("n4", None, &["chat"])]).unwrap();
    store.delivered(delivery(store, "n1", "crm").id, &answered(200, 1)).unwrap();
    let lost = Attempt { status: None, error: Some("connection refused".into()), ..answered(500, 2) };
    store.give_up(delivery(store, "n2", "crm").id, &lost).unwrap();
    assert_eq!(delivery(store, "n2", "crm").last, Some(lost));
    assert_eq!(delivery(store, "n3", "crm").last, None);

    let all = DeliveryFilter::default();
    let state = |state| DeliveryFilter { state: Some(state), ..all.clone() };
    for (filter, expected) in [
        (all.clone(), vec!["n4", "n3", "n2", "n1"]),
        (state(DeliveryState::Pending), vec!["n4", "n3"]),
        (state(DeliveryState::Delivered), vec!["n1"]),
        (state(DeliveryState::GaveUp), vec!["n2"]),
        (DeliveryFilter { endpoint: Some("chat".into()), ..all.clone() }, vec!["n4"]),
        (
            DeliveryFilter { broadcast: Some("b1".parse().unwrap()), limit: 2, ..all.clone() },
            vec!["n3", "n2"],
        ),
    ] {
        let page = store.deliveries(&filter).unwrap();
        let found: Vec<_> = page.items.iter().map(|delivery| &*delivery.notice.id).collect();
        assert_eq!(found, expected, "{filter:?}");
    }
    let page = store.deliveries(&DeliveryFilter { limit: 3, ..all.clone() }).unwrap();
    let rest = store.deliveries(&DeliveryFilter { cursor: page.next, ..all }).unwrap();
    assert_eq!((rest.items.len(), &*rest.items[0].notice.id, rest.next), (1, "n1", None));
}

pub(crate) fn a_client_that_was_away_gets_the_notices_it_missed(store: &mut impl Store) {
    assert_eq!(store.newest().unwrap(), 0);
    let posted = store.post(&["n1", "n2", "n3"].map(|id| notice(id, None, &[]))).unwrap();
    assert!(posted.is_sorted_by(|a, b| a < b), "{posted:?}");
    let missed = store.notices(posted[0], 10).unwrap();
    assert_eq!(missed.iter().map(|notice| notice.sequence).collect::<Vec<_>>(), posted[1..]);
    assert_eq!((&*missed[0].id, missed[0].at, &*missed[0].kind), ("n2", at(0), "broadcast.started"));
    assert_eq!(store.notices(0, 2).unwrap().len(), 2);
    assert_eq!(store.notices(u64::MAX, 10).unwrap(), []);
    assert_eq!(store.newest().unwrap(), posted[2]);
}

pub(crate) fn what_was_to_be_told_of_a_deleted_broadcast_is_told(store: &mut impl Store) {
    let notices = ["n1", "n2"].map(|id| notice(id, Some("b1"), &["crm"]));
    store.save(&ended("b1", "a"), &notices).unwrap();
    store.delete(&"b1".parse().unwrap()).unwrap();
    assert_eq!(due(store, "crm", 1), ["n1"]);
    store.delivered(delivery(store, "n1", "crm").id, &answered(200, 1)).unwrap();
    assert_eq!(due(store, "crm", 2), ["n2"]);
}
