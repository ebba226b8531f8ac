//! Send times inside the pictures: a video frame starts with an SEI NAL unit that carries the time as hex digits.
//! Viewers on the same machine subtract it from the time at which the whole frame has arrived.

use crate::net::monotonic_ns;

/// UUID of the user-data SEI; no zero bytes, so no emulation prevention is ever needed.
const UUID: &[u8; 16] = b"loadgen-latency!";

/// Where the digits are within the unit, and how many.
pub const DIGITS_AT: usize = 23;
pub const DIGITS: usize = 16;

/// The NAL unit with its 4-byte length: SEI, type 5, 32 bytes, UUID, hex digits of `ns`.
pub fn unit(ns: u64) -> Vec<u8> {
    let mut nal = vec![0, 0, 0, 36, 6, 5, 32];
    nal.extend_from_slice(UUID);
    nal.extend_from_slice(&digits(ns));
    nal.push(0x80);
    nal
}

/// The digits of a time.
pub fn digits(ns: u64) -> [u8; DIGITS] {
    std::array::from_fn(|i| b"0123456789abcdef"[(ns >> (60 - 4 * i) & 15) as usize])
}

/// How old a frame is by the stamp in its first bytes, in ms.
pub fn age_ms(head: &[u8]) -> Option<f64> {
    let at = head.windows(16).position(|w| w == UUID)? + 16;
    let digits = std::str::from_utf8(head.get(at..at + DIGITS)?).ok()?;
    let sent = u64::from_str_radix(digits, 16).ok()?;
    Some(monotonic_ns().saturating_sub(sent) as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_found_and_its_digits_are_where_they_are_said_to_be() {
        let now = monotonic_ns();
        let nal = unit(now);
        assert_eq!(nal.len(), 4 + nal[3] as usize);
        assert_eq!(nal[DIGITS_AT..DIGITS_AT + DIGITS], digits(now));
        let frame = [b"\x17\x01\0\0\0".as_slice(), &nal].concat();
        assert!(age_ms(&frame).is_some_and(|ms| ms < 1000.0));
        assert_eq!(age_ms(b"\x17\x01\0\0\0 no stamp"), None);
    }
}
