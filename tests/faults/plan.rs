//! What goes wrong in a run, and when: all of it follows from the seed.

use std::time::Duration;

use crate::proxy::Break;

/// Something that goes wrong while a broadcast is live. After each of them an encoder comes (back).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    EncoderKilled,
    WireBroken(Break),
    /// The encoder hangs with its connection open; another one takes over.
    EncoderFrozen,
    /// The encoder is killed, and comes back with pictures of another size.
    OtherSize,
    ServerKilled,
    /// The server is asked to stop.
    ServerStopped,
}

const FAULTS: [Fault; 8] = [
    Fault::EncoderKilled,
    Fault::WireBroken(Break::Fin),
    Fault::WireBroken(Break::Reset),
    Fault::WireBroken(Break::BlackHole),
    Fault::EncoderFrozen,
    Fault::OtherSize,
    Fault::ServerKilled,
    Fault::ServerStopped,
];

#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub fault: Fault,
    /// Media that viewers have seen of the push when it goes wrong, in milliseconds.
    pub after_ms: u32,
    /// How long the one who went stays away.
    pub away: Duration,
}

/// Two to four faults, 0.5 to 3 s apart: of all of them, or kills of the server alone.
pub fn of(seed: u64, kills: bool) -> Vec<Step> {
    let faults = if kills { &[Fault::ServerKilled][..] } else { &FAULTS };
    let mut dice = Dice(seed);
    let length = 2 + dice.below(3);
    let step = |dice: &mut Dice| Step {
        fault: faults[dice.below(faults.len() as u64) as usize],
        after_ms: 500 + dice.below(2500) as u32,
        away: Duration::from_millis(dice.below(1000)),
    };
    (0..length).map(|_| step(&mut dice)).collect()
}

/// SplitMix64 (Steele, Lea and Flood 2014): the same faults for the same seed on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % end
    }
}
