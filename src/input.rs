//! The ways in.

mod gather;
mod publisher;
pub mod rtmp;
