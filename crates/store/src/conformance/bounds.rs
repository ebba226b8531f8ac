use super::*;
use crate::{Answer, Ban, Error, LARGEST, Pruned, Store, outbox::NOTICES};

const DAY: i64 = 24 * 3600;

pub(crate) fn what_is_larger_than_the_bound_is_refused(store: &mut impl Store) {
    let huge = "x".repeat(LARGEST + 1);
    let record = Record { extra: huge.clone(), ..record("b1", "a") };
    assert!(matches!(store.save(&record, &[]), Err(Error::TooLarge)));
    let notice = NewNotice { body: huge, ..notice("n1", None, &[]) };
    assert!(matches!(store.post(&[notice]), Err(Error::TooLarge)));
    assert_eq!((store.get(&record.id).unwrap(), store.notices(0, 1).unwrap()), (None, vec![]));
}

pub(crate) fn old_notices_go_and_let_those_behind_them_go_on(store: &mut impl Store) {
    let old = notice("old", Some("b1"), &["crm"]);
    let new = NewNotice { at: at(DAY), ..notice("new", Some("b1"), &["crm"]) };
    store.post(&[old, new]).unwrap();
    assert_eq!(store.prune(at(30 * DAY - 1)).unwrap(), Pruned::default());
    let pruned = store.prune(at(30 * DAY)).unwrap();
    assert_eq!(pruned, Pruned { notices: 1, undelivered: 1, ..Pruned::default() });
    let due = store.due("crm", at(30 * DAY), 10).unwrap();
    assert_eq!(due.iter().map(|delivery| &*delivery.notice.id).collect::<Vec<_>>(), ["new"]);
}

pub(crate) fn notices_beyond_the_bound_go(store: &mut impl Store) {
    store
        .together(&mut |store| {
            (0..NOTICES + 1500).try_for_each(|n| store.post(&[notice(&n.to_string(), None, &[])]).map(drop))
        })
        .unwrap();
    let first = store.prune(at(1)).unwrap();
    assert_eq!((first.notices, first.more), (1000, true));
    let second = store.prune(at(1)).unwrap();
    assert_eq!((second.notices, second.more), (500, false));
    assert_eq!(store.notices(0, 1).unwrap()[0].id, "1500");
}

pub(crate) fn what_lapsed_is_pruned(store: &mut impl Store) {
    let (app, stream) = ("live".parse().unwrap(), "room".parse().unwrap());
    store.put_ban(&Ban { app, stream, since: at(0), until: at(50), reason: String::new() }).unwrap();
    store.idempotent("key", "a", at(0)).unwrap();
    store.remember("key", &Answer { status: 200, body: String::new() }, at(DAY)).unwrap();
    assert_eq!(store.prune(at(49)).unwrap(), Pruned::default());
    assert_eq!(store.prune(at(50)).unwrap(), Pruned { bans: 1, ..Pruned::default() });
    assert_eq!(store.prune(at(DAY)).unwrap(), Pruned { answers: 1, ..Pruned::default() });
}
