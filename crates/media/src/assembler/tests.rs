use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{VideoCodec, codec::tests::hex};

const SPS: &str = "67640028acd940780227e5c04400000fa40003a9803c60c658";
const SPS_PORTRAIT: &str = "674d401feca05a050d80880000030008000003019078c18cb0";
const PPS: &str = "68ebe3cb22c0";
const AVCC: &str =
    "01640028ffe1001967640028acd940780227e5c04400000fa40003a9803c60c65801000668ebe3cb22c0fdf8f800";
const AVCC_PORTRAIT: &str =
    "014d401fffe10019674d401feca05a050d80880000030008000003019078c18cb001000668ebe3cb22c0";
const HVCC: &str = "01016000000090000000000078f000fcfdf8f800000f03a00001001840010c01ffff01600000030090000003000003007\
                    8959809a10001002c420101016000000300900000030000030078a00280802d1f596566924caf0168080000030008000003\
                    01e040a2000100074401c172b46240";

/// A publish session under test.
struct Session {
    assembler: Assembler,
    now: u64,
    samples: Vec<Sample>,
}

impl Session {
    fn new() -> Self {
        Self::after(None)
    }

    fn after(previous: Option<Arc<Tracks>>) -> Self {
        Self { assembler: Assembler::new(previous), now: 0, samples: Vec::new() }
    }

    fn push(&mut self, input: Input) -> Result<(), AssemblyError> {
        self.assembler.push(input, self.now, &mut self.samples)
    }

    fn headers(mut self) -> Self {
        self.push(video_config(AVCC)).unwrap();
        self.push(audio_config("1210")).unwrap();
        self
    }

    /// Video at 25 and audio at 43 frames per second, as they come, from `from` to `to`; keyframes every 2 s.
    fn run(&mut self, video: bool, audio: bool, from: u32, to: u32) {
        for time in from..to {
            self.now += 1;
            if video && time % 40 == 0 {
                self.push(picture(time, time % 2000 == 0)).unwrap();
            }
            if audio && time % 23 == 0 {
                self.push(sound(time)).unwrap();
            }
        }
    }

    fn times(&self, track: TrackId) -> Vec<u32> {
        self.samples
            .iter()
            .map(|sample| &sample.packet)
            .filter(|p| p.track == track)
            .map(|p| p.time_ms)
            .collect()
    }

    /// How often the tracks change, with what they are.
    fn tracks(&self) -> Vec<(bool, bool)> {
        let mut all: Vec<_> = self.samples.iter().map(|sample| sample.tracks.clone()).collect();
        all.dedup_by(|a, b| Arc::ptr_eq(a, b));
        all.iter().map(|tracks| (tracks.video.is_some(), tracks.audio.is_some())).collect()
    }
}

fn video_config(record: &str) -> Input {
    Input::VideoConfig { codec: VideoCodec::H264, record: hex(record) }
}

fn audio_config(config: &str) -> Input {
    Input::AudioConfig { codec: AudioCodec::Aac, config: hex(config) }
}

fn packet(track: TrackId, time_ms: u32, keyframe: bool, data: Bytes) -> Input {
    Input::Packet(Packet { track, time_ms, composition_ms: 0, nanos: 0, keyframe, data })
}

/// NAL units behind lengths of 4 bytes.
fn frame(units: &[&str]) -> Bytes {
    let prefixed = |unit: &&str| [&(hex(unit).len() as u32).to_be_bytes()[..], &hex(unit)].concat();
    units.iter().flat_map(prefixed).collect()
}

fn picture(time: u32, keyframe: bool) -> Input {
    packet(TrackId::Video, time, keyframe, frame(&[if keyframe { "658884" } else { "419a02" }]))
}

fn sound(time: u32) -> Input {
    packet(TrackId::Audio, time, false, hex("211004608c1c"))
}

#[test]
fn a_stream_begins_at_its_first_keyframe_and_older_sound_goes() {
    // nokey=1500: pictures before the first keyframe
    let mut session = Session::new().headers();
    session.run(true, true, 501, 3000);
    assert_eq!(session.samples[0].packet.time_ms, 2000);
    assert!(session.samples[0].packet.keyframe);
    assert_eq!(session.times(TrackId::Audio)[0], 2001);
    assert_eq!(session.times(TrackId::Video).len(), 25);
    assert_eq!(session.tracks(), [(true, true)]);
}

#[test]
fn sound_that_runs_ahead_or_lags_keeps_what_belongs_to_the_pictures() {
    let mut session = Session::new().headers();
    for time in (0..1500).step_by(20) {
        session.push(sound(time)).unwrap(); // 1.5 s ahead of the picture
    }
    session.push(picture(1000, true)).unwrap();
    assert_eq!(session.samples[0].packet.track, TrackId::Video);
    assert_eq!(session.times(TrackId::Audio), (1000..1500).step_by(20).collect::<Vec<_>>());

    let mut session = Session::new().headers();
    session.push(picture(1000, true)).unwrap();
    (900..1100).step_by(20).for_each(|time| session.push(sound(time)).unwrap());
    assert_eq!(session.times(TrackId::Audio)[0], 1000);
}

#[test]
fn a_stream_begins_with_the_first_sound_behind_its_first_picture() {
    let mut session = Session::new().headers();
    for input in [sound(950), sound(973), picture(990, true)] {
        session.push(input).unwrap();
        assert!(session.samples.is_empty(), "where the sound begins is not known");
    }
    session.push(sound(996)).unwrap();
    assert_eq!((session.times(TrackId::Video), session.times(TrackId::Audio)), (vec![990], vec![996]));

    // Its sound is over: nothing is waited for that doesn't come.
    let mut session = Session::new().headers();
    session.push(sound(950)).unwrap();
    session.run(true, false, 1960, 3000);
    assert_eq!((session.times(TrackId::Video)[0], session.tracks()), (2000, vec![(true, true)]));
}

#[test]
fn the_start_across_a_wrap_of_the_clock_is_no_exception() {
    let mut session = Session::new().headers();
    session.push(sound(u32::MAX - 10)).unwrap();
    session.push(sound(13)).unwrap();
    session.push(picture(3, true)).unwrap();
    assert_eq!(session.times(TrackId::Audio), [13]);
}

#[test]
fn a_second_track_is_waited_for_one_second() {
    for (video, audio) in [(true, false), (false, true)] {
        let mut session = Session::new().headers();
        session.run(video, audio, 0, 990);
        assert!(session.samples.is_empty());
        session.run(video, audio, 990, 1100);
        assert_eq!(session.tracks(), [(video, audio)]);
        assert_eq!(session.samples[0].packet.time_ms, 0);
    }
}

#[test]
fn a_late_track_joins_at_a_keyframe_and_one_that_stops_leaves() {
    let mut session = Session::new().headers();
    session.run(true, false, 0, 3000);
    session.run(true, true, 3000, 9000);
    assert_eq!(session.tracks(), [(true, false), (true, true)]);
    assert_eq!(session.times(TrackId::Audio)[0], 4002);
    session.run(true, false, 9000, 25_000);
    session.run(true, true, 25_000, 30_000);
    assert_eq!(session.tracks(), [(true, false), (true, true), (true, false), (true, true)]);
    assert_eq!(session.times(TrackId::Video).len(), 750, "no picture is lost");
}

#[test]
fn a_camera_that_stops_leaves_sound_and_may_come_back() {
    let mut session = Session::new().headers();
    session.run(true, true, 0, 4000);
    session.run(false, true, 4000, 20_000);
    session.run(true, true, 20_000, 22_000);
    assert_eq!(session.tracks(), [(true, true), (false, true), (true, true)]);
    assert_eq!(session.times(TrackId::Audio).len(), (0..22_000).step_by(23).count());
}

#[test]
fn repeated_headers_change_nothing_and_new_ones_begin_at_a_keyframe() {
    let mut session = Session::new().headers();
    session.run(true, true, 0, 4000);
    session.push(video_config(AVCC)).unwrap();
    session.push(audio_config("1210")).unwrap();
    session.run(true, true, 4000, 5000);
    assert_eq!(session.tracks(), [(true, true)]);
    session.push(video_config(AVCC_PORTRAIT)).unwrap();
    session.run(true, true, 5000, 8000);
    let first = session.samples.iter().find(|s| s.tracks.video.as_ref().unwrap().width == 720).unwrap();
    assert_eq!((first.packet.time_ms, first.packet.keyframe), (6000, true));
    session.push(audio_config("1190")).unwrap();
    session.run(true, true, 8000, 11_000);
    assert_eq!(session.tracks(), [(true, true); 3]);
    assert_eq!(session.samples.last().unwrap().tracks.audio.as_ref().unwrap().sample_rate, 48_000);
}

#[test]
fn a_publisher_that_comes_back_unchanged_keeps_the_tracks() {
    let mut first = Session::new().headers();
    first.run(true, true, 0, 1000);
    let tracks = first.assembler.tracks().cloned().unwrap();
    let mut second = Session::after(Some(tracks.clone())).headers();
    assert!(second.assembler.tracks().is_none());
    second.run(true, true, 0, 1000);
    assert!(Arc::ptr_eq(&tracks, &second.samples[0].tracks));
    let mut third = Session::after(Some(tracks.clone()));
    third.push(video_config(AVCC_PORTRAIT)).unwrap();
    third.run(true, false, 0, 2000);
    assert!(!Arc::ptr_eq(&tracks, &third.samples[0].tracks));
}

#[test]
fn without_a_header_the_parameter_sets_in_band_serve() {
    let hvcc = ParameterSetUnits::of_h265();
    for (units, codecs) in [(vec![SPS, PPS, "658884"], "avc1.640028"), (hvcc.units(), "hvc1.1.6.L120.90")] {
        let mut session = Session::new();
        for time in [0, 1100] {
            session.now = time;
            session.push(packet(TrackId::Video, time as u32, true, frame(&units))).unwrap();
        }
        assert_eq!(session.samples.len(), 2, "{codecs}");
        assert_eq!(session.samples[0].tracks.video.as_ref().unwrap().codecs, codecs);
    }
}

/// The sets of [`HVCC`] in front of an IDR slice.
struct ParameterSetUnits([String; 4]);

impl ParameterSetUnits {
    fn of_h265() -> Self {
        let digits: String = HVCC.chars().filter(|digit| !digit.is_whitespace()).collect();
        let set = |kind: &str, length: usize| {
            let at = digits.find(kind).unwrap();
            digits[at..at + 2 * length].to_owned()
        };
        Self([set("40010c01", 24), set("42010101", 44), set("4401c1", 7), "2601af08".to_owned()])
    }

    fn units(&self) -> Vec<&str> {
        self.0.iter().map(String::as_str).collect()
    }
}

#[test]
fn without_header_and_sets_the_session_fails_after_ten_seconds() {
    let mut session = Session::new();
    session.push(audio_config("1210")).unwrap();
    session.run(true, true, 0, 9900);
    assert!(session.samples.is_empty(), "nothing that cannot be decoded");
    session.now = 10_001;
    let error = session.push(picture(10_000, true)).unwrap_err();
    assert_eq!(error, AssemblyError::NoConfig { track: TrackId::Video });
    assert!(error.is_fatal());
}

#[test]
fn parameter_sets_in_band_win_over_a_wrong_header_however_often_it_is_repeated() {
    let mut session = Session::new();
    for time in [0, 600, 1200, 1800] {
        session.now = time;
        session.push(video_config(AVCC)).unwrap();
        session
            .push(packet(TrackId::Video, time as u32, true, frame(&[SPS_PORTRAIT, PPS, "658884"])))
            .unwrap();
    }
    assert_eq!(session.tracks(), [(true, false)]);
    assert_eq!(session.samples[0].tracks.video.as_ref().unwrap().config, hex(AVCC_PORTRAIT));
    assert_eq!(session.samples.len(), 4);
}

#[test]
fn a_packet_of_parameter_sets_alone_is_no_picture_but_counts_for_the_next() {
    let mut session = Session::new().headers();
    session.push(packet(TrackId::Video, 0, true, frame(&[SPS_PORTRAIT, PPS]))).unwrap();
    session.push(sound(1)).unwrap();
    session.push(picture(0, true)).unwrap();
    assert_eq!(session.times(TrackId::Video), [0]);
    assert_eq!(session.samples[0].tracks.video.as_ref().unwrap().height, 1280);
}

#[test]
fn annex_b_and_short_lengths_become_lengths_of_four_bytes() {
    let expected = frame(&["09f0", "658884"]);
    let mut session = Session::new().headers();
    session.push(packet(TrackId::Video, 0, true, hex("00000001 09f0 000001 658884"))).unwrap();
    session.push(sound(0)).unwrap();
    assert_eq!(session.samples[0].packet.data, expected);

    let mut session = Session::new();
    session.push(video_config(&AVCC.replacen("ffe1", "fde1", 1))).unwrap();
    session.push(audio_config("1210")).unwrap();
    session.push(packet(TrackId::Video, 0, true, hex("0002 09f0 0000 0003 658884"))).unwrap();
    session.push(sound(0)).unwrap();
    assert_eq!(session.samples[0].packet.data, expected);
    assert_eq!(session.samples[0].tracks.video.as_ref().unwrap().config, hex(AVCC));
}

#[test]
fn a_unit_whose_length_looks_like_a_start_code_is_left_alone() {
    let mut session = Session::new().headers();
    let long = "65".repeat(0x0165);
    session.push(packet(TrackId::Video, 0, true, frame(&[&long]))).unwrap();
    session.push(sound(0)).unwrap();
    assert_eq!(session.samples[0].packet.data.len(), 4 + 0x0165);
}

#[test]
fn broken_bodies_and_headers_are_dropped_and_the_session_goes_on() {
    let mut session = Session::new().headers();
    session.run(true, true, 0, 1000);
    let good = session.samples.len();
    session.push(packet(TrackId::Video, 1000, true, hex("17"))).unwrap();
    session.push(packet(TrackId::Audio, 1000, false, Bytes::new())).unwrap();
    let error = session.push(packet(TrackId::Video, 1000, true, hex("ffffffff6588"))).unwrap_err();
    assert!(!error.is_fatal() && error.to_string().contains("1000 ms"), "{error}");
    let error = session.push(video_config("0164")).unwrap_err();
    assert!(!error.is_fatal(), "{error}");
    assert_eq!(session.samples.len(), good);
    session.run(true, true, 1000, 3000);
    assert_eq!(session.tracks(), [(true, true)]);
}

#[test]
fn an_idr_that_is_not_marked_is_a_keyframe() {
    let mut session = Session::new().headers();
    session.push(sound(0)).unwrap();
    session.push(packet(TrackId::Video, 0, false, frame(&["658884"]))).unwrap();
    assert!(session.samples[0].packet.keyframe);
}

#[test]
fn the_end_of_the_sequence_is_one_only_if_nothing_follows() {
    let mut session = Session::new().headers();
    session.run(true, true, 0, 100);
    session.push(Input::EndOfSequence).unwrap();
    assert!(session.assembler.has_ended());
    session.push(sound(100)).unwrap();
    assert!(!session.assembler.has_ended());
}

#[test]
fn waiting_for_a_keyframe_holds_no_more_than_the_bound() {
    let mut session = Session::new().headers();
    for time in 0..40_000 {
        session.push(packet(TrackId::Audio, time, false, Bytes::from_static(&[0x21; 4000]))).unwrap();
        session.push(picture(time, false)).unwrap();
    }
    session.push(picture(38_000, true)).unwrap();
    assert_eq!(session.times(TrackId::Audio).len(), 1100);
}

proptest! {
    #[test]
    fn any_input_gives_streams_that_begin_with_a_keyframe_and_carry_what_decodes_them(
        inputs in prop::collection::vec((0u8..10, any::<u32>(), any::<bool>(), 0u64..400), 0..200),
    ) {
        let mut session = Session::new();
        for (kind, time, flag, step) in inputs {
            session.now += step;
            let _ = session.push(match kind {
                0 => video_config(if flag { AVCC } else { AVCC_PORTRAIT }),
                1 => audio_config(if flag { "1210" } else { "1190" }),
                2 | 3 => sound(time),
                4 | 5 => picture(time, flag),
                6 => packet(TrackId::Data, time, false, hex("0200")),
                7 => packet(TrackId::Video, time, flag, time.to_be_bytes().to_vec().into()),
                8 => packet(TrackId::Video, time, flag, frame(&[SPS, PPS, "658884"])),
                _ => Input::EndOfSequence,
            });
        }
        let mut has_begun = false;
        for Sample { tracks, packet } in session.samples {
            match packet.track {
                TrackId::Video => {
                    prop_assert!(tracks.video.is_some() && (has_begun || packet.keyframe));
                    has_begun = true;
                }
                TrackId::Audio => prop_assert!(tracks.audio.is_some()),
                TrackId::Data => {}
            }
        }
    }
}
