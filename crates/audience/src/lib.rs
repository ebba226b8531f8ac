//! How many watched a broadcast, when and for how long: counts, and nothing of who they were.
//!
//! A [`Crowd`] is everybody who watches one [`Phase`] of a broadcast. It counts them into [`Bucket`]s, out of which
//! every total is made ([`Total`]); [`Seen`] tells roughly how many different viewers there were.

mod bucket;
mod crowd;
mod curve;
mod seen;

pub use bucket::{Bucket, Phase, Protocol, Sent, Total};
pub use crowd::{Crowd, Entrance, Pace};
pub use curve::Curve;
pub use seen::Seen;
