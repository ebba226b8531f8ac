//! Players are led to the media.

use kaibo_rtmp::{
    Event, State,
    amf0::Value,
    chunk::{Message, kind},
    play,
};

use crate::{status, support::*};

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
