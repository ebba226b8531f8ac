//! What is made of the live window when somebody asks, once for all who do.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use bytes::Bytes;
use kaibo_container::ts;
use kaibo_hls::Segment;

/// TS segments kept: twice what a window usually lists.
const TS_SEGMENTS: usize = 32;

type Made = Arc<OnceLock<Result<Bytes, Arc<ts::Error>>>>;

/// The TS forms of the segments that somebody asked for lately.
#[derive(Default)]
pub struct TsSegments(Mutex<VecDeque<(u64, Made)>>);

impl TsSegments {
    /// The TS form of `segment`. Those who ask for the same one at the same time wait for the one who makes it.
    pub fn get_or_make(&self, segment: &Segment) -> Result<Bytes, Arc<ts::Error>> {
        let number = segment.number();
        let made = {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match kept.iter().find(|(known, _)| *known == number) {
                Some((_, made)) => made.clone(),
                None => {
                    if kept.len() >= TS_SEGMENTS {
                        kept.pop_front();
                    }
                    let made = Made::default();
                    kept.push_back((number, made.clone()));
                    made
                }
            }
        };
        made.get_or_init(|| ts::segment(&segment.head.init.tracks, &segment.parts).map_err(Arc::new)).clone()
    }
}
