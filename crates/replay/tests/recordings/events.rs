//! Timed events in recordings.

use std::{fs, sync::Arc};

use kaibo_container::segment::Cut;
use kaibo_media::{Cue, Span, Timestamp, UnixMillis};
use kaibo_replay::Recordings;

use crate::scene::{id, meta, segment};

/// Segment `number` with an event in each of its parts, after so many milliseconds.
fn segment_with_events(number: u64, after: [i64; 2]) -> Vec<Cut> {
    let mut cuts = segment(number);
    for (cut, after) in cuts[1..3].iter_mut().zip(after) {
        let Cut::Part(part) = cut else { panic!("no part") };
        let part = Arc::get_mut(part).unwrap();
        part.cues = Box::new([cue(part.start + Span::from_millis(after))]);
    }
    cuts
}

fn cue(at: Timestamp) -> Arc<Cue> {
    Arc::new(Cue {
        id: format!("e-{}", at.as_millis()).into(),
        kind: "product".into(),
        payload: "{\"name\":\"茶 \\\"1\\\"\"}".into(),
        at,
        wall: UnixMillis(1_700_000_000_000 + at.as_millis()),
        script: None,
    })
}

fn times(cues: &[Arc<Cue>]) -> Vec<i64> {
    cues.iter().map(|cue| cue.at.as_millis()).collect()
}

#[test]
fn events_are_found_again_with_the_parts_that_hold_them_and_gone_with_those_that_are_torn() {
    let root = tempfile::tempdir().unwrap();
    let recordings = Recordings::new(root.path()).unwrap();
    let mut writer = recordings.create(&id("b-1"), meta()).unwrap();
    let listing = writer.listing();
    let cuts = [segment_with_events(0, [500, 999]), segment_with_events(1, [0, 1])].concat();
    for cut in &cuts[..6] {
        writer.write(cut).unwrap();
    }
    assert_eq!(times(&listing.cues()), [500, 1999], "those of whole segments");
    drop(writer);
    let found = recordings.open(&id("b-1")).unwrap();
    assert_eq!(times(found.cues()), [500, 1999, 2000]);
    assert_eq!(found.cues()[2], cue(Timestamp::from_millis(2000)));

    // The line of an event without its part's, and a part that its file has not.
    let mut writer = recordings.reopen(&id("b-1"), UnixMillis(5)).unwrap();
    for cut in &segment_with_events(2, [100, 200])[..3] {
        writer.write(cut).unwrap();
    }
    drop(writer);
    let index = root.path().join("b-1/index.jsonl");
    let lines = fs::read_to_string(&index).unwrap();
    let whole = lines.trim_end().rfind('\n').unwrap() + 1;
    fs::write(&index, &lines[..whole]).unwrap();
    assert_eq!(times(recordings.open(&id("b-1")).unwrap().cues()), [500, 1999, 2000, 4100]);
    fs::write(&index, &lines).unwrap();
    fs::write(root.path().join("b-1/2.m4s"), b"<segment 2 part 0><torn").unwrap();
    assert_eq!(times(recordings.open(&id("b-1")).unwrap().cues()), [500, 1999, 2000, 4100]);
    let mut writer = recordings.reopen(&id("b-1"), UnixMillis(5)).unwrap();
    assert_eq!(times(&writer.listing().cues()), [500, 1999, 2000, 4100]);
    for cut in segment_with_events(3, [0, 0]) {
        writer.write(&cut).unwrap();
    }
    writer.finish("stopped", UnixMillis(6)).unwrap();
    assert_eq!(times(recordings.open(&id("b-1")).unwrap().cues()), [500, 1999, 2000, 4100, 6000, 7000]);
}

#[test]
fn of_events_without_end_a_recording_keeps_so_many() {
    let root = tempfile::tempdir().unwrap();
    let recordings = Recordings::new(root.path()).unwrap();
    let mut writer = recordings.create(&id("b-1"), meta()).unwrap();
    for number in 0..3 {
        let mut cuts = segment(number);
        let Cut::Part(part) = &mut cuts[1] else { panic!("no part") };
        let start = part.start;
        Arc::get_mut(part).unwrap().cues = (0..2000).map(|_| cue(start)).collect();
        cuts.iter().for_each(|cut| writer.write(cut).unwrap());
    }
    writer.finish("stopped", UnixMillis(6)).unwrap();
    assert_eq!(recordings.open(&id("b-1")).unwrap().cues().len(), 4320);
}
