//! Clips and versions cut out of recordings on a real disk.

use std::{fs, os::unix::fs::MetadataExt, sync::Arc};

use kaibo_container::{
    fmp4,
    segment::{Cut, Init, Sample},
    segmenter::{Config, Resume, Segmenter},
};
use kaibo_media::{Frame, Item, Run, Span, Timestamp, TrackId, UnixMillis};
use kaibo_replay::{Edit, Error, Excerpt, File, Piece, Recording, Recordings, Segment, Stretch, Wanted};
use proptest::{prelude::*, test_runner::TestRunner};

use crate::scene::{id, meta, tracks};

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn edit(stretches: &[(i64, i64)]) -> Edit {
    Edit::new(stretches.iter().map(|(from, to)| Stretch { from: at(*from), to: at(*to) })).unwrap()
}

/// When picture `number` is due, in RTMP's milliseconds.
fn picture(number: i64) -> Timestamp {
    at(number * 100 / 3)
}

/// A folder with the recording `b-1` of 10 s, 30 pictures a second, a keyframe every second in the first two, then every
/// `gop` pictures: segments are of 2 s, wherever keyframes are.
struct Recorded {
    _root: tempfile::TempDir,
    recordings: Recordings,
}

impl Recorded {
    fn new(gop: i64) -> Self {
        let tracks = tracks();
        let mut segmenter = Segmenter::new(Config::default(), Resume::default());
        let mut cuts = Vec::new();
        let mut push = |track, dts, keyframe, data: Vec<u8>| {
            let (tracks, run, data) = (tracks.clone(), Run::default(), data.into());
            let frame =
                Frame { tracks, run, track, dts, pts_offset: Span::ZERO, keyframe, filler: false, data };
            segmenter.push(&Item::Frame(Arc::new(frame)), &mut cuts);
        };
        for number in 0..300 {
            push(
                TrackId::Video,
                picture(number),
                number % gop == 0 || number == 30 || number == 60,
                vec![number as u8; 50],
            );
            for sound in number * 44_100 / 30 / 1024..(number + 1) * 44_100 / 30 / 1024 {
                push(TrackId::Audio, Timestamp::from_scale(sound * 1024, 44_100), true, vec![7; 10]);
            }
        }
        segmenter.push(&Item::Break, &mut cuts);
        let root = tempfile::tempdir().unwrap();
        let recordings = Recordings::new(root.path()).unwrap();
        let mut writer = recordings.create(&id("b-1"), meta()).unwrap();
        cuts.iter().for_each(|cut: &Cut| writer.write(cut).unwrap());
        writer.finish("stopped", UnixMillis(9)).unwrap();
        Self { _root: root, recordings }
    }

    fn segments(&self) -> Vec<Segment> {
        self.recordings.open(&id("b-1")).unwrap().segments().to_vec()
    }

    /// Cuts `c-1` out of it, in the place of the one before.
    fn cut(&self, edit: Edit, precise: bool) -> Result<Recording, Error> {
        let _none = self.recordings.delete(&id("c-1"));
        let wanted = Wanted { edit, precise };
        self.recordings.cut_out(&id("c-1"), &id("b-1"), &self.segments(), &wanted, UnixMillis(10))?;
        self.recordings.open(&id("c-1"))
    }

    /// The frames of a piece of `c-1`, read back from the bytes that viewers get.
    fn frames(&self, clip: &Recording, piece: &Piece) -> Vec<Sample> {
        let (file, len) = (File::Segment(piece.segment.number), piece.segment.bytes);
        let bytes = self.recordings.read(&id("c-1"), file, 0..len).unwrap();
        let stored = &clip.inits()[0];
        let bytes = match piece.is_whole() {
            true => bytes,
            false => {
                let init = self.recordings.init(&id("c-1"), stored).unwrap();
                let tracks = Arc::new(stored.tracks.clone());
                piece.cut(&bytes, &Init { number: stored.number, bytes: init, tracks }).unwrap()
            }
        };
        let parts = fmp4::fragments(&bytes, &stored.tracks).map(Result::unwrap);
        parts.flat_map(|part| part.samples.into_vec()).collect()
    }

    /// When the pictures of `c-1` are due, as HLS shows them.
    fn pictures(&self, clip: &Recording) -> Vec<Sample> {
        let edit = &excerpt(clip).from_keyframes;
        let frames = edit.pieces(clip.segments()).flat_map(|piece| self.frames(clip, &piece));
        frames.filter(|sample| sample.track == TrackId::Video).collect()
    }
}

fn excerpt(clip: &Recording) -> &Excerpt {
    clip.meta().excerpt.as_ref().unwrap()
}

fn due(pictures: impl IntoIterator<Item = Sample>) -> Vec<Timestamp> {
    pictures.into_iter().map(|sample| sample.dts).collect()
}

/// The pictures that are due from `from` on, before `to`.
fn within(from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
    (0..300).map(picture).filter(|due| from <= *due && *due < to).collect()
}

#[test]
fn a_clip_shares_its_files_and_outlives_its_recording() {
    let recorded = Recorded::new(30);
    let clip = recorded.cut(edit(&[(2500, 5250)]), true).unwrap();
    assert_eq!(excerpt(&clip).edit, edit(&[(2500, 5250)]));
    assert_eq!(excerpt(&clip).from_keyframes, edit(&[(2000, 5250)]));
    assert_eq!(clip.meta().started, UnixMillis(2500), "by the wall clock of its run");
    let finished = clip.finished().unwrap();
    assert_eq!(
        (finished.duration, finished.segments, finished.truncated),
        (Span::from_millis(2750), 2, false)
    );
    let root = recorded._root.path();
    for segment in clip.segments() {
        let file =
            |folder: &str| fs::metadata(root.join(folder).join(format!("{}.m4s", segment.number))).unwrap();
        assert_eq!(file("c-1").ino(), file("b-1").ino(), "one file under two names");
    }
    let found: Vec<_> = recorded.recordings.scan().unwrap().into_iter().map(|entry| entry.id).collect();
    assert_eq!(found, [id("c-1"), id("b-1")]);
    let expired = recorded.recordings.expired(UnixMillis(1 << 40), std::time::Duration::ZERO).unwrap();
    assert_eq!(expired, [id("b-1")], "a clip stays until somebody deletes it");

    recorded.recordings.delete(&id("b-1")).unwrap();
    assert_eq!(due(recorded.pictures(&clip)), within(at(2000), at(5250)));
    assert!(
        recorded
            .recordings
            .cut_out(
                &id("c-1"),
                &id("b-1"),
                &[],
                &Wanted { edit: Edit::default(), precise: true },
                UnixMillis(11)
            )
            .is_ok(),
        "what is made is made"
    );
}

#[test]
fn a_snapped_clip_begins_with_a_keyframe_wherever_that_is() {
    // Segments are cut within groups of 5 s.
    let recorded = Recorded::new(150);
    let segments = recorded.segments();
    assert!(segments.iter().any(|segment| !segment.independent));
    let clip = recorded.cut(edit(&[(9000, 9500)]), false).unwrap();
    assert_eq!(excerpt(&clip).edit, edit(&[(5000, 9500)]));
    assert_eq!(clip.finished().unwrap().duration, Span::from_millis(4500));
    let pictures = recorded.pictures(&clip);
    assert!(pictures[0].keyframe);
    assert_eq!(due(pictures), within(at(5000), at(9500)));
}

#[test]
fn what_is_removed_within_a_group_of_pictures_is_still_there_as_segments() {
    let recorded = Recorded::new(30);
    let clip = recorded.cut(edit(&[(0, 2200), (2700, 3000)]), true).unwrap();
    // From the keyframe at 2 s on.
    assert_eq!(excerpt(&clip).from_keyframes, edit(&[(0, 3000)]));
    assert_eq!(clip.finished().unwrap().duration, Span::from_millis(2500));
}

#[test]
fn nothing_makes_no_clip_and_half_a_one_is_swept() {
    let recorded = Recorded::new(30);
    let nothing = recorded.cut(edit(&[(20_000, 21_000)]), true);
    assert!(matches!(nothing, Err(Error::Nothing)));
    let root = recorded._root.path();
    fs::create_dir(root.join(".draft-c-1")).unwrap();
    fs::write(root.join(".draft-c-1/1.m4s"), "half").unwrap();
    let clip = recorded.cut(edit(&[(0, 1000)]), true).unwrap();
    assert_eq!(clip.segments().len(), 1, "an earlier attempt is in nobody's way");
    fs::create_dir(root.join(".draft-c-2")).unwrap();
    recorded.recordings.sweep().unwrap();
    assert!(!root.join(".draft-c-2").exists());
}

#[test]
fn a_version_of_a_thousand_stretches_is_found_again() {
    let recorded = Recorded::new(30);
    let stretches: Vec<_> = (0..1000).map(|n| (n * 10, n * 10 + 5)).collect();
    let version = recorded.cut(edit(&stretches), true).unwrap();
    assert_eq!(excerpt(&version).edit.stretches().len(), 1000);
    assert_eq!(recorded.recordings.scan().unwrap().len(), 2);
}

/// Viewers get every picture of a clip, begin with a keyframe, and get nothing from its end on.
#[test]
fn a_clip_shows_just_what_it_should() {
    let recorded = [Recorded::new(30), Recorded::new(150)];
    let mut runner = TestRunner::new(ProptestConfig { cases: 64, ..ProptestConfig::default() });
    let shown = runner.run(&(0..9900i64, 40..5000i64, 0..2usize), |(from, len, which)| {
        let (from, to, recorded) = (at(from), at((from + len).min(10_000)), &recorded[which]);
        let clip = recorded.cut(Edit::new([Stretch { from, to }]).unwrap(), true).unwrap();
        let shown = excerpt(&clip);
        let pictures = recorded.pictures(&clip);
        prop_assert!(pictures[0].keyframe && pictures[0].dts <= from);
        prop_assert_eq!(&due(pictures.clone()), &within(pictures[0].dts, to));
        // No keyframe between the first picture and the first that is to be seen.
        let unneeded = pictures.iter().skip(1).any(|picture| picture.keyframe && picture.dts <= from);
        prop_assert!(!unneeded);
        let pieces = || shown.from_keyframes.pieces(clip.segments());
        let listed: Span = pieces().map(|piece| piece.duration()).sum();
        prop_assert_eq!(listed, to.min(clip.end()) - pictures[0].dts);
        prop_assert_eq!(clip.finished().unwrap().duration, to.min(clip.end()) - from);
        let sound = recorded.frames(&clip, &pieces().last().unwrap()).into_iter();
        let sound = due(sound.filter(|sample| sample.track == TrackId::Audio));
        prop_assert!(sound.iter().all(|due| *due < to));
        Ok(())
    });
    shown.unwrap();
}
