//! Pictures that stay with a replay: its cover, and thumbnails for its seek bar.

use std::fs;

use crate::{
    snapshots::{SNAPSHOT, colour, is_blue, is_red, picture, problem},
    support::{
        Kaibo, clip,
        probe::{self, video},
        push, seconds,
        server::API_TOKEN,
        wait_for,
    },
};

/// A cue of an index: from, to, and the part of a sheet.
fn cues(index: &str) -> Vec<(f64, f64, String, [u32; 4])> {
    let seconds =
        |clock: &str| clock.split(':').fold(0.0, |sum, part| sum * 60.0 + part.parse::<f64>().unwrap());
    let mut blocks = index.trim_end().split("\n\n");
    assert_eq!(blocks.next(), Some("WEBVTT"));
    let cue = |block: &str| {
        let (times, place) = block.split_once('\n').unwrap();
        let (from, to) = times.split_once(" --> ").unwrap();
        let (uri, part) = place.split_once("#xywh=").unwrap();
        let part: Vec<u32> = part.split(',').map(|number| number.parse().unwrap()).collect();
        (seconds(from), seconds(to), uri.to_owned(), part.try_into().unwrap())
    };
    blocks.map(cue).collect()
}

#[test]
fn a_replay_has_a_cover_and_thumbnails_for_its_seek_bar() {
    let key = "play-key-of-the-test-5be2";
    let mut server = Kaibo::start(&format!(
        "[auth.play]\nenabled = true\nkey = \"{key}\"\n[hls]\nsegment = \"1s\"\nwindow = \"6s\"\n\
         [snapshot]\nthumbnail_interval = \"1s\"\n"
    ));
    let mut encoder = push::ffmpeg(&clip::red_then_blue(), &server.push_url("room"));
    let live = server.wait_for_state("room", "live", seconds(10));
    let id = live["id"].as_str().unwrap();
    let [cover, index] = [format!("/replay/{id}.jpg"), format!("/replay/{id}/thumbnails.vtt")];
    assert_eq!(live["replay"]["cover"], server.url(&cover));
    assert_eq!(live["replay"]["thumbnails"], server.url(&index));
    let signed = server.signature_with(key, "room");
    let signed = |path: &str| format!("{path}?{signed}");
    encoder.wait();
    server.wait_for_state("room", "ended", seconds(5));

    let folder = server.data().join("media").join(id);
    let made = || folder.join("thumbnails.vtt").exists().then(|| fs::read(folder.join("cover.jpg")).unwrap());
    let lose = || ["thumbnails.vtt", "cover.jpg"].map(|name| fs::remove_file(folder.join(name)).unwrap());
    let kept = wait_for("pictures that nobody asked for", seconds(10), made);
    server.kill9();
    lose();
    server.restart();
    wait_for("what a killed server had not made", seconds(10), made);
    assert_eq!(problem(&server.get(&cover)), (403, "play_key".into()));
    let reply = server.get(&signed(&cover));
    assert_eq!(reply.header("cache-control"), "private, max-age=86400");
    let file = picture(&server, &reply);
    assert_eq!(fs::read(&file).unwrap(), kept, "as it was made");
    assert_eq!(probe::tracks(&file), [video("mjpeg", 320, 180)]);
    assert!(is_red(colour(&file, None)));

    let reply = server.get(&signed(&index));
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (200, "text/vtt; charset=utf-8"),
        "{}",
        reply.text()
    );
    let cues = cues(&reply.text());
    assert!((5..=6).contains(&cues.len()), "{cues:?}");
    assert!(cues[0].0 == 0.0 && cues.windows(2).all(|pair| pair[0].1 == pair[1].0), "{cues:?}");
    let sheet = format!("/replay/{id}/{}", cues[0].2);
    let file = picture(&server, &server.get(&sheet));
    let without_session = sheet.split('?').next().unwrap();
    assert_eq!(problem(&server.get(without_session)), (403, "play_session".into()));
    for (from, _, _, part) in &cues {
        assert_eq!(part[2..], [160, 90]);
        let shown = colour(&file, Some(*part));
        assert!(if *from < 2.9 { is_red(shown) } else { is_blue(shown) }, "{from}: {shown:?}");
    }

    // What is lost is made again when somebody asks.
    lose();
    picture(&server, &server.get(&signed(&cover)));
    wait_for("the index again", seconds(5), || (server.get(&signed(&index)).status == 200).then_some(()));

    let request = ureq::delete(format!("http://{}/api/v1/broadcasts/{id}", server.at.api));
    request.header("authorization", format!("Bearer {API_TOKEN}")).call().unwrap();
    assert!(!folder.exists());
    assert_eq!(server.get(&signed(&cover)).status, 404);
}

#[test]
fn a_replay_of_sound_alone_has_no_pictures() {
    let server = Kaibo::start("");
    let mut encoder = push::ffmpeg(&clip::audio_only(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    assert_eq!(problem(&server.get(SNAPSHOT)), (404, "no_picture".into()));
    encoder.wait();
    let ended = server.wait_for_state("room", "ended", seconds(5));
    let cover = format!("/replay/{}.jpg", ended["id"].as_str().unwrap());
    wait_for("a final replay", seconds(5), || {
        (problem(&server.get(&cover)) == (404, "no_picture".into())).then_some(())
    });
}
