use kaibo_media::{TrackId, Tracks};
use tokio::sync::broadcast;

use super::*;

fn frame(track: TrackId, at: i64, data: &[u8]) -> Frame {
    Frame {
        tracks: Arc::new(Tracks::default()),
        run: Run { number: 0, start: Timestamp::ZERO, wall: UnixMillis(1_000_000) },
        track,
        dts: Timestamp::from_millis(at),
        pts_offset: Span::ZERO,
        keyframe: false,
        filler: false,
        data: Bytes::copy_from_slice(data),
    }
}

fn cues() -> Cues {
    Cues::new(Arc::new(Told::new(&[], ("b-1".parse().unwrap(), broadcast::Sender::new(1)))))
}

fn wish(when: When) -> Wish {
    Wish { kind: "product".into(), payload: "1".into(), when }
}

fn millis(cue: &Arc<Cue>) -> (i64, i64) {
    (cue.at.as_millis(), cue.wall.0)
}

#[test]
fn an_event_is_told_where_the_stream_is_or_when_it_comes_there() {
    let mut cues = cues();
    let now = UnixMillis(1_005_000);
    assert_eq!(cues.ask(wish(When::Now), now).err(), Some(Untold::NoMedia));
    assert!(cues.due(&frame(TrackId::Video, 5000, b"")).is_empty());
    let mut ask = |when| cues.ask(wish(when), now).map(|(_, cue)| cue.as_ref().map(millis));
    assert_eq!(ask(When::Now), Ok(Some((5000, 1_005_000))));
    // What is just over is told now.
    assert_eq!(ask(When::Media(Timestamp::from_millis(2000))), Ok(Some((5000, 1_005_000))));
    assert_eq!(ask(When::Wall(UnixMillis(1_002_500))), Ok(Some((5000, 1_005_000))));
    assert_eq!(ask(When::Media(Timestamp::from_millis(1000))), Err(Untold::TooLate));
    assert_eq!(ask(When::Wall(UnixMillis(1_001_000))), Err(Untold::TooLate));
    assert_eq!(ask(When::Media(Timestamp::from_millis(4_000_000))), Err(Untold::TooFarAhead));
    assert_eq!(ask(When::Wall(UnixMillis(1_005_120))), Ok(None));
    assert_eq!(ask(When::Media(Timestamp::from_millis(5110))), Ok(None));
    assert!(cues.due(&frame(TrackId::Video, 5100, b"")).is_empty());
    let due = cues.due(&frame(TrackId::Video, 5140, b""));
    assert_eq!(due.iter().map(millis).collect::<Vec<_>>(), [(5110, 1_005_110), (5120, 1_005_120)]);
    assert_eq!(cues.told.after(3, 10), due);
    assert_eq!(*cues.told.watch().borrow(), 5);
}

#[test]
fn what_waits_for_the_clock_goes_by_the_run_that_it_comes_in() {
    let mut cues = cues();
    cues.due(&frame(TrackId::Video, 5000, b""));
    let waits = cues.ask(wish(When::Wall(UnixMillis(1_070_000))), UnixMillis(1_005_000));
    assert!(waits.unwrap().1.is_none());
    // The publisher was away for a minute.
    let run = Run { number: 1, start: Timestamp::from_millis(5040), wall: UnixMillis(1_065_000) };
    let back = |at| Frame { run, ..frame(TrackId::Video, at, b"") };
    assert!(cues.due(&back(5040)).is_empty());
    assert_eq!(cues.due(&back(10_050)).iter().map(millis).collect::<Vec<_>>(), [(10_040, 1_070_000)]);
}

#[test]
fn both_ways_in_have_their_own_bounds() {
    let mut cues = cues();
    cues.due(&frame(TrackId::Video, 0, b""));
    let text = frame(TrackId::Data, 10, b"\x02\0\x01x\x05");
    let mut second = |now| {
        let asked = (0..50).filter(|_| cues.ask(wish(When::Now), UnixMillis(now)).is_ok()).count();
        let sent = (0..50).filter(|_| cues.of_publisher(&text, UnixMillis(now)).is_some()).count();
        (asked, sent)
    };
    assert_eq!((second(1000), second(2000)), ((10, 10), (10, 10)));
    // The publisher's half is full long before, and does not take the other.
    let mut total = 20;
    for now in 3.. {
        let (asked, sent) = second(now * 1000);
        assert_eq!(sent, 10);
        total += asked;
        if asked < 10 {
            break;
        }
    }
    assert!((2160..4320).contains(&total), "{total}");
    assert_eq!(cues.ask(wish(When::Now), UnixMillis(0)).err(), Some(Untold::TooMany));
}

#[test]
fn script_data_becomes_json() {
    let mut cues = cues();
    let mut kind_and_payload = |data: &[u8]| {
        let cue = cues.of_publisher(&frame(TrackId::Data, 10, data), UnixMillis(1))?;
        assert_eq!(cue.script.as_deref(), Some(data));
        Some((cue.kind.to_string(), cue.payload.to_string()))
    };
    let text =
        b"\x02\0\x0AonTextData\x08\0\0\0\x02\0\x04text\x02\0\x05hello\0\x01n\0\x40\x08\0\0\0\0\0\0\0\0\x09";
    assert_eq!(kind_and_payload(text), Some(("onTextData".into(), r#"{"n":3,"text":"hello"}"#.into())));
    assert_eq!(kind_and_payload(b"\x02\0\x01x"), Some(("x".into(), "null".into())));
    assert_eq!(kind_and_payload(b"\x02\0\x01x\x01\x01\x05"), Some(("x".into(), "[true,null]".into())));
    for nothing in [&b"\x02\0\x03a b\x05"[..], b"", b"\0", b"\x02\0\x01x\x29", b"\x02\0\x09x"] {
        assert_eq!(kind_and_payload(nothing), None);
    }
}
