//! The ways in.

mod gather;
mod pressure;
mod publisher;
pub mod rtmp;

pub use pressure::Pressure;
