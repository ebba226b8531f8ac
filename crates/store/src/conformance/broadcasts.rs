use kaibo_broadcast::{Event, Millis};

use super::*;
use crate::{Error, Filter, Store};

pub(crate) fn a_broadcast_is_read_back_as_it_was_saved(store: &mut impl Store) {
    let machine = broadcast("b1", "room");
    let mut saved = Record::new(&machine, "node-1", 7).unwrap();
    saved.title = "开播 \"quoted\" \0 🎬".into();
    saved.extra = r#"{"record":true}"#.into();
    saved.started_at = Some(Millis(-1));
    store.save(&saved, &[]).unwrap();
    let found = store.get(&saved.id).unwrap().unwrap();
    assert_eq!(found, saved);
    assert_eq!(found.broadcast().unwrap(), machine);
    assert_eq!(store.get(&"b2".parse().unwrap()).unwrap(), None);
}

pub(crate) fn a_save_replaces_the_one_before(store: &mut impl Store) {
    store.save(&record("b1", "room"), &[]).unwrap();
    let after = Record { title: "New".into(), ..ended("b1", "room") };
    store.save(&after, &[]).unwrap();
    assert_eq!(store.get(&after.id).unwrap().unwrap(), after);
    assert_eq!(store.list(&Filter::default()).unwrap().items, [after]);
}

pub(crate) fn a_name_has_one_broadcast_that_is_not_final(store: &mut impl Store) {
    let (first, second) = (record("b1", "room"), record("b2", "room"));
    store.save(&first, &[]).unwrap();
    let error = store.save(&second, &[]).unwrap_err();
    assert_eq!(error.to_string(), "live/room has a broadcast that is not over");
    assert!(matches!(error, Error::NameTaken { .. }));
    assert_eq!(store.get(&second.id).unwrap(), None);

    store.save(&ended("b1", "room"), &[]).unwrap();
    store.save(&second, &[]).unwrap();
    assert_eq!(store.newest_named(&second.app, &second.stream).unwrap().unwrap().id, second.id);
    assert!(matches!(store.save(&first, &[]), Err(Error::NameTaken { .. })), "it came back to life");
}

pub(crate) fn a_node_that_lost_its_broadcast_cannot_write_to_it(store: &mut impl Store) {
    let mine = record("b1", "room");
    store.save(&mine, &[]).unwrap();
    let theirs = Record { owner: "node-2".into(), epoch: 2, ..mine.clone() };
    store.save(&theirs, &[]).unwrap();

    let late = Record { title: "late".into(), ..mine };
    let error = store.save(&late, &[notice("n1", Some("b1"), &["crm"])]).unwrap_err();
    assert_eq!(error.to_string(), "broadcast b1 belongs to 'node-2' since epoch 2");
    assert_eq!(store.get(&late.id).unwrap().unwrap(), theirs);
    assert_eq!(store.notices(0, 10).unwrap(), []);
}

pub(crate) fn after_a_restart_exactly_the_broadcasts_that_are_not_final_are_there(store: &mut impl Store) {
    let mut live = broadcast("b3", "c");
    live.handle(Event::Start { force: true }, at(1));
    let live = Record::new(&live, "node-1", 1).unwrap();
    store.save(&record("b1", "a"), &[]).unwrap();
    store.save(&ended("b2", "b"), &[]).unwrap();
    store.save(&live, &[]).unwrap();
    assert_eq!(store.open().unwrap(), [record("b1", "a"), live]);
}

fn ids(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| record.id.as_str()).collect()
}

pub(crate) fn broadcasts_are_listed_newest_first_in_pages(store: &mut impl Store) {
    // The order is that of making, whatever the clock or the identities say.
    for id in ["m", "a", "z", "c", "b"] {
        store.save(&record(id, id), &[]).unwrap();
    }
    let mut filter = Filter { limit: 2, ..Filter::default() };
    let mut seen = Vec::new();
    for expected in [vec!["b", "c"], vec!["z", "a"], vec!["m"]] {
        let page = store.list(&filter).unwrap();
        assert_eq!(ids(&page.items), expected);
        seen.push(page.next.is_some());
        filter.cursor = page.next;
    }
    assert_eq!(seen, [true, true, false]);
    let beyond = Filter { cursor: Some(u64::MAX), ..Filter::default() };
    assert_eq!(store.list(&beyond).unwrap().items.len(), 5);
}

pub(crate) fn broadcasts_are_filtered(store: &mut impl Store) {
    let elsewhere = Record { app: "event".parse().unwrap(), ..record("b1", "room") };
    for saved in [elsewhere, ended("b2", "room"), record("b3", "room"), record("b4", "other")] {
        store.save(&saved, &[]).unwrap();
    }
    let (live, room) = (Some("live".parse().unwrap()), Some("room".parse().unwrap()));
    let all = Filter::default();
    for (filter, expected) in [
        (Filter { app: live.clone(), ..all.clone() }, vec!["b4", "b3", "b2"]),
        (Filter { stream: room.clone(), ..all.clone() }, vec!["b3", "b2", "b1"]),
        (Filter { state: Some("created".into()), ..all.clone() }, vec!["b4", "b3", "b1"]),
        (Filter { state: Some("ended".into()), app: live, stream: room, ..all.clone() }, vec!["b2"]),
        (Filter { state: Some("paused".into()), ..all }, vec![]),
    ] {
        assert_eq!(ids(&store.list(&filter).unwrap().items), expected, "{filter:?}");
    }
}

pub(crate) fn a_page_goes_on_although_its_last_broadcast_was_deleted(store: &mut impl Store) {
    for id in ["b1", "b2", "b3"] {
        store.save(&record(id, id), &[]).unwrap();
    }
    let first = store.list(&Filter { limit: 2, ..Filter::default() }).unwrap();
    assert!(store.delete(&"b2".parse().unwrap()).unwrap());
    assert!(!store.delete(&"b2".parse().unwrap()).unwrap(), "deleted twice");
    let second = store.list(&Filter { cursor: first.next, ..Filter::default() }).unwrap();
    assert_eq!(ids(&second.items), ["b1"]);
}

pub(crate) fn those_that_ended_long_ago_are_walked_through_oldest_first(store: &mut impl Store) {
    for saved in [ended("b3", "a"), record("b2", "b"), ended("b1", "c"), ended("b4", "d")] {
        store.save(&saved, &[]).unwrap();
    }
    let late = Record { ended_at: Some(at(100)), ..ended("b0", "e") };
    store.save(&late, &[]).unwrap();
    let first = store.over(at(6), None, 2).unwrap();
    assert_eq!(ids(&first.items), ["b3", "b1"]);
    store.delete(&first.items[1].id).unwrap();
    let second = store.over(at(6), first.next, 2).unwrap();
    assert_eq!((ids(&second.items), second.next), (vec!["b4"], None));
    assert_eq!(store.over(at(5), None, 10).unwrap().items, [], "not before it ended");
    assert_eq!(store.over(at(6), Some(u64::MAX), 10).unwrap().items, []);
}

pub(crate) fn broadcasts_of_an_app_are_counted_from_a_time_on(store: &mut impl Store) {
    let (live, event) = ("live".parse().unwrap(), "event".parse().unwrap());
    for (id, seconds) in [("b1", 0), ("b2", 10), ("b3", 20)] {
        store.save(&Record { created_at: at(seconds), ..ended(id, "room") }, &[]).unwrap();
    }
    store.save(&Record { app: "event".parse().unwrap(), ..record("b4", "room") }, &[]).unwrap();
    for (app, seconds, expected) in
        [(&live, 0, 3), (&live, 10, 2), (&live, 11, 1), (&live, 21, 0), (&event, 0, 1)]
    {
        assert_eq!(store.made_since(app, at(seconds)).unwrap(), expected, "{app} from {seconds}");
    }
    store.delete(&"b3".parse().unwrap()).unwrap();
    assert_eq!(store.made_since(&live, at(0)).unwrap(), 2);
}
