//! The ways in.

mod publisher;
pub mod rtmp;
