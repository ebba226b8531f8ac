//! As much of TS (ISO 13818-1) as the rules for segments need.
//!
//! | rule | what |
//! |---|---|
//! | H11 | a segment begins with PAT, PMT and a keyframe with its parameter sets; PCR every 100 ms, no PTS or DTS before it |
//! | H12 | continuity counters run on, within a segment and from one to the next |
//! | H13 | sound has a PTS in each PES, and no more than 0.3 s between two |

use std::collections::BTreeMap;

const PACKET: usize = 188;
/// 27 MHz in a millisecond.
const PCR_MS: u64 = 27_000;
/// PCRs are at most this far apart, and a frame's rounding.
const PCR_GAP_MS: u64 = 101;

/// Counters of each PID, from segment to segment.
#[derive(Default)]
pub struct Counters(BTreeMap<u16, u8>);

/// Checks the next segment of a list; the rules that it breaks.
pub fn check(segment: &[u8], counters: &mut Counters) -> Vec<String> {
    let mut faults = Vec::new();
    if !segment.len().is_multiple_of(PACKET) || segment.is_empty() {
        return vec![format!("H11: {} bytes are no packets", segment.len())];
    }
    let (mut pmt, mut tracks) = (None, BTreeMap::new());
    let (mut last_pcr, mut first_video, mut first_video_dts) = (None::<u64>, Vec::new(), None);
    let mut video_units = 0;
    let mut last_sound = None::<u64>;
    for (index, packet) in segment.chunks(PACKET).enumerate() {
        if packet[0] != 0x47 {
            faults.push(format!("H11: packet {index} has no sync byte"));
            return faults;
        }
        let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
        let begins = packet[1] & 0x40 != 0;
        let (adapted, payload) = (packet[3] & 0x20 != 0, packet[3] & 0x10 != 0);
        let counter = packet[3] & 0xf;
        if payload
            && let Some(before) = counters.0.insert(pid, counter)
            && counter != (before + 1) & 0xf
        {
            faults.push(format!("H12: PID {pid} goes from {before} to {counter} at packet {index}"));
        }
        let at = if adapted { 5 + usize::from(packet[4]) } else { 4 };
        if adapted && packet[4] >= 7 && packet[5] & 0x10 != 0 {
            let base = u64::from(u32::from_be_bytes([packet[6], packet[7], packet[8], packet[9]])) << 1
                | u64::from(packet[10] >> 7);
            let pcr = base * 300 + (u64::from(packet[10] & 1) << 8 | u64::from(packet[11]));
            if let Some(before) = last_pcr
                && pcr.wrapping_sub(before) > PCR_GAP_MS * PCR_MS
            {
                faults.push(format!(
                    "H11: {} ms between two PCRs at packet {index}",
                    pcr.wrapping_sub(before) / PCR_MS
                ));
            }
            last_pcr = Some(pcr);
        }
        let body = packet.get(at..).filter(|_| payload).unwrap_or_default();
        match (index, pid) {
            (0, 0) if begins => pmt = body.get(11..13).map(|id| u16::from_be_bytes([id[0] & 0x1f, id[1]])),
            (0, _) => faults.push(format!("H11: begins with PID {pid}, no PAT")),
            (1, _) if Some(pid) == pmt => tracks = tracks_of(body),
            (1, _) => faults.push(format!("H11: packet 1 has PID {pid}, no PMT")),
            _ => {}
        }
        let Some(&kind) = tracks.get(&pid) else { continue };
        let video = matches!(kind, 0x1b | 0x24);
        if video && begins {
            video_units += 1;
        }
        if video && video_units == 1 {
            // Behind the header of the PES, whose own start code is not one of a NAL unit.
            let unit = if begins { body.get(8).map_or(0, |length| 9 + usize::from(*length)) } else { 0 };
            first_video.extend_from_slice(body.get(unit..).unwrap_or_default());
        }
        if !begins || body.len() < 19 {
            continue;
        }
        let flags = body[7];
        if flags & 0x80 == 0 {
            faults.push(format!("H13: a PES of PID {pid} without PTS"));
            continue;
        }
        let pts = time(&body[9..14]);
        let dts = if flags & 0x40 != 0 { time(&body[14..19]) } else { pts };
        if let Some(pcr) = last_pcr
            && (dts * 300 < pcr || dts * 300 - pcr > 1000 * PCR_MS)
        {
            faults.push(format!("H11: DTS {} ms at PCR {} ms", dts / 90, pcr / PCR_MS));
        }
        if video {
            first_video_dts = first_video_dts.or(Some(dts));
        } else {
            if let Some(before) = last_sound
                && pts.saturating_sub(before) > 300 * 90
            {
                faults.push(format!("H13: {} ms between two PES of sound", (pts - before) / 90));
            }
            last_sound = Some(pts);
        }
    }
    if tracks.values().any(|kind| *kind == 0x1b) {
        let units = h264_units(&first_video);
        // AUD, SPS, PPS, and an IDR among them.
        let complete = units.first() == Some(&9) && [7, 8, 5].iter().all(|unit| units.contains(unit));
        if !complete {
            faults.push(format!("H11: the first picture has NAL units {units:?}"));
        }
    }
    faults
}

/// Types of streams by PID, out of a PMT that fits one packet.
fn tracks_of(body: &[u8]) -> BTreeMap<u16, u8> {
    let mut tracks = BTreeMap::new();
    let Some(&[high, low]) = body.get(2..4) else { return tracks };
    let end = 4 + usize::from(u16::from_be_bytes([high & 0xf, low])) - 4;
    let mut at = 13 + usize::from(u16::from_be_bytes([body[11] & 0xf, body[12]]));
    while at + 5 <= end.min(body.len()) {
        tracks.insert(u16::from_be_bytes([body[at + 1] & 0x1f, body[at + 2]]), body[at]);
        at += 5 + usize::from(u16::from_be_bytes([body[at + 3] & 0xf, body[at + 4]]));
    }
    tracks
}

/// A PTS or DTS: 33 bits with marker bits between them.
fn time(field: &[u8]) -> u64 {
    let byte = |index: usize| u64::from(field[index]);
    (byte(0) >> 1 & 7) << 30 | byte(1) << 22 | (byte(2) >> 1) << 15 | byte(3) << 7 | byte(4) >> 1
}

fn h264_units(stream: &[u8]) -> Vec<u8> {
    stream.windows(4).filter(|window| window[..3] == [0, 0, 1]).map(|window| window[3] & 0x1f).collect()
}
