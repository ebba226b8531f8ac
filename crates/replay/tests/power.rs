//! Whatever happens to disk, power and process: what was synced is there, and what is there is whole.

#![cfg(test)]

mod bench;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use bench::{BadDisk, Random, folder};
use bytes::Bytes;
use kaibo_container::segment::{Cut, Init, Part, SegmentEnd, SegmentHead};
use kaibo_media::{Span, Timestamp, Tracks, UnixMillis};
use kaibo_replay::{File, Id, Loss, Meta, Recording, Recordings, Segment, Writer};

/// Makes segments of 1 to 4 parts, and remembers every part.
struct Source {
    random: Random,
    number: u64,
    parts_left: u64,
    clock: Timestamp,
    init: Arc<Init>,
    index: u32,
    begun: bool,
    made: BTreeMap<u64, Vec<(Bytes, Span)>>,
}

impl Source {
    fn new(random: Random) -> Self {
        Self {
            random,
            number: 0,
            parts_left: 0,
            clock: Timestamp::ZERO,
            init: init(0),
            index: 0,
            begun: false,
            made: BTreeMap::new(),
        }
    }

    fn next(&mut self) -> Cut {
        if !self.begun {
            self.begun = true;
            self.parts_left = 1 + self.random.below(4);
            self.index = 0;
            if self.random.one_in(8) {
                self.init = init(self.init.number + 1);
            }
            self.made.insert(self.number, Vec::new());
            return Cut::Begin(Arc::new(SegmentHead {
                number: self.number,
                discontinuity: 0,
                init: self.init.clone(),
                start: self.clock,
                wall: UnixMillis(self.clock.as_millis()),
                independent: true,
                filler: false,
            }));
        }
        if self.parts_left == 0 {
            self.begun = false;
            self.number += 1;
            return Cut::End(SegmentEnd {
                number: self.number - 1,
                duration: Span::ZERO,
                target_duration: 2,
                part_target: None,
            });
        }
        self.parts_left -= 1;
        let duration = Span::from_scale(1 + self.random.below(50_000) as i64, 90_000);
        let len = 1 + self.random.below(200);
        let bytes: Bytes = (0..len).map(|_| self.random.below(256) as u8).collect();
        self.made.get_mut(&self.number).unwrap().push((bytes.clone(), duration));
        let (start, index) = (self.clock, self.index);
        self.clock += duration;
        self.index += 1;
        let samples = Box::default();
        Cut::Part(Arc::new(Part {
            segment: self.number,
            index,
            start,
            duration,
            independent: index == 0,
            bytes,
            samples,
            cues: Box::default(),
        }))
    }
}

fn init(number: u32) -> Arc<Init> {
    Arc::new(Init { number, bytes: vec![number as u8; 40].into(), tracks: Arc::new(Tracks::default()) })
}

/// What the writer has promised so far: how many parts of which segment.
#[derive(Default)]
struct Promises {
    /// Handed to the operating system.
    written: BTreeMap<u64, usize>,
    /// On the disk.
    synced: BTreeMap<u64, usize>,
}

fn meta() -> Meta {
    Meta { app: "live".into(), stream: "room1".into(), started: UnixMillis(0), excerpt: None }
}

fn id() -> Id {
    "b-1".parse().unwrap()
}

fn read(recordings: &Recordings, segment: &Segment) -> Vec<u8> {
    recordings.read(&id(), File::Segment(segment.number), 0..segment.bytes).unwrap().to_vec()
}

/// Every segment holds a start of what was made of it, bytes and duration alike; answers the parts of each.
fn check_whole(recordings: &Recordings, segments: &[Segment], source: &Source) -> BTreeMap<u64, usize> {
    assert!(segments.is_sorted_by(|a, b| a.number < b.number && a.end() <= b.start));
    let count = |segment: &Segment| {
        let made = &source.made[&segment.number];
        let bytes = read(recordings, segment);
        assert_eq!(bytes.len() as u64, segment.bytes);
        let parts = (1..=made.len()).find(|parts| {
            made[..*parts].iter().map(|(_, duration)| *duration).sum::<Span>() == segment.duration
        });
        let parts = parts.expect("a duration that no parts have");
        assert_eq!(bytes, made[..parts].iter().flat_map(|(bytes, _)| bytes.to_vec()).collect::<Vec<_>>());
        (segment.number, parts)
    };
    segments.iter().map(count).collect()
}

fn check_promises(kept: &BTreeMap<u64, usize>, promised: &BTreeMap<u64, usize>) {
    for (number, parts) in promised.iter().filter(|(_, parts)| **parts > 0) {
        assert!(kept.get(number) >= Some(parts), "segment {number}: {:?} of {parts} parts", kept.get(number));
    }
}

/// A stretch of a server's life with one recording.
fn lives(
    writer: &mut Writer<BadDisk>,
    disk: &BadDisk,
    source: &mut Source,
    random: &mut Random,
    faults: bool,
) -> Promises {
    let mut promises = Promises::default();
    let mut lost = false;
    for _ in 0..random.below(60) {
        if disk.is_dead() {
            break;
        }
        if faults && random.one_in(12) {
            disk.set_full(random.one_in(2));
        }
        if faults && random.one_in(12) {
            disk.set_sick(random.one_in(2));
        }
        if random.one_in(6) {
            match writer.sync() {
                Ok(()) => promises.synced = promises.written.clone(),
                Err(_) => {
                    lost = true;
                    promises.written = promises.synced.clone();
                }
            }
            continue;
        }
        if random.one_in(40) {
            lost = true;
            if writer.missed("the recorder was late").is_err() {
                promises.written = promises.synced.clone();
            }
        }
        let cut = source.next();
        let number = source.number;
        let written = writer.write(&cut);
        if disk.is_dead() {
            break;
        }
        match (&cut, written.is_ok()) {
            (Cut::Begin(_), ok) => lost = !ok,
            (Cut::Part(_), true) if !lost => *promises.written.entry(number).or_default() += 1,
            (Cut::End(_), true) if !lost => promises.synced = promises.written.clone(),
            (_, true) => {}
            (_, false) => {
                lost = true;
                // The sync that goes with a failure may have failed too.
                promises.written = promises.synced.clone();
            }
        }
    }
    promises
}

fn listed(writer: &Writer<BadDisk>) -> Vec<Segment> {
    writer.listing().read(<[Segment]>::to_vec)
}

fn history(seed: u64, faults: bool, root: &Path) {
    let mut random = Random(seed);
    let recordings = Recordings::new(root).unwrap();
    let mut source = Source::new(Random(!seed));
    let mut disk = BadDisk::load(root);
    let mut writer = Writer::create(disk.clone(), root, &id(), meta()).unwrap();
    let mut before = Vec::new();
    for _ in 0..1 + random.below(3) {
        if random.one_in(2) {
            disk.kill_after(1 + random.below(10_000));
        }
        let promises = lives(&mut writer, &disk, &mut source, &mut random, faults);
        let shown = listed(&writer);
        let killed = random.one_in(2);
        if killed {
            disk.leave(root);
        } else {
            disk.cut_power(root, &mut random);
        }

        let found = Recording::open(root, &id()).unwrap();
        let kept = check_whole(&recordings, found.segments(), &source);
        check_promises(&kept, &promises.synced);
        if killed {
            check_promises(&kept, &promises.written);
        }
        for segment in shown.iter().chain(&before) {
            let kept = found.segments().iter().find(|kept| kept.number == segment.number);
            assert!(kept.is_some_and(|kept| kept.bytes >= segment.bytes), "{segment:?} was shown");
        }
        for init in found.inits() {
            assert_eq!(recordings.init(&id(), init).unwrap(), vec![init.number as u8; 40]);
        }

        disk = BadDisk::load(root);
        writer = Writer::reopen(disk.clone(), root, &id(), UnixMillis(1)).unwrap();
        assert_eq!(listed(&writer), found.segments());
        // The segment that was open has been broken off; the broadcast goes on with the next one.
        source.begun = false;
        source.number = found.resume().next_segment.max(source.number + 1);
        before = listed(&writer);
    }
    lives(&mut writer, &disk, &mut source, &mut random, false);
    let finished = writer.finish("stopped", UnixMillis(2)).unwrap();
    let shown = listed(&writer);
    disk.cut_power(root, &mut random);
    let found = Recording::open(root, &id()).unwrap();
    assert_eq!(found.segments(), shown);
    assert_eq!(found.finished(), Some(&finished));
    assert_eq!(recordings.scan().unwrap()[0].finished.as_ref(), Some(&finished));
    assert_eq!((finished.segments, finished.duration), (shown.len() as u64, found.duration()));
    check_whole(&recordings, &shown, &source);
}

/// Runs a history per seed, each in a folder of its own.
fn each_seed(seeds: std::ops::Range<u64>, mut history: impl FnMut(u64, &Path)) {
    for seed in seeds {
        println!("seed {seed}");
        history(seed, folder().path());
    }
}

#[test]
fn nothing_synced_is_lost_and_nothing_torn_is_shown() {
    each_seed(0..300, |seed, root| history(seed, false, root));
}

#[test]
fn not_even_while_the_disk_is_full_or_sick() {
    each_seed(1000..1500, |seed, root| history(seed, true, root));
}

#[test]
fn every_gap_in_a_recording_is_told_exactly() {
    let mut gaps = 0;
    each_seed(2000..2200, |seed, root| {
        let disk = BadDisk::load(root);
        let mut writer = Writer::create(disk.clone(), root, &id(), meta()).unwrap();
        let mut source = Source::new(Random(!seed));
        lives(&mut writer, &disk, &mut source, &mut Random(seed), true);
        disk.set_full(false);
        disk.set_sick(false);
        let ends = source.clock;
        let finished = writer.finish("stopped", UnixMillis(2)).unwrap();
        disk.cut_power(root, &mut Random(seed));

        let found = Recording::open(root, &id()).unwrap();
        let mut told = Vec::new();
        let mut at = Timestamp::ZERO;
        for segment in found.segments() {
            if at < segment.start {
                told.push((at, segment.start));
            }
            at = segment.end();
        }
        if at < ends {
            told.push((at, ends));
        }
        assert_eq!(spans(writer.losses()), spans(found.losses()), "what is told now, and what the disk says");
        let losses = found.losses().iter().map(|loss| (loss.from, loss.until.unwrap_or(ends)));
        assert_eq!(losses.filter(|(from, until)| from < until).collect::<Vec<_>>(), told);
        assert!(finished.truncated || told.is_empty());
        gaps += told.len();
    });
    assert!(gaps > 100, "the faults did not bite: {gaps}");
}

/// Those that have a length, as everybody is told of them.
fn spans(losses: &[Loss]) -> Vec<(Timestamp, Option<Timestamp>)> {
    let spans = losses.iter().map(|loss| (loss.from, loss.until));
    spans.filter(|(from, until)| until.is_none_or(|until| *from < until)).collect()
}

/// Writes segments until `number` begins; where that is.
fn up_to(writer: &mut Writer<BadDisk>, source: &mut Source, number: u64) -> Timestamp {
    loop {
        let cut = source.next();
        // A disk that refuses is what the test wants.
        let _ = writer.write(&cut);
        if matches!(cut, Cut::End(_)) && source.number == number {
            return source.clock;
        }
    }
}

#[test]
fn a_disk_that_turns_read_only_or_breaks_cuts_the_recording_at_an_exact_point() {
    // EROFS, EIO, EDQUOT and ENOSPC, as Linux numbers them.
    for (fault, reason) in [
        (30, "Read-only file system (os error 30)"),
        (5, "Input/output error (os error 5)"),
        (122, "Disk quota exceeded (os error 122)"),
        (28, "No space left on device (os error 28)"),
    ] {
        each_seed(fault as u64 * 100..fault as u64 * 100 + 20, |seed, root| {
            let disk = BadDisk::load(root);
            let mut writer = Writer::create(disk.clone(), root, &id(), meta()).unwrap();
            let mut source = Source::new(Random(seed));
            let from = up_to(&mut writer, &mut source, 3);
            disk.set_fault(Some(fault));
            up_to(&mut writer, &mut source, 6);
            let losing = writer.losing().unwrap();
            assert_eq!((losing.from, losing.until, losing.reason()), (from, None, reason));
            disk.set_fault(None);
            let until = source.clock;
            up_to(&mut writer, &mut source, 9);
            assert_eq!(writer.losing(), None, "it goes on by itself");
            let finished = writer.finish("stopped", UnixMillis(2)).unwrap();
            disk.cut_power(root, &mut Random(seed));

            let found = Recording::open(root, &id()).unwrap();
            assert!(finished.truncated);
            assert_eq!(spans(found.losses()), [(from, Some(until))]);
            let kept = check_whole(&Recordings::new(root).unwrap(), found.segments(), &source);
            assert!(kept.keys().copied().eq([0, 1, 2, 6, 7, 8]), "{kept:?}");
        });
    }
}

#[test]
fn no_segment_begins_while_less_is_free_than_is_to_be_kept() {
    let root = folder();
    let disk = BadDisk::load(root.path());
    let mut writer = Writer::create(disk.clone(), root.path(), &id(), meta()).unwrap();
    let mut source = Source::new(Random(7));
    writer.keep_free(1000);
    disk.set_free(1000);
    let from = up_to(&mut writer, &mut source, 2);
    disk.set_free(999);
    let until = up_to(&mut writer, &mut source, 5);
    let losing = writer.losing().unwrap();
    assert_eq!((losing.from, losing.until), (from, None));
    assert_eq!(losing.reason(), "999 bytes are left on the disk, of which 1000 are kept free");
    disk.set_free(1000);
    up_to(&mut writer, &mut source, 6);
    assert!(writer.finish("stopped", UnixMillis(2)).unwrap().truncated);
    let kept = listed(&writer).iter().map(|segment| segment.number).collect::<Vec<_>>();
    assert_eq!((kept, spans(writer.losses())), (vec![0, 1, 5], vec![(from, Some(until))]));
}

#[test]
fn what_was_lost_when_the_server_was_killed_is_told_by_the_next_one() {
    let root = folder();
    let disk = BadDisk::load(root.path());
    let mut writer = Writer::create(disk.clone(), root.path(), &id(), meta()).unwrap();
    let mut source = Source::new(Random(7));
    let from = up_to(&mut writer, &mut source, 2);
    writer.keep_free(1);
    let lost = up_to(&mut writer, &mut source, 4);
    // As the recorder does for what viewers have seen.
    writer.skip(4, lost).unwrap();
    disk.leave(root.path());

    let disk = BadDisk::load(root.path());
    let mut writer = Writer::reopen(disk.clone(), root.path(), &id(), UnixMillis(1)).unwrap();
    assert_eq!(spans(writer.losses()), [(from, None)]);
    up_to(&mut writer, &mut source, 5);
    writer.finish("stopped", UnixMillis(2)).unwrap();
    disk.leave(root.path());
    let found = Recording::open(root.path(), &id()).unwrap();
    assert_eq!(spans(found.losses()), [(from, Some(lost))]);
}
