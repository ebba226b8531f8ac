//! Timed events among the frames.

use std::sync::Arc;

use kaibo_container::fmp4::read_part;
use kaibo_media::{Cue, Item, UnixMillis};

use crate::{Cutting, fmp4_streams::*};

#[test]
fn events_go_into_the_parts_that_they_are_due_in_and_lengthen_none() {
    let (mut with, mut without) = (Cutting::new(), Cutting::new());
    for cutting in [&mut with, &mut without] {
        cutting.play(&mut Publisher::new(h264()), 30.0, 0, 1000, 60);
    }
    let times = [700, 300, 2500];
    for at in times {
        with.push(Item::Cue(cue(at)));
    }
    for cutting in [&mut with, &mut without] {
        cutting.play(&mut Publisher::new(h264()), 30.0, 1000, 5000, 60);
        cutting.push(Item::Break);
    }
    let spans = |cutting: &Cutting| -> Vec<_> {
        cutting.parts().iter().map(|part| (part.start, part.duration, part.samples.len())).collect()
    };
    assert_eq!(spans(&with), spans(&without));
    let mut found = Vec::new();
    for part in with.parts() {
        for cue in &part.cues {
            assert!(cue.at < part.start + part.duration);
            found.push((part.start.as_millis(), cue.at.as_millis()));
        }
        let read = read_part(&part.bytes, &h264()).unwrap();
        assert_eq!((&read.cues, read.len), (&part.cues, part.bytes.len()));
        for (ours, theirs) in part.samples.iter().zip(&read.samples) {
            assert_eq!(ours.range, theirs.range);
        }
    }
    // The first part is closed before they are told, so both stand at the beginning of the one that is open.
    assert_eq!(found.iter().map(|(_, at)| *at).collect::<Vec<_>>(), [found[0].0, 700, 2500]);
}

#[test]
fn an_event_without_a_publisher_is_told_where_the_stream_goes_on() {
    let mut publisher = Publisher::new(h264());
    let mut cutting = Cutting::new();
    cutting.play(&mut publisher, 30.0, 0, 2000, 60);
    cutting.push(Item::Break);
    cutting.push(Item::Cue(cue(1990)));
    publisher.run.number += 1;
    publisher.run.start = ms(2000);
    publisher.run.wall = UnixMillis(publisher.run.wall.0 + 60_000);
    cutting.play(&mut publisher, 30.0, 2000, 3000, 60);
    cutting.push(Item::Break);
    let told: Vec<_> = cutting.parts().into_iter().flat_map(|part| part.cues.iter()).cloned().collect();
    let head = cutting.heads()[1];
    assert_eq!(told.iter().map(|cue| (cue.at, cue.wall)).collect::<Vec<_>>(), [(head.start, head.wall)]);
}

#[test]
fn events_alone_are_held_within_bounds() {
    let mut publisher = Publisher::new(h264());
    let mut cutting = Cutting::new();
    for at in 0..10_000 {
        cutting.push(Item::Cue(cue(at)));
    }
    cutting.play(&mut publisher, 30.0, 0, 20_000, 60);
    assert!(cutting.parts().iter().map(|part| part.cues.len()).sum::<usize>() <= 64);
}

/// An event at so many milliseconds.
fn cue(at: i64) -> Arc<Cue> {
    Arc::new(Cue {
        id: format!("e-{at}").into(),
        kind: "product".into(),
        payload: r#"{"name":"tea"}"#.into(),
        at: ms(at),
        wall: UnixMillis(0),
        script: None,
    })
}
