//! Arithmetic coding of a slice of skipped macroblocks (ITU-T H.264 §9.3).

/// `rangeTabLPS` (Table 9-44) from state 42 on: a skipped macroblock is coded as so likely from the start that no
/// lower state comes up.
const LEAST_PROBABLE: [[u16; 4]; 21] = [
    [16, 20, 23, 27],
    [15, 19, 22, 25],
    [14, 18, 21, 24],
    [14, 17, 20, 23],
    [13, 16, 19, 22],
    [12, 15, 18, 21],
    [12, 14, 17, 20],
    [11, 14, 16, 19],
    [11, 13, 15, 18],
    [10, 12, 15, 17],
    [10, 12, 14, 16],
    [9, 11, 13, 15],
    [9, 11, 12, 14],
    [8, 10, 12, 14],
    [8, 9, 11, 13],
    [7, 9, 11, 12],
    [7, 9, 10, 12],
    [7, 8, 10, 11],
    [6, 8, 9, 11],
    [6, 7, 9, 10],
    [6, 7, 8, 9],
];

/// The quantizer that a slice is to have for the states above: with it, context 11 (`mb_skip_flag` with neighbours that
/// are skipped or missing; m = 23 and n = 33 for `cabac_init_idc` 0, Table 9-13) begins at 23 * 51 / 16 + 33 = 106: a
/// skip is the more probable symbol, in state 42.
pub(super) const QUANTIZER: i64 = 51;

/// The encoder's registers (§9.3.4.2).
struct Encoder {
    low: u32,
    range: u32,
    outstanding: u32,
    first: bool,
    bits: Vec<bool>,
}

/// The data of a P slice of `macroblocks` skipped ones, with its stop bit and the alignment behind it.
pub(super) fn skipped(macroblocks: u64) -> Vec<u8> {
    let mut encoder = Encoder { low: 0, range: 510, outstanding: 0, first: true, bits: Vec::new() };
    let mut state = 0;
    for left in (0..macroblocks).rev() {
        encoder.likely(state);
        state = (state + 1).min(LEAST_PROBABLE.len() - 1);
        encoder.end_of_slice(left == 0);
    }
    while !encoder.bits.len().is_multiple_of(8) {
        encoder.bits.push(false);
    }
    encoder.bits.chunks(8).map(|byte| byte.iter().fold(0, |byte, &bit| byte << 1 | u8::from(bit))).collect()
}

impl Encoder {
    /// The more probable symbol.
    fn likely(&mut self, state: usize) {
        let quarter = (self.range >> 6 & 3) as usize;
        let other = LEAST_PROBABLE.get(state).and_then(|row| row.get(quarter)).copied().unwrap_or(2);
        self.range -= u32::from(other);
        self.renormalize();
    }

    /// `end_of_slice_flag`, with the flush that follows it (§9.3.4.5).
    fn end_of_slice(&mut self, last: bool) {
        self.range -= 2;
        if last {
            self.low += self.range;
            self.range = 2;
        }
        self.renormalize();
        if last {
            self.put(self.low >> 9 & 1 == 1);
            self.bits.push(self.low >> 8 & 1 == 1);
            // The stop bit of the slice.
            self.bits.push(true);
        }
    }

    fn renormalize(&mut self) {
        while self.range < 256 {
            if self.low < 256 {
                self.put(false);
            } else if self.low >= 512 {
                self.low -= 512;
                self.put(true);
            } else {
                self.low -= 256;
                self.outstanding += 1;
            }
            self.range <<= 1;
            self.low <<= 1;
        }
    }

    fn put(&mut self, bit: bool) {
        if self.first {
            self.first = false;
        } else {
            self.bits.push(bit);
        }
        for _ in 0..std::mem::take(&mut self.outstanding) {
            self.bits.push(!bit);
        }
    }
}
