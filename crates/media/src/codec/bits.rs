//! Bits, most significant first, and the Exp-Golomb codes of parameter sets.

use super::CodecError;

/// Reads bits from the front of a byte string.
#[derive(Debug)]
pub struct BitReader<'a> {
    bytes: &'a [u8],
    bit: usize,
}

impl<'a> BitReader<'a> {
    /// At the first bit of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, bit: 0 }
    }

    /// How many bits are read.
    pub fn position(&self) -> usize {
        self.bit
    }

    /// One bit.
    pub fn flag(&mut self) -> Result<bool, CodecError> {
        let at = self.bit / 8;
        let byte = *self.bytes.get(at).ok_or(CodecError::Truncated { at })?;
        let flag = byte >> (7 - self.bit % 8) & 1 == 1;
        self.bit += 1;
        Ok(flag)
    }

    /// An unsigned number of `count` bits, at most 32.
    pub fn bits(&mut self, count: u32) -> Result<u32, CodecError> {
        (0..count).try_fold(0, |value: u32, _| Ok(value << 1 | u32::from(self.flag()?)))
    }

    /// Leaves out `count` bits.
    pub fn skip(&mut self, count: usize) -> Result<(), CodecError> {
        self.bit += count;
        let at = self.bit / 8;
        if self.bit > self.bytes.len() * 8 { Err(CodecError::Truncated { at }) } else { Ok(()) }
    }

    /// Goes on to the next whole byte.
    pub fn align(&mut self) {
        self.bit = self.bit.next_multiple_of(8);
    }

    /// Bits that are left.
    pub fn left(&self) -> usize {
        (self.bytes.len() * 8).saturating_sub(self.bit)
    }

    /// An unsigned Exp-Golomb code, `ue(v)` (ITU-T H.264 §9.1).
    pub fn unsigned(&mut self) -> Result<u32, CodecError> {
        let at = self.bit / 8;
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros == 32 {
                return Err(CodecError::ExpGolomb { at });
            }
        }
        // At most 2^31 - 1 + 2^31 - 1.
        Ok((1u32 << zeros) - 1 + self.bits(zeros)?)
    }

    /// An unsigned Exp-Golomb code of at most `limit`.
    pub fn unsigned_to(&mut self, limit: u32, field: &'static str) -> Result<u32, CodecError> {
        match self.unsigned()? {
            value if value > limit => Err(CodecError::Value { field, value: value.into() }),
            value => Ok(value),
        }
    }

    /// A signed Exp-Golomb code, `se(v)` (ITU-T H.264 §9.1.1).
    pub fn signed(&mut self) -> Result<i64, CodecError> {
        let code = i64::from(self.unsigned()?);
        Ok(if code % 2 == 0 { -(code / 2) } else { (code + 1) / 2 })
    }
}

/// The payload of a NAL unit without its emulation prevention bytes (ITU-T H.264 §7.3.1, H.265 §7.3.1.1).
pub fn rbsp(payload: &[u8]) -> Vec<u8> {
    let mut zeros = 0;
    let keep = |&byte: &u8| {
        let escape = zeros >= 2 && byte == 3;
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        !escape
    };
    payload.iter().copied().filter(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_golomb_codes_read_as_in_the_table_of_the_standard() {
        // 1 | 010 | 011 | 00100 | 00101 (H.264 Table 9-2)
        let mut bits = BitReader::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        assert_eq!([(); 5].map(|()| bits.unsigned().unwrap()), [0, 1, 2, 3, 4]);
        let mut bits = BitReader::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        assert_eq!([(); 5].map(|()| bits.signed().unwrap()), [0, 1, -1, 2, -2]);
        assert_eq!(BitReader::new(&[0; 8]).unsigned(), Err(CodecError::ExpGolomb { at: 0 }));
        assert_eq!(BitReader::new(&[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]).unsigned(), Ok(0xffff_fffe));
    }

    #[test]
    fn a_third_byte_after_two_zeros_is_an_escape_only_if_it_is_three() {
        assert_eq!(rbsp(&[0, 0, 3, 1, 0, 0, 3, 0, 0, 3]), [0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(rbsp(&[0, 0, 2, 0, 3, 0, 0]), [0, 0, 2, 0, 3, 0, 0]);
    }
}
