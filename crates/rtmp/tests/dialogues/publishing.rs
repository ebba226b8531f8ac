//! Encoders begin, stop, come again and are refused.

use kaibo_rtmp::{Event, Refusal, State, amf0::Value, chunk::kind};

use crate::{asked, status, support::*};

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
