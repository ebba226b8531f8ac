//! What is made of the live window when somebody asks, once for all who do.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use bytes::Bytes;
use kaibo_container::ts;
use kaibo_hls::{Format, Segment};

use crate::output::{etag, gzip};

/// TS segments kept: twice what a window usually lists.
const TS_SEGMENTS: usize = 32;

/// The newest playlist of each form, compressed.
#[derive(Default)]
pub struct Zipped {
    fmp4: Mutex<Option<Zip>>,
    ts: Mutex<Option<Zip>>,
}

struct Zip {
    /// What was compressed. Kept, so that its address stays its own.
    text: Bytes,
    gzip: Bytes,
    etag: String,
}

impl Zipped {
    /// `text` as gzip, and its validator. The window renders a playlist once per change, so an unchanged one is at the same place.
    pub fn zip(&self, format: Format, text: &Bytes) -> (Bytes, String) {
        let newest = match format {
            Format::Fmp4 => &self.fmp4,
            Format::Ts => &self.ts,
        };
        let mut newest = newest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = newest.as_ref().filter(|known| known.text.as_ptr() == text.as_ptr()) {
            return (known.gzip.clone(), known.etag.clone());
        }
        let (gzip, etag) = (gzip(text), etag(text));
        *newest = Some(Zip { text: text.clone(), gzip: gzip.clone(), etag: etag.clone() });
        (gzip, etag)
    }
}

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
