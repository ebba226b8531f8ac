//! The hold picture: frames that keep the last picture on viewers' screens, silent and still, while a publisher is
//! away. There is no encoder: the picture is the last IDR as it was coded, repeated, and the sound is a constant.
//!
//! A [`Keeper`] watches the frames of a broadcast and remembers what is needed. Once the publisher is gone it makes a
//! [`Filler`], which yields frames up to any point of the timeline:
//!
//! - Where the parameter sets allow it (H.264, progressive, no slice groups), the IDR at the start of each segment and
//!   P pictures of nothing but skipped macroblocks at 10 per second: 14 bytes each at 360p, and the same picture.
//! - Else (HEVC, interlaced H.264) the IDR at 4 per second, fewer where it is large against the live stream.
//!
//! Only a true IDR of the parameter sets in force is held (of HEVC also a CRA, which becomes a BLA picture: the type of
//! its NAL units is all that differs). An I picture of an open GOP decodes with errors when it is repeated. Consecutive
//! IDRs differ in their `idr_pic_id`, as ITU-T H.264 §7.4.3 asks, where the slice header can be read.
//!
//! Sound is AAC-LC of 1 to 6 channels, on the exact grid of 1024 samples. For other codecs there is no known silence,
//! and nothing is held.

mod filler;
mod h264;
mod keeper;
mod silence;

pub use filler::Filler;
pub use keeper::Keeper;
