//! What players find in a progressive MP4, seen with an independent reader.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod fmp4_streams;

use std::sync::Arc;

use fmp4_streams::*;
use kaibo_container::mp4::{Builder, Error, Movie, Place, Shown};
use kaibo_media::{AudioTrack, Span, Timestamp, Tracks, VideoCodec};
use proptest::prelude::*;
use shiguredo_mp4::{
    Decode, Either,
    aux::SampleTableAccessor,
    boxes::{FtypBox, MoovBox, TrakBox},
};

const PICTURES: u32 = 90_000;

/// A frame of a recording: where it lies and when it is due, in its track's ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Frame {
    dts: i64,
    composition: i32,
    duration: u32,
    size: u32,
    sync: bool,
    /// The segment, and where in it.
    place: (u64, u64),
}

/// A recording of which there is nothing but the heads of its parts.
#[derive(Clone, Debug)]
struct Segment {
    number: u64,
    tracks: Arc<Tracks>,
    start: Timestamp,
    end: Timestamp,
    joint: bool,
    moofs: Vec<u8>,
    pictures: Vec<Frame>,
    sounds: Vec<Frame>,
    bytes: u64,
}

impl Segment {
    fn new(number: u64, tracks: &Arc<Tracks>, start: Timestamp) -> Self {
        Self {
            number,
            tracks: tracks.clone(),
            start,
            end: start,
            joint: false,
            moofs: Vec::new(),
            pictures: Vec::new(),
            sounds: Vec::new(),
            bytes: 0,
        }
    }

    /// Adds a part. Places are filled in.
    fn part(&mut self, pictures: &[Frame], sounds: &[Frame]) {
        let tracks = [(1, pictures, 16), (2, sounds, 8)];
        let traf =
            |frames: &[Frame], entry: usize| if frames.is_empty() { 0 } else { 64 + entry * frames.len() };
        let len = 24 + traf(pictures, 16) + traf(sounds, 8);
        let mut moof =
            [&u32::to_be_bytes(len as u32)[..], b"moof", &[0, 0, 0, 16], b"mfhd", &[0; 8]].concat();
        let mut offset = len as u64 + 8;
        for (id, frames, entry) in tracks {
            let Some(first) = frames.first() else { continue };
            let mut words =
                vec![(64 + entry * frames.len()) as u32, word(b"traf"), 16, word(b"tfhd"), 0x2_0000, id];
            words.extend([20, word(b"tfdt"), 1 << 24, (first.dts >> 32) as u32, first.dts as u32]);
            let flags = if id == 1 { 0xF01 } else { 0x301 };
            words.extend([20 + (entry * frames.len()) as u32, word(b"trun"), 1 << 24 | flags]);
            words.extend([frames.len() as u32, offset as u32]);
            for frame in frames {
                words.extend([frame.duration, frame.size]);
                if id == 1 {
                    words
                        .extend([if frame.sync { 0x200_0000 } else { 0x101_0000 }, frame.composition as u32]);
                }
                let frame = Frame { place: (self.number, self.bytes + offset), ..*frame };
                if id == 1 {
                    self.pictures.push(frame)
                } else {
                    self.sounds.push(frame)
                }
                offset += u64::from(frame.size);
            }
            words.iter().for_each(|word| moof.extend_from_slice(&word.to_be_bytes()));
        }
        assert_eq!(moof.len(), len);
        self.moofs.extend(moof);
        self.bytes += offset;
    }

    fn shown(&self) -> Shown<'_> {
        Shown {
            segment: self.number,
            tracks: &self.tracks,
            moofs: &self.moofs,
            start: self.start,
            end: self.end,
            from: None,
            to: None,
            joint: self.joint,
            leads: false,
        }
    }
}

fn word(name: &[u8; 4]) -> u32 {
    u32::from_be_bytes(*name)
}

fn movie<'a>(shown: impl IntoIterator<Item = Shown<'a>> + Clone) -> Movie {
    let mut builder = Builder::new(shown.clone().into_iter().map(|shown| shown.tracks));
    shown.into_iter().for_each(|shown| builder.push(&shown).unwrap());
    builder.finish().unwrap()
}

/// What a reader finds.
struct Read {
    moov: MoovBox,
    movie: Movie,
}

impl Read {
    fn new(movie: Movie) -> Self {
        let head = movie.head.concat();
        let (_, ftyp) = FtypBox::decode(&head).unwrap();
        let (moov, len) = MoovBox::decode(&head[ftyp..]).unwrap();
        let mdat = &head[ftyp + len..];
        let media = movie.len - head.len() as u64;
        match mdat {
            [s0, s1, s2, s3, b'm', b'd', b'a', b't'] => {
                assert_eq!(u64::from(u32::from_be_bytes([*s0, *s1, *s2, *s3])), media + 8);
            }
            [0, 0, 0, 1, b'm', b'd', b'a', b't', size @ ..] => {
                assert_eq!(u64::from_be_bytes(size.try_into().unwrap()), media + 16);
            }
            _ => panic!("no mdat: {mdat:?}"),
        }
        Self { moov, movie }
    }

    fn track(&self, id: u32) -> &TrakBox {
        self.moov.trak_boxes.iter().find(|trak| trak.tkhd_box.track_id == id).unwrap()
    }

    /// The frames of a track; times on the track's own timeline.
    fn frames(&self, id: u32) -> Vec<(Frame, usize)> {
        let stbl = &self.track(id).mdia_box.minf_box.stbl_box;
        let table = SampleTableAccessor::new(stbl).unwrap();
        let read = |sample: shiguredo_mp4::aux::SampleAccessor<'_, _>| {
            // Parameter sets may stand before it.
            let extents = &self.movie.extents;
            let first = extents.partition_point(|extent| extent.at <= sample.data_offset()) - 1;
            let sets = match extents[first].place {
                Place::Sets(sets) => self.movie.sets[sets].len() as u32,
                Place::Recorded { .. } => 0,
            };
            let at = sample.data_offset() + u64::from(sets);
            let extent = self.movie.extents.partition_point(|extent| extent.at <= at) - 1;
            let next = self.movie.extents.get(extent + 1).map_or(self.movie.len, |next| next.at);
            let extent = self.movie.extents[extent];
            assert!(at + u64::from(sample.data_size() - sets) <= next, "a frame lies in one place");
            let place = match extent.place {
                Place::Recorded { segment, offset } => (segment, offset + at - extent.at),
                Place::Sets(_) => panic!("parameter sets without their frame"),
            };
            let frame = Frame {
                dts: sample.timestamp() as i64,
                composition: sample.composition_time_offset().unwrap_or(0) as i32,
                duration: sample.duration(),
                size: sample.data_size() - sets,
                sync: sample.is_sync_sample(),
                place,
            };
            (frame, sample.chunk().sample_entry_index())
        };
        table.samples().map(read).collect()
    }

    /// Where in the movie, in 90 kHz, each frame of a track that is seen is seen.
    fn seen(&self, id: u32, scale: u32) -> Vec<(i64, Frame)> {
        let trak = self.track(id);
        let elst = trak.edts_box.as_ref().and_then(|edts| edts.elst_box.as_ref());
        let (mut at, mut edits) = (0, Vec::new());
        for entry in elst.map_or(&[][..], |elst| &elst.entries) {
            let duration = entry.edit_duration as i64;
            if entry.media_time >= 0 {
                edits.push((at, duration, entry.media_time));
            }
            at += duration;
        }
        if edits.is_empty() {
            edits.push((0, i64::MAX, 0));
        }
        let in_movie = |ticks: i64| Span::from_scale(ticks, scale).in_scale(PICTURES);
        let mut seen = Vec::new();
        for (frame, _) in self.frames(id) {
            let pts = frame.dts + i64::from(frame.composition);
            for (at, duration, media_time) in &edits {
                let from = in_movie(pts - media_time);
                if from > -in_movie(frame.duration.into()) && from < *duration {
                    seen.push((at + from.max(0), frame));
                }
            }
        }
        seen.sort_by_key(|(at, _)| *at);
        seen
    }
}

/// So many milliseconds; the last frame of sound may end a little later.
fn lasts(read: &Read, millis: i64) {
    let longer = read.movie.duration.as_millis() - millis;
    assert!((0..10).contains(&longer), "{longer} ms longer");
    let ticks = span(read.moov.mvhd_box.duration as i64 / 90);
    assert_eq!(ticks.as_millis(), read.movie.duration.as_millis());
}

fn pictures(from: i64, count: usize, size: u32) -> Vec<Frame> {
    let picture = |n: usize| Frame {
        dts: from + 3000 * n as i64,
        composition: 0,
        duration: 3000,
        size,
        sync: n == 0,
        place: (0, 0),
    };
    (0..count).map(picture).collect()
}

fn sounds(from: i64, count: usize, size: u32) -> Vec<Frame> {
    let sound = |n: usize| Frame {
        dts: from + 1024 * n as i64,
        composition: 0,
        duration: 1024,
        size,
        sync: true,
        place: (0, 0),
    };
    (0..count).map(sound).collect()
}

fn ticks(ticks: i64) -> Timestamp {
    Timestamp::from_scale(ticks, PICTURES)
}

/// Two seconds from `second` on, with a keyframe first.
fn two_seconds(number: u64, second: i64, tracks: &Arc<Tracks>, size: u32) -> Segment {
    let mut segment = Segment::new(number, tracks, ms(1000 * second));
    let sound = if tracks.audio.is_some() { sounds(48_000 * second, 94, 300) } else { Vec::new() };
    segment.part(&pictures(PICTURES as i64 * second, 60, size), &sound);
    segment.end = ms(1000 * second + 2000);
    segment
}

#[test]
fn twelve_hours_beyond_4_gib_have_64_bits_wherever_they_need_them() {
    // 13.9 h, so that neither bytes nor the movie's ticks fit 32 bits.
    let segments: Vec<_> = (0..2500)
        .map(|n| {
            let mut segment = Segment::new(n, &h264_aac(), ms(20_000 * n as i64));
            let mut frames = pictures(0, 60, 90_000);
            for (at, frame) in frames.iter_mut().enumerate() {
                (frame.dts, frame.duration) = (1_800_000 * n as i64 + 30_000 * at as i64, 30_000);
            }
            segment.part(&frames, &sounds(960_000 * n as i64, 94, 300));
            segment.end = ms(20_000 * (n as i64 + 1));
            segment
        })
        .collect();
    let read = Read::new(movie(segments.iter().map(Segment::shown)));
    assert!(read.movie.len > 3 * (4 << 30));
    lasts(&read, 50_000_000);
    assert_eq!(read.track(1).tkhd_box.duration, 50_000 * 90_000);
    assert_eq!(read.track(1).mdia_box.mdhd_box.duration, 50_000 * 90_000);
    let own =
        |frames: fn(&Segment) -> &Vec<Frame>| segments.iter().flat_map(frames).copied().collect::<Vec<_>>();
    for (id, own) in [(1, own(|segment| &segment.pictures)), (2, own(|segment| &segment.sounds))] {
        let stbl = &read.track(id).mdia_box.minf_box.stbl_box;
        assert!(matches!(stbl.stco_or_co64_box, Either::B(_)), "co64");
        let places =
            |frames: &mut dyn Iterator<Item = Frame>| -> Vec<_> { frames.map(|frame| frame.place).collect() };
        assert!(
            places(&mut read.frames(id).into_iter().map(|(frame, _)| frame))
                == places(&mut own.iter().copied()),
            "every frame lies where it was recorded"
        );
    }
}

#[test]
fn bytes_below_4_gib_are_added_up_in_32_bits() {
    let segments = [two_seconds(0, 0, &h264(), 100), two_seconds(1, 2, &h264(), 100)];
    let read = Read::new(movie(segments.iter().map(Segment::shown)));
    let stbl = &read.track(1).mdia_box.minf_box.stbl_box;
    assert!(matches!(stbl.stco_or_co64_box, Either::A(_)), "stco");
    assert!(read.track(1).edts_box.is_none(), "nothing to be said");
    assert_eq!(read.movie.extents.len(), 2);
}

#[test]
fn what_is_missing_between_two_runs_is_cut_together() {
    // A run of 2 s, a hole of 100 s, and a run with another size and another sample rate.
    let slower = Arc::new(Tracks {
        video: Some(kaibo_media::VideoTrack { width: 640, height: 360, ..video(VideoCodec::H264, AVCC) }),
        audio: Some(AudioTrack { sample_rate: 44_100, ..aac() }),
    });
    let first = two_seconds(0, 0, &h264_aac(), 100);
    let mut second = Segment::new(7, &slower, ms(102_000));
    second.joint = true;
    second.part(&pictures(102 * 90_000, 60, 100), &sounds(102 * 44_100, 86, 300));
    second.end = ms(104_000);
    let read = Read::new(movie([first.shown(), second.shown()]));
    assert_eq!(read.track(1).mdia_box.mdhd_box.timescale.get(), 90_000);
    let scale = read.track(2).mdia_box.mdhd_box.timescale.get();
    assert_eq!((scale % 48_000, scale % 44_100), (0, 0), "both rates are exact");

    let pictures = read.seen(1, 90_000);
    let times: Vec<i64> = pictures.iter().map(|(at, _)| *at).collect();
    assert_eq!(times, (0..120).map(|n| 3000 * n).collect::<Vec<_>>());
    let entries: Vec<usize> = read.frames(1).iter().map(|(_, entry)| *entry).collect();
    assert!(entries[..60].iter().all(|entry| *entry == entries[0]));
    assert!(entries[60..].iter().all(|entry| *entry == entries[0] + 1));
    let sounds = read.seen(2, scale);
    let begins = sounds.iter().find(|(_, frame)| frame.place.0 == 7).unwrap().0;
    assert!((begins - 180_000).abs() < 2000, "sound of the second run begins with its picture: {begins}");
    assert_eq!(read.track(1).tkhd_box.width.integer, 640);
}

#[test]
fn sound_that_comes_later_comes_later() {
    let first = two_seconds(0, 0, &h264(), 100);
    let mut second = two_seconds(1, 2, &h264_aac(), 100);
    second.joint = true;
    let read = Read::new(movie([first.shown(), second.shown()]));
    let sounds = read.seen(2, 48_000);
    assert_eq!((sounds[0].0, sounds.len()), (180_000, 94));
    assert_eq!(read.seen(1, 90_000).len(), 120);
    lasts(&read, 4000);
}

/// Pictures are shown in another order than they are decoded: I P B B, two pictures of delay.
fn reordered(number: u64, second: i64) -> Segment {
    let mut segment = Segment::new(number, &h264_aac(), ms(1000 * second));
    let mut frames = pictures(90_000 * second, 60, 100);
    for (n, frame) in frames.iter_mut().enumerate() {
        // Shown at: 0 3 1 2 6 4 5 9 7 8 …, and the last two in their order.
        let shown = match (n, n % 3) {
            (0, _) | (58.., _) => n,
            (_, 1) => n + 2,
            _ => n - 1,
        } as i64;
        frame.composition = ((shown + 2 - n as i64) * 3000) as i32;
    }
    segment.part(&frames, &sounds(48_000 * second, 94, 300));
    segment.end = ms(1000 * second + 2000);
    segment
}

#[test]
fn reordered_pictures_begin_at_zero_and_sound_keeps_its_distance() {
    let read = Read::new(movie([reordered(0, 0).shown(), reordered(1, 2).shown()]));
    // The sound began two pictures before the first one was due.
    let (pictures, sounds) = (read.seen(1, 90_000), read.seen(2, 48_000));
    assert_eq!((sounds[0].0, pictures[0].0), (0, 6000));
    assert_eq!((sounds.len(), pictures.len()), (188, 120));
    assert!(pictures.windows(2).all(|pair| pair[1].0 - pair[0].0 == 3000));
}

#[test]
fn a_clip_begins_at_its_very_picture_and_ends_before_the_next() {
    for (from, to) in [(500, 3500), (0, 1000), (2000, 2100), (33, 3967), (1999, 2001)] {
        for make in [|n, second| two_seconds(n, second, &h264_aac(), 100), reordered] {
            let segments = [make(0, 0), make(1, 2)];
            let shown = segments.iter().filter(|segment| segment.start < ms(to) && segment.end > ms(from));
            let shown = shown.map(|segment| Shown {
                from: (segment.start <= ms(from)).then_some(ms(from)),
                to: (segment.end > ms(to)).then_some(ms(to)),
                ..segment.shown()
            });
            let read = Read::new(movie(shown.collect::<Vec<_>>()));
            lasts(&read, to - from);
            let pictures = read.seen(1, 90_000);
            let frames = (to * 90 + 2999) / 3000 - from * 90 / 3000;
            assert_eq!(pictures.len() as i64, frames, "{from} to {to}");
            assert!(read.frames(1)[0].0.sync, "it can be decoded");
            let sounds = read.seen(2, 48_000);
            assert!(sounds[0].0 < 2000, "sound begins with it: {}", sounds[0].0);
        }
    }
}

#[test]
fn a_cut_between_keyframes_takes_what_leads_to_it() {
    // A group of pictures of 4 s, cut into two segments.
    let first = two_seconds(0, 0, &h264_aac(), 100);
    let mut second = two_seconds(1, 2, &h264_aac(), 100);
    let mut frames = pictures(180_000, 60, 100);
    frames[0].sync = false;
    second = Segment { moofs: Vec::new(), pictures: Vec::new(), sounds: Vec::new(), bytes: 0, ..second };
    second.part(&frames, &sounds(96_000, 94, 300));
    let lead = Shown { leads: true, ..first.shown() };
    let clip = Shown { from: Some(ms(3000)), ..second.shown() };
    let read = Read::new(movie([lead, clip]));
    lasts(&read, 1000);
    assert_eq!((read.frames(1).len(), read.seen(1, 90_000).len()), (120, 30));
    assert_eq!(read.frames(1)[0].0.place.0, 0);
}

#[test]
fn removed_stretches_are_not_seen() {
    let segment = two_seconds(0, 0, &h264_aac(), 100);
    let next = two_seconds(1, 2, &h264_aac(), 100);
    let shown = [
        Shown { to: Some(ms(500)), ..segment.shown() },
        Shown { from: Some(ms(1500)), joint: true, ..segment.shown() },
        next.shown(),
    ];
    let read = Read::new(movie(shown));
    lasts(&read, 3000);
    let pictures = read.seen(1, 90_000);
    let times: Vec<i64> = pictures.iter().map(|(at, _)| *at).collect();
    assert_eq!(times, (0..90).map(|n| 3000 * n).collect::<Vec<_>>());
    // The fifteenth picture of the first stretch is followed by the forty-fifth of the segment.
    let place = |n: usize| segment.pictures[n].place;
    assert_eq!((pictures[14].1.place, pictures[15].1.place), (place(14), place(45)));
    let sounds = read.seen(2, 48_000);
    assert!(sounds.windows(2).all(|pair| (0..=2000).contains(&(pair[1].0 - pair[0].0))));
}

#[test]
fn nothing_makes_no_movie_and_noise_is_an_error() {
    assert_eq!(Builder::new([]).finish().unwrap_err(), Error::Empty);
    let segment = two_seconds(0, 0, &h264(), 100);
    for cut in 1..segment.moofs.len() {
        let shown = Shown { moofs: &segment.moofs[..cut], ..segment.shown() };
        assert!(Builder::new([]).push(&shown).is_err());
    }
}

/// Runs of segments as a publisher might send them.
fn recordings() -> impl Strategy<Value = Vec<Segment>> {
    let part = (0..12usize, 0..12usize, 1..5000u32, 1..5000u32, 0..3i32);
    let segment = (prop::collection::vec(part, 1..4), any::<bool>(), 0..200_000i64, any::<bool>());
    prop::collection::vec(segment, 1..8).prop_map(|segments| {
        let (mut at, mut heard) = (0, 0);
        let mut made = Vec::new();
        for (number, (parts, joint, hole, quiet)) in segments.into_iter().enumerate() {
            if joint {
                at += hole;
                heard = ticks(at).in_scale(48_000);
            }
            let tracks = if quiet { h264() } else { h264_aac() };
            let mut segment = Segment::new(number as u64 * 2, &tracks, ticks(at));
            segment.joint = joint;
            for (seen, sound, size, loud, composition) in parts {
                let mut frames = pictures(at, seen, size);
                frames.iter_mut().for_each(|frame| frame.composition = composition * 3000);
                let sound = if quiet { 0 } else { sound };
                segment.part(&frames, &sounds(heard, sound, loud));
                at += 3000 * seen as i64;
                heard += 1024 * sound as i64;
            }
            segment.end = ticks(at);
            made.push(segment);
        }
        made
    })
}

proptest! {
    /// Whatever was recorded is in the movie, once, in order, with its own bytes; and nobody hears a picture's sound
    /// long before or after it but where runs overlap.
    #[test]
    fn every_frame_is_there(segments in recordings()) {
        let mut builder = Builder::new(segments.iter().map(|segment| &*segment.tracks));
        for segment in &segments {
            builder.push(&segment.shown()).unwrap();
        }
        let Ok(movie) = builder.finish() else {
            prop_assert!(segments.iter().all(|s| s.pictures.is_empty() && s.sounds.is_empty()));
            return Ok(());
        };
        let extents = movie.extents.clone();
        prop_assert!(extents.is_sorted_by(|a, b| a.at < b.at));
        let len = movie.len;
        let media: u64 = segments.iter().flat_map(|s| s.pictures.iter().chain(&s.sounds)).map(|f| u64::from(f.size)).sum();
        prop_assert_eq!(len - movie.head.iter().map(|piece| piece.len() as u64).sum::<u64>(), media);
        let read = Read::new(movie);
        for id in [1, 2] {
            let own: Vec<Frame> =
                segments.iter().flat_map(|s| if id == 1 { &s.pictures } else { &s.sounds }).copied().collect();
            if own.is_empty() {
                prop_assert!(read.moov.trak_boxes.iter().all(|trak| trak.tkhd_box.track_id != id));
                continue;
            }
            let got = read.frames(id);
            let facts = |frame: &Frame| (frame.size, frame.sync, frame.place);
            prop_assert_eq!(
                got.iter().map(|(frame, _)| facts(frame)).collect::<Vec<_>>(),
                own.iter().map(facts).collect::<Vec<_>>()
            );
            prop_assert!(got.is_sorted_by(|a, b| a.0.dts < b.0.dts));
            prop_assert!(extents.iter().all(|extent| extent.at < len));
        }
    }
}
