//! Where segments begin and end.

use kaibo_media::Item;

use crate::{Cutting, fmp4_streams::*};

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
fn a_single_frame_makes_a_segment_that_lasts() {
    let mut publisher = Publisher::new(h264());
    let mut cutting = Cutting::new();
    cutting.push(publisher.picture(0, true));
    cutting.push(Item::Break);
    assert_eq!(cutting.durations(), [33]);
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
