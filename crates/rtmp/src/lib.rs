//! The RTMP conversation: bytes in, events and bytes out.
