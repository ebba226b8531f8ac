//! How long parts are.

use std::sync::Arc;

use kaibo_container::segment::Part;
use kaibo_media::{Item, Span, TrackId};

use crate::{Cutting, fmp4_streams::*};

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
fn whoever_waits_for_the_next_cut_misses_none_and_comes_in_time() {
    for rate in [10.0, 24.0, 25.0, 30_000.0 / 1001.0, 30.0, 50.0, 60.0] {
        let (mut publisher, mut cutting) = (Publisher::new(h264_aac()), Cutting::new());
        let (mut sound, mut early) = (0, 0);
        for number in 0..(rate * 20.0) as i64 {
            let dts = (number as f64 * 1000.0 / rate).round() as i64;
            let mut items = vec![publisher.picture(dts, number % (rate * 2.0).round() as i64 == 0)];
            while sound * 1024 * 1000 / 44_100 < dts {
                let at = ms(sound * 1024 * 1000 / 44_100);
                items.insert(0, Item::Frame(Arc::new(publisher.frame(TrackId::Audio, at, false))));
                sound += 1;
            }
            for item in items {
                let Item::Frame(frame) = &item else { continue };
                let (frame, next) = (frame.clone(), cutting.segmenter.next_cut());
                let waits = !frame.keyframe && next.is_some_and(|next| frame.dts < next);
                let cuts = cutting.push(item);
                // How long frames last is known from the second picture on.
                assert!(cuts == 0 || !waits || number < 2, "{rate}: {:?} before {next:?}", frame.dts);
                early += usize::from(cuts == 0 && !waits);
            }
        }
        // The frames that come around the end of a part.
        assert!(early <= cutting.parts().len() * 4, "{rate}: {early} for {} parts", cutting.parts().len());
    }
}

#[test]
fn slow_pictures_get_parts_no_longer_than_the_target() {
    let mut cutting = Cutting::new();
    cutting.play(&mut Publisher::new(h264()), 1.0, 0, 10_500, 2);
    assert_eq!(cutting.durations(), [2000; 5]);
    assert!(cutting.parts().iter().all(|part| part.duration == span(500)));
}
