//! TS packets: how PES packets are spread over them, and their bytes.

use bytes::Bytes;
use mpeg2ts::{
    es::StreamId,
    pes::PesHeader,
    time::{ClockReference, Timestamp},
    ts::{
        AdaptationField, ContinuityCounter, Pid, TransportScramblingControl, TsHeader, TsPacket,
        TsPacketWriter, TsPayload, WriteTsPacket,
        payload::{self, Pes as PesStart},
    },
};

use super::{
    CLOCK, Error, Stream, Ticks,
    elementary::{Pes, Streams, Time},
    schedule::Step,
    tables::Tables,
};

/// The continuity counter's period.
const PERIOD: usize = 16;

/// Room after the header of a TS packet.
const ROOM: usize = TsPacket::SIZE - 4;

/// How far the PCR is behind the decoding time of what it comes with: time for a large picture and for sound that
/// comes after its picture to arrive in. Players ask for less than 1 s.
const DELAY: Ticks = CLOCK as Ticks / 2;

/// PTS, DTS and the base of the PCR have 33 bits.
const TIME_MASK: i64 = (1 << 33) - 1;

/// Decides over how many packets each PES packet is spread, so that all together are a multiple of 16.
pub(super) fn fill(stream: &mut Vec<Pes>, kind: Stream) {
    let mut total = 0;
    for pes in stream.iter_mut() {
        pes.packets = 1 + pes.len.saturating_sub(first_room(pes)).div_ceil(ROOM);
        total += pes.packets;
    }
    let mut missing = total.next_multiple_of(PERIOD) - total;
    for pes in stream.iter_mut().rev() {
        // Every packet carries at least one byte of payload.
        let more = missing.min(pes.len.saturating_sub(pes.packets));
        pes.packets += more;
        missing -= more;
    }
    stream.extend((0..missing).map(|_| Pes::empty(kind)));
}

/// Room for payload in the first packet of a PES packet.
fn first_room(pes: &Pes) -> usize {
    // Length, flags and PCR.
    let adaptation = if pes.clock { 8 } else { 0 };
    ROOM - adaptation - header_len(pes)
}

fn header_len(pes: &Pes) -> usize {
    9 + match pes.time {
        None => 0,
        Some(Time { dts, pts }) if dts == pts => 5,
        Some(_) => 10,
    }
}

/// How many bytes [`write`] writes.
pub(super) fn size(steps: &[Step<'_>]) -> usize {
    let packets = steps.iter().map(|step| match step {
        Step::Tables => 2,
        Step::Pes(pes, _) => pes.packets,
        Step::Clock(..) => 1,
    });
    packets.sum::<usize>() * TsPacket::SIZE
}

pub(super) fn write(tables: &Tables, streams: &Streams<'_>, steps: &[Step<'_>]) -> Result<Bytes, Error> {
    let mut writer = Writer { out: Vec::with_capacity(size(steps)), ..Writer::default() };
    let mut payload = Vec::new();
    for step in steps {
        match *step {
            Step::Tables => tables.write(&mut writer.out, writer.tables.take()),
            Step::Pes(pes, time) => {
                payload.clear();
                streams.write_payload(pes, &mut payload);
                writer.pes(pes, &payload, time)?;
            }
            Step::Clock(stream, time) => {
                let counter = writer.counter(stream).last();
                writer.packet(stream, counter, Some(adaptation(false, time)?), None)?;
            }
        }
    }
    Ok(writer.out.into())
}

#[derive(Default)]
struct Writer {
    out: Vec<u8>,
    tables: Counter,
    video: Counter,
    audio: Counter,
    events: Counter,
}

/// Counts the packets with payload of a PID; the next one's counter is its low 4 bits.
#[derive(Default)]
struct Counter(u8);

impl Counter {
    fn take(&mut self) -> u8 {
        let counter = self.0;
        self.0 = (counter + 1) % PERIOD as u8;
        counter
    }

    /// What a packet without payload repeats. The segment before ended at 15.
    fn last(&self) -> u8 {
        (self.0 + PERIOD as u8 - 1) % PERIOD as u8
    }
}

impl Writer {
    fn counter(&mut self, stream: Stream) -> &mut Counter {
        match stream {
            Stream::Video => &mut self.video,
            Stream::Audio => &mut self.audio,
            Stream::Events => &mut self.events,
        }
    }

    fn pes(&mut self, pes: &Pes, mut data: &[u8], time: Ticks) -> Result<(), Error> {
        let header = header(pes)?;
        // Zero, for "until the next one begins", is allowed for video only (§2.4.3.7), and large pictures need it.
        let len = match pes.stream {
            Stream::Video if !data.is_empty() => 0,
            _ => header_len(pes) - 6 + data.len(),
        };
        let mut take = |room: usize, packets_after: usize| {
            let len = room.min(data.len().saturating_sub(packets_after));
            let (front, rest) = data.split_at_checked(len).unwrap_or((data, &[]));
            data = rest;
            payload::Bytes::new(front)
        };

        let start =
            PesStart { header, pes_packet_len: len as u16, data: take(first_room(pes), pes.packets - 1)? };
        let clock = if pes.clock { Some(adaptation(pes.keyframe, time)?) } else { None };
        let counter = self.counter(pes.stream).take();
        self.packet(pes.stream, counter, clock, Some(TsPayload::PesStart(start)))?;
        for packets_after in (0..pes.packets - 1).rev() {
            let payload = TsPayload::PesContinuation(take(ROOM, packets_after)?);
            let counter = self.counter(pes.stream).take();
            self.packet(pes.stream, counter, None, Some(payload))?;
        }
        Ok(())
    }

    fn packet(
        &mut self,
        stream: Stream,
        counter: u8,
        adaptation_field: Option<AdaptationField>,
        payload: Option<TsPayload>,
    ) -> Result<(), Error> {
        let start = self.out.len();
        let clock = adaptation_field.is_some();
        let header = TsHeader {
            transport_error_indicator: false,
            transport_priority: false,
            pid: Pid::new(stream.pid())?,
            transport_scrambling_control: TransportScramblingControl::NotScrambled,
            continuity_counter: ContinuityCounter::from_u8(counter)?,
        };
        let packet = TsPacket { header, adaptation_field, payload };
        TsPacketWriter::new(&mut self.out).write_ts_packet(&packet)?;
        // mpeg2ts leaves the reserved bits between a PCR's base and extension 0; they are to be 1 (§2.4.3.4).
        if let Some(byte) = self.out.get_mut(start + 10).filter(|_| clock) {
            *byte |= 0x7E;
        }
        Ok(())
    }
}

fn header(pes: &Pes) -> Result<PesHeader, Error> {
    let (pts, dts) = match pes.time {
        None => (None, None),
        Some(Time { dts, pts }) if dts == pts => (Some(pts), None),
        Some(Time { dts, pts }) => (Some(pts), Some(dts)),
    };
    let stamp = |time: Option<Ticks>| time.map(|time| Timestamp::new((time & TIME_MASK) as u64)).transpose();
    Ok(PesHeader {
        stream_id: StreamId::new(match pes.stream {
            Stream::Video => StreamId::VIDEO_MIN,
            Stream::Audio => StreamId::AUDIO_MIN,
            Stream::Events => StreamId::PRIVATE_STREAM_1,
        }),
        priority: false,
        data_alignment_indicator: pes.len > 0,
        copyright: false,
        original_or_copy: false,
        pts: stamp(pts)?,
        dts: stamp(dts)?,
        escr: None,
    })
}

/// An adaptation field with the PCR for `time`.
fn adaptation(keyframe: bool, time: Ticks) -> Result<AdaptationField, Error> {
    let base = ((time - DELAY) & TIME_MASK) as u64;
    Ok(AdaptationField {
        discontinuity_indicator: false,
        random_access_indicator: keyframe,
        es_priority_indicator: false,
        pcr: Some(ClockReference::new(base * 300)?),
        opcr: None,
        splice_countdown: None,
        transport_private_data: Vec::new(),
        extension: None,
    })
}
