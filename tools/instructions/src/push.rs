//! From a publisher's bytes to the frames in the ring, and what the other paths get of it.

use std::{
    hint::black_box,
    sync::Arc,
    task::{Context, Waker},
};

use bytes::{Bytes, BytesMut};
use kaibo_container::flv::{Audio, Video, parse_audio, parse_video};
use kaibo_hub::{Cursor, Entry, Limits, Start, ring};
use kaibo_media::{
    Assembler, AudioTrack, Frame, Input, Item, Packet, Timeline, TrackId, Tracks, UnixMillis, VideoTrack,
};
use kaibo_rtmp::chunk::{self, Reader, kind};

use crate::count;

/// 720p of High profile at 30 pictures per second.
const AVC: &[u8] = b"\x01\x64\0\x1F\xFF\xE1\0\x19\x67\x64\0\x28\xAC\xD9\x40\x78\x02\x27\xE5\xC0\x44\0\0\x0F\xA4\0\x03\xA9\x80\x3C\x60\xC6\x58\x01\0\x06\x68\xEB\xE3\xCB\x22\xC0\xFD\xF8\xF8\0";
/// AAC-LC, 44.1 kHz, stereo.
const AAC: &[u8] = &[0x12, 0x10];
/// Bytes of one read from a socket.
const READ: usize = 16 << 10;
/// Pictures per second.
const RATE: u32 = 30;

/// A message of a push: its kind, its time in milliseconds and its FLV tag body.
struct Message(u8, u32, Bytes);

/// The usual push of some seconds: 2.4 Mbit/s of pictures with a keyframe of 60 kB every 2 s, 128 kbit/s of sound.
fn messages(seconds: u32) -> Vec<Message> {
    let picture = |number: u32| {
        let (head, bytes) = if number.is_multiple_of(2 * RATE) { (0x17, 60_000) } else { (0x27, 9_500u32) };
        let unit = if head == 0x17 { 0x65 } else { 0x41 };
        let body =
            [&[head, 1, 0, 0, 67], &(bytes - 4).to_be_bytes()[..], &[unit], &vec![0x5A; bytes as usize - 5]];
        Message(kind::VIDEO, number * 1000 / RATE, body.concat().into())
    };
    let sound = |number: u32| {
        let body = [&[0xAF, 1][..], &[0x21; 371]].concat();
        Message(kind::AUDIO, (u64::from(number) * 1_024_000 / 44_100) as u32, body.into())
    };
    let configs = [
        Message(kind::VIDEO, 0, [&[0x17, 0, 0, 0, 0], AVC].concat().into()),
        Message(kind::AUDIO, 0, [&[0xAF, 0], AAC].concat().into()),
    ];
    let mut media: Vec<_> = (0..seconds * RATE).map(picture).collect();
    media.extend((0..seconds * 44_100 / 1024).map(sound));
    media.sort_by_key(|message| message.1);
    configs.into_iter().chain(media).collect()
}

/// What the broadcast makes of it.
fn frames_of(messages: &[Message]) -> Vec<Frame> {
    let (mut assembler, mut timeline) = (Assembler::new(None), Timeline::new());
    timeline.begin_run();
    let (mut samples, mut frames) = (Vec::new(), Vec::new());
    for Message(kind, time_ms, body) in messages {
        let packet = |track, composition_ms, keyframe, data| {
            Input::Packet(Packet { track, time_ms: *time_ms, composition_ms, nanos: 0, keyframe, data })
        };
        let input = if *kind == kind::VIDEO {
            match parse_video(body.clone()).unwrap() {
                Video::Config { codec, record } => Input::VideoConfig { codec, record },
                Video::Frame { composition_ms, keyframe, data, .. } => {
                    packet(TrackId::Video, composition_ms, keyframe, data)
                }
                Video::End | Video::Ignored => continue,
            }
        } else {
            match parse_audio(body.clone()).unwrap() {
                Audio::Config { codec, record } => Input::AudioConfig { codec, config: record },
                Audio::Frame { data, .. } => packet(TrackId::Audio, 0, false, data),
                Audio::End | Audio::Ignored => continue,
            }
        };
        assembler.push(input, u64::from(*time_ms), &mut samples).unwrap();
        for sample in samples.drain(..) {
            timeline.push(sample, UnixMillis(i64::from(*time_ms)), &mut frames);
        }
    }
    frames
}

/// Some seconds of a broadcast.
pub fn items(seconds: u32) -> Vec<Item> {
    frames_of(&messages(seconds)).into_iter().map(|frame| Item::Frame(Arc::new(frame))).collect()
}

/// The tracks of every frame.
pub fn tracks() -> Tracks {
    use kaibo_media::{AudioCodec, VideoCodec};
    Tracks {
        video: VideoTrack::from_record(VideoCodec::H264, Bytes::from_static(AVC)).ok(),
        audio: AudioTrack::from_config(AudioCodec::Aac, Bytes::from_static(AAC)).ok(),
    }
}

/// Messages out of chunks.
pub fn read(chunk_size: usize) {
    let mut wire = BytesMut::new();
    chunk::write(&mut wire, 128, 2, kind::SET_CHUNK_SIZE, 0, 0, &[&(chunk_size as u32).to_be_bytes()]);
    for Message(kind, time_ms, body) in messages(10) {
        let stream = if kind == kind::VIDEO { 6 } else { 4 };
        chunk::write(&mut wire, chunk_size, stream, kind, 1, time_ms, &[&body]);
    }
    count(|| {
        let mut reader = Reader::new(kaibo_rtmp::Limits::default().publishing, 0);
        let mut input = BytesMut::with_capacity(READ);
        for piece in wire.chunks(READ) {
            input.extend_from_slice(piece);
            while let Ok(Some(message)) = reader.read(&mut input) {
                black_box(message);
            }
        }
    });
}

/// Frames of messages.
pub fn ingest() {
    let messages = messages(60);
    count(|| {
        black_box(frames_of(&messages));
    });
}

/// A frame on its way to the viewers.
#[derive(Clone)]
struct Queued(Arc<Frame>);

impl Entry for Queued {
    fn size(&self) -> usize {
        self.0.data.len()
    }

    fn keyframe(&self) -> bool {
        self.0.keyframe
    }

    fn time(&self) -> i64 {
        self.0.dts.as_millis()
    }
}

/// Frames to cursors that wait for each.
pub fn hub(cursors: usize) {
    let frames: Vec<_> = frames_of(&messages(10)).into_iter().map(Arc::new).collect();
    count(|| {
        let (publisher, ring) = ring(Limits { bytes: 64 << 20, millis: 10_000, entries: 4096 });
        let mut cursors: Vec<Cursor<Queued>> = (0..cursors).map(|_| ring.cursor(Start::Next)).collect();
        let (mut cx, mut batch) = (Context::from_waker(Waker::noop()), Vec::new());
        for frame in &frames {
            publisher.push(Queued(frame.clone()));
            for cursor in &mut cursors {
                while cursor.poll_next(&mut cx, &mut batch).is_ready() {
                    batch.clear();
                }
            }
        }
    });
}
