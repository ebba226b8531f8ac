//! What must be true of a broadcast that is over: its replay holds what was seen of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use kaibo_container::flv::{Tag, TagKind};
use md5::{Digest, Md5};

use crate::{
    frames::{self, Run},
    run::Seen,
    support::{
        Kaibo, hls,
        hls_checker::{Checker, Playlist},
        http, probe, seconds, wait_for,
    },
};

/// Pictures in a second of the clips.
const RATE: usize = 30;

/// Checks everything, and says how many pictures that were shown are not in the replay, for each kill of the server.
pub fn check(server: &Kaibo, seen: &Seen, replay_url: &str) -> Vec<usize> {
    let (fmp4, ts) = (seen.fmp4.wait_for_end(), seen.ts.wait_for_end());
    for (viewer, url) in [(&fmp4, &seen.fmp4.url), (&ts, &seen.ts.url)] {
        assert!(
            viewer.segments.keys().copied().eq(1..=viewer.segments.len() as u64),
            "no number is left out"
        );
        for (segment, bytes) in viewer.segments.values() {
            assert_same(&fetch(url, &segment.uri), bytes, &segment.uri);
        }
    }
    assert_eq!(fmp4.discontinuities(), ts.discontinuities());
    let file = server.scratch("joined.ts");
    fs::write(&file, ts.joined()).unwrap();
    assert_eq!(probe::complaints(&file), "", "TS");

    let replay = final_replay(replay_url);
    let kept: BTreeSet<u64> = replay.segments.iter().map(hls::number).collect();
    let (resumes, restarts): (Vec<u64>, Vec<u64>) =
        fmp4.discontinuities().into_iter().partition(|number| kept.contains(number));
    let known = seen.resumes - seen.maybe_lost..=seen.resumes;
    assert!(known.contains(&resumes.len()), "{} came back, seen at {resumes:?}", seen.resumes);
    // A held picture goes on where the encoder was cut off, but not where the server was.
    assert!(restarts.len() <= seen.killed.len(), "filler begins at {restarts:?}");
    assert_eq!(replay.target_duration, fmp4.playlist.as_ref().unwrap().target_duration);
    let skipped: Vec<_> = fmp4.segments.keys().filter(|number| !kept.contains(number)).copied().collect();
    let mut kept = BTreeMap::new();
    for (index, part) in replay.segments.chunk_by(|a, b| a.map == b.map).enumerate() {
        let mut bytes = fetch(replay_url, part[0].map.as_ref().unwrap());
        for segment in part {
            let number = hls::number(segment);
            let (live, shown) = &fmp4.segments[&number];
            let own = fetch(replay_url, &segment.uri);
            assert_same(&own, shown, &format!("segment {number} of the replay"));
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
    for number in skipped {
        let (segment, bytes) = &fmp4.segments[&number];
        let file = server.scratch(&format!("skipped-{number}.mp4"));
        fs::write(&file, [&fmp4.maps[segment.map.as_ref().unwrap()][..], bytes].concat()).unwrap();
        let sent = probe::packets(&file, "v").into_iter().find(|picture| kept.contains_key(&picture.md5));
        assert_eq!(sent, None, "a picture of an encoder's in segment {number}, which the replay has not");
    }
    let mut shown = BTreeMap::new();
    for tag in seen.flv.iter().flat_map(|viewer| viewer.tags()) {
        if let Some(picture) = picture(&tag) {
            *shown.entry(format!("MD5:{}", hex(picture))).or_insert(0_usize) += 1;
        }
    }
    let lost: usize =
        shown.iter().map(|(md5, &times)| times.saturating_sub(kept.get(md5).copied().unwrap_or(0))).sum();
    let most = RATE * seen.killed.iter().filter(|killed| **killed).count();
    assert!(
        lost <= most,
        "{lost} pictures of {} were shown, but are not kept",
        shown.values().sum::<usize>()
    );
    costs(seen, &kept_runs(server, replay_url, &replay))
}

/// The replay's runs of pictures, each compared with what its encoder sent: packets and decoded frames.
fn kept_runs(server: &Kaibo, url: &str, replay: &Playlist) -> Vec<Run> {
    let runs = replay.segments.chunk_by(|_, next| !next.tagged).enumerate().map(|(index, segments)| {
        let mut bytes = fetch(url, segments[0].map.as_ref().unwrap());
        segments.iter().for_each(|segment| bytes.extend(fetch(url, &segment.uri)));
        let file = server.scratch(&format!("run-{index}.mp4"));
        fs::write(&file, bytes).unwrap();
        frames::same_as_sent(&file)
    });
    runs.collect()
}

/// What each kill of the server cost: the pictures that were shown behind the last one that is kept.
fn costs(seen: &Seen, kept: &[Run]) -> Vec<usize> {
    let mut kept = kept.iter().peekable();
    let mut costs = Vec::new();
    for (life, viewer) in seen.flv.iter().enumerate() {
        let pictures = viewer.tags().into_iter().filter_map(|tag| picture(&tag).map(hex)).collect::<Vec<_>>();
        let runs = frames::runs(&pictures);
        for (at, shown) in runs.iter().enumerate() {
            let killed = at + 1 == runs.len() && seen.killed.get(life) == Some(&true);
            let near = |kept: &&&Run| kept.clip == shown.clip && kept.last.abs_diff(shown.last) <= RATE;
            let cost = match kept.peek().filter(near) {
                Some(run) => {
                    assert!(run.first <= shown.first, "{shown:?} was shown, {run:?} is kept");
                    let cost = shown.last.saturating_sub(run.last);
                    kept.next();
                    cost
                }
                // It had hardly begun.
                None => shown.last + 1,
            };
            assert!(
                cost <= if killed { RATE } else { 0 },
                "{cost} pictures of {shown:?} are lost; killed: {killed}"
            );
            if killed {
                costs.push(cost);
            }
        }
    }
    assert_eq!(kept.next(), None, "a run that nobody was shown");
    costs
}

/// The picture of an encoder's in a tag: H.264 as it also stands in an MP4 (FLV 1.0 annex E.4.3).
pub fn picture(tag: &Tag) -> Option<&[u8]> {
    let picture = (tag.kind == TagKind::Video && tag.body.get(1) == Some(&1)).then(|| &tag.body[5..])?;
    // What the server made is padded, or brings its parameter sets along, as the encoders' pictures don't.
    let padded = picture.windows(64).any(|bytes| bytes.iter().all(|byte| *byte == 0xa5));
    (!padded && picture[4] & 0x1f != 7).then_some(picture)
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
