//! What a window refuses.

/// A cut that does not follow from those before it. The window is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misplaced {
    /// A segment begins before the one before it is complete.
    #[error("segment {number} begins within segment {open}")]
    Nested {
        /// The segment that begins.
        number: u64,
        /// The one that is not complete.
        open: u64,
    },
    /// A segment does not have the next number.
    #[error("segment {number} begins where {due} is due")]
    Number {
        /// The segment that begins.
        number: u64,
        /// The next number.
        due: u64,
    },
    /// A segment's discontinuity number is neither that of the segment before it nor one more.
    #[error("segment {number} has discontinuity number {found} after {before}")]
    Discontinuity {
        /// The segment that begins.
        number: u64,
        /// Its discontinuity number.
        found: u64,
        /// That of the segment before it.
        before: u64,
    },
    /// A part is not the next of the segment that is being made.
    #[error("part {index} of segment {segment} is not the next one")]
    Part {
        /// Its segment.
        segment: u64,
        /// Its place in it.
        index: u32,
    },
    /// A segment ends that is not being made, or has no part.
    #[error("segment {number} ends without having begun or without a part")]
    End {
        /// The segment.
        number: u64,
    },
    /// Something comes after the end of the broadcast.
    #[error("a cut after the end of the broadcast")]
    Ended,
}
