//! Another implementation publishes and plays: `rml_rtmp`'s client.
#![allow(clippy::unwrap_used, clippy::panic)]

use bytes::{Bytes, BytesMut};
use kaibo_rtmp::{Connection, Event, Limits, chunk::kind, play};
use rml_rtmp::{
    handshake::{Handshake, HandshakeProcessResult, PeerType},
    sessions::{
        ClientSession, ClientSessionConfig, ClientSessionEvent, ClientSessionResult, PublishRequestType,
        StreamMetadata,
    },
    time::RtmpTimestamp,
};

/// Both ends, joined by two buffers.
struct Pair {
    server: Connection,
    to_server: BytesMut,
    client: ClientSession,
    seen_by_server: Vec<Event>,
    seen_by_client: Vec<ClientSessionEvent>,
}

impl Pair {
    /// Past the handshake, with digests on both sides, and `connect`.
    fn connected() -> Self {
        let mut server = Connection::new(Limits::default());
        let mut handshake = Handshake::new(PeerType::Client);
        let mut to_server = BytesMut::from(&handshake.generate_outbound_p0_and_p1().unwrap()[..]);
        server.receive(&mut to_server).unwrap();
        let answer = server.output().unwrap();
        let HandshakeProcessResult::Completed { response_bytes, .. } =
            handshake.process_bytes(&answer).unwrap()
        else {
            panic!("the client wants more than {} bytes", answer.len())
        };
        to_server.extend_from_slice(&response_bytes);
        let (client, results) = ClientSession::new(ClientSessionConfig::new()).unwrap();
        let mut pair =
            Self { server, to_server, client, seen_by_server: Vec::new(), seen_by_client: Vec::new() };
        pair.exchange(results);
        let request = pair.client.request_connection("live".to_owned()).unwrap();
        pair.exchange(vec![request]);
        assert!(pair.seen_by_client.contains(&ClientSessionEvent::ConnectionRequestAccepted));
        pair
    }

    /// Lets both talk until neither has anything to say.
    fn exchange(&mut self, mut results: Vec<ClientSessionResult>) {
        loop {
            for result in results {
                match result {
                    ClientSessionResult::OutboundResponse(packet) => {
                        self.to_server.extend_from_slice(&packet.bytes)
                    }
                    ClientSessionResult::RaisedEvent(event) => self.seen_by_client.push(event),
                    ClientSessionResult::UnhandleableMessageReceived(_) => {}
                }
            }
            while let Some(event) = self.server.receive(&mut self.to_server).unwrap() {
                self.server.accept();
                self.seen_by_server.push(event);
            }
            match self.server.output() {
                Some(bytes) => results = self.client.handle_input(&bytes).unwrap(),
                None => break,
            }
        }
    }
}

#[test]
fn it_publishes() {
    let mut pair = Pair::connected();
    let request =
        pair.client.request_publishing("room?txSecret=a".to_owned(), PublishRequestType::Live).unwrap();
    pair.exchange(vec![request]);
    assert!(pair.seen_by_client.contains(&ClientSessionEvent::PublishRequestAccepted));

    let mut metadata = StreamMetadata::new();
    metadata.video_width = Some(160);
    let time = RtmpTimestamp::new;
    let sent = vec![
        pair.client.publish_metadata(&metadata).unwrap(),
        pair.client.publish_video_data(Bytes::from(vec![0x17; 9000]), time(0), false).unwrap(),
        pair.client.publish_audio_data(Bytes::from(vec![0xAF; 300]), time(23), false).unwrap(),
        pair.client.publish_video_data(Bytes::from(vec![0x27; 9000]), time(0x0100_0000), false).unwrap(),
    ];
    pair.exchange(sent);
    let stop = pair.client.stop_publishing().unwrap();
    pair.exchange(stop);

    let media = pair.seen_by_server.split_off(2);
    assert!(matches!(&pair.seen_by_server[1], Event::Publish { name, query, .. }
        if name == "room" && query.as_str() == "txSecret=a"));
    let [Event::Metadata { properties, .. }, first, sound, last, Event::Unpublish] = &media[..] else {
        panic!("{media:?}")
    };
    assert!(properties.contains(&("width".to_owned(), 160.0.into())));
    assert_eq!(first, &Event::Video { time_ms: 0, body: vec![0x17; 9000].into() });
    assert_eq!(sound, &Event::Audio { time_ms: 23, body: vec![0xAF; 300].into() });
    assert_eq!(last, &Event::Video { time_ms: 0x0100_0000, body: vec![0x27; 9000].into() });
}

#[test]
fn it_plays_what_is_made_for_all_players() {
    let mut block = BytesMut::new();
    for time_ms in [0, 0x0100_0000] {
        assert!(play::write_message(&mut block, kind::VIDEO, time_ms, &[&[0x17, 1], &[7; 9000]]));
    }
    for _ in 0..2 {
        let mut pair = Pair::connected();
        let request = pair.client.request_playback("room".to_owned()).unwrap();
        pair.exchange(vec![request]);
        assert!(pair.seen_by_client.contains(&ClientSessionEvent::PlaybackRequestAccepted));
        let results = pair.client.handle_input(&block).unwrap();
        pair.seen_by_client.clear();
        pair.exchange(results);
        let times: Vec<_> = pair
            .seen_by_client
            .iter()
            .map(|event| match event {
                ClientSessionEvent::VideoDataReceived { timestamp, data } => (timestamp.value, data.len()),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(times, [(0, 9002), (0x0100_0000, 9002)]);
    }
}
