//! Two encoders with the same key.

use crate::{
    resume::assert_contiguous,
    support::{Kaibo, clip, flv, push, seconds, wait_until},
};

#[test]
fn a_second_encoder_is_refused_while_the_first_one_is_live() {
    let server = Kaibo::start("");
    let url = server.push_url("room");
    let mut first = push::ffmpeg(&clip::long(), &url);
    let began = server.wait_for_state("room", "live", seconds(10));
    let viewer = flv::Viewer::open(&server, "room");
    viewer.wait_for_time(1000);

    let mut second = push::ffmpeg(&clip::long_smaller(), &url);
    assert!(!second.wait().success());
    assert!(second.said().contains("already live from another encoder"), "{}", second.said());

    // GStreamer words NetStream.Publish.BadName in its own way.
    let mut third = push::gstreamer("rtmp2sink", &clip::long_smaller(), &url);
    assert!(!third.wait().success());
    assert!(third.said().contains("already"), "{}", third.said());

    let then = viewer.newest_picture().unwrap();
    viewer.wait_for_time(then + 1500);
    assert!(first.is_running());
    assert_contiguous(&viewer);
    let broadcast = server.broadcast("room");
    assert_eq!((&broadcast["id"], &broadcast["state"]), (&began["id"], &"live".into()));
    assert_eq!(broadcast["resumes"], 0);
    // The refused one says goodbye, too: that ended nothing.
    assert_eq!(server.broadcasts("room").len(), 1);
}

#[test]
fn a_second_encoder_takes_over_from_one_that_hangs() {
    let server = Kaibo::start("");
    let url = server.push_url("room");
    let first = push::ffmpeg(&clip::long(), &url);
    let began = server.wait_for_state("room", "live", seconds(10));
    let viewer = flv::Viewer::open(&server, "room");
    viewer.wait_for_time(1500);

    first.freeze();
    let frozen = viewer.newest_picture().unwrap();
    let mut second = push::ffmpeg(&clip::long(), &url);
    let taken = wait_until("pictures of the second encoder", seconds(8), || {
        let state = server.broadcast("room")["state"].clone();
        assert_eq!(state, "live", "viewers are not told of an interruption");
        viewer.newest_picture().unwrap() > frozen + 500
    });
    assert!(taken < seconds(4) + seconds(1) / 2, "live after {taken:?}");
    assert_eq!(server.broadcast("room")["id"], began["id"]);

    // The first one comes back to its senses: its connection is gone, and it harms nobody.
    first.thaw();
    let then = viewer.newest_picture().unwrap();
    viewer.wait_for_time(then + 2000);
    assert!(second.is_running());
    assert_contiguous(&viewer);
    assert_eq!(server.broadcast("room")["state"], "live");
    drop(first);
}
