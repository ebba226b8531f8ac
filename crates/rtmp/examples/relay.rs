//! Takes publishers one after the other and plays the newest to whoever asks: to try real encoders and players, and
//! to record what they send.
//!
//! `cargo run -p kaibo-rtmp --example relay -- 127.0.0.1:1935 [FILE]`: every publisher's bytes go to FILE.

use std::{
    fs,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use bytes::BytesMut;
use kaibo_rtmp::{Connection, Event, Limits, chunk::kind, play};

/// What the newest publisher has sent, ready for players.
type Stream = Arc<Mutex<BytesMut>>;

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:1935".to_owned());
    let file = arguments.next();
    let stream = Stream::default();
    for socket in TcpListener::bind(address)?.incoming() {
        let (socket, stream, file) = (socket?, stream.clone(), file.clone());
        thread::spawn(move || {
            if let Err(error) = converse(socket, &stream, file.as_deref()) {
                eprintln!("{error}");
            }
        });
    }
    Ok(())
}

fn converse(mut socket: TcpStream, stream: &Stream, file: Option<&str>) -> io::Result<()> {
    let mut connection = Connection::new(Limits::default());
    let (mut buffer, mut record) = (BytesMut::new(), Vec::new());
    let mut chunk = vec![0; 64 << 10];
    let mut published = false;
    let end = loop {
        let received = match socket.read(&mut chunk) {
            Ok(0) => break "closed".to_owned(),
            Ok(received) => chunk.get(..received).unwrap_or_default(),
            Err(error) => break error.to_string(),
        };
        record.extend_from_slice(received);
        buffer.extend_from_slice(received);
        loop {
            match connection.receive(&mut buffer) {
                Ok(Some(event)) => {
                    published |= matches!(event, Event::Publish { .. });
                    handle(event, &mut connection, stream);
                }
                Ok(None) => break,
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        if let Some(bytes) = connection.output() {
            socket.write_all(&bytes)?;
        }
        if connection.state() == kaibo_rtmp::State::Playing {
            socket.write_all(&stream.lock().map_err(|_| io::ErrorKind::Other)?.clone())?;
            connection.end_play();
        }
        if let Some(bytes) = connection.output() {
            socket.write_all(&bytes)?;
        }
    };
    eprintln!("{end} in state {:?} after {} bytes", connection.state(), record.len());
    match file {
        Some(file) if published => fs::write(file, record),
        _ => Ok(()),
    }
}

fn handle(event: Event, connection: &mut Connection, stream: &Stream) {
    let Ok(mut stream) = stream.lock() else { return };
    match event {
        Event::Video { time_ms, body } => {
            _ = play::write_message(&mut stream, kind::VIDEO, time_ms, &[&body])
        }
        Event::Audio { time_ms, body } => {
            _ = play::write_message(&mut stream, kind::AUDIO, time_ms, &[&body])
        }
        Event::Metadata { time_ms, ref values, .. } => {
            play::write_message(&mut stream, kind::DATA, time_ms, &[values]);
            eprintln!("{event:?}");
        }
        Event::Publish { .. } => {
            eprintln!("{event:?}");
            stream.clear();
            connection.accept();
        }
        Event::Play { .. } => {
            eprintln!("{event:?}");
            connection.accept();
        }
        event => eprintln!("{event:?}"),
    }
}
