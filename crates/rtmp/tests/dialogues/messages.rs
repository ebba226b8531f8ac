//! What encoders send, in all the forms in which they do.

use bytes::Bytes;
use kaibo_rtmp::{Event, amf0::Value, chunk::kind};

use crate::{asked, status, support::*};

#[test]
fn rtmp2sink_wants_no_answers_and_repeats_its_metadata() {
    let mut peer = Peer::connected();
    peer.say(&command(0, "releaseStream", 0.0, &[Value::Null, "room".into()]));
    assert_eq!(peer.answers(), []);
    peer.say(&command(1, "publish", 0.0, &[Value::Null, "room".into()])); // No type, either.
    peer.connection.accept();
    assert_eq!(peer.answers(), [status(1, "NetStream.Publish.Start")]);
    // The chunk size after the publish, in a type 1 chunk.
    let set_chunk_size = [0x42, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 128];
    let metadata = values(&["@setDataFrame".into(), "onMetaData".into(), Value::EcmaArray(vec![])]);
    let repeated: Vec<u8> = (0..18).flat_map(|time| message(4, kind::DATA, 1, time, &metadata)).collect();
    assert_eq!(peer.say(&[&set_chunk_size[..], &repeated].concat()).len(), 18);
}

#[test]
fn metadata_comes_in_many_forms() {
    let object = Value::object([("width", 160.0.into()), ("title", "<script>".into())]);
    let properties = object.properties().unwrap().to_vec();
    let array = Value::EcmaArray(properties.clone());
    let name = || Value::from("onMetaData");
    let set = || Value::from("@setDataFrame");
    let amf3 = |body: Vec<u8>| message(5, kind::DATA_AMF3, 1, 0, &[&[0], &body[..]].concat());
    let amf0 = |body: Vec<u8>| message(5, kind::DATA, 1, 0, &body);
    let readable = [
        amf0(values(&[set(), name(), object.clone()])),
        amf0(values(&[set(), name(), array.clone()])),
        amf0(values(&[name(), object.clone()])),
        amf0(values(&[7.0.into(), name(), object.clone()])), // Uniview
        amf3(values(&[set(), name(), object.clone()])),
        amf3(values(&[7.0.into(), name(), object.clone()])),
    ];
    let mut peer = Peer::publishing();
    for (case, wire) in readable.iter().enumerate() {
        let events = peer.say(wire);
        let [Event::Metadata { properties: read, values: raw, .. }] = &events[..] else {
            panic!("{case}: {events:?}")
        };
        assert_eq!(read, &properties);
        assert!(raw.starts_with(b"\x02\x00\x0aonMetaData"), "{case}");
    }
    let events = peer.say(&amf0(values(&[set(), name()])));
    assert!(
        matches!(&events[..], [Event::Metadata { properties, .. }] if properties.is_empty()),
        "{events:?}"
    );

    let unknown_marker = [values(&[set(), name()]), vec![41, 0, 0]].concat(); // OBS with a VOD track
    let unreadable = [
        vec![],
        vec![41],
        vec![0],
        values(&[set()]),
        values(&[1.0.into()]),
        unknown_marker,
        vec![2, 255, 255],
    ];
    for body in unreadable.into_iter().chain([vec![0x0A; 65 << 10]]) {
        assert_eq!(peer.say(&amf0(body)), [], "ignored, and the session goes on");
    }

    let text = values(&["onTextData".into(), object]);
    let events = peer.say(&amf0(text.clone()));
    assert_eq!(events, [Event::Data { time_ms: 0, name: "onTextData".to_owned(), values: text.into() }]);
}

#[test]
fn commands_in_amf3_messages_are_commands() {
    let mut peer = Peer::connected();
    let body =
        [&[0], &values(&["publish".into(), 5.0.into(), Value::Null])[..], b"\x11\x06\x09room"].concat();
    assert_eq!(peer.say(&message(3, kind::COMMAND_AMF3, 1, 0, &body)), [asked("live", "room", "")]);
}

#[test]
fn an_aggregate_is_the_messages_in_it() {
    let tag = |kind: u8, time: u32, body: &[u8]| {
        let [high, t0, t1, t2] = time.to_be_bytes();
        let size = (11 + body.len() as u32).to_be_bytes();
        [&[kind, 0, 0, body.len() as u8, t0, t1, t2, high, 0, 0, 0], body, &size].concat()
    };
    let onset = 0xFF_FFF0u32;
    let body = [
        tag(kind::VIDEO, onset, &[0x27, 1]),
        tag(kind::AUDIO, onset + 23, &[0xAF, 1]),
        tag(kind::AUDIO, onset + 30, &[]),
        tag(kind::VIDEO, onset + 40, &[0x27, 2]),
    ]
    .concat();
    let expected = [
        Event::Video { time_ms: 1000, body: Bytes::from_static(&[0x27, 1]) },
        Event::Audio { time_ms: 1023, body: Bytes::from_static(&[0xAF, 1]) },
        Event::Video { time_ms: 1040, body: Bytes::from_static(&[0x27, 2]) },
    ];
    let mut peer = Peer::publishing();
    assert_eq!(peer.say(&message(6, kind::AGGREGATE, 1, 1000, &body)), expected);
    // Cut short anywhere, it gives what is whole, and the session goes on.
    for end in 0..body.len() {
        let events = peer.say(&message(6, kind::AGGREGATE, 1, 1000, &body[..end]));
        assert_eq!(events, expected[..events.len()]);
    }
    assert_eq!(peer.say(&video(0, &[1])).len(), 1);
}

#[test]
fn empty_media_is_a_silence_mark_and_media_before_the_publish_is_ignored() {
    let mut peer = Peer::publishing();
    assert_eq!(peer.say(&message(4, kind::AUDIO, 1, 0, &[])), []);
    assert_eq!(peer.say(&video(0, &[0x17])).len(), 1, "one byte is for the parser of tags");
    assert_eq!(Peer::connected().say(&video(0, &[0x17; 100])), []);
}
