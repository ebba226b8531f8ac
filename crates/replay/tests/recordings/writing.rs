//! What is written, and found again after whatever has happened.

use std::{fs, io::Write};

use kaibo_media::{Span, Timestamp, UnixMillis};
use kaibo_replay::{Error, Recordings, Segment};

use crate::scene::{PART_TARGET, finished, id, meta, numbers, segment, text, tracks, write};

#[test]
fn a_recording_is_found_again_as_it_was_written() {
    let root = tempfile::tempdir().unwrap();
    let recordings = finished(root.path(), "b-1", 9);
    let found = recordings.open(&id("b-1")).unwrap();
    assert_eq!(found.meta(), &meta());
    assert_eq!(numbers(found.segments()), [0, 1, 2]);
    assert_eq!(text(&recordings, &id("b-1"), &found.segments()[2]), "<segment 2 part 0><segment 2 part 1>");
    let expected = Segment {
        number: 1,
        init: 0,
        discontinuity: 3,
        start: Timestamp::from_millis(2000),
        duration: Span::from_millis(2000),
        wall: UnixMillis(1_700_000_002_000),
        bytes: 36,
        independent: true,
        filler: false,
    };
    assert_eq!(found.segments()[1], expected);
    assert_eq!(found.inits()[0].tracks, *tracks());
    assert_eq!(recordings.init(&id("b-1"), &found.inits()[0]).unwrap(), "ftyp and moov");
    let end = found.finished().unwrap();
    assert_eq!((end.reason.as_str(), end.wall, end.segments, end.bytes), ("stopped", UnixMillis(9), 3, 108));
    assert_eq!(
        (end.duration, found.duration(), end.truncated),
        (Span::from_millis(6000), end.duration, false)
    );
    assert_eq!(found.losses(), []);
}

#[test]
fn the_index_is_lines_of_json_that_an_operator_can_read() {
    let root = tempfile::tempdir().unwrap();
    finished(root.path(), "b-1", 9);
    let index = fs::read_to_string(root.path().join("b-1/index.jsonl")).unwrap();
    let facts: Vec<String> = index
        .lines()
        .map(|line| serde_json::from_str::<(u32, serde_json::Value)>(line).unwrap().1.to_string())
        .collect();
    assert_eq!(facts[0], r#"{"opened":{"app":"live","started":1700000000000,"stream":"room1"}}"#);
    assert!(
        facts[1].contains(r#""video":{"codec":"h264","codecs":"avc1.64001f","config":"0164001fff""#),
        "{}",
        facts[1]
    );
    assert_eq!(
        facts[2],
        r#"{"begin":{"discontinuity":3,"independent":true,"init":0,"number":0,"start":0,"wall":1700000000000}}"#
    );
    assert_eq!(facts[3], r#"{"part":{"crc":4103246324,"duration":705600000,"len":18}}"#);
    assert_eq!(facts[5], r#"{"end":{"part_target":352800000,"target_duration":2}}"#);
    assert_eq!(facts.len(), 15);
}

#[test]
fn while_it_is_live_the_listing_grows_with_every_whole_segment() {
    let root = tempfile::tempdir().unwrap();
    let recordings = Recordings::new(root.path()).unwrap();
    let mut writer = recordings.create(&id("b-1"), meta()).unwrap();
    let listing = writer.listing();
    let mut seen = Vec::new();
    for cut in (0..2).flat_map(segment) {
        writer.write(&cut).unwrap();
        seen.push(listing.read(<[Segment]>::len));
    }
    assert_eq!(seen, [0, 0, 0, 1, 1, 1, 1, 2]);
    assert_eq!(listing.read(<[Segment]>::to_vec), recordings.open(&id("b-1")).unwrap().segments());
}

#[test]
fn after_a_restart_the_broadcast_goes_on_where_it_was() {
    let root = tempfile::tempdir().unwrap();
    let recordings = Recordings::new(root.path()).unwrap();
    let mut writer = recordings.create(&id("b-1"), meta()).unwrap();
    write(&mut writer, 0..2);
    for cut in &segment(2)[..2] {
        writer.write(cut).unwrap();
    }
    drop(writer);

    let mut file = fs::OpenOptions::new().append(true).open(root.path().join("b-1/2.m4s")).unwrap();
    file.write_all(b"half a pa").unwrap();
    let mut index = fs::OpenOptions::new().append(true).open(root.path().join("b-1/index.jsonl")).unwrap();
    index.write_all(b"[12345,{\"part\":{\"le").unwrap();

    let found = recordings.open(&id("b-1")).unwrap();
    assert_eq!(found.segments()[2].duration, Span::from_millis(1000), "cut short after its whole part");
    let resume = found.resume();
    assert_eq!((resume.next_segment, resume.discontinuity, resume.next_init), (3, 4, 1));
    assert_eq!((resume.target_duration, resume.part_target), (Some(2), Some(PART_TARGET)));
    assert_eq!(found.end(), Timestamp::from_millis(5000));

    let mut writer = recordings.reopen(&id("b-1"), UnixMillis(5)).unwrap();
    assert_eq!(numbers(&writer.listing().read(<[Segment]>::to_vec)), [0, 1, 2]);
    assert_eq!(fs::read(root.path().join("b-1/2.m4s")).unwrap(), b"<segment 2 part 0>");
    write(&mut writer, 3..5);
    writer.finish("resume_timeout", UnixMillis(6)).unwrap();
    let found = recordings.open(&id("b-1")).unwrap();
    assert_eq!(numbers(found.segments()), [0, 1, 2, 3, 4]);
}

#[test]
fn a_segment_killed_before_its_first_part_leaves_no_hole_in_the_live_playlist() {
    let root = tempfile::tempdir().unwrap();
    let recordings = Recordings::new(root.path()).unwrap();
    let mut writer = recordings.create(&id("b1"), meta()).unwrap();
    write(&mut writer, 0..2);
    writer.write(&segment(2)[0]).unwrap();
    drop(writer);

    let found = recordings.open(&id("b1")).unwrap();
    assert_eq!(found.resume().next_segment, 2);

    let mut writer = recordings.reopen(&id("b1"), UnixMillis(0)).unwrap();
    write(&mut writer, 2..4);
    drop(writer);
    let found = recordings.open(&id("b1")).unwrap();
    assert_eq!((numbers(found.segments()), found.resume().next_segment), (vec![0, 1, 2, 3], 4));
}

#[test]
fn segments_that_were_only_live_leave_their_numbers_out() {
    let root = tempfile::tempdir().unwrap();
    let recordings = Recordings::new(root.path()).unwrap();
    let mut writer = recordings.create(&id("b-1"), meta()).unwrap();
    write(&mut writer, 0..2);
    writer.skip(7, Timestamp::from_millis(14_000)).unwrap();
    let found = recordings.open(&id("b-1")).unwrap();
    assert_eq!((found.resume().next_segment, found.end()), (7, Timestamp::from_millis(14_000)));
    let repeated = writer.write(&segment(6)[0]);
    assert!(matches!(repeated, Err(Error::OutOfOrder { number: 6, after: 6 })));
    write(&mut writer, 7..8);
    assert_eq!(numbers(recordings.open(&id("b-1")).unwrap().segments()), [0, 1, 7]);
}

#[test]
fn a_segment_that_was_shown_and_not_written_keeps_its_number() {
    let root = tempfile::tempdir().unwrap();
    let recordings = Recordings::new(root.path()).unwrap();
    let mut writer = recordings.create(&id("b-1"), meta()).unwrap();
    write(&mut writer, 0..2);
    // It begins, and then the disk is full.
    writer.write(&segment(2)[0]).unwrap();
    writer.missed("the disk is full").unwrap();
    assert_eq!(recordings.open(&id("b-1")).unwrap().resume().next_segment, 2, "nobody has seen it");
    writer.skip(3, Timestamp::from_millis(5000)).unwrap();
    drop(writer);
    let found = recordings.open(&id("b-1")).unwrap();
    assert_eq!((numbers(found.segments()), found.resume().next_segment), (vec![0, 1], 3));
    assert!(
        recordings.tail(&id("b-1"), &found, Span::from_millis(9000)).unwrap().is_empty(),
        "a new playlist"
    );
    let mut writer = recordings.reopen(&id("b-1"), UnixMillis(1)).unwrap();
    write(&mut writer, 100..101);
    assert!(writer.finish("stopped", UnixMillis(1)).unwrap().truncated);
}

#[test]
fn a_recorder_that_was_late_says_what_is_missing() {
    let root = tempfile::tempdir().unwrap();
    let recordings = Recordings::new(root.path()).unwrap();
    let mut writer = recordings.create(&id("b-1"), meta()).unwrap();
    write(&mut writer, 0..1);
    for cut in &segment(1)[..2] {
        writer.write(cut).unwrap();
    }
    writer.missed("the disk was too slow").unwrap();
    assert_eq!(writer.losing().unwrap().from, Timestamp::from_millis(3000));
    write(&mut writer, 5..6);
    assert_eq!(writer.losing(), None);
    let finished = writer.finish("stopped", UnixMillis(1)).unwrap();
    assert!(finished.truncated);
    let found = recordings.open(&id("b-1")).unwrap();
    let [loss] = found.losses() else { panic!("{:?}", found.losses()) };
    assert_eq!((loss.from, loss.until), (Timestamp::from_millis(3000), Some(Timestamp::from_millis(10_000))));
    assert_eq!(loss.why, "the disk was too slow");
}

#[test]
fn a_finished_recording_stays_as_it_is() {
    let root = tempfile::tempdir().unwrap();
    let recordings = finished(root.path(), "b-1", 9);
    assert!(matches!(recordings.reopen(&id("b-1"), UnixMillis(1)), Err(Error::Finished)));
    assert!(matches!(recordings.create(&id("b-1"), meta()), Err(Error::Exists(_))));
    let mut writer = recordings.create(&id("b-2"), meta()).unwrap();
    writer.finish("cancelled", UnixMillis(1)).unwrap();
    assert!(matches!(writer.write(&segment(0)[0]), Err(Error::Finished)));
    assert!(matches!(writer.finish("again", UnixMillis(1)), Err(Error::Finished)));
}

#[test]
fn a_recording_whose_first_line_was_never_written_begins_anew() {
    let root = tempfile::tempdir().unwrap();
    let recordings = Recordings::new(root.path()).unwrap();
    for (name, index) in [("b-1", None), ("b-2", Some("")), ("b-3", Some("torn"))] {
        let folder = root.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        if let Some(index) = index {
            std::fs::write(folder.join("index.jsonl"), index).unwrap();
        }
        recordings.create(&id(name), meta()).unwrap();
        assert!(recordings.open(&id(name)).unwrap().segments().is_empty());
        assert!(matches!(recordings.create(&id(name), meta()), Err(Error::Exists(_))), "it has begun");
    }
}
