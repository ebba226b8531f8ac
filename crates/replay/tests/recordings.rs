//! Recordings on a real disk: what is written, what is found again, and what is none.

#![cfg(test)]

use std::{
    fs,
    io::{Read, Write},
    os::unix::fs::symlink,
    path::Path,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use kaibo_container::{
    fmp4,
    segment::{Cut, Init, Part, SegmentEnd, SegmentHead},
    segmenter::{Config, Resume, Segmenter},
};
use kaibo_media::{
    AudioCodec, AudioTrack, Cue, Frame, Item, Run, Span, Timestamp, TrackId, Tracks, UnixMillis, VideoCodec,
    VideoTrack,
};
use kaibo_replay::{Error, File, Frames, Id, Meta, Recordings, Segment, SmallFile, Writer};

const PART_TARGET: Span = Span::from_millis(500);

fn id(name: &str) -> Id {
    name.parse().unwrap()
}

fn meta() -> Meta {
    Meta { app: "live".into(), stream: "room1".into(), started: UnixMillis(1_700_000_000_000), excerpt: None }
}

fn tracks() -> Arc<Tracks> {
    let video = VideoTrack {
        codec: VideoCodec::H264,
        config: Bytes::from_static(&[1, 0x64, 0, 0x1F, 0xFF]),
        width: 1280,
        height: 720,
        frame_rate: Some(29.97),
        codecs: "avc1.64001f".into(),
    };
    Arc::new(Tracks { video: Some(video), audio: Some(aac()) })
}

fn aac() -> AudioTrack {
    AudioTrack {
        codec: AudioCodec::Aac,
        config: Bytes::from_static(&[0x12, 0x10]),
        sample_rate: 44_100,
        channels: 2,
        samples_per_frame: 1024,
        codecs: "mp4a.40.2".into(),
    }
}

/// Segment `number` of 2 s, in two parts.
fn segment(number: u64) -> Vec<Cut> {
    let start = Timestamp::from_millis(2000 * number as i64);
    let init = Arc::new(Init { number: 0, bytes: Bytes::from_static(b"ftyp and moov"), tracks: tracks() });
    let head = SegmentHead {
        number,
        discontinuity: 3,
        init,
        start,
        wall: UnixMillis(1_700_000_000_000 + start.as_millis()),
        independent: true,
        filler: false,
    };
    let part = |index: u32| {
        Cut::Part(Arc::new(Part {
            segment: number,
            index,
            start: start + Span::from_millis(i64::from(index) * 1000),
            duration: Span::from_millis(1000),
            independent: index == 0,
            bytes: format!("<segment {number} part {index}>").into(),
            samples: Box::default(),
            cues: Box::default(),
        }))
    };
    let end = SegmentEnd {
        number,
        duration: Span::from_millis(2000),
        target_duration: 2,
        part_target: Some(PART_TARGET),
    };
    vec![Cut::Begin(Arc::new(head)), part(0), part(1), Cut::End(end)]
}

fn write(writer: &mut Writer, numbers: impl IntoIterator<Item = u64>) {
    for cut in numbers.into_iter().flat_map(segment) {
        writer.write(&cut).unwrap();
    }
}

fn text(recordings: &Recordings, id: &Id, segment: &Segment) -> String {
    String::from_utf8(bytes_of(recordings, id, segment).to_vec()).unwrap()
}

fn bytes_of(recordings: &Recordings, id: &Id, segment: &Segment) -> Bytes {
    recordings.read(id, File::Segment(segment.number), 0..segment.bytes).unwrap()
}

fn numbers(segments: &[Segment]) -> Vec<u64> {
    segments.iter().map(|segment| segment.number).collect()
}

/// A folder with one finished recording of three segments.
fn finished(root: &Path, name: &str, wall: i64) -> Recordings {
    let recordings = Recordings::new(root).unwrap();
    let mut writer = recordings.create(&id(name), meta()).unwrap();
    write(&mut writer, 0..3);
    writer.finish("stopped", UnixMillis(wall)).unwrap();
    recordings
}

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
    write(&mut writer, 0..1);
    assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");

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

/// The cuts of 14 s of sound.
fn of_sound() -> Vec<Cut> {
    let tracks = Arc::new(Tracks { video: None, audio: Some(aac()) });
    let mut segmenter = Segmenter::new(Config::default(), Resume::default());
    let mut cuts = Vec::new();
    for n in 0..600 {
        let frame = Frame {
            tracks: tracks.clone(),
            run: Run::default(),
            track: TrackId::Audio,
            dts: Timestamp::from_scale(n * 1024, 44_100),
            pts_offset: Span::ZERO,
            keyframe: true,
            filler: false,
            data: vec![n as u8; 200].into(),
        };
        segmenter.push(&Item::Frame(Arc::new(frame)), &mut cuts);
    }
    segmenter.push(&Item::Break, &mut cuts);
    cuts
}

#[test]
fn recorded_segments_are_whole_fragmented_mp4_wherever_the_writer_was_killed() {
    let cuts = of_sound();
    let root = tempfile::tempdir().unwrap();
    let recordings = Recordings::new(root.path()).unwrap();
    for written in (0..=cuts.len()).step_by(3) {
        let id = id(&format!("b-{written}"));
        let mut writer = recordings.create(&id, meta()).unwrap();
        for cut in &cuts[..written] {
            writer.write(cut).unwrap();
        }
        drop(writer);

        let found = recordings.open(&id).unwrap();
        let mut frames = 0;
        for segment in found.segments() {
            let bytes = bytes_of(&recordings, &id, segment);
            let tracks = &found.inits()[segment.init as usize].tracks;
            for fragment in fmp4::fragments(&bytes, tracks) {
                frames += fragment.unwrap().samples.len();
            }
        }
        let parts = cuts[..written]
            .iter()
            .filter_map(|cut| if let Cut::Part(part) = cut { Some(part) } else { None });
        assert_eq!(frames, parts.map(|part| part.samples.len()).sum::<usize>());
    }
    let last = recordings.open(&id(&format!("b-{}", cuts.len() / 3 * 3))).unwrap();
    assert!(last.segments().len() >= 6);
}

#[test]
fn what_is_read_back_of_a_segment_reaches_as_far_as_it_did() {
    let tracks = tracks();
    let frame = |track, dts, keyframe| {
        let (run, pts_offset) = (Run::default(), Span::ZERO);
        let data = vec![0; 200].into();
        let (tracks, filler) = (tracks.clone(), false);
        Item::Frame(Arc::new(Frame { tracks, run, track, dts, pts_offset, keyframe, filler, data }))
    };
    let mut segmenter = Segmenter::new(Config::default(), Resume::default());
    let mut cuts = Vec::new();
    for picture in 0..130 {
        // RTMP's milliseconds, so that pictures are 33 or 34 ms apart.
        let time = Timestamp::from_millis(picture * 100 / 3);
        segmenter.push(&frame(TrackId::Video, time, picture % 30 == 0), &mut cuts);
        for sound in picture * 44_100 / 30 / 1024..(picture + 1) * 44_100 / 30 / 1024 {
            let time = Timestamp::from_scale(sound * 1024, 44_100);
            segmenter.push(&frame(TrackId::Audio, time, true), &mut cuts);
        }
    }
    segmenter.push(&Item::Break, &mut cuts);

    let root = tempfile::tempdir().unwrap();
    let recordings = Recordings::new(root.path()).unwrap();
    let mut writer = recordings.create(&id("b-1"), meta()).unwrap();
    cuts.iter().for_each(|cut| writer.write(cut).unwrap());
    drop(writer);
    let found = recordings.open(&id("b-1")).unwrap();
    let again = recordings.tail(&id("b-1"), &found, Span::from_millis(60_000)).unwrap();
    let ends = |cuts: &[Cut]| -> Vec<Timestamp> {
        let mut ends = Vec::new();
        for pair in cuts.windows(2) {
            if let [Cut::Part(part), Cut::End(_)] = pair {
                ends.push(part.start + part.duration);
            }
        }
        ends
    };
    assert_eq!(ends(&again), ends(&cuts));
    assert_eq!(ends(&cuts).len(), 3);
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

#[test]
fn where_frames_lie_is_told_of_every_segment_that_was_not_torn() {
    let cuts = of_sound();
    let root = tempfile::tempdir().unwrap();
    let recordings = Recordings::new(root.path()).unwrap();
    for killed in (1..cuts.len()).step_by(7) {
        let id = id(&format!("b-{killed}"));
        let mut writer = recordings.create(&id, meta()).unwrap();
        for cut in &cuts[..killed] {
            writer.write(cut).unwrap();
        }
        drop(writer);
        // A power loss takes some of it.
        let path = root.path().join(id.as_str()).join(File::Frames.name());
        let kept = fs::read(&path).unwrap();
        fs::write(&path, &kept[..kept.len() * (killed % 5) / 4 % (kept.len() + 1)]).unwrap();

        let mut writer = recordings.reopen(&id, UnixMillis(1)).unwrap();
        for cut in &cuts[killed..] {
            writer.write(cut).unwrap();
        }
        let next = cuts[killed..].iter().find_map(|cut| match cut {
            Cut::Begin(head) => Some(head.number),
            _ => None,
        });
        writer.finish("stopped", UnixMillis(2)).unwrap();

        let found = recordings.open(&id).unwrap();
        let bytes = recordings.read(&id, File::Frames, 0..u64::MAX).unwrap();
        let mut frames = Frames::default();
        let mut told = Vec::new();
        for piece in bytes.chunks(100) {
            frames.feed(piece);
            while let Some(record) = frames.record().unwrap() {
                let segment = found.segments().iter().find(|segment| record.is_of(segment)).unwrap();
                let mut moofs = Vec::new();
                let bytes = bytes_of(&recordings, &id, segment);
                let mut rest = &bytes[..];
                while let Some((moof, len)) = fmp4::measure(rest) {
                    moofs.extend_from_slice(moof);
                    rest = &rest[len as usize..];
                }
                assert_eq!(record.moofs, moofs);
                told.push(record.number);
            }
        }
        assert_eq!(frames.whole(), bytes.len() as u64, "nothing torn is left in the middle");
        let after: Vec<u64> = found
            .segments()
            .iter()
            .map(|s| s.number)
            .filter(|n| next.is_some_and(|next| *n >= next))
            .collect();
        assert!(told.ends_with(&after), "{told:?} after {killed} cuts, {after:?}");
    }
}

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
