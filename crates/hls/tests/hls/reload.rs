//! What a player may wait for, and what is refused.

use kaibo_container::segment::Cut;
use kaibo_hls::{BadDirective, Config, Directives, Position, Window, without_directives};
use kaibo_media::Span;

use crate::cuts::{Segmenter, Shape};

/// Segments 0 to 6 of four parts, and two parts of segment 7.
fn live() -> (Window, Vec<Cut>) {
    let (mut segmenter, mut window) = (Segmenter::new(2), Window::new(Config::default()));
    // Shorter than 500 ms by a tenth, every other one: four fill 2 s.
    segmenter.part_target = Some(Span::from_millis(550));
    for cut in (0..7).flat_map(|_| segmenter.segment(&Shape::millis(2000))) {
        window.apply(&cut).unwrap();
    }
    let mut cuts = segmenter.segment(&Shape::millis(2000));
    assert_eq!(cuts.len(), 6);
    let rest = cuts.split_off(3);
    cuts.iter().try_for_each(|cut| window.apply(cut)).unwrap();
    assert_eq!(window.position(), Position { segment: 7, parts: 2 });
    (window, rest)
}

fn asked(window: &Window, query: &str) -> Result<bool, BadDirective> {
    window.view().answers(&Directives::parse(query)?)
}

#[test]
fn without_a_directive_there_is_nothing_to_wait_for() {
    let (window, _) = live();
    for query in ["", "session=1", "_HLS_skip=YES", "_HLS_new=1", "_HLS_skip=maybe"] {
        assert_eq!(asked(&window, query), Ok(true), "{query}");
    }
}

#[test]
fn what_is_listed_is_answered_at_once_however_old() {
    let (window, _) = live();
    for query in [
        "_HLS_msn=0",
        "_HLS_msn=6",
        "_HLS_msn=6&_HLS_part=3",
        "_HLS_msn=7&_HLS_part=1",
        "_HLS_part=0&_HLS_msn=7",
    ] {
        assert_eq!(asked(&window, query), Ok(true), "{query}");
    }
    // Even a part that it never had: it is the first of the segment after it.
    assert_eq!(asked(&window, "_HLS_msn=3&_HLS_part=99"), Ok(true));
    assert_eq!(asked(&window, "_HLS_msn=6&_HLS_part=4"), Ok(true));
}

#[test]
fn a_segment_is_waited_for_until_it_is_complete_and_a_part_until_it_is_there() {
    let (mut window, rest) = live();
    for query in ["_HLS_msn=7", "_HLS_msn=8", "_HLS_msn=7&_HLS_part=2", "_HLS_msn=8&_HLS_part=0"] {
        assert_eq!(asked(&window, query), Ok(false), "{query}");
    }
    window.apply(&rest[0]).unwrap();
    assert_eq!(asked(&window, "_HLS_msn=7&_HLS_part=2"), Ok(true));
    assert_eq!(asked(&window, "_HLS_msn=7&_HLS_part=3"), Ok(false));
    assert_eq!(asked(&window, "_HLS_msn=7"), Ok(false));
    rest[1..].iter().try_for_each(|cut| window.apply(cut)).unwrap();
    assert_eq!(asked(&window, "_HLS_msn=7"), Ok(true));
    assert_eq!(asked(&window, "_HLS_msn=7&_HLS_part=3"), Ok(true));
    assert_eq!(asked(&window, "_HLS_msn=8&_HLS_part=0"), Ok(false));
}

#[test]
fn a_part_that_its_segment_ended_without_is_the_first_of_the_next() {
    let (mut window, rest) = live();
    assert_eq!(asked(&window, "_HLS_msn=7&_HLS_part=4"), Ok(false));
    rest.iter().try_for_each(|cut| window.apply(cut)).unwrap();
    assert_eq!(asked(&window, "_HLS_msn=7&_HLS_part=4"), Ok(false), "not before segment 8 has a part");
}

#[test]
fn mistakes_are_refused() {
    let (window, _) = live();
    for (query, why) in [
        ("_HLS_part=1", BadDirective::PartAlone),
        ("_HLS_msn=", BadDirective::NoNumber("_HLS_msn")),
        ("_HLS_msn", BadDirective::NoNumber("_HLS_msn")),
        ("_HLS_msn=-1", BadDirective::NoNumber("_HLS_msn")),
        ("_HLS_msn=+7", BadDirective::NoNumber("_HLS_msn")),
        ("_HLS_msn=7.5", BadDirective::NoNumber("_HLS_msn")),
        ("_HLS_msn=99999999999999999999", BadDirective::NoNumber("_HLS_msn")),
        ("_HLS_msn=7&_HLS_part=x", BadDirective::NoNumber("_HLS_part")),
        ("_HLS_msn=7&_HLS_part=-1", BadDirective::NoNumber("_HLS_part")),
        ("_HLS_msn=7&_HLS_msn=8", BadDirective::Twice("_HLS_msn")),
        ("_HLS_msn=7&_HLS_part=1&_HLS_part=1", BadDirective::Twice("_HLS_part")),
        ("_HLS_skip=YES&_HLS_skip=v2", BadDirective::Twice("_HLS_skip")),
        // The newest segment that is listed is 6; three seconds hold five parts.
        ("_HLS_msn=9", BadDirective::TooFar),
        ("_HLS_msn=9&_HLS_part=0", BadDirective::TooFar),
        ("_HLS_msn=18446744073709551615", BadDirective::TooFar),
        ("_HLS_msn=7&_HLS_part=7", BadDirective::TooFar),
        ("_HLS_msn=8&_HLS_part=5", BadDirective::TooFar),
        ("_HLS_msn=7&_HLS_part=99999999999", BadDirective::TooFar),
    ] {
        assert_eq!(asked(&window, query), Err(why), "{query}");
    }
    assert_eq!(asked(&window, "_HLS_msn=7&_HLS_part=6"), Ok(false), "far, but possible");
}

#[test]
fn after_the_end_everybody_is_answered() {
    let (mut window, _) = live();
    window.end();
    for query in ["_HLS_msn=8", "_HLS_msn=99&_HLS_part=3"] {
        assert_eq!(asked(&window, query), Ok(true), "{query}");
    }
}

#[test]
fn directives_are_not_handed_on() {
    for (query, rest) in [
        ("", ""),
        ("_HLS_msn=1&_HLS_part=2", ""),
        ("session=a&_HLS_msn=1&x=%20&_HLS_skip=YES", "session=a&x=%20"),
        ("_HLS_of_the_future&a", "a"),
    ] {
        assert_eq!(without_directives(query), rest);
    }
}

#[test]
fn a_delta_is_asked_for_in_two_words() {
    for (query, delta) in
        [("_HLS_skip=YES", true), ("_HLS_skip=v2", true), ("_HLS_skip=no", false), ("", false)]
    {
        assert_eq!(Directives::parse(query).unwrap().delta, delta, "{query}");
    }
}
