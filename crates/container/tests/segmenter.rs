//! What viewers and recordings get from the segmenter, case by case.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod fmp4_streams;

use std::sync::Arc;

use fmp4_streams::*;
use kaibo_container::{
    segment::{Cut, Part, SegmentEnd, SegmentHead},
    segmenter::{Beside, Config, Resume, Segmenter},
};
use kaibo_media::{AudioTrack, Frame, Item, Span, TrackId, Tracks, UnixMillis};

/// A segmenter and what came out of it.
struct Cutting {
    segmenter: Segmenter,
    cuts: Vec<Cut>,
}

impl Cutting {
    fn new() -> Self {
        Self::resumed(Resume::default())
    }

    fn resumed(resume: Resume) -> Self {
        Self { segmenter: Segmenter::new(Config::default(), resume), cuts: Vec::new() }
    }

    /// Pushes an item and says how many cuts it completed.
    fn push(&mut self, item: Item) -> usize {
        let before = self.cuts.len();
        self.segmenter.push(&item, &mut self.cuts);
        self.cuts.len() - before
    }

    /// Pictures at `rate` per second from `from` to before `to` milliseconds, keyframes every `gop` pictures.
    fn play(&mut self, publisher: &mut Publisher, rate: f64, from: i64, to: i64, gop: i64) {
        let mut number = 0;
        loop {
            let dts = from + (number as f64 * 1000.0 / rate).round() as i64;
            if dts >= to {
                return;
            }
            self.push(publisher.picture(dts, number % gop == 0));
            number += 1;
        }
    }

    fn heads(&self) -> Vec<&Arc<SegmentHead>> {
        self.cuts
            .iter()
            .filter_map(|cut| if let Cut::Begin(head) = cut { Some(head) } else { None })
            .collect()
    }

    fn parts(&self) -> Vec<&Arc<Part>> {
        self.cuts.iter().filter_map(|cut| if let Cut::Part(part) = cut { Some(part) } else { None }).collect()
    }

    fn ends(&self) -> Vec<&SegmentEnd> {
        self.cuts.iter().filter_map(|cut| if let Cut::End(end) = cut { Some(end) } else { None }).collect()
    }

    /// Durations of the segments in milliseconds.
    fn durations(&self) -> Vec<i64> {
        self.ends().iter().map(|end| end.duration.as_millis()).collect()
    }

    fn samples(&self, track: TrackId) -> usize {
        self.parts().iter().flat_map(|part| &part.samples).filter(|sample| sample.track == track).count()
    }
}

#[test]
fn two_second_gops_make_two_second_segments_of_four_parts() {
    let mut cutting = Cutting::new();
    cutting.play(&mut Publisher::new(h264()), 30.0, 0, 8100, 60);
    assert_eq!(cutting.durations(), [2000; 4]);
    assert!(cutting.ends().iter().all(|end| end.target_duration == 2));
    assert!(cutting.heads().iter().all(|head| head.independent));
    assert!(cutting.parts().iter().all(|part| part.duration == span(500)));
    let independent: Vec<bool> = cutting.parts().iter().take(5).map(|part| part.independent).collect();
    assert_eq!(independent, [true, false, false, false, true]);
}

#[test]
fn parts_are_nearly_as_long_as_allowed_at_every_usual_frame_rate() {
    for rate in [24.0, 25.0, 30_000.0 / 1001.0, 30.0, 50.0, 60_000.0 / 1001.0, 60.0] {
        let mut cutting = Cutting::new();
        cutting.play(&mut Publisher::new(h264()), rate, 17, 30_000, (rate * 2.0).round() as i64);
        let last_of_segment = |part: &Part| {
            !cutting.parts().iter().any(|next| next.segment == part.segment && next.index > part.index)
        };
        for part in cutting.parts() {
            assert!(part.duration <= span(500), "{rate}: {part:?}");
            assert!(part.duration >= span(425) || last_of_segment(part), "{rate}: {:?}", part.duration);
        }
        assert!(cutting.ends().len() >= 13);
    }
}

/// Every part but the last of a segment is 85 % of `target` at least, and none is longer.
fn check_parts(cutting: &Cutting, target: Span) {
    assert!(cutting.ends().iter().all(|end| end.part_target == Some(target)), "{:?}", cutting.ends()[0]);
    for pair in cutting.parts().windows(2) {
        let millis = pair[0].duration.as_millis();
        assert!(pair[0].duration <= target, "{millis} ms");
        let last = pair[0].segment != pair[1].segment;
        assert!(last || millis * 100 >= target.as_millis() * 85, "{millis} ms");
    }
}

#[test]
fn few_frames_in_a_part_get_a_part_target_that_they_fill() {
    // Ten pictures a second that come up to 9 ms early or late.
    let mut cutting = Cutting::new();
    let mut publisher = Publisher::new(h264());
    for number in 0..100i64 {
        let jitter = if number == 0 { 0 } else { number * 7 % 19 - 9 };
        cutting.push(publisher.picture(number * 100 + jitter, number % 20 == 0));
    }
    check_parts(&cutting, cutting.ends()[0].part_target.unwrap());
    assert!(cutting.ends()[0].part_target.unwrap() < span(450));
    assert!(cutting.parts().iter().all(|part| part.samples.len() <= 4));

    // The target stays when somebody with other pictures takes over.
    let target = cutting.ends()[0].part_target.unwrap();
    cutting.push(Item::Break);
    publisher.run.number = 1;
    publisher.run.start = ms(10_000);
    cutting.play(&mut publisher, 3.0, 10_000, 20_000, 6);
    cutting.push(Item::Break);
    check_parts(&cutting, target);
}

#[test]
fn sound_alone_fills_its_parts() {
    let mut cutting = Cutting::new();
    let mut publisher = Publisher::new(aac_only());
    for number in 0..500 {
        let frame = publisher.frame(TrackId::Audio, ms(0) + Span::from_scale(number * 1024, 44_100), true);
        cutting.push(Item::Frame(Arc::new(frame)));
    }
    check_parts(&cutting, span(500));
}

#[test]
fn a_part_is_out_when_the_frame_after_it_arrives() {
    let mut publisher = Publisher::new(h264());
    let mut cutting = Cutting::new();
    assert_eq!(cutting.push(publisher.picture(0, true)), 1, "the segment begins with its first frame");
    for number in 1..15 {
        assert_eq!(cutting.push(publisher.picture(number * 100 / 3, false)), 0);
    }
    assert_eq!(cutting.push(publisher.picture(500, false)), 1);
    assert_eq!(cutting.parts()[0].samples.len(), 15);
}

#[test]
fn nothing_is_published_before_the_first_keyframe() {
    let mut publisher = Publisher::new(h264_aac());
    let mut cutting = Cutting::new();
    for item in
        [publisher.picture(0, false), publisher.sound(10), publisher.sound(90), publisher.picture(33, false)]
    {
        assert_eq!(cutting.push(item), 0);
    }
    cutting.push(publisher.picture(66, true));
    cutting.push(Item::Break);
    let [part] = &cutting.parts()[..] else { panic!() };
    let due: Vec<i64> = part.samples.iter().map(|sample| sample.dts.as_millis()).collect();
    assert_eq!(due, [66, 90], "audio from before the keyframe is gone, audio that ran ahead is not");
}

#[test]
fn a_lost_publisher_leaves_a_short_segment_and_the_next_one_is_a_discontinuity() {
    let mut publisher = Publisher::new(h264());
    let mut cutting = Cutting::new();
    cutting.play(&mut publisher, 30.0, 0, 700, 60);
    cutting.push(Item::Break);
    assert_eq!(cutting.durations(), [700], "the last frame is taken to last as long as the others");

    publisher.run.number = 1;
    publisher.run.start = ms(700);
    publisher.run.wall = UnixMillis(1_700_000_060_000);
    cutting.play(&mut publisher, 30.0, 700, 2750, 60);
    cutting.push(Item::Break);
    cutting.push(Item::Break);
    let numbers: Vec<_> = cutting.heads().iter().map(|head| (head.number, head.discontinuity)).collect();
    assert_eq!(numbers, [(0, 0), (1, 1), (2, 1)]);
    let walls: Vec<_> = cutting.heads().iter().map(|head| head.wall.0 % 1_000_000).collect();
    assert_eq!(walls, [0, 60_000, 62_000]);
    assert!(Arc::ptr_eq(&cutting.heads()[0].init, &cutting.heads()[1].init), "same parameters, same init");
}

#[test]
fn filler_goes_on_where_the_publisher_was_cut_off() {
    let mut publisher = Publisher::new(h264_aac());
    let mut cutting = Cutting::new();
    cutting.play(&mut publisher, 25.0, 0, 1000, 50);
    cutting.push(Item::Break);
    let filler = |frame: Frame| Item::Frame(Arc::new(Frame { filler: true, ..frame }));
    // Its sound was behind.
    cutting.push(filler(publisher.frame(TrackId::Audio, ms(980), false)));
    for number in 0..25 {
        cutting.push(filler(publisher.frame(TrackId::Video, ms(1000 + number * 100), number % 20 == 0)));
    }
    cutting.push(Item::Break);
    publisher.run.number = 1;
    cutting.play(&mut publisher, 25.0, 3500, 4000, 50);
    cutting.push(Item::Break);
    let told: Vec<_> = cutting
        .heads()
        .iter()
        .map(|head| (head.start.as_millis(), head.filler, head.discontinuity))
        .collect();
    assert_eq!(told, [(0, false, 0), (1000, true, 0), (3000, true, 0), (3500, false, 1)]);
    assert_eq!(cutting.durations(), [1000, 2000, 500, 520]);
    let samples: usize = cutting.parts().iter().map(|part| part.samples.len()).sum();
    assert_eq!(samples, publisher.made as usize, "nothing is left out");
}

#[test]
fn a_single_frame_makes_a_segment_that_lasts() {
    let mut publisher = Publisher::new(h264());
    let mut cutting = Cutting::new();
    cutting.push(publisher.picture(0, true));
    cutting.push(Item::Break);
    assert_eq!(cutting.durations(), [33]);
}

#[test]
fn a_restart_goes_on_with_its_numbers() {
    let resume = Resume {
        next_segment: 40,
        discontinuity: 3,
        next_init: 2,
        target_duration: Some(3),
        part_target: Some(span(360)),
        init: None,
    };
    let mut publisher = Publisher::new(h264());
    publisher.run.number = 5;
    let mut cutting = Cutting::resumed(resume);
    cutting.play(&mut publisher, 30.0, 90_000, 92_050, 60);
    let head = &cutting.heads()[0];
    assert_eq!((head.number, head.discontinuity, head.init.number), (40, 3, 2));
    assert_eq!(cutting.ends()[0].target_duration, 3);
    assert_eq!(cutting.ends()[0].part_target, Some(span(360)));
    assert!(cutting.parts().iter().all(|part| part.duration <= span(360)));
}

#[test]
fn whoever_joins_another_stream_is_cut_where_that_one_is() {
    // Segments of three seconds, of keyframes every 1.5 s; the other one comes in the middle of the third.
    let mut reference = Cutting::new();
    reference.play(&mut Publisher::new(h264()), 30.0, 0, 18_050, 45);
    let beside = Beside {
        number: reference.heads()[2].number,
        discontinuity: 4,
        start: reference.heads()[2].start,
        target_duration: Some(reference.ends()[0].target_duration),
        part_target: reference.ends()[0].part_target,
    };
    // Whatever number it would begin with by itself.
    let mut joining = Cutting::resumed(Resume { next_segment: 1, ..Resume::default() });
    joining.segmenter.cut_beside(beside, ms(7500), &mut joining.cuts);
    joining.play(&mut Publisher::new(h264()), 30.0, 7500, 18_050, 45);
    let cut = |cutting: &Cutting| -> Vec<_> {
        cutting.heads().iter().map(|head| (head.number, head.start)).collect()
    };
    assert_eq!(cut(&joining)[0], (2, ms(7500)));
    assert_eq!(cut(&joining)[1..], cut(&reference)[3..]);
    assert!(joining.heads().iter().all(|head| head.discontinuity == 4));
    assert!(joining.ends().iter().all(|end| end.target_duration == 3));
}

#[test]
fn a_keyframe_that_is_due_in_the_other_stream_begins_its_next_segment() {
    let beside = Beside {
        number: 7,
        discontinuity: 0,
        start: ms(14_000),
        target_duration: Some(2),
        part_target: None,
    };
    let mut joining = Cutting::new();
    joining.segmenter.cut_beside(beside, ms(16_000), &mut joining.cuts);
    joining.play(&mut Publisher::new(h264()), 30.0, 16_000, 20_050, 30);
    assert_eq!(joining.heads()[0].number, 8);
    assert_eq!(joining.durations(), [2000, 2000]);
}

#[test]
fn whoever_comes_back_keeps_its_own_numbers() {
    let mut publisher = Publisher::new(h264());
    let mut cutting = Cutting::new();
    cutting.play(&mut publisher, 30.0, 0, 4050, 30);
    cutting.push(Item::Break);
    let before = cutting.heads().last().unwrap().number;
    publisher.run.number = 1;
    let beside = Beside {
        number: 40,
        discontinuity: 0,
        start: ms(80_000),
        target_duration: Some(2),
        part_target: None,
    };
    cutting.segmenter.cut_beside(beside, ms(81_000), &mut cutting.cuts);
    cutting.play(&mut publisher, 30.0, 81_000, 86_050, 30);
    let again: Vec<_> = cutting.heads().into_iter().filter(|head| head.start >= ms(81_000)).collect();
    assert_eq!((again[0].number, again[0].discontinuity), (before + 1, 1));
    assert_eq!(again[1].start, ms(82_000), "in line with the other stream from there on");
}

#[test]
fn new_parameters_get_a_new_init_and_equal_ones_change_nothing() {
    let mut publisher = Publisher::new(h264_aac());
    let mut cutting = Cutting::new();
    cutting.play(&mut publisher, 30.0, 0, 1000, 60);
    publisher.tracks = h264_aac();
    for number in 30..45 {
        cutting.push(publisher.picture(number * 100 / 3, false));
    }
    assert_eq!(cutting.heads().len(), 1, "a repeated sequence header is no change");

    let audio = AudioTrack { channels: 1, config: unhex("1188"), ..aac() };
    publisher.tracks = Arc::new(Tracks { audio: Some(audio), ..(*h264_aac()).clone() });
    cutting.push(publisher.sound(1490));
    cutting.push(publisher.picture(1500, false));
    cutting.push(Item::Break);
    let heads: Vec<_> = cutting.heads().iter().map(|head| (head.discontinuity, head.init.number)).collect();
    assert_eq!(heads, [(0, 0), (1, 1)]);
    assert!(!cutting.heads()[1].independent);
    assert_eq!(cutting.samples(TrackId::Video), 46, "pictures go on where only the sound changed");
    assert_eq!(cutting.samples(TrackId::Audio), 1);
}

#[test]
fn new_picture_parameters_wait_for_their_keyframe() {
    let mut publisher = Publisher::new(h264());
    let mut cutting = Cutting::new();
    cutting.play(&mut publisher, 30.0, 0, 1000, 60);
    let mut tracks = (*h264()).clone();
    tracks.video.as_mut().unwrap().width = 640;
    publisher.tracks = Arc::new(tracks);
    cutting.push(publisher.picture(1000, false));
    assert_eq!(cutting.durations(), [1000]);
    cutting.push(publisher.picture(1033, true));
    assert_eq!(cutting.heads()[1].start, ms(1033));
    assert!(cutting.heads()[1].independent);
}

#[test]
fn a_scene_cut_ends_the_segment_early_rather_than_late() {
    let mut publisher = Publisher::new(h264());
    let mut cutting = Cutting::new();
    cutting.play(&mut publisher, 30.0, 0, 5500, 60);
    cutting.play(&mut publisher, 30.0, 5500, 9600, 60);
    assert_eq!(cutting.durations(), [2000, 2000, 1500, 2000, 2000]);
    assert!(cutting.heads().iter().all(|head| head.independent));
}

#[test]
fn a_scene_cut_that_does_not_matter_is_passed_over() {
    let mut publisher = Publisher::new(h264());
    let mut cutting = Cutting::new();
    cutting.play(&mut publisher, 30.0, 0, 4200, 60);
    cutting.play(&mut publisher, 30.0, 4200, 6250, 60);
    assert_eq!(cutting.durations(), [2000, 2000, 2200]);
}

#[test]
fn the_first_gop_decides_the_target_duration() {
    let mut cutting = Cutting::new();
    cutting.play(&mut Publisher::new(h264()), 30.0, 0, 30_000, 250);
    assert_eq!(cutting.durations(), [8333, 8334, 8333]);
    assert!(cutting.ends().iter().all(|end| end.target_duration == 8));
}

#[test]
fn longer_gops_than_the_target_are_cut_without_a_keyframe() {
    let mut publisher = Publisher::new(h264());
    let mut cutting = Cutting::new();
    cutting.play(&mut publisher, 30.0, 0, 4000, 60);
    cutting.play(&mut publisher, 30.0, 4000, 20_800, 250);
    for end in cutting.ends() {
        assert!(end.duration < span(2500) && end.target_duration == 2, "{end:?}");
    }
    let keyed: Vec<i64> =
        cutting.heads().iter().filter(|head| head.independent).map(|head| head.start.as_millis()).collect();
    assert_eq!(keyed, [0, 2000, 4000, 12_333, 20_667], "and find back to the keyframes");
    assert_eq!(cutting.durations().iter().sum::<i64>(), 20_667);
}

#[test]
fn an_hour_without_keyframes_stays_bounded() {
    let mut cutting = Cutting::new();
    cutting.play(&mut Publisher::new(h264()), 10.0, 0, 3_600_000, i64::MAX);
    assert!(cutting.durations().iter().all(|&duration| (11_000..12_500).contains(&duration)));
    assert!(cutting.ends().iter().all(|end| end.target_duration == 12));
}

#[test]
fn sound_alone_is_cut_by_time() {
    let mut publisher = Publisher::new(aac_only());
    let mut cutting = Cutting::new();
    for number in 0..500 {
        cutting.push(publisher.sound(number * 1024 / 48));
    }
    let durations = cutting.durations();
    assert_eq!(durations.len(), 5);
    assert!(durations.iter().all(|duration| (1990..=2030).contains(duration)), "{durations:?}");
    assert!(cutting.parts().iter().all(|part| part.independent && part.duration <= span(500)));
}

#[test]
fn sound_that_runs_ahead_or_late_goes_where_the_stream_is() {
    for lead in [-1500, 0, 1500] {
        let mut publisher = Publisher::new(h264_aac());
        let mut cutting = Cutting::new();
        let mut sound = 0;
        for number in 0..300 {
            let dts = number * 100 / 3;
            cutting.push(publisher.picture(dts, number % 60 == 0));
            while sound < dts + lead {
                cutting.push(publisher.sound(sound));
                sound += 20;
            }
        }
        assert_eq!(cutting.durations(), [2000; 4], "{lead}: pictures alone say when to cut");
        cutting.push(Item::Break);
        assert_eq!(cutting.samples(TrackId::Audio) as i64, sound / 20);
        if lead > 0 {
            let ahead = cutting.parts().iter().any(|part| {
                let end = part.start + part.duration;
                part.segment < 4 && part.samples.iter().any(|sample| sample.dts >= end)
            });
            assert!(!ahead, "what is due later is published later");
        }
    }
}

#[test]
fn sound_goes_on_when_pictures_stop() {
    let mut publisher = Publisher::new(h264_aac());
    let mut cutting = Cutting::new();
    for number in 0..60 {
        cutting.push(publisher.picture(number * 100 / 3, number == 0));
        cutting.push(publisher.sound(number * 100 / 3));
    }
    for number in 60..900 {
        cutting.push(publisher.sound(number * 100 / 3));
    }
    let published: Span = cutting.parts().iter().map(|part| part.duration).sum();
    assert!(published > span(29_000), "{published:?}");
    for number in 900..1000 {
        cutting.push(publisher.picture(number * 100 / 3, number % 60 == 0));
        cutting.push(publisher.sound(number * 100 / 3));
    }
    cutting.push(Item::Break);
    assert_eq!((cutting.samples(TrackId::Video), cutting.samples(TrackId::Audio)), (160, 1000));
    assert!(cutting.durations().iter().all(|&duration| duration < 2500), "{:?}", cutting.durations());
    assert!(cutting.parts().iter().all(|part| part.duration <= span(500)));
    assert!(cutting.heads().iter().all(|head| head.discontinuity == 0));
}

#[test]
fn pictures_that_drop_out_for_a_second_leave_no_hole() {
    let mut publisher = Publisher::new(h264_aac());
    let mut cutting = Cutting::new();
    for number in 0..300 {
        let dts = number * 100 / 3;
        if !(3200..4400).contains(&dts) {
            cutting.push(publisher.picture(dts, number % 60 == 0));
        }
        cutting.push(publisher.sound(dts));
    }
    cutting.push(Item::Break);
    let published: Span = cutting.ends().iter().map(|end| end.duration).sum();
    assert!((published - span(10_000)).abs() <= span(2), "{published:?}");
    assert!(cutting.heads().iter().all(|head| head.discontinuity == 0));
    assert!(cutting.parts().iter().all(|part| part.duration <= span(500)));
}

#[test]
fn a_hole_longer_than_a_segment_is_a_discontinuity() {
    let mut publisher = Publisher::new(h264());
    let mut cutting = Cutting::new();
    cutting.play(&mut publisher, 30.0, 0, 3000, 60);
    cutting.push(publisher.picture(11_000, false));
    cutting.push(publisher.picture(11_033, false));
    cutting.push(Item::Break);
    let heads: Vec<_> =
        cutting.heads().iter().map(|head| (head.start.as_millis(), head.discontinuity)).collect();
    assert_eq!(heads, [(0, 0), (2000, 0), (2967, 0), (11_000, 1)]);
    assert!(cutting.durations().iter().all(|&duration| duration < 2500));
    assert_eq!(cutting.samples(TrackId::Video), 92);
}

#[test]
fn slow_pictures_get_parts_no_longer_than_the_target() {
    let mut cutting = Cutting::new();
    cutting.play(&mut Publisher::new(h264()), 1.0, 0, 10_500, 2);
    assert_eq!(cutting.durations(), [2000; 5]);
    assert!(cutting.parts().iter().all(|part| part.duration == span(500)));
}

#[test]
fn a_flood_is_cut_by_size_and_count() {
    let mut publisher = Publisher::new(h264_aac());
    let mut cutting = Cutting::new();
    let large = |frame: Frame| Item::Frame(Arc::new(Frame { data: vec![0; 4 << 20].into(), ..frame }));
    for number in 0..60 {
        cutting.push(large(publisher.frame(TrackId::Video, ms(number * 33), number == 0)));
    }
    assert!(cutting.parts().iter().all(|part| part.bytes.len() <= (16 << 20) + 1000));
    assert!(cutting.ends().iter().all(|end| end.duration < span(600)), "64 MiB are a segment");
    assert!(cutting.ends().len() >= 3);

    for _ in 0..10_000 {
        cutting.push(publisher.sound(2000));
    }
    cutting.push(Item::Break);
    assert!(cutting.parts().iter().all(|part| part.samples.len() <= 4096));
}

#[test]
fn tracks_that_mp4_cannot_carry_are_reported_and_cut_nothing() {
    let mut tracks = (*h264()).clone();
    tracks.video.as_mut().unwrap().width = 100_000;
    let mut publisher = Publisher::new(Arc::new(tracks));
    let mut cutting = Cutting::new();
    cutting.play(&mut publisher, 30.0, 0, 5000, 60);
    assert!(cutting.cuts.is_empty() && cutting.segmenter.fault().is_some());
    publisher.tracks = h264();
    cutting.play(&mut publisher, 30.0, 5000, 7100, 60);
    assert_eq!(cutting.durations(), [2000]);
    assert!(cutting.segmenter.fault().is_none());
}

#[test]
fn script_data_is_not_packaged() {
    let mut publisher = Publisher::new(h264());
    let mut cutting = Cutting::new();
    cutting.push(publisher.picture(0, true));
    let text = publisher.frame(TrackId::Data, ms(10), false);
    cutting.push(Item::Frame(Arc::new(text)));
    cutting.push(Item::Break);
    assert_eq!(cutting.parts()[0].samples.len(), 1);
}
