//! What the tests are made with: a server, encoders, viewers and measuring tools.

pub mod clip;
#[allow(dead_code, reason = "the tests of webhooks fill disks")]
pub mod disk;
pub mod flv;
pub mod hls;
#[path = "../../../crates/hls/tests/hls/checker.rs"]
pub mod hls_checker;
pub mod http;
pub mod probe;
pub mod push;
pub mod rtmp;
pub mod s3;
pub mod server;
pub mod tls;
pub mod wait;

pub use disk::Disk;
pub use server::Kaibo;
pub use wait::{seconds, wait_for, wait_until};
