use super::*;
use crate::{Answer, Idempotent, Store};

fn created() -> Answer {
    Answer { status: 201, body: r#"{"id":"b1"}"#.into() }
}

pub(crate) fn a_repeated_request_gets_the_first_answer(store: &mut impl Store) {
    assert_eq!(store.idempotent("crm:1", "create room", at(0)).unwrap(), Idempotent::New);
    assert_eq!(store.idempotent("crm:1", "create room", at(1)).unwrap(), Idempotent::Running);
    assert_eq!(store.idempotent("crm:1", "create other", at(1)).unwrap(), Idempotent::Conflict);
    store.remember("crm:1", &created(), at(100)).unwrap();
    // A late failure of something else cannot take the answer back.
    store.release("crm:1").unwrap();
    assert_eq!(store.idempotent("crm:1", "create room", at(99)).unwrap(), Idempotent::Known(created()));
    assert_eq!(store.idempotent("crm:1", "create other", at(99)).unwrap(), Idempotent::Conflict);
    assert_eq!(store.idempotent("crm:2", "create room", at(99)).unwrap(), Idempotent::New);
}

pub(crate) fn a_key_is_free_again_when_its_time_has_passed(store: &mut impl Store) {
    for key in ["answered", "crashed", "failed"] {
        assert_eq!(store.idempotent(key, "a", at(0)).unwrap(), Idempotent::New);
    }
    store.remember("answered", &created(), at(100)).unwrap();
    store.release("failed").unwrap();
    assert_eq!(store.idempotent("failed", "b", at(0)).unwrap(), Idempotent::New);
    assert_eq!(store.idempotent("crashed", "b", at(59)).unwrap(), Idempotent::Conflict);
    assert_eq!(store.idempotent("crashed", "b", at(60)).unwrap(), Idempotent::New);
    assert_eq!(store.idempotent("answered", "b", at(100)).unwrap(), Idempotent::New);
    assert_eq!(store.idempotent("answered", "b", at(101)).unwrap(), Idempotent::Running);
}
