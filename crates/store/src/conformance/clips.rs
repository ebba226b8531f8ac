use super::*;
use crate::{Clip, ClipFilter, ClipKind, Error, Store, clip::CLIPS};

fn clip(id: &str, broadcast: &str) -> Clip {
    Clip {
        id: id.parse().unwrap(),
        kind: ClipKind::Clip,
        broadcast: broadcast.parse().unwrap(),
        app: "live".parse().unwrap(),
        stream: "room".parse().unwrap(),
        state: "recording".into(),
        is_open: true,
        title: "讲解 1".into(),
        public: true,
        created_at: at(1),
        cut: r#"{"from_ms":1000}"#.into(),
    }
}

fn ids(clips: &[Clip]) -> Vec<&str> {
    clips.iter().map(|clip| clip.id.as_str()).collect()
}

pub(crate) fn a_clip_is_read_back_as_it_was_saved(store: &mut impl Store) {
    let open = clip("c-1", "b1");
    assert!(store.save_clip(&open, &[]).unwrap().is_empty());
    assert_eq!(store.clip(&open.id).unwrap().as_ref(), Some(&open));
    assert_eq!(store.open_clips().unwrap(), std::slice::from_ref(&open));

    let ready =
        Clip { state: "ready".into(), is_open: false, title: "讲解 2".into(), public: false, ..open };
    let told = notice("n1", Some("b1"), &["crm"]);
    assert_eq!(store.save_clip(&ready, std::slice::from_ref(&told)).unwrap().len(), 1);
    assert_eq!(store.clip(&ready.id).unwrap().as_ref(), Some(&ready));
    assert_eq!(store.open_clips().unwrap(), []);
    assert_eq!(store.notices(0, 10).unwrap().len(), 1);

    assert!(store.delete_clip(&ready.id).unwrap());
    assert!(!store.delete_clip(&ready.id).unwrap(), "deleted twice");
    assert_eq!(store.clip(&ready.id).unwrap(), None);
}

pub(crate) fn clips_are_listed_newest_first_and_outlive_their_broadcast(store: &mut impl Store) {
    store.save(&ended("b1", "room"), &[]).unwrap();
    for (id, broadcast) in [("c-1", "b1"), ("c-2", "b2"), ("c-3", "b1")] {
        store.save_clip(&clip(id, broadcast), &[]).unwrap();
    }
    store.save_clip(&Clip { kind: ClipKind::Version, ..clip("v-1", "b1") }, &[]).unwrap();
    store.delete(&"b1".parse().unwrap()).unwrap();
    let list = |filter: ClipFilter| store.clips(&filter).unwrap();
    let of_b1 = ClipFilter { broadcast: Some("b1".parse().unwrap()), ..ClipFilter::default() };
    assert_eq!(ids(&list(of_b1.clone()).items), ["v-1", "c-3", "c-1"]);
    let clips_of_b1 = ClipFilter { kind: Some(ClipKind::Clip), ..of_b1 };
    let first = list(ClipFilter { limit: 1, ..clips_of_b1.clone() });
    assert_eq!(ids(&first.items), ["c-3"]);
    let second = list(ClipFilter { cursor: first.next, ..clips_of_b1 });
    assert_eq!((ids(&second.items), second.next), (vec!["c-1"], None));
    let other = ClipFilter { app: Some("shop".parse().unwrap()), ..ClipFilter::default() };
    assert_eq!(list(other).items, []);
}

pub(crate) fn the_clips_of_a_broadcast_are_shown_and_hidden_together(store: &mut impl Store) {
    for (id, broadcast) in [("c-1", "b1"), ("c-2", "b2"), ("c-3", "b1")] {
        store.save_clip(&clip(id, broadcast), &[]).unwrap();
    }
    store.publish_clips(&"b1".parse().unwrap(), false).unwrap();
    let public = |id: &str| store.clip(&id.parse().unwrap()).unwrap().unwrap().public;
    assert_eq!([public("c-1"), public("c-2"), public("c-3")], [false, true, false]);
}

pub(crate) fn clips_of_a_broadcast_are_bounded(store: &mut impl Store) {
    store
        .together(&mut |store| {
            (0..CLIPS).try_for_each(|n| store.save_clip(&clip(&format!("c-{n}"), "b1"), &[]).map(drop))
        })
        .unwrap();
    let error = store.save_clip(&clip("one-more", "b1"), &[]).unwrap_err();
    assert!(matches!(error, Error::TooManyClips { .. }), "{error}");
    store.save_clip(&Clip { title: "changed".into(), ..clip("c-0", "b1") }, &[]).unwrap();
    store.save_clip(&clip("one-more", "b2"), &[]).unwrap();
}
