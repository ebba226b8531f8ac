//! Streams with holes, floods and tracks that nobody expects.

use std::sync::Arc;

use kaibo_media::{Frame, Item, Span, TrackId};

use crate::{Cutting, fmp4_streams::*};

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
