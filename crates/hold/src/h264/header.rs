//! The headers of IDR slices (ITU-T H.264 §7.3.3).

use std::ops::Range;

use kaibo_media::{
    CodecError,
    bits::{BitReader, rbsp},
    h264::PictureOrder,
};

use super::{
    Sets,
    writer::{BitWriter, nal_unit},
};

/// What is needed of the header of a slice of an IDR picture.
#[derive(Debug)]
pub(super) struct IdrHeader {
    /// Id of its PPS.
    pub picture: u32,
    pub idr_pic_id: u32,
    /// `pic_order_cnt_lsb`, 0 where there is none.
    pub order: u32,
    /// It is coded as a frame, not as a field.
    pub frame: bool,
    /// Where `idr_pic_id` stands, in bits of the payload.
    id_at: Range<usize>,
    /// Where the slice's data begins, likewise.
    data_at: usize,
}

impl IdrHeader {
    /// From a NAL unit with its header byte. None for other slices than I, or if the sets do not fit.
    pub fn parse(unit: &[u8], sets: &Sets) -> Option<Self> {
        // Its longest fields need far less; the rest of the slice need not be copied.
        let head = unit.get(1..unit.len().min(128))?;
        Self::read(&rbsp(head), sets).ok().flatten()
    }

    fn read(payload: &[u8], sets: &Sets) -> Result<Option<Self>, CodecError> {
        let mut bits = BitReader::new(payload);
        bits.unsigned()?; // first_mb_in_slice
        let kind = bits.unsigned()?;
        let picture = bits.unsigned()?;
        let Some((sps, pps)) = sets.find(picture).filter(|_| matches!(kind, 2 | 7)) else { return Ok(None) };
        if sps.separate_planes {
            bits.bits(2)?; // colour_plane_id
        }
        bits.bits(sps.frame_num_bits)?;
        let field = !sps.frames_only && bits.flag()?;
        if field {
            bits.flag()?; // bottom_field_flag
        }
        let from = bits.position();
        let idr_pic_id = bits.unsigned()?;
        let id_at = from..bits.position();
        let mut order = 0;
        match sps.order {
            PictureOrder::Low(length) => {
                order = bits.bits(length)?;
                if pps.bottom_order && !field {
                    bits.signed()?; // delta_pic_order_cnt_bottom
                }
            }
            PictureOrder::Cycle(false) => {
                bits.signed()?; // delta_pic_order_cnt[0]
                if pps.bottom_order && !field {
                    bits.signed()?; // delta_pic_order_cnt[1]
                }
            }
            PictureOrder::Cycle(true) | PictureOrder::Decoding => {}
        }
        if pps.redundant {
            bits.unsigned()?; // redundant_pic_cnt
        }
        bits.bits(2)?; // no_output_of_prior_pics_flag, long_term_reference_flag
        bits.signed()?; // slice_qp_delta
        if pps.deblocking_control && bits.unsigned()? != 1 {
            bits.signed()?; // slice_alpha_c0_offset_div2
            bits.signed()?; // slice_beta_offset_div2
        }
        Ok(Some(Self { picture, idr_pic_id, order, frame: !field, id_at, data_at: bits.position() }))
    }
}

/// The slice with another `idr_pic_id`; the rest is the same, bit for bit.
pub(super) fn renumber(unit: &[u8], sets: &Sets, id: u32) -> Option<Vec<u8>> {
    let header = IdrHeader::parse(unit, sets)?;
    let (_, pps) = sets.find(header.picture)?;
    let payload = rbsp(unit.get(1..)?);
    let mut writer = BitWriter::default();
    writer.copy(&payload, 0, header.id_at.start);
    writer.unsigned(id);
    writer.copy(&payload, header.id_at.end, header.data_at);
    if pps.cabac {
        // Arithmetic coding begins at a whole byte, and knows no bits but its own.
        writer.align(true);
        writer.copy(&payload, header.data_at.next_multiple_of(8), payload.len() * 8);
    } else {
        let last = payload.iter().rposition(|&byte| byte != 0)?;
        let stop = payload.get(last)?.trailing_zeros() as usize;
        writer.copy(&payload, header.data_at, last * 8 + 8 - stop);
        writer.align(false);
    }
    Some(nal_unit(*unit.first()?, &writer.into_bytes()))
}
