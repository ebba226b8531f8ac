//! As much of fMP4 (ISO 14496-12) as it takes to see whether a part begins with a picture that needs no other.

/// `sample_is_non_sync_sample` (§8.8.3.1).
const NON_SYNC: u32 = 0x1_0000;

/// The track of pictures in an initialisation section.
pub fn video_track(init: &[u8]) -> Option<u32> {
    let moov = children(init).find(|(name, _)| *name == b"moov")?.1;
    children(moov).filter(|(name, _)| *name == b"trak").find_map(|(_, trak)| {
        let mdia = child(trak, b"mdia")?;
        (child(mdia, b"hdlr")?.get(8..12)? == b"vide").then_some(())?;
        let tkhd = child(trak, b"tkhd")?;
        u32_at(tkhd, if tkhd.first()? == &1 { 20 } else { 12 })
    })
}

/// Whether any picture of `track` in `part` is a sync sample; None without pictures.
pub fn has_sync_picture(part: &[u8], track: u32) -> Option<bool> {
    let mut pictures = None;
    for (_, moof) in children(part).filter(|(name, _)| *name == b"moof") {
        for (_, traf) in children(moof).filter(|(name, _)| *name == b"traf") {
            let tfhd = child(traf, b"tfhd")?;
            if u32_at(tfhd, 4)? != track {
                continue;
            }
            let flags = u32_at(tfhd, 0)? & 0xff_ffff;
            let before = [(0x1, 8), (0x2, 4), (0x8, 4), (0x10, 4)];
            let at =
                8 + before.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, size)| size).sum::<usize>();
            let default = if flags & 0x20 != 0 { u32_at(tfhd, at) } else { None };
            for (_, trun) in children(traf).filter(|(name, _)| *name == b"trun") {
                pictures = Some(pictures.unwrap_or(false) || run_has_sync(trun, default)?);
            }
        }
    }
    pictures
}

/// `trun` (§8.8.8).
fn run_has_sync(trun: &[u8], default: Option<u32>) -> Option<bool> {
    let flags = u32_at(trun, 0)? & 0xff_ffff;
    let samples = u32_at(trun, 4)? as usize;
    let mut at = 8 + if flags & 0x1 != 0 { 4 } else { 0 };
    let first = if flags & 0x4 != 0 { u32_at(trun, at) } else { None };
    at += if first.is_some() { 4 } else { 0 };
    let field = |bit: u32| if flags & bit != 0 { 4 } else { 0 };
    let size = field(0x100) + field(0x200) + field(0x400) + field(0x800);
    let is_sync = |index: usize| {
        let own = (flags & 0x400 != 0)
            .then(|| u32_at(trun, at + index * size + field(0x100) + field(0x200)))
            .flatten();
        let flags = if index == 0 { first.or(own) } else { own }.or(default);
        flags.is_none_or(|flags| flags & NON_SYNC == 0)
    };
    Some((0..samples).any(is_sync))
}

fn child<'a>(parent: &'a [u8], wanted: &[u8; 4]) -> Option<&'a [u8]> {
    children(parent).find(|(name, _)| *name == wanted).map(|(_, body)| body)
}

/// Name and body of each box.
fn children(mut bytes: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let length = u32_at(bytes, 0)? as usize;
        let name = bytes.get(4..8)?.try_into().ok()?;
        let body = bytes.get(8..length)?;
        bytes = &bytes[length..];
        Some((name, body))
    })
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
