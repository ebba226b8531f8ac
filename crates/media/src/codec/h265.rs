//! The sequence parameter set of H.265 (ITU-T H.265 §7.3.2.2, §7.3.3, §E.2.1).

use super::{
    CodecError,
    bits::{BitReader, rbsp},
    frame_rate,
    h264::skip_video_signal,
    picture_size,
};

/// What a track needs of an SPS.
#[derive(Debug, PartialEq)]
pub(super) struct Sps {
    /// The general part of `profile_tier_level`, laid out as in `hvcC`: profile space, tier and profile, 32
    /// compatibility flags, 48 constraint flags, level.
    pub profile: [u8; 12],
    pub sub_layers: u8,
    pub nested: bool,
    pub chroma_format: u8,
    pub luma_depth: u8,
    pub chroma_depth: u8,
    pub width: u32,
    pub height: u32,
    pub frame_rate: Option<f64>,
}

impl Sps {
    /// From the NAL unit with its two header bytes.
    pub(super) fn parse(nal: &[u8]) -> Result<Self, CodecError> {
        let payload = rbsp(nal.get(2..).unwrap_or_default());
        let mut bits = BitReader::new(&payload);
        bits.skip(4)?; // sps_video_parameter_set_id
        let more_layers = bits.bits(3)?;
        if more_layers > 6 {
            return Err(CodecError::Value { field: "sps_max_sub_layers_minus1", value: more_layers.into() });
        }
        let nested = bits.flag()?;
        let mut profile = [0; 12];
        for byte in &mut profile {
            *byte = bits.bits(8)? as u8;
        }
        skip_sub_layers(&mut bits, more_layers)?;
        bits.unsigned_to(15, "sps_seq_parameter_set_id")?;
        let chroma_format = bits.unsigned_to(3, "chroma_format_idc")?;
        if chroma_format == 3 {
            bits.flag()?; // separate_colour_plane_flag
        }
        let (width, height) = size(&mut bits, chroma_format)?;
        Ok(Self {
            profile,
            sub_layers: more_layers as u8 + 1,
            nested,
            chroma_format: chroma_format as u8,
            luma_depth: bits.unsigned_to(7, "bit_depth_luma_minus8")? as u8,
            chroma_depth: bits.unsigned_to(7, "bit_depth_chroma_minus8")? as u8,
            width,
            height,
            frame_rate: timing(&mut bits, more_layers).unwrap_or(None),
        })
    }

    /// The `codecs` parameter after `hvc1.` (ISO/IEC 14496-15 §E.3).
    pub(super) fn profile_string(&self) -> String {
        let [general, c0, c1, c2, c3, constraints @ .., level] = self.profile;
        let space = ["", "A", "B", "C"].get(usize::from(general >> 6)).copied().unwrap_or_default();
        let compatibility = u32::from_be_bytes([c0, c1, c2, c3]).reverse_bits();
        let tier = if general & 0x20 == 0 { 'L' } else { 'H' };
        let mut string = format!("{space}{}.{compatibility:X}.{tier}{level}", general & 0x1f);
        let used = constraints.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        for byte in constraints.iter().take(used) {
            string.push_str(&format!(".{byte:X}"));
        }
        string
    }
}

/// The sub-layers' own profiles and levels (§7.3.3).
fn skip_sub_layers(bits: &mut BitReader, more_layers: u32) -> Result<(), CodecError> {
    if more_layers == 0 {
        return Ok(());
    }
    let present = bits.bits(16)?; // two flags for each of eight layers
    for layer in 0..more_layers {
        let flags = present >> (14 - 2 * layer);
        bits.skip(if flags & 2 != 0 { 88 } else { 0 })?;
        bits.skip(if flags & 1 != 0 { 8 } else { 0 })?;
    }
    Ok(())
}

/// Width and height within the conformance window.
fn size(bits: &mut BitReader, chroma_format: u32) -> Result<(u32, u32), CodecError> {
    let [width, height] = [u64::from(bits.unsigned()?), u64::from(bits.unsigned()?)];
    let (mut crop_x, mut crop_y) = (0, 0);
    if bits.flag()? {
        let mut offset = || bits.unsigned().map(u64::from);
        let [left, right, top, bottom] = [offset()?, offset()?, offset()?, offset()?];
        let (unit_x, unit_y) = match chroma_format {
            1 => (2, 2),
            2 => (2, 1),
            _ => (1, 1),
        };
        crop_x = (left + right) * unit_x;
        crop_y = (top + bottom) * unit_y;
    }
    picture_size(width.saturating_sub(crop_x), height.saturating_sub(crop_y))
}

/// Frames per second from the VUI parameters, behind everything that stands between.
fn timing(bits: &mut BitReader, more_layers: u32) -> Result<Option<f64>, CodecError> {
    let order_bits = bits.unsigned_to(12, "log2_max_pic_order_cnt_lsb_minus4")? + 4;
    let layers = if bits.flag()? { more_layers + 1 } else { 1 };
    for _ in 0..layers * 3 {
        bits.unsigned()?; // decoded picture buffer sizes
    }
    for _ in 0..6 {
        bits.unsigned()?; // block sizes and transform depths
    }
    if bits.flag()? && bits.flag()? {
        skip_scaling_lists(bits)?;
    }
    bits.skip(2)?; // amp_enabled_flag, sample_adaptive_offset_enabled_flag
    if bits.flag()? {
        bits.skip(8)?; // pcm bit depths
        bits.unsigned()?;
        bits.unsigned()?;
        bits.skip(1)?;
    }
    skip_reference_sets(bits)?;
    if bits.flag()? {
        for _ in 0..bits.unsigned_to(32, "num_long_term_ref_pics_sps")? {
            bits.skip(order_bits as usize + 1)?;
        }
    }
    bits.skip(2)?; // sps_temporal_mvp_enabled_flag, strong_intra_smoothing_enabled_flag
    if !bits.flag()? {
        return Ok(None); // no VUI parameters
    }
    skip_video_signal(bits)?;
    bits.skip(3)?; // neutral chroma, field sequence, frame field info
    if bits.flag()? {
        for _ in 0..4 {
            bits.unsigned()?; // default display window
        }
    }
    if !bits.flag()? {
        return Ok(None); // no timing
    }
    let units = bits.bits(32)?.into();
    Ok(frame_rate(bits.bits(32)?.into(), units))
}

/// §7.3.4
fn skip_scaling_lists(bits: &mut BitReader) -> Result<(), CodecError> {
    for size in 0..4 {
        for _ in 0..if size == 3 { 2 } else { 6 } {
            if !bits.flag()? {
                bits.unsigned()?; // scaling_list_pred_matrix_id_delta
                continue;
            }
            let direct = if size > 1 { 1 } else { 0 };
            for _ in 0..(1 << (4 + 2 * size)).min(64) + direct {
                bits.signed()?;
            }
        }
    }
    Ok(())
}

/// The short-term reference picture sets (§7.3.7).
fn skip_reference_sets(bits: &mut BitReader) -> Result<(), CodecError> {
    let mut pictures = 0; // of the set before
    for set in 0..bits.unsigned_to(64, "num_short_term_ref_pic_sets")? {
        if set > 0 && bits.flag()? {
            bits.flag()?; // delta_rps_sign
            bits.unsigned()?; // abs_delta_rps_minus1
            let mut kept = 0;
            for _ in 0..=pictures {
                let used = bits.flag()?;
                if used || bits.flag()? {
                    kept += 1;
                }
            }
            pictures = kept;
        } else {
            let [before, after] =
                [bits.unsigned_to(16, "num_negative_pics")?, bits.unsigned_to(16, "num_positive_pics")?];
            pictures = before + after;
            for _ in 0..pictures {
                bits.unsigned()?;
                bits.flag()?;
            }
        }
    }
    Ok(())
}
