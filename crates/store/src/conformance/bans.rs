use super::*;
use crate::{Ban, Error, Store, ban::BANS};

fn banned(name: &str, until: i64) -> Ban {
    Ban {
        app: "live".parse().unwrap(),
        stream: name.parse().unwrap(),
        since: at(0),
        until: at(until),
        reason: "spam".into(),
    }
}

pub(crate) fn a_ban_lasts_until_its_time_or_until_it_is_lifted(store: &mut impl Store) {
    let (short, long) = (banned("a", 10), banned("b", 100));
    store.put_ban(&short).unwrap();
    store.put_ban(&banned("b", 5)).unwrap();
    store.put_ban(&long).unwrap();
    assert_eq!(store.ban(&short.app, &short.stream, at(9)).unwrap().as_ref(), Some(&short));
    assert_eq!(store.bans(at(9)).unwrap(), [short.clone(), long.clone()]);
    assert_eq!(store.ban(&short.app, &short.stream, at(10)).unwrap(), None);
    assert_eq!(store.bans(at(10)).unwrap(), std::slice::from_ref(&long));
    assert!(store.lift_ban(&long.app, &long.stream).unwrap());
    assert!(!store.lift_ban(&long.app, &long.stream).unwrap(), "lifted twice");
    assert_eq!(store.ban(&long.app, &long.stream, at(11)).unwrap(), None);
}

pub(crate) fn bans_are_bounded(store: &mut impl Store) {
    store
        .together(&mut |store| (0..BANS).try_for_each(|n| store.put_ban(&banned(&format!("n{n}"), 10))))
        .unwrap();
    let error = store.put_ban(&banned("one-more", 10)).unwrap_err();
    assert!(matches!(error, Error::TooManyBans { .. }), "{error}");
    store.put_ban(&banned("n0", 20)).unwrap();
    assert_eq!(store.bans(at(1)).unwrap().len(), BANS);
    // The others have lapsed by then.
    store.put_ban(&Ban { since: at(10), ..banned("one-more", 20) }).unwrap();
}
