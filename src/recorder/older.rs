//! What a live list goes on to show after a restart, though memory does not hold it.

use kaibo_hls::Old;
use kaibo_media::Span;
use kaibo_replay::{Recording, Segment};

/// The recorded segments right before number `before`, oldest first, which last for `reach` at the most; up to the newest
/// stretch that is lost, for what was shown of that can't be listed.
pub fn older(recording: &Recording, before: u64, reach: Span) -> Vec<Old> {
    let lost_until = recording.losses().iter().filter_map(|loss| loss.until).max();
    let segments = recording.segments();
    let end = segments.partition_point(|segment| segment.number < before);
    let (mut next, mut duration, mut found) = (before, Span::ZERO, Vec::new());
    for (at, segment) in segments.iter().enumerate().take(end).rev() {
        let whole = lost_until.is_none_or(|until| segment.start >= until);
        let Some(previous) = discontinuity_before(segments, at) else { break };
        if segment.number.saturating_add(1) != next || !whole || duration >= reach {
            break;
        }
        found.push(Old {
            number: segment.number,
            duration: segment.duration,
            discontinuity: segment.discontinuity,
            discontinuity_before: previous,
            init: segment.init,
            wall: segment.wall,
        });
        next = segment.number;
        duration += segment.duration;
    }
    found.reverse();
    found
}

/// None where nobody knows what was listed before it.
fn discontinuity_before(segments: &[Segment], at: usize) -> Option<u64> {
    let segment = segments.get(at)?;
    // Broadcasts begin with 1, and those of old with 0.
    if at == 0 && segment.number <= 1 {
        return Some(0);
    }
    let previous = segments.get(at.checked_sub(1)?)?;
    (previous.number.saturating_add(1) == segment.number).then_some(previous.discontinuity)
}
