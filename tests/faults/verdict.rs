//! What must be true of a broadcast that is over: its replay holds what was seen of it.

use std::{collections::BTreeMap, fs};

use kaibo_container::flv::{Tag, TagKind};
use md5::{Digest, Md5};

use crate::{
    run::Seen,
    support::{
        Kaibo, hls,
        hls_checker::{Checker, Playlist},
        http, probe, seconds, wait_for,
    },
};

/// Pictures in a second of the clips.
const RATE: usize = 30;

/// Checks everything, and says how many pictures that were shown are not in the replay.
pub fn check(server: &Kaibo, seen: &Seen, replay_url: &str) -> usize {
    let (fmp4, ts) = (seen.fmp4.wait_for_end(), seen.ts.wait_for_end());
    for (viewer, url) in [(&fmp4, &seen.fmp4.url), (&ts, &seen.ts.url)] {
        assert!(viewer.segments.keys().copied().eq(0..viewer.segments.len() as u64), "no number is left out");
        let resumes = viewer.discontinuities();
        let known = seen.resumes - seen.maybe_lost..=seen.resumes;
        assert!(known.contains(&resumes.len()), "{} came back, seen at {resumes:?}", seen.resumes);
        for (segment, bytes) in viewer.segments.values() {
            assert_same(&fetch(url, &segment.uri), bytes, &segment.uri);
        }
    }
    assert_eq!(fmp4.discontinuities(), ts.discontinuities());
    let file = server.scratch("joined.ts");
    fs::write(&file, ts.joined()).unwrap();
    assert_eq!(probe::complaints(&file), "", "TS");

    let replay = final_replay(replay_url);
    assert_eq!(replay.target_duration, fmp4.playlist.as_ref().unwrap().target_duration);
    let numbers = replay.segments.iter().map(|segment| segment.number);
    assert!(numbers.eq(fmp4.segments.keys().copied()), "the replay's segments: {:?}", replay.segments);
    let mut kept = BTreeMap::new();
    for (index, part) in replay.segments.chunk_by(|a, b| a.map == b.map).enumerate() {
        let mut bytes = fetch(replay_url, part[0].map.as_ref().unwrap());
        for segment in part {
            let (live, shown) = &fmp4.segments[&segment.number];
            let own = fetch(replay_url, &segment.uri);
            assert_same(&own, shown, &format!("segment {} of the replay", segment.number));
            assert_eq!((segment.duration, segment.tagged), (live.duration, live.tagged), "{segment:?}");
            bytes.extend(own);
        }
        let file = server.scratch(&format!("replay-{index}.mp4"));
        fs::write(&file, bytes).unwrap();
        assert_eq!(probe::decoding_complaints(&file), "", "the replay");
        let pictures = probe::packets(&file, "v");
        for pair in pictures.windows(2) {
            assert!(pair[1].dts > pair[0].dts, "{} s follows {} s", pair[1].dts, pair[0].dts);
        }
        for picture in pictures {
            *kept.entry(picture.md5).or_insert(0_usize) += 1;
        }
    }
    let mut shown = BTreeMap::new();
    for tag in seen.flv.iter().flat_map(|viewer| viewer.tags()) {
        if let Some(picture) = picture(&tag) {
            *shown.entry(format!("MD5:{}", hex(picture))).or_insert(0_usize) += 1;
        }
    }
    let lost =
        shown.iter().map(|(md5, &times)| times.saturating_sub(kept.get(md5).copied().unwrap_or(0))).sum();
    let most = RATE * seen.server_kills;
    assert!(
        lost <= most,
        "{lost} pictures of {} were shown, but are not kept",
        shown.values().sum::<usize>()
    );
    lost
}

/// The picture in a tag: H.264 as it also stands in an MP4 (FLV 1.0 annex E.4.3).
pub fn picture(tag: &Tag) -> Option<&[u8]> {
    (tag.kind == TagKind::Video && tag.body.get(1) == Some(&1)).then(|| &tag.body[5..])
}

fn final_replay(url: &str) -> Playlist {
    wait_for("the final replay", seconds(5), || {
        let reply = http::get(url, &[]);
        assert_eq!(reply.status, 200, "{}", reply.text());
        let playlist = Checker::default().observe(&reply.text()).unwrap();
        playlist.ended.then_some(playlist)
    })
}

fn fetch(playlist: &str, uri: &str) -> Vec<u8> {
    let url = hls::beside(playlist, uri);
    let reply = http::get(&url, &[]);
    assert_eq!(reply.status, 200, "{url}");
    reply.body
}

fn assert_same(now: &[u8], once: &[u8], what: &str) {
    if now != once {
        let at = now.iter().zip(once).take_while(|(now, once)| now == once).count();
        panic!("{what}: {} bytes, once {}; they differ from byte {at} on", now.len(), once.len());
    }
}

fn hex(picture: &[u8]) -> String {
    Md5::digest(picture).iter().map(|byte| format!("{byte:02x}")).collect()
}
