//! The picture parameter set (ITU-T H.264 §7.3.2.2).

use kaibo_media::{
    CodecError,
    bits::{BitReader, rbsp},
};

/// What slices need of a PPS without slice groups.
#[derive(Debug, PartialEq)]
pub(super) struct Pps {
    pub id: u32,
    /// Id of its SPS.
    pub sequence: u32,
    /// `entropy_coding_mode_flag`
    pub cabac: bool,
    /// `bottom_field_pic_order_in_frame_present_flag`
    pub bottom_order: bool,
    pub weighted: bool,
    /// `pic_init_qp_minus26`
    pub quantizer: i64,
    /// `deblocking_filter_control_present_flag`
    pub deblocking_control: bool,
    /// `redundant_pic_cnt_present_flag`
    pub redundant: bool,
}

impl Pps {
    /// From the NAL unit with its header byte.
    pub fn parse(unit: &[u8]) -> Result<Self, CodecError> {
        let payload = rbsp(unit.get(1..).unwrap_or_default());
        let mut bits = BitReader::new(&payload);
        let id = bits.unsigned_to(255, "pic_parameter_set_id")?;
        let sequence = bits.unsigned_to(31, "seq_parameter_set_id")?;
        let cabac = bits.flag()?;
        let bottom_order = bits.flag()?;
        bits.unsigned_to(0, "num_slice_groups_minus1")?;
        bits.unsigned()?; // num_ref_idx_l0_default_active_minus1
        bits.unsigned()?; // num_ref_idx_l1_default_active_minus1
        let weighted = bits.flag()?;
        bits.bits(2)?; // weighted_bipred_idc
        let quantizer = bits.signed()?;
        bits.signed()?; // pic_init_qs_minus26
        bits.signed()?; // chroma_qp_index_offset
        let deblocking_control = bits.flag()?;
        bits.flag()?; // constrained_intra_pred_flag
        let redundant = bits.flag()?;
        Ok(Self { id, sequence, cabac, bottom_order, weighted, quantizer, deblocking_control, redundant })
    }
}
