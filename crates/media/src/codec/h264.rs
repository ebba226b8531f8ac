//! The sequence parameter set of H.264 (ITU-T H.264 §7.3.2.1.1, §E.1.1).

use super::{
    CodecError,
    bits::{BitReader, rbsp},
    frame_rate, picture_size,
};

/// What tracks, and slices to be written, need of an SPS.
#[derive(Debug, PartialEq)]
pub struct Sps {
    /// `profile_idc`
    pub profile: u8,
    /// The constraint flags, from the highest bit on.
    pub constraints: u8,
    /// `level_idc`
    pub level: u8,
    /// `seq_parameter_set_id`
    pub id: u32,
    /// `chroma_format_idc`
    pub chroma_format: u8,
    /// The colour planes are coded apart.
    pub separate_planes: bool,
    /// `bit_depth_luma_minus8`
    pub luma_depth: u8,
    /// `bit_depth_chroma_minus8`
    pub chroma_depth: u8,
    /// Bits of `frame_num`.
    pub frame_num_bits: u32,
    /// How slices tell the order of output.
    pub order: PictureOrder,
    /// `max_num_ref_frames`
    pub reference_frames: u32,
    /// `frame_mbs_only_flag`: nothing is interlaced.
    pub frames_only: bool,
    /// Macroblocks of a frame.
    pub macroblocks: u64,
    /// Width of the shown picture in pixels.
    pub width: u32,
    /// Height of the shown picture in pixels.
    pub height: u32,
    /// Frames per second, where it says so.
    pub frame_rate: Option<f64>,
}

/// `pic_order_cnt_type`, and what it brings along (ITU-T H.264 §8.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureOrder {
    /// Type 0: slices carry the low bits, this many.
    Low(u32),
    /// Type 1: from a cycle, with or without (`true`) deltas in the slices.
    Cycle(bool),
    /// Type 2: as decoded.
    Decoding,
}

impl Sps {
    /// From the NAL unit with its header byte.
    pub fn parse(nal: &[u8]) -> Result<Self, CodecError> {
        let payload = rbsp(nal.get(1..).unwrap_or_default());
        let mut bits = BitReader::new(&payload);
        let [profile, constraints, level] = [bits.bits(8)? as u8, bits.bits(8)? as u8, bits.bits(8)? as u8];
        let id = bits.unsigned_to(31, "seq_parameter_set_id")?;
        let mut chroma = Chroma { format: 1, separate_planes: false, luma_depth: 0, chroma_depth: 0 };
        if has_chroma_fields(profile) {
            chroma = Chroma::parse(&mut bits)?;
        }
        let frame_num_bits = 4 + bits.unsigned_to(12, "log2_max_frame_num_minus4")?;
        let order = picture_order(&mut bits)?;
        let reference_frames = bits.unsigned()?;
        bits.flag()?; // gaps_in_frame_num_value_allowed_flag
        let Size { width, height, macroblocks, frames_only } = size(&mut bits, &chroma)?;
        Ok(Self {
            profile,
            constraints,
            level,
            id,
            separate_planes: chroma.separate_planes,
            frame_num_bits,
            order,
            reference_frames,
            frames_only,
            macroblocks,
            chroma_format: chroma.format as u8,
            luma_depth: chroma.luma_depth as u8,
            chroma_depth: chroma.chroma_depth as u8,
            width,
            height,
            // Usability information is often cut off or wrong; the picture decodes without it.
            frame_rate: timing(&mut bits).unwrap_or(None),
        })
    }
}

/// The profiles whose SPS, and whose `avcC`, carry chroma format and bit depths.
fn has_chroma_fields(profile: u8) -> bool {
    matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135)
}

struct Chroma {
    format: u32,
    separate_planes: bool,
    luma_depth: u32,
    chroma_depth: u32,
}

impl Chroma {
    fn parse(bits: &mut BitReader) -> Result<Self, CodecError> {
        let format = bits.unsigned_to(3, "chroma_format_idc")?;
        let chroma = Self {
            format,
            separate_planes: format == 3 && bits.flag()?, // crop as 4:4:4 does
            luma_depth: bits.unsigned_to(6, "bit_depth_luma_minus8")?,
            chroma_depth: bits.unsigned_to(6, "bit_depth_chroma_minus8")?,
        };
        bits.flag()?; // qpprime_y_zero_transform_bypass_flag
        if bits.flag()? {
            for list in 0..if format == 3 { 12 } else { 8 } {
                if bits.flag()? {
                    skip_scaling_list(bits, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
        Ok(chroma)
    }
}

/// §7.3.2.1.1.1
fn skip_scaling_list(bits: &mut BitReader, size: u32) -> Result<(), CodecError> {
    let mut scale = 8;
    for _ in 0..size {
        let next = (scale + bits.signed()?).rem_euclid(256);
        if next == 0 {
            break;
        }
        scale = next;
    }
    Ok(())
}

fn picture_order(bits: &mut BitReader) -> Result<PictureOrder, CodecError> {
    Ok(match bits.unsigned_to(2, "pic_order_cnt_type")? {
        0 => PictureOrder::Low(4 + bits.unsigned_to(12, "log2_max_pic_order_cnt_lsb_minus4")?),
        1 => {
            let without_deltas = bits.flag()?;
            bits.signed()?; // offset_for_non_ref_pic
            bits.signed()?; // offset_for_top_to_bottom_field
            for _ in 0..bits.unsigned_to(255, "num_ref_frames_in_pic_order_cnt_cycle")? {
                bits.signed()?;
            }
            PictureOrder::Cycle(without_deltas)
        }
        _ => PictureOrder::Decoding,
    })
}

struct Size {
    width: u32,
    height: u32,
    macroblocks: u64,
    frames_only: bool,
}

/// Width and height after cropping (equations 7-13 to 7-22).
fn size(bits: &mut BitReader, chroma: &Chroma) -> Result<Size, CodecError> {
    let width = (u64::from(bits.unsigned()?) + 1) * 16;
    let map_units = u64::from(bits.unsigned()?) + 1;
    let frames_only = bits.flag()?;
    let fields = if frames_only { 1 } else { 2 };
    if !frames_only {
        bits.flag()?; // mb_adaptive_frame_field_flag
    }
    bits.flag()?; // direct_8x8_inference_flag
    let height = map_units * 16 * fields;
    let (mut crop_x, mut crop_y) = (0, 0);
    if bits.flag()? {
        let mut offset = || bits.unsigned().map(u64::from);
        let [left, right, top, bottom] = [offset()?, offset()?, offset()?, offset()?];
        let (unit_x, unit_y) = match chroma.format {
            1 => (2, 2),
            2 => (2, 1),
            _ => (1, 1), // monochrome, 4:4:4 and separate planes alike
        };
        crop_x = (left + right) * unit_x;
        crop_y = (top + bottom) * unit_y * fields;
    }
    let macroblocks = (width / 16).saturating_mul(height / 16);
    let (width, height) = picture_size(width.saturating_sub(crop_x), height.saturating_sub(crop_y))?;
    Ok(Size { width, height, macroblocks, frames_only })
}

/// Frames per second from the VUI parameters: a tick is a field (§E.2.1).
fn timing(bits: &mut BitReader) -> Result<Option<f64>, CodecError> {
    if !bits.flag()? {
        return Ok(None); // no VUI parameters
    }
    skip_video_signal(bits)?;
    if !bits.flag()? {
        return Ok(None); // no timing
    }
    let units = u64::from(bits.bits(32)?) * 2;
    Ok(frame_rate(bits.bits(32)?.into(), units))
}

/// The fields at the head of the VUI parameters, the same in H.264 (§E.1.1) and H.265 (§E.2.1).
pub(in crate::codec) fn skip_video_signal(bits: &mut BitReader) -> Result<(), CodecError> {
    const EXTENDED_SAR: u32 = 255;
    if bits.flag()? && bits.bits(8)? == EXTENDED_SAR {
        bits.skip(32)?;
    }
    if bits.flag()? {
        bits.skip(1)?; // overscan_appropriate_flag
    }
    if bits.flag()? {
        bits.skip(4)?; // video_format, video_full_range_flag
        if bits.flag()? {
            bits.skip(24)?; // colour description
        }
    }
    if bits.flag()? {
        bits.unsigned()?; // chroma sample location, top and bottom
        bits.unsigned()?;
    }
    Ok(())
}
