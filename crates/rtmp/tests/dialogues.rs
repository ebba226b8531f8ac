//! What encoders and players say, and what they are told.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use bytes::Bytes;
use kaibo_rtmp::{
    Cause, Event, Refusal, State,
    amf0::Value,
    chunk::{Message, kind},
    play,
};
use support::*;

fn status(stream: u32, code: &str) -> (u32, String, f64, String) {
    (stream, "onStatus".to_owned(), 0.0, code.to_owned())
}

fn asked(app: &str, name: &str, query: &str) -> Event {
    Event::Publish { app: app.to_owned(), name: name.to_owned(), query: query.into() }
}

/// The message that announces chunks of 4,096 bytes.
const SET_CHUNK_SIZE: [u8; 16] = [2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0x10, 0];

#[test]
fn obs_publishes_and_stops() {
    let mut peer = Peer::new();
    assert_eq!(peer.connection.state(), State::Handshake);
    let mut c0_c1_c2 = handshake();
    let c2 = c0_c1_c2.split_off(1537);
    assert_eq!(peer.say(&c0_c1_c2), []);
    assert_eq!(peer.handshake_answer()[1537..], c0_c1_c2[1..], "S2 repeats C1");
    // The chunk size comes before connect.
    peer.say(&[c2, message(2, kind::SET_CHUNK_SIZE, 0, 0, &4096u32.to_be_bytes())].concat());
    assert_eq!(peer.connection.state(), State::Idle);

    let url = "rtmp://host/live?txSecret=a";
    let object = Value::object([
        ("app", "live?txSecret=a".into()),
        ("type", "nonprivate".into()),
        ("flashVer", "FMLE/3.0 (compatible; FMSc/1.0)".into()),
        ("swfUrl", url.into()),
        ("tcUrl", url.into()),
    ]);
    let body = values(&["connect".into(), 1.0.into(), object]);
    let mut wire = vec![3, 0, 0, 0, 0, 0, body.len() as u8, 20, 0, 0, 0, 0];
    wire.extend(body);
    let events = peer.say(&wire);
    let [Event::Connect(client)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((client.app.as_str(), client.tc_url.as_str()), ("live", "rtmp://host/live"));
    assert_eq!(client.query.as_str(), "txSecret=a");

    let answer = peer.connection.output().unwrap();
    let at = |part: &[u8]| answer.windows(part.len()).position(|window| window == part).unwrap();
    assert!(at(&SET_CHUNK_SIZE) < at(b"_result"), "no reply comes in chunks that OBS does not expect");
    peer.deliver(&answer);
    let messages = peer.messages();
    let kinds: Vec<_> = messages.iter().map(|message| message.kind).collect();
    assert_eq!(kinds, [kind::WINDOW_SIZE, kind::PEER_BANDWIDTH, kind::COMMAND]);

    peer.say(&command(0, "releaseStream", 2.0, &[Value::Null, "room".into()]));
    peer.say(&command(0, "FCPublish", 3.0, &[Value::Null, "room".into()]));
    peer.say(&create_stream());
    let answers = peer.answers();
    let names: Vec<_> = answers.iter().map(|(_, name, id, _)| (name.as_str(), *id)).collect();
    assert_eq!(names, [("_result", 2.0), ("_result", 3.0), ("onFCPublish", 0.0), ("_result", 4.0)]);

    assert_eq!(peer.say(&publish("room")), [asked("live", "room", "txSecret=a")]);
    assert_eq!(peer.connection.state(), State::Asking);
    peer.connection.accept();
    assert_eq!(peer.connection.state(), State::Publishing);
    assert_eq!(peer.answers(), [status(1, "NetStream.Publish.Start")]);

    // Everything on chunk stream 4.
    let metadata =
        values(&["@setDataFrame".into(), "onMetaData".into(), Value::object([("width", 1280.0.into())])]);
    let media = [
        message(4, kind::DATA, 1, 0, &metadata),
        message(4, kind::AUDIO, 1, 0, &[0xAF, 0, 0x12, 0x10]),
        message(4, kind::VIDEO, 1, 0, &[0x17, 0, 0, 0, 0, 1]),
    ];
    let events = peer.say(&media.concat());
    let [
        Event::Metadata { properties, values: raw, .. },
        Event::Audio { .. },
        Event::Video { body, time_ms: 0 },
    ] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(properties, &[("width".to_owned(), 1280.0.into())]);
    assert_eq!(raw[..], metadata[values(&["@setDataFrame".into()]).len()..], "a script tag body");
    assert_eq!(body[..], [0x17, 0, 0, 0, 0, 1]);

    let goodbye = [
        command(0, "FCUnpublish", 6.0, &[Value::Null, "room".into()]),
        command(0, "deleteStream", 7.0, &[Value::Null, 1.0.into()]),
    ];
    assert_eq!(peer.say(&goodbye.concat()), [Event::Unpublish], "once");
    assert_eq!(peer.connection.output(), None, "an answer to FCUnpublish costs FFmpeg its deleteStream");
}

#[test]
fn the_chunk_size_is_announced_once_and_before_the_publish() {
    let mut peer = Peer::new();
    let announces = |peer: &mut Peer| {
        peer.connection
            .output()
            .map_or(0, |bytes| bytes.windows(16).filter(|window| *window == SET_CHUNK_SIZE).count())
    };
    peer.say(&[handshake(), connect("live"), create_stream(), publish("room")].concat());
    assert_eq!(announces(&mut peer), 1);
    peer.connection.accept();
    peer.say(&[message(2, kind::SET_CHUNK_SIZE, 0, 0, &[0, 0, 0x10, 0]), video(0, &[0x17; 100])].concat());
    assert_eq!(announces(&mut peer), 0);
}

#[test]
fn everything_in_one_read_waits_for_the_answer() {
    let mut peer = Peer::new();
    let media: Vec<u8> = (0..100).flat_map(|at| video(at, &[0x27; 2000])).collect();
    let all = [handshake(), connect("live"), create_stream(), publish("room"), media];
    let events = peer.say(&all.concat());
    assert!(matches!(&events[..], [Event::Connect(_), Event::Publish { .. }]), "{events:?}");
    assert!(peer.connection.held() < 64 << 10, "what waits stays in the read buffer");
    assert_eq!(peer.say(&[]), []);

    peer.connection.accept();
    assert_eq!(peer.say(&[]).len(), 100);
}

#[test]
fn every_goodbye_of_the_publisher_ends_the_publish_once() {
    let goodbyes = [
        command(0, "FCUnpublish", 6.0, &[Value::Null, "room".into()]),
        command(1, "closeStream", 0.0, &[Value::Null]),
        command(1, "closeStream", 0.0, &[]),
        command(0, "deleteStream", 7.0, &[Value::Null, 1.0.into()]),
        command(0, "deleteStream", 0.0, &[Value::Null, "room".into()]), // rtmp2sink
        command(0, "deleteStream", 0.0, &[Value::Null, Value::Null]),
        command(0, "deleteStream", 0.0, &[]),
    ];
    for goodbye in &goodbyes {
        let mut peer = Peer::publishing();
        assert_eq!(peer.say(goodbye), [Event::Unpublish]);
        assert_eq!(peer.say(&goodbyes.concat()), []);
        assert_eq!(peer.say(&video(0, &[0x17; 10])), [], "media after the end is nobody's");
    }
    let mut peer = Peer::publishing();
    assert_eq!(peer.say(&command(0, "deleteStream", 7.0, &[Value::Null, 2.0.into()])), [], "another stream");
}

#[test]
fn a_refused_publisher_ends_nothing() {
    let mut peer = Peer::connected();
    peer.say(&publish("room"));
    peer.connection.reject(Refusal::BadName, "room is already live");
    let refusal = peer.messages().pop().unwrap();
    assert_eq!((refusal.stream, refusal.kind), (1, kind::COMMAND));
    for text in ["error", "NetStream.Publish.BadName", "room is already live"] {
        assert!(refusal.body.windows(text.len()).any(|window| window == text.as_bytes()), "{text}");
    }
    let goodbye = [
        command(0, "FCUnpublish", 6.0, &[Value::Null, "room".into()]),
        command(0, "deleteStream", 7.0, &[Value::Null, 1.0.into()]),
    ];
    assert_eq!(peer.say(&goodbye.concat()), []);
    assert_eq!(peer.connection.state(), State::Idle);
}

#[test]
fn refusals_use_codes_that_obs_and_players_know() {
    let play = command(1, "play", 5.0, &[Value::Null, "room".into()]);
    let cases = [
        (&publish("room"), Refusal::BadName, "NetStream.Publish.BadName"),
        (&publish("room"), Refusal::Denied, "NetStream.Publish.Denied"),
        (&publish("room"), Refusal::Rejected, "NetStream.Publish.Rejected"),
        (&publish("room"), Refusal::Failed, "NetStream.Failed"),
        (&play, Refusal::BadName, "NetStream.Play.StreamNotFound"),
        (&play, Refusal::Denied, "NetStream.Play.Failed"),
    ];
    for (request, refusal, code) in cases {
        let mut peer = Peer::connected();
        peer.say(request);
        peer.connection.reject(refusal, "no");
        assert_eq!(peer.answers(), [status(1, code)]);
    }
}

#[test]
fn an_encoder_may_publish_again_on_the_same_connection() {
    let mut peer = Peer::publishing();
    peer.say(&command(0, "FCUnpublish", 6.0, &[Value::Null, "room".into()]));
    assert_eq!(peer.say(&publish("other")), [asked("live", "other", "")]);
    peer.connection.accept();
    assert_eq!(peer.answers(), [status(1, "NetStream.Publish.Start")]);
    assert_eq!(peer.say(&video(5, &[1, 2])).len(), 1);
}

#[test]
fn a_second_publish_on_the_same_connection_is_refused_and_harms_nothing() {
    let mut peer = Peer::publishing();
    peer.say(&create_stream());
    peer.answers();
    assert_eq!(peer.say(&command(2, "publish", 6.0, &[Value::Null, "other".into()])), []);
    assert_eq!(peer.answers(), [status(2, "NetStream.Publish.BadName")]);
    assert_eq!(peer.say(&video(5, &[1, 2])).len(), 1);
}

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

#[test]
fn the_path_and_its_query_are_found_wherever_they_stand() {
    let cases = [
        ("live", "room?txSecret=a&txTime=5F00", asked("live", "room", "txSecret=a&txTime=5F00")),
        ("live/", "wx_1?txSecret=a", asked("live", "wx_1", "txSecret=a")),
        ("live?token=x", "room", asked("live", "room", "token=x")),
        ("live?token=x", "room?user=y", asked("live", "room", "user=y")),
        ("live?token=x", "room?", asked("live", "room", "token=x")),
        ("live?token=a/b", "room", asked("live", "room", "token=a/b")),
        ("a/b", "c/d", asked("a", "b/c/d", "")),
        ("a/b/c", "d", asked("a", "b/c/d", "")),
        ("live/room", "", asked("live", "room", "")),
        ("live", "", asked("live", "", "")),
        ("", "key", asked("key", "", "")),
        ("live", "mp4:k.mp4", asked("live", "mp4:k.mp4", "")),
        ("live/..", "../../tmp/x", asked("live", "../../../tmp/x", "")),
        ("live", "%2e%2e%2fx", asked("live", "%2e%2e%2fx", "")),
    ];
    for (app, name, expected) in cases {
        let mut peer = Peer::new();
        let events = peer.say(&[handshake(), connect(app), create_stream(), publish(name)].concat());
        assert_eq!(events.last(), Some(&expected), "{app} {name}");
    }
}

#[test]
fn the_query_of_the_url_is_the_last_resort() {
    let object = Value::object([("app", "live".into()), ("tcurl", "\"rtmp://host/live?txSecret=a\"".into())]);
    let mut peer = Peer::new();
    let events = peer.say(
        &[handshake(), command(0, "connect", 1.0, &[object]), create_stream(), publish("room")].concat(),
    );
    let [Event::Connect(client), publish] = &events[..] else { panic!("{events:?}") };
    assert_eq!(client.tc_url, "rtmp://host/live");
    assert_eq!(publish, &asked("live", "room", "txSecret=a"));
    assert!(!format!("{events:?}").contains("txSecret"), "secrets stay out of logs");
}

#[test]
fn a_player_is_led_to_shared_media() {
    // rtmpdump's order.
    let mut peer = Peer::connected();
    peer.say(&message(2, kind::USER_CONTROL, 0, 0, &[0, 3, 0, 0, 0, 1, 0, 0, 0x75, 0x30]));
    peer.say(&command(0, "getStreamLength", 3.0, &[Value::Null, "room".into()]));
    peer.say(&command(0, "FCSubscribe", 4.0, &[Value::Null, "room".into()]));
    let names: Vec<_> = peer.answers().into_iter().map(|(_, name, id, _)| (name, id)).collect();
    assert_eq!(names, [("_result".to_owned(), 3.0), ("onFCSubscribe".to_owned(), 0.0)]);
    let request = command(1, "play", 5.0, &[Value::Null, "room?txSecret=a".into(), (-1000.0).into()]);
    let expected =
        Event::Play { app: "live".to_owned(), name: "room".to_owned(), query: "txSecret=a".into() };
    assert_eq!(peer.say(&request), [expected]);
    peer.connection.accept();
    assert_eq!(peer.connection.state(), State::Playing);
    let messages = peer.messages();
    assert_eq!((messages[0].kind, &messages[0].body[..]), (kind::USER_CONTROL, &[0, 0, 0, 0, 0, 1][..]));

    let mut block = bytes::BytesMut::new();
    let body = vec![7; 10_000];
    assert!(play::write_message(&mut block, kind::VIDEO, 0x0100_0000, &[&body[..5], &body[5..]]));
    peer.deliver(&block);
    let expected = Message { kind: kind::VIDEO, stream: 1, time_ms: 0x0100_0000, body: body.into() };
    assert_eq!(peer.messages(), [expected]);

    peer.connection.end_play();
    assert_eq!(peer.answers(), [status(1, "NetStream.Play.UnpublishNotify")]);

    assert_eq!(peer.say(&request).len(), 1, "and may play again");
    peer.connection.accept();
    assert_eq!(peer.say(&command(0, "deleteStream", 0.0, &[Value::Null, 1.0.into()])), [Event::StopPlay]);
}

#[test]
fn only_the_first_stream_of_a_connection_plays() {
    let mut peer = Peer::connected();
    peer.say(&create_stream());
    peer.answers();
    assert_eq!(peer.say(&command(2, "play", 5.0, &[Value::Null, "room".into()])), []);
    assert_eq!(peer.answers(), [status(2, "NetStream.Failed")]);
}

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
