//! Recorded segments, read back as frames.

use std::{fs, sync::Arc};

use kaibo_container::{
    fmp4,
    segment::Cut,
    segmenter::{Config, Resume, Segmenter},
};
use kaibo_media::{Frame, Item, Run, Span, Timestamp, TrackId, UnixMillis};
use kaibo_replay::{File, Frames, Recordings};

use crate::scene::{bytes_of, id, meta, of_sound, tracks};

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
