//! Publishes the built-in clip, paced in real time, for ever.

use std::{net::SocketAddr, time::Duration};

use bytes::{Bytes, BytesMut};
use kaibo_container::flv::{TagKind, Tags};
use rml_rtmp::{
    handshake::{Handshake, HandshakeProcessResult, PeerType},
    sessions::{
        ClientSession, ClientSessionConfig, ClientSessionEvent, ClientSessionResult, PublishRequestType,
    },
    time::RtmpTimestamp,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, sleep_until},
};

/// H.264 and AAC, a whole number of GOPs: see `scripts/make-demo-clip`.
static CLIP: &[u8] = include_bytes!("../../assets/demo.flv");

/// Pause before it connects again.
const RETRY: Duration = Duration::from_secs(1);

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Publishes to `app`/`key` at `server` until the task is aborted.
pub async fn run(server: SocketAddr, app: String, key: String) {
    loop {
        if let Err(error) = publish(server, &app, &key).await {
            tracing::warn!(%error, "the demo publisher lost its connection");
        }
        sleep(RETRY).await;
    }
}

async fn publish(server: SocketAddr, app: &str, key: &str) -> Result<(), Failure> {
    let mut stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    let rest = shake_hands(&mut stream).await?;
    let mut config = ClientSessionConfig::new();
    config.flash_version = format!("Kaibo/{}", env!("CARGO_PKG_VERSION"));
    config.tc_url = Some(format!("rtmp://{server}/{app}"));
    let (mut session, first) = ClientSession::new(config)?;
    act(&mut stream, first).await?;
    let connect = session.request_connection(app.to_string())?;
    act(&mut stream, vec![connect]).await?;
    let answers = session.handle_input(&rest)?;
    let mut events = act(&mut stream, answers).await?;
    // The server answers connect, createStream and publish; each answer leads to the next request.
    loop {
        for event in std::mem::take(&mut events) {
            match event {
                ClientSessionEvent::ConnectionRequestAccepted => {
                    let request = session.request_publishing(key.to_string(), PublishRequestType::Live)?;
                    act(&mut stream, vec![request]).await?;
                }
                ClientSessionEvent::PublishRequestAccepted => {
                    return send_clip(&mut stream, &mut session).await;
                }
                ClientSessionEvent::ConnectionRequestRejected { description } => {
                    return Err(description.into());
                }
                _ => {}
            }
        }
        let mut input = [0; 4096];
        let length = stream.read(&mut input).await?;
        if length == 0 {
            return Err("the server closed the connection".into());
        }
        let answers = session.handle_input(input.get(..length).unwrap_or_default())?;
        events = act(&mut stream, answers).await?;
    }
}

async fn shake_hands(stream: &mut TcpStream) -> Result<Vec<u8>, Failure> {
    let mut handshake = Handshake::new(PeerType::Client);
    stream.write_all(&handshake.generate_outbound_p0_and_p1()?).await?;
    let mut input = [0; 4096];
    loop {
        let length = stream.read(&mut input).await?;
        if length == 0 {
            return Err("the server closed the connection in the handshake".into());
        }
        match handshake.process_bytes(input.get(..length).unwrap_or_default())? {
            HandshakeProcessResult::InProgress { response_bytes } => {
                stream.write_all(&response_bytes).await?
            }
            HandshakeProcessResult::Completed { response_bytes, remaining_bytes } => {
                stream.write_all(&response_bytes).await?;
                return Ok(remaining_bytes);
            }
        }
    }
}

/// Sends what the session wants sent; hands back what it wants known.
async fn act(
    stream: &mut TcpStream,
    results: Vec<ClientSessionResult>,
) -> Result<Vec<ClientSessionEvent>, Failure> {
    let mut events = Vec::new();
    for result in results {
        match result {
            ClientSessionResult::OutboundResponse(packet) => stream.write_all(&packet.bytes).await?,
            ClientSessionResult::RaisedEvent(event) => events.push(event),
            ClientSessionResult::UnhandleableMessageReceived(_) => {}
        }
    }
    Ok(events)
}

/// Loops the clip; returns only with an error.
async fn send_clip(stream: &mut TcpStream, session: &mut ClientSession) -> Result<(), Failure> {
    let begin = Instant::now();
    let mut offset = 0u32;
    loop {
        let mut end = 0;
        for tag in Tags::new(Bytes::from_static(CLIP))? {
            let tag = tag?;
            let time = offset.wrapping_add(tag.time_ms);
            end = end.max(tag.time_ms);
            sleep_until(begin + Duration::from_millis(u64::from(time))).await;
            drain(stream, session).await?;
            let time = RtmpTimestamp::new(time);
            let result = match tag.kind {
                TagKind::Audio => session.publish_audio_data(tag.body, time, false)?,
                TagKind::Video => session.publish_video_data(tag.body, time, false)?,
                TagKind::Script => continue,
            };
            act(stream, vec![result]).await?;
        }
        // The clip ends with its last frame's beginning; the next loop begins one GOP grid step later.
        offset = offset.wrapping_add(end.div_ceil(1000) * 1000);
    }
}

/// Reads what the server says (acknowledgements), so that its window never fills.
async fn drain(stream: &mut TcpStream, session: &mut ClientSession) -> Result<(), Failure> {
    let mut input = BytesMut::with_capacity(4096);
    match stream.try_read_buf(&mut input) {
        Ok(0) => Err("the server closed the connection".into()),
        Ok(_) => {
            let answers = session.handle_input(&input)?;
            act(stream, answers).await.map(|_| ())
        }
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(error.into()),
    }
}
