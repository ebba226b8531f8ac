use super::*;
use crate::{Audience, Counted, Store};

fn counted(phase: &str, seconds: i64, counts: &str) -> Counted {
    Counted { phase: phase.into(), start: at(seconds), counts: counts.into() }
}

pub(crate) fn an_audience_is_added_to(store: &mut impl Store) {
    let b1 = "b1".parse().unwrap();
    store.save(&record("b1", "room"), &[]).unwrap();
    assert_eq!(store.audience(&b1).unwrap(), Audience::default());
    let (first, second) = (counted("during", 0, "{}"), counted("during", 120, r#"{"joins":1}"#));
    let replay = counted("after", 60, "{}");
    let begun = Audience { counted: vec![first.clone(), replay.clone()], seen: Some(vec![0, 255]) };
    store.save_audience(&b1, &begun, at(100)).unwrap();
    let later = counted("during", 0, r#"{"joins":2}"#);
    let more = Audience { counted: vec![later.clone(), second.clone()], seen: None };
    store.save_audience(&b1, &more, at(220)).unwrap();
    let all = Audience { counted: vec![replay, later, second], seen: Some(vec![0, 255]) };
    assert_eq!(store.audience(&b1).unwrap(), all);
    assert_eq!(store.audience_seen(&b1).unwrap(), all.seen);
    store.save_audience(&b1, &Audience { seen: Some(vec![7]), ..Audience::default() }, at(340)).unwrap();
    assert_eq!(store.audience(&b1).unwrap(), Audience { seen: Some(vec![7]), ..all });
}

pub(crate) fn an_audience_goes_with_its_broadcast(store: &mut impl Store) {
    let some = Audience { counted: vec![counted("during", 0, "{}")], seen: Some(vec![1]) };
    let b1 = "b1".parse().unwrap();
    store.save_audience(&b1, &some, at(0)).unwrap();
    assert_eq!(store.audience(&b1).unwrap(), Audience::default(), "there is no such broadcast");
    store.save(&ended("b1", "room"), &[]).unwrap();
    store.save_audience(&b1, &some, at(0)).unwrap();
    // A save is no new broadcast.
    store.save(&ended("b1", "room"), &[]).unwrap();
    assert_eq!(store.audience(&b1).unwrap(), some);
    store.delete(&b1).unwrap();
    assert_eq!(store.audience(&b1).unwrap(), Audience::default());
}

pub(crate) fn an_audience_is_forgotten_in_pieces(store: &mut impl Store) {
    let b1 = "b1".parse().unwrap();
    store.save(&record("b1", "room"), &[]).unwrap();
    let rows = (0..1500).map(|n| counted("during", n * 120, "{}")).collect();
    store.save_audience(&b1, &Audience { counted: rows, seen: Some(vec![1]) }, at(100)).unwrap();
    assert_eq!(store.prune_audiences(at(0)).unwrap(), 0);
    assert_eq!(store.prune_audiences(at(1400 * 120)).unwrap(), 1000 + 1);
    assert_eq!(store.prune_audiences(at(1400 * 120)).unwrap(), 400);
    assert_eq!(store.prune_audiences(at(1400 * 120)).unwrap(), 0);
    let left = store.audience(&b1).unwrap();
    assert_eq!((left.counted.len(), left.counted[0].start, left.seen), (100, at(1400 * 120), None));
}
