//! The chunk reader against a writer that does everything the specification allows, and then some.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use bytes::{Bytes, BytesMut};
use kaibo_rtmp::{
    Cause, Limits,
    chunk::{self, Message, Reader, kind},
};
use proptest::prelude::*;

fn reader() -> Reader {
    Reader::new(Limits::default().publishing, 0)
}

fn read_all(reader: &mut Reader, bytes: &[u8]) -> (Vec<Message>, Option<Cause>) {
    read_in_pieces(reader, bytes, &[bytes.len().max(1)])
}

/// Feeds `bytes` in pieces of these lengths, again and again.
fn read_in_pieces(reader: &mut Reader, bytes: &[u8], pieces: &[usize]) -> (Vec<Message>, Option<Cause>) {
    let (mut input, mut messages, mut rest) = (BytesMut::new(), Vec::new(), bytes);
    for piece in pieces.iter().cycle() {
        let (now, later) = rest.split_at((*piece).min(rest.len()));
        input.extend_from_slice(now);
        rest = later;
        loop {
            match reader.read(&mut input) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error.cause)),
            }
        }
        if rest.is_empty() {
            break;
        }
    }
    assert_eq!(reader.received() + input.len() as u64, bytes.len() as u64);
    (messages, None)
}

/// A writer with header compression, interleaving, every form of id, and extended times repeated or not.
struct Writer {
    out: Vec<u8>,
    chunk_size: usize,
    repeats_time: bool,
    streams: Vec<(u32, Written)>,
}

#[derive(Clone, Copy)]
struct Written {
    time: u32,
    field: u32,
    length: usize,
    kind: u8,
    stream: u32,
}

/// A message on its way: what is still to be sent.
struct Sending {
    id: u32,
    message: Message,
    sent: usize,
}

impl Writer {
    fn basic(&mut self, format: u8, id: u32) {
        match id {
            2..=63 => self.out.push(format << 6 | id as u8),
            64..=319 => self.out.extend([format << 6, (id - 64) as u8]),
            _ => {
                self.out.push(format << 6 | 1);
                self.out.extend(((id - 64) as u16).to_le_bytes());
            }
        }
    }

    /// Writes the next chunk of a message; true once it is complete. `compress` is how much of the header may be left
    /// out.
    fn chunk(&mut self, sending: &mut Sending, compress: u8) -> bool {
        let Sending { id, message, sent } = sending;
        if *sent == 0 {
            self.header(*id, message, compress);
        } else {
            self.basic(3, *id);
            let field = self.streams.iter().find(|(known, _)| known == id).unwrap().1.field;
            if field >= 0xFF_FFFF && self.repeats_time {
                self.out.extend(field.to_be_bytes());
            }
        }
        let end = message.body.len().min(*sent + self.chunk_size);
        self.out.extend(&message.body[*sent..end]);
        *sent = end;
        end == message.body.len()
    }

    fn header(&mut self, id: u32, message: &Message, compress: u8) {
        let last = self.streams.iter().find(|(known, _)| *known == id).map(|(_, written)| *written);
        let step = message.time_ms.wrapping_sub(last.map_or(0, |last| last.time));
        let format = match last {
            Some(last) if last.stream == message.stream => {
                let same = last.length == message.body.len() && last.kind == message.kind;
                let most = if same && last.field == step { 3 } else { 1 + u8::from(same) };
                most.min(compress)
            }
            _ => 0,
        };
        let field = if format == 0 { message.time_ms } else { step };
        let length = message.body.len();
        self.basic(format, id);
        if format < 3 {
            self.out.extend(&field.min(0xFF_FFFF).to_be_bytes()[1..]);
        }
        if format < 2 {
            self.out.extend(&(length as u32).to_be_bytes()[1..]);
            self.out.push(message.kind);
        }
        if format == 0 {
            self.out.extend(message.stream.to_le_bytes());
        }
        if field >= 0xFF_FFFF && (format < 3 || self.repeats_time) {
            self.out.extend(field.to_be_bytes());
        }
        let written =
            Written { time: message.time_ms, field, length, kind: message.kind, stream: message.stream };
        self.streams.retain(|(known, _)| *known != id);
        self.streams.push((id, written));
    }
}

const IDS: [u32; 6] = [3, 63, 64, 319, 320, 65_599];

/// Bytes that cannot be taken for an extended time: those below are under 2^30, so steps are under 0x40000000 or at
/// least 0xC0000000.
fn body(length: usize, seed: u8) -> Bytes {
    (0..length).map(|index| 0x80 | (index as u8).wrapping_mul(31).wrapping_add(seed) & 0x3F).collect()
}

fn any_time() -> impl Strategy<Value = u32> {
    prop_oneof![0u32..100, Just(0), 0xFF_FFF0u32..0x100_0010, Just(0xFF_FFFF), 0u32..1 << 30,]
}

fn any_message() -> impl Strategy<Value = (usize, Message)> {
    let kind = prop::sample::select(vec![kind::AUDIO, kind::VIDEO, kind::DATA]);
    let length = prop_oneof![Just(0usize), Just(128), 1usize..20, 100usize..1000];
    (0..IDS.len(), kind, 0u32..2, any_time(), length, any::<u8>()).prop_map(
        |(id, kind, stream, time_ms, length, seed)| {
            (id, Message { kind, stream, time_ms, body: body(length, seed) })
        },
    )
}

/// What the writer does next.
#[derive(Clone, Debug)]
enum Step {
    Begin(usize, Message, u8),
    Continue(usize),
    ChunkSize(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any_message(), 0u8..4).prop_map(|((id, message), compress)| Step::Begin(id, message, compress)),
        8 => (0usize..8).prop_map(Step::Continue),
        1 => prop_oneof![1usize..300, Just(0x7FFF_FFFF)].prop_map(Step::ChunkSize),
    ]
}

/// Carries the steps out; the bytes, and the messages in the order in which they are complete.
fn write(steps: Vec<Step>, repeats_time: bool) -> (Vec<u8>, Vec<Message>) {
    let mut writer = Writer { out: Vec::new(), chunk_size: 128, repeats_time, streams: Vec::new() };
    let (mut sending, mut complete) = (Vec::<Sending>::new(), Vec::new());
    let advance = |writer: &mut Writer,
                   sending: &mut Vec<Sending>,
                   complete: &mut Vec<Message>,
                   at: usize,
                   compress| {
        if writer.chunk(&mut sending[at], compress) {
            complete.push(sending.remove(at).message);
        }
    };
    for step in steps {
        match step {
            Step::Begin(id, message, compress) => {
                let id = IDS[id];
                if sending.iter().all(|other| other.id != id) {
                    sending.push(Sending { id, message, sent: 0 });
                    let at = sending.len() - 1;
                    advance(&mut writer, &mut sending, &mut complete, at, compress);
                }
            }
            Step::Continue(at) if !sending.is_empty() => {
                let at = at % sending.len();
                advance(&mut writer, &mut sending, &mut complete, at, 0);
            }
            Step::Continue(_) => {}
            Step::ChunkSize(size) => {
                let body = Bytes::copy_from_slice(&(size as u32).to_be_bytes());
                let message = Message { kind: kind::SET_CHUNK_SIZE, stream: 0, time_ms: 0, body };
                let mut message = Sending { id: 2, message, sent: 0 };
                while !writer.chunk(&mut message, 0) {}
                writer.chunk_size = size.min(0xFF_FFFF);
            }
        }
    }
    while !sending.is_empty() {
        advance(&mut writer, &mut sending, &mut complete, 0, 0);
    }
    // Whether the last chunk leaves its time out shows only in what follows.
    let last = Message { kind: kind::AUDIO, stream: 0, time_ms: 0, body: Bytes::new() };
    sending.push(Sending { id: 2, message: last, sent: 0 });
    advance(&mut writer, &mut sending, &mut complete, 0, 0);
    (writer.out, complete)
}

proptest! {
    #[test]
    fn every_legal_chunking_gives_the_messages_that_were_sent(
        steps in prop::collection::vec(any_step(), 0..60),
        repeats_time: bool,
        pieces in prop::collection::vec(prop_oneof![1usize..8, 1usize..400], 1..10),
    ) {
        let (bytes, expected) = write(steps, repeats_time);
        prop_assert_eq!(read_all(&mut reader(), &bytes), (expected.clone(), None));
        prop_assert_eq!(read_in_pieces(&mut reader(), &bytes, &pieces), (expected, None));
    }

    #[test]
    fn what_we_write_is_what_is_read(
        messages in prop::collection::vec((any::<bool>(), any::<u32>(), 0usize..10_000, any::<u8>()), 0..5),
    ) {
        let (mut out, mut expected) = (BytesMut::new(), Vec::new());
        chunk::write(&mut out, 128, 2, kind::SET_CHUNK_SIZE, 0, 0, &[&4096u32.to_be_bytes()]);
        for (video, time_ms, length, seed) in messages {
            let kind = if video { kind::VIDEO } else { kind::AUDIO };
            let body = body(length, seed);
            let (head, tail) = body.split_at(length.min(5));
            prop_assert!(kaibo_rtmp::play::write_message(&mut out, kind, time_ms, &[head, tail]));
            expected.push(Message { kind, stream: 1, time_ms, body });
        }
        prop_assert_eq!(read_all(&mut reader(), &out), (expected, None));
    }
}

/// A type 0 header on a one-byte id.
fn full(id: u8, time: u32, length: u32, kind: u8) -> Vec<u8> {
    let mut header = vec![id];
    header.extend(&time.min(0xFF_FFFF).to_be_bytes()[1..]);
    header.extend(&length.to_be_bytes()[1..]);
    header.extend([kind, 1, 0, 0, 0]);
    if time >= 0xFF_FFFF {
        header.extend(time.to_be_bytes());
    }
    header
}

#[test]
fn a_large_message_in_one_chunk_is_not_copied() {
    let mut reader = reader();
    let mut size = BytesMut::from(&[full(2, 0, 4, kind::SET_CHUNK_SIZE), vec![0, 0, 0x40, 0]].concat()[..]);
    assert!(reader.read(&mut size).unwrap().is_none());
    let mut input = BytesMut::from(&[full(6, 0, 5000, kind::VIDEO), vec![7; 5000]].concat()[..]);
    let payload = input[12..].as_ptr();
    let message = reader.read(&mut input).unwrap().unwrap();
    assert_eq!(message.body.as_ptr(), payload);
    assert_eq!(message.body, vec![7; 5000]);
}

#[test]
fn a_frame_of_sound_that_is_kept_does_not_keep_what_was_read_with_it() {
    let (mut reader, mut input) = (reader(), BytesMut::with_capacity(16 << 10));
    let begin = input.as_ptr();
    let mut kept = Vec::new();
    for _ in 0..1000 {
        input.extend_from_slice(&[full(4, 0, 100, kind::AUDIO), vec![7; 100]].concat());
        kept.extend(reader.read(&mut input).unwrap());
        // As a connection makes room for its next read.
        input.reserve(4 << 10);
        assert!((begin..=begin.wrapping_add(16 << 10)).contains(&input.as_ptr()), "another buffer");
    }
    assert!(kept.iter().all(|message| message.body == vec![7; 100]));
}

#[test]
fn a_type_3_header_begins_a_message_with_the_same_step() {
    let bytes = [
        full(4, 1000, 1, kind::AUDIO),
        vec![b'a', 0x84, 0, 0, 23, b'b'], // type 2: 23 ms later
        vec![0xC4, b'c', 0xC4, b'd'],
    ]
    .concat();
    let (messages, _) = read_all(&mut reader(), &bytes);
    let times: Vec<_> = messages.iter().map(|message| message.time_ms).collect();
    assert_eq!(times, [1000, 1023, 1046, 1069]);
}

#[test]
fn time_steps_wrap_at_32_bits_in_both_directions() {
    let bytes = [
        full(4, 4_294_967_280, 1, kind::AUDIO),
        vec![b'a', 0x84, 0, 0, 32, b'b'],
        vec![0x84, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xF0, b'c'], // -16 ms
    ]
    .concat();
    let (messages, _) = read_all(&mut reader(), &bytes);
    let times: Vec<_> = messages.iter().map(|message| message.time_ms).collect();
    assert_eq!(times, [4_294_967_280, 16, 0]);
}

#[test]
fn librtmp_may_begin_a_chunk_stream_with_type_1() {
    let bytes = [0x42, 0, 0, 5, 0, 0, 6, kind::USER_CONTROL, 0, 6, 1, 2, 3, 4];
    let (messages, error) = read_all(&mut reader(), &bytes);
    assert_eq!(error, None);
    assert_eq!((messages[0].time_ms, messages[0].stream, messages[0].body.len()), (5, 0, 6));
}

#[test]
fn payload_that_begins_like_the_extended_time_does_not_wait_for_it() {
    // The second chunk holds 2 bytes, which match half of the time; the next byte tells that they are payload.
    let time = 0x0180_8080u32;
    let mut bytes = full(4, time, 130, kind::AUDIO);
    bytes.extend([9; 128]);
    bytes.extend([0xC4, 0x01, 0x80]);
    bytes.extend(full(5, 0, 0, kind::AUDIO));
    let (messages, _) = read_in_pieces(&mut reader(), &bytes, &[1]);
    assert_eq!(messages.len(), 2);
    assert_eq!(&messages[0].body[128..], [0x01, 0x80]);
}

#[test]
fn abort_forgets_what_has_arrived() {
    let mut bytes = full(4, 0, 200, kind::VIDEO);
    bytes.extend([1; 128]);
    bytes.extend(full(2, 0, 4, kind::ABORT));
    bytes.extend(4u32.to_be_bytes());
    bytes.extend(full(4, 0, 1, kind::VIDEO));
    bytes.push(2);
    let mut reader = reader();
    let (messages, error) = read_all(&mut reader, &bytes);
    assert_eq!((messages.len(), error), (1, None));
    assert_eq!(&messages[0].body[..], [2]);
}

#[test]
fn memory_follows_what_arrives_not_what_is_announced() {
    let mut reader = reader();
    let mut input = BytesMut::from(&full(4, 0, 8 << 20, kind::VIDEO)[..]);
    input.extend_from_slice(&[0; 100]);
    assert_eq!(reader.read(&mut input), Ok(None));
    assert!(reader.held() < 1024, "{} bytes for 100", reader.held());
}

#[test]
fn every_limit_ends_the_connection_with_its_reason() {
    let publishing = Limits::default().publishing;
    let limits = chunk::Limits { partial_bytes: 300, ..publishing };
    let set_chunk_size =
        |size: u32| [full(2, 0, 4, kind::SET_CHUNK_SIZE), size.to_be_bytes().to_vec()].concat();
    let begun = |id: u8| [full(id, 0, 200, kind::VIDEO), vec![0; 128]].concat();
    let cases: Vec<(Vec<u8>, Cause)> = vec![
        (set_chunk_size(0), Cause::ChunkSize(0)),
        (set_chunk_size(0x8000_0001), Cause::ChunkSize(0x8000_0001)),
        (full(2, 0, 0, kind::SET_CHUNK_SIZE), Cause::ChunkSize(0)),
        (full(4, 0, 16_777_215, kind::VIDEO), Cause::MessageTooLong { length: 16_777_215, limit: 8 << 20 }),
        (vec![0xC4], Cause::NoHeader(4)),
        (vec![0x80 | 33, 0, 0, 0], Cause::NoHeader(33)),
        ([begun(4), vec![0x44, 0, 0, 0, 0xFF, 0xFF, 0xFF, 9]].concat(), Cause::Interrupted(4)),
        ([begun(4), full(4, 0, 200, kind::VIDEO)].concat(), Cause::Interrupted(4)),
        ([begun(4), begun(5), begun(6)].concat(), Cause::PartialBytes(300)),
        (
            (3..12).flat_map(|id| [full(id, 0, 200, kind::VIDEO), vec![0; 128]].concat()).collect(),
            Cause::PartialMessages(8),
        ),
        (
            (0..65u8).flat_map(|id| [vec![0, id], full(0, 0, 0, 9)[1..].to_vec()].concat()).collect(),
            Cause::ChunkStreams(64),
        ),
    ];
    for (bytes, cause) in cases {
        let limits = if cause == Cause::PartialBytes(300) { limits } else { publishing };
        let mut whole = Reader::new(limits, 0);
        assert_eq!(read_all(&mut whole, &bytes).1, Some(cause.clone()), "{cause}");
        let mut bytewise = Reader::new(limits, 0);
        assert_eq!(
            read_in_pieces(&mut bytewise, &bytes, &[1]).1,
            Some(cause.clone()),
            "{cause}, byte by byte"
        );
    }
    for size in [1, 0x7FFF_FFFF] {
        assert_eq!(read_all(&mut reader(), &set_chunk_size(size)), (vec![], None));
    }
}
