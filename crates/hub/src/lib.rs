//! A ring with one writer that never waits and many cursors.
//!
//! It is used twice per stream: for frames, which the packagers read, and for blocks of packaged bytes, which thousands
//! of viewers read. The ring is all the memory there is: a cursor holds only the number of the entry that it wants
//! next, so a slow reader costs nothing and hurts nobody. One that falls behind by more than the ring holds is told
//! so ([`Next::Lagged`]) and goes on at a keyframe.
//!
//! ```
//! use kaibo_hub::{Entry, Limits, Next, Start, ring};
//!
//! #[derive(Clone)]
//! struct Tick(i64);
//!
//! impl Entry for Tick {
//!     fn size(&self) -> usize { 8 }
//!     fn keyframe(&self) -> bool { self.0 % 10 == 0 }
//!     fn time(&self) -> i64 { self.0 }
//! }
//!
//! let (publisher, ring) = ring(Limits { bytes: 1024, millis: 100, entries: 64 });
//! for time in 0..25 {
//!     publisher.push(Tick(time));
//! }
//! let mut cursor = ring.cursor(Start::Keyframe);
//! let mut batch = Vec::new();
//! assert_eq!(cursor.try_next(&mut batch), Some(Next::Entries));
//! assert_eq!(batch.first().map(Tick::time), Some(20));
//! ```

mod cursor;
mod held;
mod ring;
mod waiting;
mod watch;

pub use cursor::{BATCH_BYTES, BATCH_ENTRIES, Cursor, Next};
pub use held::{Entry, Limits};
pub use ring::{Publisher, Ring, Start, ring};
pub use watch::Watch;
