use super::*;
use crate::{Error, Filter, Store};

pub(crate) fn what_is_done_together_is_done_whole_or_not_at_all(store: &mut impl Store) {
    let failed = store.together(&mut |store| {
        store.save(&record("b1", "a"), &[notice("n1", Some("b1"), &["crm"])])?;
        store.disable_endpoint(&crate::DisabledEndpoint {
            name: "crm".into(),
            since: at(0),
            reason: "410".into(),
        })?;
        store.save(&record("b2", "a"), &[]).map(drop)
    });
    assert!(matches!(failed, Err(Error::NameTaken { .. })), "{failed:?}");
    assert_eq!(store.list(&Filter::default()).unwrap().items, []);
    assert_eq!(store.notices(0, 10).unwrap(), []);
    assert_eq!(store.disabled_endpoints().unwrap(), []);
}

pub(crate) fn a_part_that_fails_undoes_only_itself(store: &mut impl Store) {
    store
        .together(&mut |store| {
            store.save(&record("b1", "a"), &[])?;
            let failed = store.together(&mut |store| {
                store.save(&record("b2", "b"), &[])?;
                store.save(&record("b3", "a"), &[]).map(drop)
            });
            assert!(matches!(failed, Err(Error::NameTaken { .. })), "{failed:?}");
            store.save(&record("b4", "d"), &[]).map(drop)
        })
        .unwrap();
    let kept: Vec<_> = store.open().unwrap().into_iter().map(|record| record.id.to_string()).collect();
    assert_eq!(kept, ["b1", "b4"]);
}
