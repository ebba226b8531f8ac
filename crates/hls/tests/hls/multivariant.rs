//! What a player learns before it asks for media.

use kaibo_hls::{Config, Format, Rates, Variant, Window};
use kaibo_media::{Span, Tracks};

use crate::cuts::{Segmenter, Shape, tracks};

const RATES: Rates = Rates { peak: 3_500_000, average: 3_160_000 };

fn multivariant(uri: &str, tracks: &Tracks, rates: Rates) -> String {
    kaibo_hls::multivariant([Variant { uri, tracks, rates }])
}

#[test]
fn several_qualities_stand_in_their_order() {
    let mut small = tracks();
    small.video.as_mut().unwrap().width = 640;
    let rates = Rates { peak: 900_000, average: 800_000 };
    let variants = [
        Variant { uri: "a_sd/b1/live.m3u8", tracks: &small, rates },
        Variant { uri: "a_hd/b2/live.m3u8", tracks: &tracks(), rates: RATES },
    ];
    assert_eq!(
        kaibo_hls::multivariant(variants),
        "#EXTM3U\n\
         #EXT-X-STREAM-INF:BANDWIDTH=900000,AVERAGE-BANDWIDTH=800000,CODECS=\"avc1.640028,mp4a.40.2\",\
         RESOLUTION=640x1080,FRAME-RATE=29.970\n\
         a_sd/b1/live.m3u8\n\
         #EXT-X-STREAM-INF:BANDWIDTH=3500000,AVERAGE-BANDWIDTH=3160000,CODECS=\"avc1.640028,mp4a.40.2\",\
         RESOLUTION=1920x1080,FRAME-RATE=29.970\n\
         a_hd/b2/live.m3u8\n"
    );
}

#[test]
fn picture_and_sound() {
    assert_eq!(
        multivariant("b1/live.m3u8?s=1", &tracks(), RATES),
        "#EXTM3U\n\
         #EXT-X-STREAM-INF:BANDWIDTH=3500000,AVERAGE-BANDWIDTH=3160000,CODECS=\"avc1.640028,mp4a.40.2\",\
         RESOLUTION=1920x1080,FRAME-RATE=29.970\n\
         b1/live.m3u8?s=1\n"
    );
}

#[test]
fn sound_alone_and_picture_alone() {
    let sound = multivariant("live.m3u8", &Tracks { video: None, ..tracks() }, RATES);
    assert!(sound.contains("AVERAGE-BANDWIDTH=3160000,CODECS=\"mp4a.40.2\"\nlive.m3u8\n"), "{sound}");
    let mut silent = Tracks { audio: None, ..tracks() };
    silent.video.as_mut().unwrap().frame_rate = None;
    let picture = multivariant("live.m3u8", &silent, RATES);
    assert!(picture.contains("CODECS=\"avc1.640028\",RESOLUTION=1920x1080\nlive.m3u8\n"), "{picture}");
}

fn window(shapes: &[Shape]) -> Window {
    let (mut segmenter, mut window) = (Segmenter::new(4), Window::new(Config::default()));
    for cut in shapes.iter().flat_map(|shape| segmenter.segment(shape)) {
        window.apply(&cut).unwrap();
    }
    window
}

#[test]
fn rates_are_measured() {
    let shape = |millis, bytes| Shape { bytes, ..Shape::millis(millis) };
    assert_eq!(window(&[]).view().rates(Format::Fmp4), None);
    assert_eq!(window(&[]).view().multivariant(Format::Fmp4, "live.m3u8"), None);
    // A fresh start with one segment, shorter than half a target duration.
    assert_eq!(
        window(&[shape(1000, 1000)]).view().rates(Format::Fmp4),
        Some(Rates { peak: 8000, average: 8000 })
    );
    // 4 s with 5000 bytes are the peak; the 0.1 s of a broken-off segment alone are not.
    let window = window(&[shape(4000, 1000), shape(4000, 5000), shape(100, 1000), shape(4000, 1000)]);
    let duration = Span::from_millis(12_100).as_secs_f64();
    assert_eq!(
        window.view().rates(Format::Fmp4),
        Some(Rates { peak: 11_708, average: (64_000.0 / duration).ceil() as u64 })
    );
    let text = window.view().multivariant(Format::Fmp4, "live.m3u8").unwrap();
    assert!(text.contains("BANDWIDTH=11708,AVERAGE-BANDWIDTH=5290,"));
}
