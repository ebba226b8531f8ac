//! A recording that grows, on its way to the bucket.

use std::{collections::HashMap, sync::Arc};

use kaibo_media::Span;
use kaibo_replay::{File, Id, Listing, Segment};

use super::{Archive, Error, blocking};

/// Segments that are sent in one go; then others have their turn.
const TURN: usize = 16;

/// Segments of publishers' own that stay here whatever they last: a restart looks in as many for a picture to hold.
const OWN: usize = 9;

/// How far a recording that grows is in the bucket.
pub struct Live {
    pub id: Id,
    listing: Arc<Listing>,
    /// What must stay here: the live playlist goes on with it after a restart.
    window: Span,
    /// What the bucket had when it was first looked at, by segment.
    had: Option<HashMap<String, u64>>,
    /// As many segments, from the first on, have been confirmed by the bucket.
    confirmed: usize,
    /// And of so many of those the files are gone.
    dropped: usize,
    /// The initialisation section that was sent last.
    init: Option<u32>,
}

impl Live {
    pub fn new(id: Id, listing: Arc<Listing>, window: Span) -> Self {
        Self { id, listing, window, had: None, confirmed: 0, dropped: 0, init: None }
    }

    /// Bytes that the bucket does not have, and bytes that are here.
    pub fn bytes(&self) -> (u64, u64) {
        let sum = |segments: &[Segment], from| {
            segments.get(from..).unwrap_or_default().iter().map(|segment| segment.bytes).sum()
        };
        self.listing.read(|segments| (sum(segments, self.confirmed), sum(segments, self.dropped)))
    }

    /// Sends what has come, some of it at a time.
    pub async fn turn(mut self, archive: Arc<Archive>) -> (Self, Result<(), Error>) {
        let sent = self.send(&archive).await;
        (self, sent)
    }

    async fn send(&mut self, archive: &Archive) -> Result<(), Error> {
        let had = match self.had.take() {
            Some(had) => had,
            None => self.look(archive).await?,
        };
        let sent = self.send_those_not_in(&had, archive).await;
        self.had = Some(had);
        sent
    }

    /// Sees what is where after a restart; of a new recording there is nothing.
    async fn look(&mut self, archive: &Archive) -> Result<HashMap<String, u64>, Error> {
        let had = archive.files(&self.id).await?;
        let (disk, id, listing) = (archive.disk.clone(), self.id.clone(), self.listing.clone());
        self.dropped = blocking(move || {
            let numbers: Vec<u64> =
                listing.read(|segments| segments.iter().map(|segment| segment.number).collect());
            Ok(numbers.into_iter().take_while(|number| !disk.has_segment(&id, *number)).count())
        })
        .await?;
        Ok(had)
    }

    async fn send_those_not_in(
        &mut self,
        had: &HashMap<String, u64>,
        archive: &Archive,
    ) -> Result<(), Error> {
        let next = |segments: &[Segment]| {
            segments.iter().skip(self.confirmed).take(TURN).copied().collect::<Vec<Segment>>()
        };
        for segment in self.listing.read(next) {
            if archive.is_doomed(&self.id) {
                return Ok(());
            }
            let name = File::Segment(segment.number).name();
            if had.get(&name) != Some(&segment.bytes) {
                if self.init != Some(segment.init) {
                    archive.send_small(&self.id, &File::Init(segment.init).name(), 0).await?;
                    self.init = Some(segment.init);
                }
                archive.send_segment(&self.id, segment.number, segment.bytes).await?;
            }
            self.confirmed += 1;
        }
        Ok(())
    }

    /// The oldest segments that make `wanted` bytes free, of those that the bucket has and nobody here needs.
    pub fn droppable(&self, wanted: u64) -> Vec<Segment> {
        self.listing.read(|segments| {
            let until = self.confirmed.min(needed_from(segments, self.window));
            let mut bytes = 0_u64;
            let candidates = segments.iter().take(until).skip(self.dropped);
            candidates
                .take_while(|segment| {
                    let more = bytes < wanted;
                    bytes = bytes.saturating_add(segment.bytes);
                    more
                })
                .copied()
                .collect()
        })
    }

    /// The files of the oldest `segments` are gone.
    pub fn note_dropped(&mut self, segments: usize) {
        self.dropped += segments;
    }
}

/// Where those segments begin that a restart needs.
fn needed_from(segments: &[Segment], window: Span) -> usize {
    let (mut duration, mut own, mut from) = (Span::ZERO, 0, segments.len());
    for segment in segments.iter().rev() {
        if duration >= window && own >= OWN {
            break;
        }
        duration += segment.duration;
        own += usize::from(!segment.filler);
        from -= 1;
    }
    from
}

#[cfg(test)]
mod tests {
    use kaibo_media::{Timestamp, UnixMillis};

    use super::*;

    fn segments(fillers: impl IntoIterator<Item = bool>) -> Vec<Segment> {
        let segment = |(number, filler)| Segment {
            number,
            init: 0,
            discontinuity: 0,
            start: Timestamp::ZERO,
            duration: Span::from_millis(2000),
            wall: UnixMillis(0),
            bytes: 1000,
            independent: true,
            filler,
        };
        (1..).zip(fillers).map(segment).collect()
    }

    #[test]
    fn a_restart_finds_its_window_and_a_picture_to_hold() {
        let window = Span::from_millis(30_000);
        assert_eq!(needed_from(&segments([]), window), 0);
        assert_eq!(needed_from(&segments(vec![false; 5]), window), 0);
        assert_eq!(needed_from(&segments(vec![false; 100]), window), 85);
        let short = Span::from_millis(4000);
        assert_eq!(needed_from(&segments(vec![false; 100]), short), 100 - OWN);
        let held = [vec![false; 50], vec![true; 50]].concat();
        assert_eq!(needed_from(&segments(held), window), 50 - OWN, "however long a picture is held");
    }
}
