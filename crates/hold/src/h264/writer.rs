//! Writing bits, most significant first.

/// A string of bits that grows.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits that do not fill a byte yet, in the low bits.
    rest: u8,
    count: u32,
}

impl BitWriter {
    /// The low `count` bits of `value`, at most 32.
    pub fn bits(&mut self, value: u32, count: u32) {
        for at in (0..count).rev() {
            self.rest = self.rest << 1 | (value >> at & 1) as u8;
            self.count += 1;
            if self.count == 8 {
                self.bytes.push(std::mem::take(&mut self.rest));
                self.count = 0;
            }
        }
    }

    pub fn flag(&mut self, value: bool) {
        self.bits(value.into(), 1);
    }

    /// An unsigned Exp-Golomb code (ITU-T H.264 §9.1) of at most 2^31.
    pub fn unsigned(&mut self, value: u32) {
        let code = value.saturating_add(1);
        let length = 32 - code.leading_zeros();
        self.bits(0, length - 1);
        self.bits(code, length);
    }

    /// A signed one (§9.1.1).
    pub fn signed(&mut self, value: i32) {
        let magnitude = value.unsigned_abs() * 2;
        self.unsigned(if value > 0 { magnitude - 1 } else { magnitude });
    }

    /// The bits `from..to` of `source`, as far as it has them.
    pub fn copy(&mut self, source: &[u8], from: usize, to: usize) {
        let to = to.min(source.len() * 8);
        let byte = |at: usize| u16::from(source.get(at).copied().unwrap_or(0));
        let mut at = from;
        while at + 8 <= to {
            let both = byte(at / 8) << 8 | byte(at / 8 + 1);
            self.byte((both >> (8 - at % 8)) as u8);
            at += 8;
        }
        for at in at..to {
            self.bits(u32::from(byte(at / 8) >> (7 - at % 8)), 1);
        }
    }

    fn byte(&mut self, value: u8) {
        if self.count == 0 {
            return self.bytes.push(value);
        }
        self.bytes.push(self.rest << (8 - self.count) | value >> self.count);
        self.rest = value & ((1 << self.count) - 1);
    }

    /// Fills the byte that is begun with ones or zeros.
    pub fn align(&mut self, with: bool) {
        while self.count != 0 {
            self.flag(with);
        }
    }

    /// What is written; bits that do not fill a byte are lost.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// A NAL unit: `header`, then `payload` with its emulation prevention bytes (ITU-T H.264 §7.4.1).
pub(super) fn nal_unit(header: u8, payload: &[u8]) -> Vec<u8> {
    let mut unit = Vec::with_capacity(payload.len() + payload.len() / 64 + 2);
    unit.push(header);
    let mut zeros = 0;
    for &byte in payload {
        if zeros == 2 && byte <= 3 {
            unit.push(3);
            zeros = 0;
        }
        unit.push(byte);
        zeros = if byte == 0 { zeros + 1 } else { 0 };
    }
    unit
}

#[cfg(test)]
mod tests {
    use kaibo_media::bits::{BitReader, rbsp};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_again(values in prop::collection::vec((any::<u16>(), any::<i16>(), 1u32..33), 1..50)) {
            let mut writer = BitWriter::default();
            for &(unsigned, signed, count) in &values {
                writer.unsigned(unsigned.into());
                writer.signed(signed.into());
                writer.bits(1 << (count - 1), count);
            }
            writer.align(true);
            let bytes = writer.into_bytes();
            let mut reader = BitReader::new(&bytes);
            for (unsigned, signed, count) in values {
                prop_assert_eq!(reader.unsigned().unwrap(), u32::from(unsigned));
                prop_assert_eq!(reader.signed().unwrap(), i64::from(signed));
                prop_assert_eq!(reader.bits(count).unwrap(), 1 << (count - 1));
            }
        }

        #[test]
        fn bits_are_copied_from_anywhere_to_anywhere(
            source in prop::collection::vec(any::<u8>(), 1..40), from in 0usize..64, ahead in 0u32..9,
        ) {
            let from = from.min(source.len() * 8);
            let mut writer = BitWriter::default();
            writer.bits(0, ahead);
            writer.copy(&source, from, source.len() * 8);
            writer.align(false);
            let bytes = writer.into_bytes();
            let (mut there, mut here) = (BitReader::new(&bytes), BitReader::new(&source));
            there.skip(ahead as usize).unwrap();
            here.skip(from).unwrap();
            for _ in from..source.len() * 8 {
                prop_assert_eq!(there.flag().unwrap(), here.flag().unwrap());
            }
        }

        #[test]
        fn a_unit_has_no_start_code_in_it(payload in prop::collection::vec(0u8..5, 0..60)) {
            let unit = nal_unit(0x65, &payload);
            prop_assert!(unit.windows(3).all(|three| three[0] != 0 || three[1] != 0 || three[2] > 2));
            prop_assert_eq!(rbsp(&unit[1..]), payload);
        }
    }
}
