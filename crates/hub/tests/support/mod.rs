//! An entry whose every property a test can choose.

use std::sync::Arc;

use kaibo_hub::Entry;

#[derive(Clone, Debug)]
pub struct Tick {
    pub number: u64,
    pub time: i64,
    pub keyframe: bool,
    /// Its length is the size.
    pub bytes: Arc<Vec<u8>>,
}

impl Tick {
    /// Ten milliseconds after the one before; every tenth is a keyframe.
    pub fn new(number: u64) -> Self {
        Self {
            number,
            time: number as i64 * 10,
            keyframe: number.is_multiple_of(10),
            bytes: Arc::new(vec![0; 100]),
        }
    }
}

impl Entry for Tick {
    fn size(&self) -> usize {
        self.bytes.len()
    }
    fn keyframe(&self) -> bool {
        self.keyframe
    }
    fn time(&self) -> i64 {
        self.time
    }
}
