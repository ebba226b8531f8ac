//! The tables that say what is in the stream: PAT and PMT (H.222.0 §2.4.4).

use kaibo_media::{Tracks, VideoCodec};
use mpeg2ts::{
    es::StreamType,
    ts::{
        ContinuityCounter, Descriptor, EsInfo, Pid, ProgramAssociation, TransportScramblingControl, TsHeader,
        TsPacket, TsPacketWriter, TsPayload, VersionNumber, WriteTsPacket,
        payload::{Pat, Pmt},
    },
};

use super::{Error, Stream};

const PROGRAM: u16 = 1;
const PMT_PID: u16 = 0x1000;

/// ID3, as both descriptors of timed metadata name it: application and format, each "see the four letters", and service 0.
const ID3: &[u8] = b"\xFF\xFFID3 \xFFID3 \0";

/// A packet with the PAT and one with the PMT.
pub(super) struct Tables([Vec<u8>; 2]);

impl Tables {
    /// Appends both, with their continuity counter.
    pub fn write(&self, out: &mut Vec<u8>, counter: u8) {
        for packet in &self.0 {
            let start = out.len();
            out.extend_from_slice(packet);
            if let Some(byte) = out.get_mut(start + 3) {
                *byte |= counter;
            }
        }
    }
}

pub(super) fn packets(tracks: &Tracks) -> Result<Tables, Error> {
    let stream = |stream: Stream, stream_type| {
        let elementary_pid = Pid::new(stream.pid())?;
        Ok::<_, Error>(EsInfo { stream_type, elementary_pid, descriptors: Vec::new() })
    };
    let video = tracks.video.as_ref().map(|track| {
        let h265 = track.codec == VideoCodec::H265;
        stream(Stream::Video, if h265 { StreamType::H265 } else { StreamType::H264 })
    });
    let audio = tracks.audio.as_ref().map(|_| stream(Stream::Audio, StreamType::AdtsAac));

    // H.222.0 §2.6.58 metadata_pointer_descriptor (in this program) and §2.6.60 metadata_descriptor.
    let pointer = Descriptor { tag: 0x25, data: [ID3, &[0x1F], &PROGRAM.to_be_bytes()].concat() };
    let described = Descriptor { tag: 0x26, data: [ID3, &[0x0F]].concat() };
    let events = stream(Stream::Events, StreamType::PacketizedMetadata)
        .map(|events| EsInfo { descriptors: vec![described], ..events });

    let pat = Pat {
        transport_stream_id: 1,
        version_number: VersionNumber::new(),
        table: vec![ProgramAssociation { program_num: PROGRAM, program_map_pid: Pid::new(PMT_PID)? }],
    };
    let pmt = Pmt {
        program_num: PROGRAM,
        pcr_pid: Some(Pid::new(Stream::with_clock(tracks).pid())?),
        version_number: VersionNumber::from_u8(version(tracks))?,
        program_info: vec![pointer],
        es_info: video.into_iter().chain(audio).chain([events]).collect::<Result<_, _>>()?,
    };
    Ok(Tables([packet(Pid::PAT, TsPayload::Pat(pat))?, packet(PMT_PID, TsPayload::Pmt(pmt))?]))
}

/// A number of its own for each PMT that can be: players read a PMT again only when its version is another.
fn version(tracks: &Tracks) -> u8 {
    let video = match tracks.video.as_ref().map(|track| track.codec) {
        Some(VideoCodec::H265) => 2,
        Some(_) => 0,
        None => 4,
    };
    video | u8::from(tracks.audio.is_none())
}

fn packet(pid: u16, payload: TsPayload) -> Result<Vec<u8>, Error> {
    let header = TsHeader {
        transport_error_indicator: false,
        transport_priority: false,
        pid: Pid::new(pid)?,
        transport_scrambling_control: TransportScramblingControl::NotScrambled,
        continuity_counter: ContinuityCounter::new(),
    };
    let mut writer = TsPacketWriter::new(Vec::with_capacity(TsPacket::SIZE));
    writer.write_ts_packet(&TsPacket { header, adaptation_field: None, payload: Some(payload) })?;
    Ok(stuffed_behind(writer.into_stream()))
}

/// mpeg2ts stuffs a short section in front, with an adaptation field; simple readers expect 0xFF behind it.
fn stuffed_behind(mut packet: Vec<u8>) -> Vec<u8> {
    let stuffing = match packet.get_mut(3..5) {
        Some([control, len]) if *control & 0x20 != 0 => {
            *control &= !0x20;
            usize::from(*len) + 1
        }
        _ => 0,
    };
    packet.drain(4..4 + stuffing);
    packet.resize(TsPacket::SIZE, 0xFF);
    packet
}
