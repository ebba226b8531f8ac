//! What an archive does to recordings.

use std::fs;

use bytes::Bytes;
use kaibo_media::UnixMillis;
use kaibo_replay::{Error, File, Recordings, SmallFile};

use crate::scene::{finished, id, numbers, text};

#[test]
fn what_is_archived_is_known_until_something_small_changes() {
    let root = tempfile::tempdir().unwrap();
    let recordings = finished(root.path(), "b-1", 9);
    let (one, dir) = (id("b-1"), root.path().join("b-1"));
    let here = recordings.here(&one).unwrap().unwrap();
    assert_eq!((here.archived, here.bytes, here.finished.unwrap().wall), (false, 108, UnixMillis(9)));
    fs::write(dir.join("cover.jpg"), "a picture").unwrap();
    fs::write(dir.join(".fresh-cover.jpg"), "half of another").unwrap();
    let small: Vec<String> =
        recordings.small_files(&one).unwrap().into_iter().map(|file| file.name).collect();
    assert_eq!(small.last().unwrap(), "index.jsonl");
    assert!(["cover.jpg", "init-0.mp4"].iter().all(|name| small.iter().any(|known| known == name)));
    assert!(!small.iter().any(|name| name.ends_with(".m4s") || name.starts_with('.')), "{small:?}");

    let archiving = recordings.archiving(&one).unwrap();
    fs::write(dir.join("cover.jpg"), "a longer picture").unwrap();
    archiving.done().unwrap();
    assert!(!recordings.here(&one).unwrap().unwrap().archived, "it changed meanwhile");
    recordings.archiving(&one).unwrap().done().unwrap();
    assert!(recordings.here(&one).unwrap().unwrap().archived);
    fs::write(dir.join("thumbnails.vtt"), "made later").unwrap();
    assert!(!recordings.here(&one).unwrap().unwrap().archived);
    let small = recordings.small_files(&one).unwrap();
    let new: Vec<&str> = small.iter().filter(|file| !file.archived).map(|file| file.name.as_str()).collect();
    assert_eq!(new, ["thumbnails.vtt"]);
    recordings.archiving(&one).unwrap().done().unwrap();

    assert_eq!(recordings.drop_segments(&one, [0, 7]).unwrap(), 36);
    assert_eq!(recordings.drop_all_segments(&one).unwrap(), 72);
    let here = recordings.here(&one).unwrap().unwrap();
    assert_eq!((here.archived, here.bytes), (true, 0), "segments are not what is meant");
    let found = recordings.open(&one).unwrap();
    assert_eq!(numbers(found.segments()), [0, 1, 2], "the list is as it was");
    assert!(recordings.read(&one, File::Segment(1), 0..36).unwrap_err().is_absent());
    recordings.bring_back(&one, 1, b"<segment 1 part 0><segment 1 part 1>").unwrap();
    assert_eq!(text(&recordings, &one, &found.segments()[1]), "<segment 1 part 0><segment 1 part 1>");
}

#[test]
fn a_recording_is_restored_from_its_small_files() {
    let root = tempfile::tempdir().unwrap();
    let (old, one) = (finished(root.path(), "b-1", 9), id("b-1"));
    let read = |file: SmallFile| (file.name.clone(), old.file(&one, &file.name, u64::MAX).unwrap());
    let mut small: Vec<(String, Bytes)> = old.small_files(&one).unwrap().into_iter().map(read).collect();
    small.push(("../b-2".into(), Bytes::from_static(b"a stranger's")));
    let fresh = tempfile::tempdir().unwrap();
    let new = Recordings::new(fresh.path()).unwrap();
    new.restore(&one, &small).unwrap();
    assert_eq!(numbers(new.open(&one).unwrap().segments()), [0, 1, 2]);
    assert!(new.here(&one).unwrap().unwrap().archived);
    assert_eq!(new.ids().unwrap(), std::slice::from_ref(&one));
    assert!(matches!(new.restore(&one, &small), Err(Error::Exists(_))), "what is here is not replaced");
    assert_eq!(fs::read_dir(fresh.path()).unwrap().count(), 1);
}

#[test]
fn what_is_doomed_is_gone_here_and_remembered() {
    let root = tempfile::tempdir().unwrap();
    let (recordings, one) = (finished(root.path(), "b-1", 9), id("b-1"));
    fs::create_dir(root.path().join("b-1/thumbnails")).unwrap();
    fs::create_dir(root.path().join(".fresh-b-2")).unwrap();
    recordings.doom(&one).unwrap();
    assert!(matches!(recordings.open(&one), Err(Error::Missing(_))));
    assert!(matches!(recordings.doom(&one), Err(Error::Missing(_))));
    assert!(recordings.ids().unwrap().is_empty());
    for _restart in 0..2 {
        assert_eq!(recordings.sweep_archived().unwrap(), std::slice::from_ref(&one));
    }
    recordings.bury(&one).unwrap();
    assert!(recordings.sweep_archived().unwrap().is_empty());
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}
