//! P slices in which every macroblock is skipped: the picture before it, once more (ITU-T H.264 §7.3.3, §7.3.4).

use kaibo_media::h264::{PictureOrder, Sps};

use super::{
    Sets, cabac,
    header::IdrHeader,
    pps::Pps,
    writer::{BitWriter, nal_unit},
};

/// A coded slice that others refer to, of no IDR picture.
const HEADER: u8 = 0x41;

/// Makes the pictures that follow an IDR picture and look like it.
#[derive(Debug)]
pub(crate) struct StillSlices {
    picture: u32,
    frame_num_bits: u32,
    /// Bits of `pic_order_cnt_lsb`, and its value in the IDR picture; none where the order is that of decoding.
    order: Option<(u32, u32)>,
    bottom_order: bool,
    redundant: bool,
    weighted: bool,
    monochrome: bool,
    deblocking_control: bool,
    quantizer_delta: i32,
    /// Coded data of the slice with CABAC; without it, how many macroblocks are skipped.
    data: Result<Vec<u8>, u32>,
}

impl StillSlices {
    /// For the pictures behind the IDR picture that begins with `slice`. None where they can't be written.
    pub(crate) fn behind(slice: &[u8], sets: &Sets) -> Option<Self> {
        let header = IdrHeader::parse(slice, sets)?;
        let (sps, pps) = sets.find(header.picture)?;
        let order = match sps.order {
            PictureOrder::Low(bits) => Some((bits, header.order)),
            PictureOrder::Decoding => None,
            PictureOrder::Cycle(_) => return None,
        };
        if !header.frame || !allows_p(sps) {
            return None;
        }
        let macroblocks = u32::try_from(sps.macroblocks).ok()?;
        Some(Self {
            picture: header.picture,
            frame_num_bits: sps.frame_num_bits,
            order,
            bottom_order: pps.bottom_order,
            redundant: pps.redundant,
            weighted: pps.weighted,
            monochrome: sps.chroma_format == 0,
            deblocking_control: pps.deblocking_control,
            quantizer_delta: quantizer_delta(pps)?,
            data: if pps.cabac { Ok(cabac::skipped(sps.macroblocks)) } else { Err(macroblocks) },
        })
    }

    /// The only slice of the picture that comes `distance` pictures after the IDR, from 1 on.
    pub(crate) fn unit(&self, distance: u32) -> Vec<u8> {
        let mut writer = BitWriter::default();
        writer.unsigned(0); // first_mb_in_slice
        writer.unsigned(5); // slice_type: P, as all of this picture
        writer.unsigned(self.picture);
        writer.bits(distance, self.frame_num_bits);
        if let Some((bits, idr)) = self.order {
            writer.bits(idr.wrapping_add(distance.wrapping_mul(2)), bits);
            if self.bottom_order {
                writer.signed(0); // delta_pic_order_cnt_bottom
            }
        }
        if self.redundant {
            writer.unsigned(0); // redundant_pic_cnt
        }
        writer.flag(true); // num_ref_idx_active_override_flag
        writer.unsigned(0); // num_ref_idx_l0_active_minus1: the newest picture alone
        writer.flag(false); // ref_pic_list_modification_flag_l0
        if self.weighted {
            writer.unsigned(0); // luma_log2_weight_denom
            if !self.monochrome {
                writer.unsigned(0); // chroma_log2_weight_denom
            }
            writer.flag(false); // luma_weight_l0_flag
            if !self.monochrome {
                writer.flag(false); // chroma_weight_l0_flag
            }
        }
        writer.flag(false); // adaptive_ref_pic_marking_mode_flag
        if self.data.is_ok() {
            writer.unsigned(0); // cabac_init_idc
        }
        writer.signed(self.quantizer_delta);
        if self.deblocking_control {
            writer.unsigned(1); // disable_deblocking_filter_idc
        }
        match &self.data {
            Ok(coded) => {
                writer.align(true);
                writer.copy(coded, 0, coded.len() * 8);
            }
            Err(macroblocks) => {
                writer.unsigned(*macroblocks); // mb_skip_run
                writer.flag(true); // the stop bit
                writer.align(false);
            }
        }
        nal_unit(HEADER, &writer.into_bytes())
    }
}

/// P slices of frames are allowed, and all their planes are in one.
fn allows_p(sps: &Sps) -> bool {
    const CONSTRAINT_SET_3: u8 = 0x10;
    let intra_only = sps.profile == 44
        || (matches!(sps.profile, 110 | 122 | 244) && sps.constraints & CONSTRAINT_SET_3 != 0);
    sps.frames_only && !sps.separate_planes && !intra_only && sps.reference_frames > 0
}

/// `slice_qp_delta`: without a residual the quantizer means nothing but where the contexts of CABAC begin.
fn quantizer_delta(pps: &Pps) -> Option<i32> {
    if !pps.cabac {
        return Some(0);
    }
    i32::try_from(cabac::QUANTIZER - 26 - pps.quantizer).ok().filter(|delta| (-87..=114).contains(delta))
}
