//! Lists of recordings: what is one and what is none, and what goes.

use std::{fs, io::Read, os::unix::fs::symlink, time::Duration};

use kaibo_media::UnixMillis;
use kaibo_replay::{Error, File, Id, Meta};

use crate::scene::{finished, id, meta, write};

#[test]
fn a_list_shows_recordings_and_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    let recordings = finished(root.path(), "b-1", 9);
    let open =
        recordings.create(&id("b-0"), Meta { started: UnixMillis(1_800_000_000_000), ..meta() }).unwrap();
    fs::write(root.path().join("notes.txt"), "mine").unwrap();
    fs::create_dir(root.path().join("empty")).unwrap();
    fs::create_dir(root.path().join("not an id")).unwrap();
    fs::create_dir(root.path().join("junk")).unwrap();
    fs::write(root.path().join("junk/index.jsonl"), "hello\n").unwrap();
    symlink(root.path().join("b-1"), root.path().join("b-link")).unwrap();

    let entries = recordings.scan().unwrap();
    let listed: Vec<_> = entries.iter().map(|entry| (entry.id.as_str(), entry.finished.is_some())).collect();
    assert_eq!(listed, [("b-1", true), ("b-0", false)]);
    assert_eq!(entries[0].meta, meta());
    drop(open);
}

#[test]
fn links_are_not_followed() {
    let root = tempfile::tempdir().unwrap();
    let secret = root.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    let recordings = finished(&root.path().join("media"), "b-1", 9);
    let file = root.path().join("media/b-1/1.m4s");
    fs::remove_file(&file).unwrap();
    symlink(&secret, &file).unwrap();
    assert!(matches!(recordings.read(&id("b-1"), File::Segment(1), 0..9), Err(Error::Io { .. })));

    // Nor written through.
    let mut writer = recordings.create(&id("b-2"), meta()).unwrap();
    symlink(&secret, root.path().join("media/b-2/0.m4s")).unwrap();
    fs::hard_link(&secret, root.path().join("media/b-2/1.m4s")).unwrap();
    write(&mut writer, 0..2);
    assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
    assert!(writer.losing().is_none());

    symlink(root.path().join("media/b-1"), root.path().join("media/b-3")).unwrap();
    assert!(matches!(recordings.delete(&id("b-3")), Err(Error::Missing(_))));
}

#[test]
fn ids_are_plain_names() {
    for name in ["", ".", "..", "a/b", "../b", "a\0", "a b", ".deleted-b", &"x".repeat(129)] {
        assert!(name.parse::<Id>().is_err(), "{name:?}");
    }
}

#[test]
fn a_damaged_index_is_reported_with_its_line() {
    let root = tempfile::tempdir().unwrap();
    let recordings = finished(root.path(), "b-1", 9);
    let path = root.path().join("b-1/index.jsonl");
    let mut lines: Vec<String> =
        fs::read_to_string(&path).unwrap().lines().map(|line| format!("{line}\n")).collect();
    lines.swap(1, 2);
    fs::write(&path, lines.concat()).unwrap();
    let error = recordings.open(&id("b-1")).unwrap_err();
    let (path, says) = (path.display(), "a segment without its initialisation section");
    assert_eq!(error.to_string(), format!("{path} line 2: {says}"));
    assert!(matches!(recordings.open(&id("b-2")), Err(Error::Missing(_))));
}

#[test]
fn a_recording_before_its_first_line_is_none_yet() {
    let root = tempfile::tempdir().unwrap();
    let recordings = finished(root.path(), "b-1", 9);
    let index = fs::read_to_string(root.path().join("b-1/index.jsonl")).unwrap();
    let first = index.lines().next().unwrap();
    fs::create_dir(root.path().join("b-2")).unwrap();
    for begun in ["", &first[..first.len() / 2]] {
        fs::write(root.path().join("b-2/index.jsonl"), begun).unwrap();
        assert!(matches!(recordings.open(&id("b-2")), Err(Error::Missing(_))), "{begun}");
    }
}

#[test]
fn a_deleted_recording_is_gone_but_whoever_reads_it_reads_on() {
    let root = tempfile::tempdir().unwrap();
    let recordings = finished(root.path(), "b-1", 9);
    let found = recordings.open(&id("b-1")).unwrap();
    let segment = found.segments()[0];
    let mut reader =
        fs::File::open(root.path().join("b-1").join(File::Segment(segment.number).name())).unwrap();
    recordings.delete(&id("b-1")).unwrap();
    assert!(matches!(recordings.open(&id("b-1")), Err(Error::Missing(_))));
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "<segment 0 part 0><segment 0 part 1>");
}

#[test]
fn a_deletion_that_was_killed_halfway_is_finished_later() {
    let root = tempfile::tempdir().unwrap();
    let recordings = finished(root.path(), "b-1", 9);
    fs::rename(root.path().join("b-1"), root.path().join(".deleted-b-1")).unwrap();
    assert!(recordings.scan().unwrap().is_empty());
    recordings.sweep().unwrap();
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn only_finished_recordings_expire() {
    let root = tempfile::tempdir().unwrap();
    let recordings = finished(root.path(), "old", 1_000);
    finished(root.path(), "new", 500_000);
    let open = recordings.create(&id("open"), meta()).unwrap();
    let expired = |now| recordings.expired(UnixMillis(now), Duration::from_secs(60)).unwrap();
    assert_eq!(expired(61_000), []);
    assert_eq!(expired(61_001), [id("old")]);
    assert_eq!(expired(i64::MAX), [id("new"), id("old")]);
    drop(open);
}
