//! What is recorded, and what is made of it.

use std::{
    hint::black_box,
    io::{self, Sink, Write},
    path::Path,
};

use kaibo_container::{
    fmp4,
    mp4::{Builder, Shown},
    segment::Cut,
};
use kaibo_media::{Span, Timestamp, UnixMillis};
use kaibo_replay::{Disk, DiskFile, Edit, Meta, Segment, Stretch, Writer};

use crate::{
    count,
    output::{cuts, parts_of},
    push::{items, tracks},
};

/// A disk that forgets: the system calls are not ours to count.
struct Void;

struct Hole(Sink);

impl Disk for Void {
    type File = Hole;

    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn create(&self, _: &Path) -> io::Result<Hole> {
        Ok(Hole(io::sink()))
    }

    fn append(&self, _: &Path) -> io::Result<Hole> {
        Ok(Hole(io::sink()))
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn free(&self, _: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

impl Write for Hole {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(black_box(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for Hole {
    fn set_len(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn record(cuts: &[Cut]) -> Writer<Void> {
    let meta =
        Meta { app: "live".into(), stream: "stream".into(), started: UnixMillis::default(), excerpt: None };
    let id = "recording".parse().unwrap();
    let mut writer = Writer::create(Void, Path::new("nowhere"), &id, meta).unwrap();
    cuts.iter().for_each(|cut| writer.write(cut).unwrap());
    writer
}

/// Cuts on their way to a disk.
pub fn write() {
    let cuts = cuts(&items(60));
    count(|| {
        black_box(record(&cuts));
    });
}

/// Three hours with a hundred holes as pieces of segments.
pub fn edit() {
    let recorded = record(&cuts(&items(60))).listing().read(<[Segment]>::to_vec);
    let later = |minute: i64| {
        let shift = Span::from_millis(minute * 60_000);
        recorded.iter().map(move |segment| Segment { start: segment.start + shift, ..*segment })
    };
    let segments: Vec<Segment> = (0..180).flat_map(later).collect();
    let hole = |number: i64| {
        let from = Timestamp::from_millis(number * 100_000 + 700);
        Stretch { from, to: from + Span::from_millis(9_000) }
    };
    let holes: Vec<_> = (0..100).map(hole).collect();
    count(|| {
        let edit = Edit::default().without(&holes).unwrap();
        assert!(edit.pieces(&segments).map(black_box).count() > 100);
    });
}

/// The head of a progressive MP4 of five minutes.
pub fn mp4() {
    let (cuts, tracks) = (cuts(&items(300)), tracks());
    let mut segments: Vec<(u64, Vec<u8>, Timestamp, Timestamp)> = Vec::new();
    for part in parts_of(&cuts) {
        let (moof, _) = fmp4::measure(&part.bytes).unwrap();
        let end = part.start + part.duration;
        match segments.last_mut() {
            Some(last) if last.0 == part.segment => {
                last.1.extend_from_slice(moof);
                last.3 = end;
            }
            _ => segments.push((part.segment, moof.to_vec(), part.start, end)),
        }
    }
    count(|| {
        let mut builder = Builder::new([&tracks]);
        for (segment, moofs, start, end) in &segments {
            let (segment, start, end) = (*segment, *start, *end);
            let shown = Shown {
                segment,
                tracks: &tracks,
                moofs,
                start,
                end,
                from: None,
                to: None,
                joint: false,
                leads: false,
            };
            builder.push(&shown).unwrap();
        }
        black_box(builder.finish().unwrap());
    });
}
