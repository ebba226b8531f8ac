//! Cutting a clip or an edited version out of a recording: a recording of its own, whose files are those of the other one
//! under second names. Nothing is written twice, and either may be deleted without the other.
//!
//! It is made as a draft beside the recordings, and gets its name once it is whole and on the disk.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs,
    io::{self, Read, Write},
    path::Path,
};

use kaibo_media::{Span, Timestamp, TrackId, UnixMillis};

use crate::{
    Disk, DiskFile, Edit, Error, Excerpt, File, Finished, Frames, Id, Local, Meta, Recording, Recordings,
    Segment, Stretch,
    catalogue::{DRAFT, remove},
    disk,
    fact::Fact,
    index::Index,
    recording::{INDEX, Lines},
};

/// Segments that are looked back for the keyframe that a picture needs: GOPs of two minutes, cut every 2 s.
const SEARCHED: usize = 64;

/// A segment's first frame is due when the segment begins, but for what clocks of 90 kHz and of sound round off.
const ROUNDED: Span = Span::from_millis(1);

/// Bytes of the frames' file that are read at once.
const PIECE: u64 = 1 << 20;

/// What is to be cut out of a recording.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What is shown.
    pub edit: Edit,
    /// Just that; otherwise each stretch is shown from the keyframe on that its first picture needs.
    pub precise: bool,
}

impl Wanted {
    /// Those of `segments` whose files are needed to cut it out: what it shows, and what that is decoded from.
    pub fn needs(&self, segments: &[Segment]) -> Vec<Segment> {
        let leads = self.edit.stretches().iter().flat_map(|stretch| lead(segments, stretch.from));
        let shown = self.edit.pieces(segments).map(|piece| piece.segment);
        let needed: BTreeMap<u64, Segment> =
            shown.chain(leads.copied()).map(|segment| (segment.number, segment)).collect();
        needed.into_values().collect()
    }
}

impl Recordings {
    /// Makes the recording `id` of what is `wanted` of the recording `of`, final now (`wall`). Of that one `segments` are
    /// whole: it may grow meanwhile. One that was made before is left as it is.
    ///
    /// # Errors
    /// [`Error::Nothing`] where nothing of it is recorded.
    pub fn cut_out(
        &self,
        id: &Id,
        of: &Id,
        segments: &[Segment],
        wanted: &Wanted,
        wall: UnixMillis,
    ) -> Result<Finished, Error> {
        match self.open(id) {
            Ok(Recording { finished: Some(finished), .. }) => return Ok(finished),
            Ok(_) => return Err(Error::Exists(id.clone())),
            Err(Error::Missing(_)) => {}
            Err(error) => return Err(error),
        }
        let source = self.open(of)?;
        let from_keyframes = self.at_keyframes(of, &source, segments, &wanted.edit)?;
        let edit = if wanted.precise { wanted.edit.clone() } else { from_keyframes.clone() };
        let pieces = edit.pieces(segments);
        let (mut started, mut duration) = (None, Span::ZERO);
        for piece in pieces {
            started.get_or_insert(piece.segment.wall + (piece.start() - piece.segment.start));
            duration += piece.duration();
        }
        let Some(started) = started else { return Err(Error::Nothing) };

        let shown = from_keyframes.pieces(segments).chain(edit.pieces(segments));
        let mut needed: BTreeSet<u64> = shown.map(|piece| piece.segment.number).collect();
        for stretch in from_keyframes.stretches() {
            needed.extend(lead(segments, stretch.from).iter().map(|segment| segment.number));
        }
        let kept: Vec<&Segment> =
            segments.iter().filter(|segment| needed.contains(&segment.number)).collect();
        let lost = |stretch: &Stretch| {
            let losses = source.losses.iter();
            losses
                .clone()
                .any(|loss| loss.from < stretch.to && loss.until.is_none_or(|until| until > stretch.from))
        };
        let finished = Finished {
            reason: "cut_out".into(),
            wall,
            segments: kept.len() as u64,
            bytes: kept.iter().map(|segment| segment.bytes).sum(),
            duration,
            truncated: edit.stretches().iter().any(lost),
        };
        let excerpt = Excerpt { of: of.clone(), edit, from_keyframes };
        let Meta { app, stream, .. } = source.meta;
        let meta = Meta { app, stream, started, excerpt: Some(excerpt) };

        let (from, draft) = (self.root.join(of.as_str()), self.root.join(format!("{DRAFT}{id}")));
        remove(&draft)?;
        let made = make(&from, &draft, &kept, meta, &finished)
            .and_then(|()| self.publish(&draft, &self.root.join(id.as_str())));
        if made.is_err() {
            // The error that counts is the first; the next start sweeps what stays.
            let _untidy = remove(&draft);
        }
        made.map(|()| finished)
    }

    fn publish(&self, draft: &Path, whole: &Path) -> Result<(), Error> {
        fs::rename(draft, whole).map_err(Error::at(whole))?;
        Local.sync_dir(&self.root).map_err(Error::at(&self.root))
    }

    /// `edit` with every stretch beginning at the keyframe that its first picture needs.
    fn at_keyframes(
        &self,
        of: &Id,
        source: &Recording,
        segments: &[Segment],
        edit: &Edit,
    ) -> Result<Edit, Error> {
        let mut stretches: Vec<Stretch> = Vec::new();
        for stretch in edit.stretches() {
            let from = self.keyframe_for(of, source, segments, *stretch)?;
            match stretches.last_mut() {
                Some(last) if from <= last.to => last.to = stretch.to,
                _ => stretches.push(Stretch { from, to: stretch.to }),
            }
        }
        Edit::new(stretches).map_err(|_| Error::Nothing)
    }

    /// Where to begin to decode so that the first picture of `stretch` can be shown.
    fn keyframe_for(
        &self,
        of: &Id,
        source: &Recording,
        segments: &[Segment],
        stretch: Stretch,
    ) -> Result<Timestamp, Error> {
        let lead = lead(segments, stretch.from);
        let Some(first) = lead.first() else { return Ok(stretch.from) };
        // What begins in a gap begins with what comes next, and that with a keyframe.
        if stretch.from <= first.start && first.independent {
            return Ok(stretch.from);
        }
        for segment in &lead {
            let init = self.init_of(of, source, segment)?;
            let parts = self.parts(of, segment, &init)?;
            // Where there are no pictures, every frame of sound will do.
            let shown = if init.tracks.video.is_some() { TrackId::Video } else { TrackId::Audio };
            let samples = parts.iter().flat_map(|part| part.samples.iter());
            let keyframe = samples
                .filter(|sample| sample.track == shown && sample.keyframe && sample.dts <= stretch.from)
                .map(|sample| sample.dts)
                .max();
            if let Some(keyframe) = keyframe {
                let rounded = keyframe <= segment.start + ROUNDED;
                return Ok(if rounded { segment.start } else { keyframe });
            }
        }
        // There is none: it begins with what there is.
        Ok(stretch.from)
    }
}

/// The segment that `at` lies in and those before it, newest first, back to one that begins with a keyframe.
fn lead(segments: &[Segment], at: Timestamp) -> Vec<&Segment> {
    let end = segments.partition_point(|segment| segment.end() <= at);
    let mut lead: Vec<&Segment> = Vec::new();
    for segment in segments.get(..=end).unwrap_or_default().iter().rev().take(SEARCHED) {
        let follows = lead.last().is_none_or(|next| {
            segment.number.saturating_add(1) == next.number && segment.discontinuity == next.discontinuity
        });
        if segment.filler || !follows {
            break;
        }
        lead.push(segment);
        if segment.independent {
            break;
        }
    }
    lead
}

/// Makes a recording in the folder `draft` of segments of the one in `from`.
fn make(from: &Path, draft: &Path, kept: &[&Segment], meta: Meta, finished: &Finished) -> Result<(), Error> {
    Local.create_dir(draft).map_err(Error::at(draft))?;
    for segment in kept {
        share(from, draft, File::Segment(segment.number))?;
    }
    let inits: BTreeSet<u32> = kept.iter().map(|segment| segment.init).collect();
    for init in &inits {
        share(from, draft, File::Init(*init))?;
    }
    let path = draft.join(INDEX);
    let index = Local.create(&path).map_err(Error::at(&path))?;
    let mut index = Index::new(index, 0);
    let mut write = |fact: &Fact| index.append(fact).map_err(Error::at(&path));
    let edit = meta.excerpt.as_ref().map(|excerpt| excerpt.edit.clone()).unwrap_or_default();
    write(&Fact::Opened(meta))?;
    let numbers: HashSet<u64> = kept.iter().map(|segment| segment.number).collect();
    let source = from.join(INDEX);
    let mut lines = Lines::open(&source).map_err(Error::at(&source))?;
    let (mut within, mut begun, mut early) = (false, false, Vec::new());
    while let Some(fact) = lines.next()? {
        let belongs = match &fact {
            Fact::Init { number, .. } => inits.contains(number),
            Fact::Begin { number, .. } => {
                within = numbers.contains(number);
                within
            }
            Fact::Part { .. } | Fact::End { .. } | Fact::Torn { .. } => within,
            // Also what was told between two segments of it, while the publisher was away.
            Fact::Cue { at, .. } => edit.stretches().iter().any(|told| told.from <= *at && *at < told.to),
            _ => false,
        };
        match fact {
            // An event has to stand behind the beginning of a segment.
            Fact::Cue { .. } if belongs && !begun => early.push(fact),
            fact if belongs => {
                write(&fact)?;
                if let Fact::Begin { .. } = fact {
                    begun = true;
                    early.drain(..).try_for_each(|fact| write(&fact))?;
                }
            }
            _ => {}
        }
    }
    // Whoever misses it makes it anew.
    let _missing = copy_frames(from, draft, &numbers);
    write(&Fact::Finished(finished.clone()))?;
    index.sync().and_then(|()| Local.sync_dir(draft)).map_err(Error::at(draft))
}

/// Copies of the frames' file in the folder `from` what is of the segments `numbers`.
fn copy_frames(from: &Path, to: &Path, numbers: &HashSet<u64>) -> io::Result<()> {
    let name = File::Frames.name();
    let (mut from, mut to) = (disk::open(&from.join(&name))?, Local.create(&to.join(&name))?);
    let mut frames = Frames::default();
    loop {
        let mut bytes = Vec::new();
        if (&mut from).take(PIECE).read_to_end(&mut bytes)? == 0 {
            return to.sync();
        }
        frames.feed(&bytes);
        while let Ok(Some(record)) = frames.record() {
            if numbers.contains(&record.number) {
                to.write_all(&record.encode())?;
            }
        }
    }
}

/// Gives a file of the folder `from` a second name in the folder `to`, or makes a copy where the file system knows no
/// second names, or no more of them.
fn share(from: &Path, to: &Path, file: File) -> Result<(), Error> {
    let (from, to) = (from.join(file.name()), to.join(file.name()));
    match fs::hard_link(&from, &to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::at(&from)(error)),
        Err(_) => {
            let copied = fs::copy(&from, &to).and_then(|_| fs::File::open(&to)?.sync_all());
            copied.map_err(Error::at(&to))
        }
        Ok(()) => Ok(()),
    }
}
