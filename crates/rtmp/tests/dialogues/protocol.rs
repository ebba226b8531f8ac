//! What both sides owe each other, whoever they are.

use kaibo_rtmp::{Cause, Event, amf0::Value, chunk::kind};

use crate::{asked, support::*};

#[test]
fn pings_are_answered_and_other_controls_ignored() {
    let mut peer = Peer::publishing();
    let controls = [
        message(2, kind::USER_CONTROL, 0, 0, &[0, 26, 1]),
        message(2, kind::USER_CONTROL, 0, 0, &[0, 31, 0, 0, 0, 1]),
        message(2, kind::USER_CONTROL, 0, 0, &[]),
        message(2, kind::ACKNOWLEDGEMENT, 0, 0, &[0, 0, 1, 0]),
        message(2, kind::PEER_BANDWIDTH, 0, 0, &[0, 0, 1, 0, 2]),
        message(2, 99, 0, 0, &[1, 2, 3]),
        command(0, "whatever", 9.0, &[Value::Null]),
        message(2, kind::USER_CONTROL, 0, 0, &[0, 6, 1, 2, 3, 4]),
    ];
    assert_eq!(peer.say(&controls.concat()), []);
    let messages = peer.messages();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].body[..], [0, 7, 1, 2, 3, 4]);
}

#[test]
fn acknowledgements_count_all_bytes_since_the_beginning() {
    let mut peer = Peer::publishing();
    peer.say(&message(2, kind::WINDOW_SIZE, 0, 0, &200_000u32.to_be_bytes()));
    let (mut acknowledged, mut said) = (Vec::new(), 0);
    for time in 0..400 {
        let bytes = video(time, &[0x27; 1000]);
        said += bytes.len();
        assert_eq!(peer.say(&bytes).len(), 1);
        acknowledged.extend(peer.messages().iter().map(|message| {
            assert_eq!(message.kind, kind::ACKNOWLEDGEMENT);
            u32::from_be_bytes(message.body[..].try_into().unwrap())
        }));
    }
    assert!(acknowledged.is_sorted() && acknowledged.len() == said / 100_000, "{acknowledged:?} of {said}");
    assert!(*acknowledged.last().unwrap() as usize > said - 100_000);
}

#[test]
fn enhanced_rtmp_is_offered_to_those_who_speak_it() {
    let connect = |object: Value| {
        let mut peer = Peer::new();
        let events = peer.say(&[handshake(), command(0, "connect", 1.0, &[object])].concat());
        peer.handshake_answer();
        let answer = peer.messages().pop().unwrap().body;
        let offers = answer.windows(8).any(|window| window == b"capsEx\x00\x40");
        (peer, events, offers)
    };
    let four_cc = Value::StrictArray(vec!["hvc1".into(), "av01".into()]);
    let object = Value::object([("app", "live".into()), ("capsEx", 3.0.into()), ("fourCcList", four_cc)]);
    let (mut peer, events, offers) = connect(object);
    let [Event::Connect(client)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((client.caps_ex, client.four_cc.join(" ")), (3, "hvc1 av01".to_owned()));
    assert!(offers);
    assert!(peer.connection.request_reconnect(Some("rtmp://other/live")));
    let request = peer.messages().pop().unwrap();
    assert_eq!(request.stream, 0);
    assert!(request.body.windows(17).any(|window| window == b"rtmp://other/live"));

    let (mut peer, _, offers) = connect(Value::object([("app", "live".into())]));
    assert!(!offers);
    assert!(!peer.connection.request_reconnect(None));
    assert_eq!(peer.connection.output(), None);
}

#[test]
fn what_is_not_plain_rtmp_ends_at_its_first_byte() {
    for first in [0x16, b'G', 6, 8, 0x80] {
        let (events, error) = Peer::new().try_say(&[first, 3, 1]);
        let error = error.unwrap();
        assert_eq!((events.len(), error.position, error.cause), (0, 0, Cause::Version(first)));
    }
}

#[test]
fn a_handshake_byte_by_byte_is_a_handshake() {
    let mut peer = Peer::new();
    let all = [handshake(), connect("live"), create_stream(), publish("room")].concat();
    let events: Vec<_> = all.iter().flat_map(|byte| peer.say(&[*byte])).collect();
    assert_eq!(events.last(), Some(&asked("live", "room", "")));
}

#[test]
fn nothing_works_before_connect() {
    for (wire, name) in [(create_stream(), "createStream"), (publish("room"), "publish")] {
        let (_, error) = Peer::new().try_say(&[handshake(), wire].concat());
        assert_eq!(error.unwrap().cause, Cause::NotConnected(name));
    }
}

#[test]
fn a_stranger_cannot_make_us_hold_much() {
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (message(4, kind::VIDEO, 1, 0, &[0; 17 << 10]), "a message of 17408 bytes, allowed are 16384"),
        (
            (4..8).flat_map(|id| message(id, kind::COMMAND, 0, 0, &[0; 8000])[..6074].to_vec()).collect(),
            "more than 16384 bytes of incomplete messages",
        ),
        (
            command(0, "connect", 1.0, &[Value::object([("app", "a".repeat(5000).as_str().into())])]),
            "command: AMF0 byte 28: a string of 5000 bytes",
        ),
        (
            message(
                3,
                kind::COMMAND,
                0,
                0,
                &[2u8, 0, 1, b'x'].into_iter().chain([0x0A, 0, 0, 0, 1].repeat(3000)).collect::<Vec<_>>(),
            ),
            "command: AMF0 byte 89: nested too deeply",
        ),
        (
            message(2, kind::USER_CONTROL, 0, 0, &[0, 6, 1, 2, 3, 4]).repeat(1000),
            "more than 8192 bytes of replies at once",
        ),
    ];
    for (wire, expected) in cases {
        let mut peer = Peer::new();
        peer.say(&handshake());
        let mut most = 0;
        let mut cause = None;
        for piece in wire.chunks(100) {
            cause = peer.try_say(piece).1;
            most = most.max(peer.connection.held());
            if cause.is_some() {
                break;
            }
        }
        assert_eq!(cause.unwrap().cause.to_string(), expected);
        assert!(most <= 64 << 10, "{most} bytes held");
    }
}

#[test]
fn commands_that_make_no_sense_are_ignored() {
    let mut peer = Peer::connected();
    for body in [
        vec![],
        vec![2, 0, 9, b'x'],
        vec![5],
        values(&[1.0.into()]),
        values(&["publish".into()])[..5].to_vec(),
    ] {
        assert_eq!(peer.say(&message(3, kind::COMMAND, 0, 0, &body)), []);
    }
    // rml_rtmp panics here: a command of less than three values.
    assert_eq!(
        peer.say(&message(3, kind::COMMAND, 1, 0, &values(&["publish".into()]))),
        [asked("live", "", "")]
    );
}
