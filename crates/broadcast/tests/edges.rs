//! The hard edges of the lifecycle.

#![cfg(test)]

mod scene;

use std::time::Duration;

use kaibo_broadcast::{
    Admission, Broadcast, ConflictPolicy, Door, DownCause, Effect, Epoch, Event, ExpiredResume, Notice, Plan,
    Policy, Publish, PushState, Refusal,
};
use scene::{START, Scene, credential, notices, secs};

const MS: Duration = Duration::from_millis(1);

fn auto(policy: Policy) -> Scene {
    let mut scene = Scene::api(Plan { auto_start: true, ..Plan::default() }, policy);
    scene.comes_up();
    scene.forget();
    scene
}

fn refusal(effects: &[Effect]) -> Option<&Refusal> {
    effects.iter().find_map(|effect| match effect {
        Effect::RejectPublish { refusal, .. } => Some(refusal),
        _ => None,
    })
}

fn refusal_code(effects: &[Effect]) -> Option<String> {
    refusal(effects).map(|refusal| refusal.code().to_string())
}

fn expired(lifetime: u64) -> Publish {
    Publish { credential: Some(credential(lifetime)), expired: true }
}

#[test]
fn e1_the_key_that_opened_the_broadcast_resumes_it_even_expired() {
    let mut scene = Scene::interrupted();
    assert_eq!(scene.publishes_with(expired(86_400)), [Effect::AcceptPublish(Epoch(2))]);

    let mut paused = Scene::live();
    paused.does(Event::Pause);
    paused.drops();
    assert_eq!(paused.publishes_with(expired(86_400)), [Effect::AcceptPublish(Epoch(2))]);
}

#[test]
fn e1_another_expired_key_does_not() {
    let mut scene = Scene::interrupted();
    assert_eq!(refusal_code(&scene.publishes_with(expired(60))).unwrap(), "18/501");
}

#[test]
fn e1_an_expired_key_opens_nothing() {
    let mut scene = Scene::api(Plan::default(), Policy::default());
    assert_eq!(refusal_code(&scene.publishes_with(expired(60))).unwrap(), "18/501");
    let door = Door { auto_create: true, ..Door::default() };
    assert_eq!(door.admit(&expired(60), START + secs(61)).unwrap_err().code().to_string(), "18/501");
}

#[test]
fn e1_never_means_never() {
    let mut scene = auto(Policy { expired_resume: ExpiredResume::Never, ..Policy::default() });
    scene.drops();
    assert_eq!(refusal_code(&scene.publishes_with(expired(86_400))).unwrap(), "18/501");
}

#[test]
fn e2_a_second_publisher_is_refused_after_three_seconds_while_the_first_one_sends() {
    let mut scene = Scene::live();
    scene.passes(secs(10));
    assert_eq!(scene.publishes(), [Effect::HoldPublish(Epoch(2))]);
    scene.forget();
    scene.passes(secs(3) - MS);
    assert_eq!(scene.effects, []);
    scene.passes(MS);
    assert_eq!(refusal(&scene.effects), Some(&Refusal::NameLive));
    assert_eq!(Refusal::NameLive.status(), "NetStream.Publish.BadName");
    assert_eq!((scene.state(), scene.owner()), ("live", Epoch(1)));
}

#[test]
fn e2_it_takes_over_once_the_first_one_is_silent_for_a_second_and_nobody_hears_of_an_interruption() {
    let mut scene = Scene::live();
    scene.passes(secs(10));
    scene.publishes();
    scene.alive = false;
    scene.forget();
    scene.passes(secs(1));
    assert_eq!(
        scene.effects,
        [
            Effect::Announce(Notice::PushDown { epoch: Epoch(1), cause: DownCause::Replaced }),
            Effect::ClosePush { epoch: Epoch(1), cause: DownCause::Replaced },
            Effect::BreakTimeline,
            Effect::AcceptPublish(Epoch(2)),
        ]
    );
    assert_eq!(scene.state(), "live");
    scene.forget();
    scene.passes(secs(1));
    assert_eq!(
        scene.keyframe(),
        [Effect::Announce(Notice::PushUp { epoch: Epoch(2) }), Effect::Continue(Epoch(2))]
    );
    scene.passes(secs(10));
    assert_eq!((scene.state(), scene.notices()), ("live", vec!["push.up"]));
}

#[test]
fn e2_a_takeover_that_shows_nothing_for_three_seconds_is_an_interruption() {
    let mut scene = Scene::live();
    scene.passes(secs(10));
    scene.publishes();
    scene.alive = false;
    scene.passes(secs(3) - MS);
    assert_eq!(scene.state(), "live");
    scene.passes(MS);
    assert_eq!((scene.state(), scene.notices().last()), ("interrupted", Some(&"broadcast.interrupted")));
    assert_eq!(scene.broadcast.resume_deadline(), Some(START + secs(910)));
    scene.keyframe();
    assert!(scene.effects.contains(&Effect::Announce(Notice::Resumed { gap: secs(3) })));
}

#[test]
fn e2_when_the_first_one_leaves_the_second_one_takes_its_place_even_after_a_goodbye() {
    for cause in [DownCause::Fin, DownCause::DeleteStream] {
        let mut scene = Scene::live_ad_hoc();
        scene.publishes();
        assert!(scene.goes_down(cause).contains(&Effect::AcceptPublish(Epoch(2))));
        scene.keyframe();
        assert_eq!((scene.state(), scene.broadcast.resumes()), ("live", 1));
    }
}

#[test]
fn e2_the_newest_challenger_is_the_one_that_waits() {
    let mut scene = Scene::live();
    scene.publishes();
    let effects = scene.publishes();
    assert!(matches!(effects[0], Effect::RejectPublish { epoch: Epoch(2), .. }));
    assert_eq!(effects.last(), Some(&Effect::HoldPublish(Epoch(3))));
    scene.does(Event::Down { epoch: Epoch(3), cause: DownCause::Fin });
    scene.forget();
    scene.passes(secs(5));
    assert_eq!(scene.effects, [], "it went away by itself");
}

#[test]
fn e2_the_policy_may_decide_at_once() {
    let mut takeover = auto(Policy { conflict: ConflictPolicy::Takeover, ..Policy::default() });
    takeover.publishes();
    assert_eq!(takeover.owner(), Epoch(2));

    let mut reject = auto(Policy { conflict: ConflictPolicy::Reject, ..Policy::default() });
    assert_eq!(refusal_code(&reject.publishes()).unwrap(), "18/601");
    assert_eq!(reject.owner(), Epoch(1));
}

#[test]
fn e3_a_half_open_connection_gives_way_at_once_and_its_late_words_are_ignored() {
    let mut scene = Scene::live();
    scene.passes(secs(10));
    scene.alive = false;
    scene.passes(secs(2));
    assert_eq!(scene.publishes().last(), Some(&Effect::AcceptPublish(Epoch(2))));
    scene.keyframe();
    scene.forget();
    let before = scene.broadcast.clone();
    for event in [
        Event::Media { epoch: Epoch(1), at: scene.now },
        Event::Keyframe { epoch: Epoch(1) },
        Event::Down { epoch: Epoch(1), cause: DownCause::Fin },
        Event::Down { epoch: Epoch(1), cause: DownCause::DeleteStream },
    ] {
        assert_eq!(scene.does(event), []);
    }
    assert_eq!(scene.broadcast, before);
}

#[test]
fn e4_a_live_broadcast_has_the_whole_window_from_the_boot_on() {
    let mut scene = Scene::live();
    scene.passes(secs(600));
    scene.reboots_after(secs(3600));
    assert_eq!(scene.state(), "interrupted");
    assert_eq!(scene.broadcast.resume_deadline(), Some(scene.now + secs(900)));
    assert_eq!(scene.notices(), ["push.down", "broadcast.interrupted"]);
    scene.passes(secs(899));
    assert_eq!(scene.comes_up(), Epoch(2));
    assert_eq!(scene.notices(), ["push.down", "broadcast.interrupted", "push.up", "broadcast.resumed"]);
}

#[test]
fn e4_an_outage_of_the_server_is_told_although_the_publisher_is_back_at_once() {
    let mut scene = Scene::live();
    scene.passes(secs(600));
    let heard = scene.now;
    scene.now = scene.now + secs(10);
    scene.forget();
    scene.does(Event::Boot { heard: Some(heard) });
    assert_eq!(scene.notices(), ["push.down", "broadcast.interrupted"]);
    scene.now = scene.now + secs(1);
    scene.comes_up();
    let resumed = scene.effects.iter().find_map(|effect| match effect {
        Effect::Announce(Notice::Resumed { gap }) => Some(*gap),
        _ => None,
    });
    assert_eq!(resumed, Some(secs(11)));
}

#[test]
fn e4_a_restart_that_nobody_can_have_noticed_is_not_told() {
    let mut scene = Scene::live();
    scene.forget();
    let heard = scene.now;
    scene.now = scene.now + secs(1);
    scene.does(Event::Boot { heard: Some(heard) });
    scene.now = scene.now + secs(1);
    scene.comes_up();
    assert_eq!(scene.notices(), ["push.down", "push.up"]);
}

#[test]
fn e4_but_not_beyond_its_twelve_hours() {
    let mut scene = Scene::live();
    scene.passes(secs(43_000));
    scene.reboots_after(secs(100));
    scene.passes(secs(100));
    assert_eq!(scene.end_reason(), "max_duration");

    let mut gone = Scene::live();
    gone.reboots_after(secs(3 * 86_400));
    assert_eq!(gone.end_reason(), "max_duration");
    assert!(gone.effects.contains(&Effect::FinishRecording));
}

#[test]
fn e4_an_interrupted_broadcast_keeps_its_deadline_but_at_least_a_minute() {
    let mut early = Scene::interrupted();
    early.passes(secs(100));
    early.reboots_after(secs(100));
    assert_eq!(early.broadcast.resume_deadline(), Some(START + secs(910)));

    let mut tight = Scene::interrupted();
    tight.passes(secs(800));
    tight.reboots_after(secs(99));
    assert_eq!(tight.broadcast.resume_deadline(), Some(START + secs(10 + 899 + 60)));

    let mut late = Scene::interrupted();
    late.reboots_after(secs(900));
    assert_eq!(late.end_reason(), "resume_timeout");
    assert!(late.effects.contains(&Effect::FinishRecording));
}

#[test]
fn e4_what_was_not_public_is_as_if_its_push_went_down() {
    let mut preview = Scene::api(Plan::default(), Policy::default());
    preview.comes_up();
    preview.reboots_after(secs(5));
    assert_eq!((preview.state(), preview.notices().last()), ("created", Some(&"push.down")));

    let mut paused = Scene::live();
    paused.does(Event::Pause);
    paused.reboots_after(secs(5));
    assert_eq!((paused.state(), paused.broadcast.owner()), ("paused", None));

    let mut stopped = Scene::live();
    stopped.does(Event::Stop);
    stopped.forget();
    assert_eq!(stopped.reboots_after(secs(5)), []);
    assert_eq!(stopped.broadcast.next_deadline(), None);
}

#[test]
fn e6_a_publish_that_races_a_stop_is_refused_after_it_and_drained_before_it() {
    let mut after = Scene::interrupted();
    after.does(Event::Stop);
    assert_eq!(after.end_reason(), "stopped");
    assert_eq!(refusal_code(&after.publishes()).unwrap(), "18/307");

    let mut before = Scene::interrupted();
    let epoch = before.gets_in();
    assert!(before.does(Event::Stop).contains(&Effect::DrainPush(epoch)));
    assert_eq!(before.end_reason(), "stopped");
}

#[test]
fn e7_a_publish_at_899_s_holds_the_deadline_for_twenty_seconds() {
    let mut shows = Scene::interrupted();
    shows.passes(secs(899));
    shows.gets_in();
    shows.passes(secs(19));
    assert_eq!(shows.state(), "interrupted");
    shows.keyframe();
    assert_eq!(shows.state(), "live");

    let mut silent = Scene::interrupted();
    silent.passes(secs(899));
    let epoch = silent.gets_in();
    silent.passes(secs(20));
    assert_eq!(silent.end_reason(), "resume_timeout");
    assert!(silent.effects.contains(&Effect::ClosePush { epoch, cause: DownCause::Idle }));
}

#[test]
fn e7_the_deadline_is_held_once() {
    let mut gone = Scene::interrupted();
    gone.passes(secs(899));
    gone.gets_in();
    gone.passes(secs(5));
    gone.drops();
    assert_eq!(gone.end_reason(), "resume_timeout");

    let mut relay = auto(Policy { conflict: ConflictPolicy::Takeover, ..Policy::default() });
    relay.drops();
    relay.passes(secs(899));
    for _ in 0..20 {
        relay.gets_in();
        relay.passes(secs(1));
    }
    relay.passes(secs(1));
    assert_eq!(relay.end_reason(), "resume_timeout");
}

#[test]
fn e7_a_probe_that_fails_early_leaves_the_rest_of_the_window() {
    let mut scene = Scene::interrupted();
    scene.passes(secs(100));
    scene.gets_in();
    scene.passes(secs(20));
    assert_eq!((scene.state(), scene.broadcast.owner()), ("interrupted", None));
    assert_eq!(notices(&scene.effects).last(), Some(&Notice::PushRejected { refusal: Refusal::NoKeyframe }));
    scene.passes(secs(700));
    scene.comes_up();
    assert_eq!(scene.state(), "live");
}

#[test]
fn e8_the_numbers_of_tencent() {
    for (cause, code) in [
        (DownCause::DeleteStream, "1"),
        (DownCause::CloseStream, "2"),
        (DownCause::Fin, "3"),
        (DownCause::Error, "4"),
        (DownCause::Idle, "8"),
        (DownCause::Kicked, "21/100"),
        (DownCause::Banned, "21/101"),
        (DownCause::Replaced, "21/103"),
    ] {
        assert_eq!(cause.code().to_string(), code);
    }
    for (refusal, code) in [
        (Refusal::Banned, "18/305"),
        (Refusal::NoBroadcast, "18/306"),
        (Refusal::Ended, "18/307"),
        (Refusal::Address, "18/400"),
        (Refusal::Forbidden { reason: None }, "18/506"),
        (Refusal::Unanswered, "18/507"),
        (Refusal::TooManyPushes, "18/600"),
        (Refusal::NameLive, "18/601"),
        (Refusal::Stopping, "18/602"),
    ] {
        assert_eq!(refusal.code().to_string(), code);
    }
}

#[test]
fn a_credential_of_a_stopped_broadcast_is_refused_until_something_new_happens() {
    let mut stopped = Scene::live_ad_hoc();
    stopped.does(Event::Stop);
    let barred = stopped.broadcast.barred();
    let old = Publish { credential: Some(credential(86_400)), expired: false };
    let fresh = Publish { credential: Some(credential(90_000)), expired: false };
    let door = Door { barred, auto_create: true, ..Door::default() };
    assert_eq!(door.admit(&old, START), Err(Refusal::Ended));
    assert_eq!(door.admit(&fresh, START), Ok(Admission::Open));

    // An ad-hoc successor does not open the door to it again, a created broadcast does.
    let (id, app, stream) = ("b2".parse().unwrap(), "live".parse().unwrap(), "room1".parse().unwrap());
    let mut successor = Scene::live_ad_hoc();
    successor.broadcast = Broadcast::ad_hoc(id, app, stream, Policy::default(), barred, START);
    successor.publishes_with(fresh);
    assert_eq!(refusal(&successor.publishes_with(old.clone())), Some(&Refusal::Ended));
    let mut created = Scene::api(Plan::default(), Policy::default());
    assert_eq!(created.publishes_with(old), [Effect::AcceptPublish(Epoch(1))]);
}

#[test]
fn a_broadcast_that_ended_by_itself_bars_nobody() {
    let mut scene = Scene::live_ad_hoc();
    scene.goes_down(DownCause::DeleteStream);
    assert_eq!(scene.broadcast.barred(), []);
}

#[test]
fn a_banned_name_is_refused_while_the_ban_lasts() {
    let door = Door { banned_until: Some(START + secs(60)), auto_create: true, ..Door::default() };
    assert_eq!(door.admit(&Publish::default(), START), Err(Refusal::Banned));
    assert_eq!(door.admit(&Publish::default(), START + secs(60)), Ok(Admission::Open));
}

#[test]
fn without_auto_create_a_push_needs_a_broadcast() {
    assert_eq!(Door::default().admit(&Publish::default(), START), Err(Refusal::NoBroadcast));
    let open = Door { open: true, ..Door::default() };
    assert_eq!(open.admit(&Publish::default(), START), Ok(Admission::Join));
}

#[test]
fn a_push_without_media_for_three_seconds_is_stalled() {
    let mut scene = Scene::live();
    scene.alive = false;
    scene.passes(secs(3) - MS);
    assert_eq!(scene.broadcast.push_state(scene.now), PushState::Up);
    scene.passes(MS);
    assert_eq!(scene.broadcast.push_state(scene.now), PushState::Stalled);
    scene.alive = true;
    scene.passes(secs(1));
    assert_eq!(scene.broadcast.push_state(scene.now), PushState::Up);
    assert_eq!(scene.state(), "live");
}

#[test]
fn a_window_of_zero_ends_with_the_push() {
    let mut scene = auto(Policy { resume_window: Duration::ZERO, ..Policy::default() });
    scene.drops();
    assert_eq!(scene.end_reason(), "resume_timeout");
}
