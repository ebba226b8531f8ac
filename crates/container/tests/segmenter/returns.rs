//! Publishers that go, come back and change.

use std::sync::Arc;

use kaibo_container::segmenter::{Beside, Resume};
use kaibo_media::{AudioTrack, Frame, Item, TrackId, Tracks, UnixMillis};

use crate::{Cutting, fmp4_streams::*};

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
