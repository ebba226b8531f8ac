//! The size of a JPEG.

/// Width and height in pixels as its frame header says (ITU-T T.81 §B.2.2); none if it is no JPEG, or a torn one.
pub fn size(jpeg: &[u8]) -> Option<(u32, u32)> {
    let mut rest = jpeg.strip_prefix(&[0xff, 0xd8])?;
    // It ends with the marker for that.
    rest.ends_with(&[0xff, 0xd9]).then_some(())?;
    loop {
        let [0xff, marker, high, low, ..] = *rest else { return None };
        let length = usize::from(u16::from_be_bytes([high, low]));
        match marker {
            // Frame headers, but for those that are none: tables of Huffman codes, extensions and arithmetic conditions.
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                let [_, h1, h0, w1, w0, ..] = *rest.get(4..)? else { return None };
                let side = |high, low| u32::from(u16::from_be_bytes([high, low]));
                let size = (side(w1, w0), side(h1, h0));
                return (size.0 > 0 && size.1 > 0).then_some(size);
            }
            // The scan begins without a frame.
            0xda => return None,
            _ => rest = rest.get(2 + length..)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP0: &[u8] = &[0xff, 0xe0, 0, 4, 1, 2];
    const SOF0: &[u8] = &[0xff, 0xc0, 0, 17, 8, 0, 180, 1, 64, 3];

    #[test]
    fn the_frame_header_says_the_size() {
        let jpeg = [&[0xff, 0xd8], APP0, SOF0, &[0xff, 0xd9]].concat();
        assert_eq!(size(&jpeg), Some((320, 180)));
        for torn in 0..jpeg.len() {
            assert_eq!(size(&jpeg[..torn]), None);
        }
    }

    #[test]
    fn what_is_no_picture_has_no_size() {
        for bytes in
            [&b""[..], b"GIF89a", &[0xff, 0xd8, 0xff, 0xd9], &[0xff, 0xd8, 0xff, 0xda, 0, 2, 0xff, 0xd9]]
        {
            assert_eq!(size(bytes), None);
        }
        // A length of 0 goes on behind the marker, and ends.
        assert_eq!(size(&[0xff, 0xd8, 0xff, 0xe0, 0, 0, 0xff, 0xd9]), None);
    }
}
