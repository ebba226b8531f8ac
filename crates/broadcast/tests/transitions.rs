//! One test per row of the transition table of the lifecycle.

#![cfg(test)]

mod scene;

use kaibo_broadcast::{
    CommandConflict, DownCause, Effect, EndOnUnpublish, Epoch, Event, Millis, Notice, Plan, Policy, State,
};
use scene::{START, Scene, notices, secs};

const AUTO: Plan = Plan { auto_start: true, planned_start: None, planned_end: None };

fn planned() -> Scene {
    Scene::api(Plan::default(), Policy::default())
}

fn preview() -> Scene {
    let mut scene = planned();
    scene.comes_up();
    scene.forget();
    scene
}

#[test]
fn t1_a_created_broadcast_is_announced_and_its_url_outlives_the_plan_by_a_day() {
    let scene = planned();
    assert_eq!((scene.state(), scene.broadcast.state().live_status()), ("created", 102));
    assert_eq!(scene.notices(), ["broadcast.created"]);
    assert_eq!(scene.broadcast.push_url_expiry(START), START + secs(86_400));
    let end = START + secs(7200);
    let planned =
        Scene::api(Plan { planned_end: Some(end), planned_start: Some(START), ..AUTO }, Policy::default());
    assert_eq!(planned.broadcast.push_url_expiry(START), end + secs(86_400));
}

#[test]
fn t2_an_ad_hoc_push_goes_live_with_its_first_keyframe() {
    let mut scene = Scene::ad_hoc(Policy::default());
    let epoch = scene.gets_in();
    assert_eq!(scene.notices(), [""; 0]);
    let effects = scene.keyframe();
    assert_eq!(scene.state(), "live");
    assert_eq!(scene.notices(), ["broadcast.created", "push.up", "broadcast.started"]);
    assert!(effects.contains(&Effect::GoLive(epoch)) && effects.contains(&Effect::StartRecording));
}

#[test]
fn t2_an_ad_hoc_push_without_a_keyframe_leaves_no_trace() {
    for ends in [
        |scene: &mut Scene| scene.drops(),
        |scene: &mut Scene| scene.does(Event::Ban),
        |scene: &mut Scene| scene.reboots_after(secs(1)),
    ] {
        let mut scene = Scene::ad_hoc(Policy::default());
        scene.gets_in();
        assert!(ends(&mut scene).contains(&Effect::Forget));
        assert!(scene.broadcast.state().is_final());
        assert_eq!(scene.notices(), [""; 0]);
    }
}

#[test]
fn t3_a_push_into_a_planned_broadcast_is_a_preview_that_nobody_sees() {
    let mut scene = planned();
    let epoch = scene.comes_up();
    assert_eq!(scene.state(), "preview");
    assert_eq!(scene.notices(), ["broadcast.created", "push.up"]);
    assert!(scene.effects.contains(&Effect::ShowPreview(epoch)));
    assert!(!scene.effects.iter().any(|effect| matches!(effect, Effect::GoLive(_) | Effect::StartRecording)));
}

#[test]
fn t4_start_makes_the_preview_public_at_the_next_keyframe() {
    let mut scene = preview();
    assert_eq!(scene.does(Event::Start { force: false }), []);
    assert_eq!(scene.state(), "preview");
    scene.passes(secs(2));
    assert!(scene.keyframe().contains(&Effect::GoLive(Epoch(1))));
    assert_eq!((scene.state(), scene.notices()), ("live", vec!["broadcast.started"]));
    assert_eq!(scene.broadcast.started_at(), Some(START + secs(2)));
}

#[test]
fn t4_start_without_a_push_is_a_conflict() {
    let conflict = planned().does(Event::Start { force: false });
    assert_eq!(conflict, [Effect::Conflict(CommandConflict::NothingPushed)]);
}

#[test]
fn t4_start_while_probing_goes_live_with_the_first_keyframe() {
    let mut scene = planned();
    scene.gets_in();
    scene.does(Event::Start { force: false });
    scene.keyframe();
    assert_eq!(scene.state(), "live");
}

#[test]
fn t4_a_push_lost_between_start_and_keyframe_has_the_window_to_come_back() {
    let mut scene = preview();
    scene.does(Event::Start { force: false });
    scene.drops();
    assert_eq!(scene.state(), "interrupted");
    scene.passes(secs(899));
    scene.comes_up();
    assert_eq!(scene.notices(), ["push.down", "push.up", "broadcast.started"]);
}

#[test]
fn t5_with_auto_start_the_first_keyframe_is_public() {
    let mut scene = Scene::api(AUTO, Policy::default());
    scene.comes_up();
    assert_eq!(scene.state(), "live");
    assert_eq!(scene.notices(), ["broadcast.created", "push.up", "broadcast.started"]);
}

#[test]
fn t6_a_forced_start_waits_a_window_for_the_push() {
    let mut scene = planned();
    scene.does(Event::Start { force: true });
    assert_eq!((scene.state(), scene.broadcast.resume_deadline()), ("interrupted", Some(START + secs(900))));
    scene.passes(secs(899));
    scene.comes_up();
    assert_eq!(scene.state(), "live");
    assert_eq!(scene.notices(), ["broadcast.created", "push.up", "broadcast.started"]);
}

#[test]
fn t6_a_forced_start_that_nobody_follows_ends() {
    let mut scene = planned();
    scene.does(Event::Start { force: true });
    scene.passes(secs(900));
    assert_eq!(scene.end_reason(), "resume_timeout");
    assert!(!scene.effects.contains(&Effect::FinishRecording), "nothing was recorded");
}

#[test]
fn t7_the_window_does_not_apply_before_the_start() {
    let mut scene = preview();
    scene.drops();
    assert_eq!((scene.state(), scene.broadcast.next_deadline()), ("created", None));
    assert_eq!(scene.notices(), ["push.down"]);
    scene.passes(secs(86_400));
    scene.comes_up();
    assert_eq!(scene.state(), "preview");
}

#[test]
fn t8_what_is_not_started_by_its_planned_end_expires() {
    let plan = Plan { planned_end: Some(START + secs(3600)), ..Plan::default() };
    let mut idle = Scene::api(plan, Policy::default());
    idle.passes(secs(3600));
    assert_eq!((idle.state(), idle.notices()), ("expired", vec!["broadcast.created", "broadcast.expired"]));

    let mut pushed = Scene::api(plan, Policy::default());
    let epoch = pushed.comes_up();
    pushed.forget();
    pushed.passes(secs(3600));
    assert_eq!((pushed.state(), pushed.notices()), ("expired", vec!["push.down", "broadcast.expired"]));
    assert!(pushed.effects.contains(&Effect::ClosePush { epoch, cause: DownCause::Over }));

    let mut moved = Scene::api(plan, Policy::default());
    moved.does(Event::Reschedule { planned_start: None, planned_end: Some(START + secs(7200)) });
    moved.passes(secs(3600));
    assert_eq!(moved.state(), "created");
}

#[test]
fn t9_any_loss_of_the_push_interrupts_and_the_window_counts_from_the_last_media() {
    for cause in
        [DownCause::Error, DownCause::Fin, DownCause::Idle, DownCause::Server, DownCause::DeleteStream]
    {
        let mut scene = Scene::live();
        scene.passes(secs(10));
        scene.alive = false;
        scene.passes(secs(9));
        let effects = scene.goes_down(cause);
        assert_eq!(scene.state(), "interrupted", "{cause:?}");
        assert_eq!(scene.broadcast.resume_deadline(), Some(START + secs(910)));
        assert_eq!(
            effects,
            [
                Effect::Announce(Notice::PushDown { epoch: Epoch(1), cause }),
                Effect::BreakTimeline,
                Effect::FlushRecording,
            ]
        );
    }
}

#[test]
fn t9_the_interruption_is_announced_after_three_seconds() {
    let mut scene = Scene::interrupted();
    scene.passes(secs(3) - std::time::Duration::from_millis(1));
    assert_eq!(scene.notices(), [""; 0]);
    scene.passes(std::time::Duration::from_millis(1));
    assert_eq!(notices(&scene.effects), [Notice::Interrupted { deadline: START + secs(910) }]);
}

#[test]
fn t9_an_interruption_shorter_than_three_seconds_is_not_announced() {
    let mut scene = Scene::interrupted();
    scene.passes(secs(2));
    scene.comes_up();
    scene.passes(secs(10));
    assert_eq!((scene.state(), scene.notices()), ("live", vec!["push.up"]));
    assert_eq!(scene.broadcast.resumes(), 1);
}

#[test]
fn t10_a_publisher_that_comes_back_in_time_resumes_any_number_of_times() {
    let mut scene = Scene::live();
    for round in 1..=5 {
        scene.forget();
        scene.passes(secs(60));
        scene.drops();
        scene.passes(secs(899));
        let epoch = scene.comes_up();
        assert_eq!(scene.state(), "live");
        assert_eq!(scene.notices(), ["push.down", "broadcast.interrupted", "push.up", "broadcast.resumed"]);
        assert!(scene.effects.contains(&Effect::Continue(epoch)));
        assert!(scene.effects.contains(&Effect::Announce(Notice::Resumed { gap: secs(899) })));
        assert_eq!(scene.broadcast.resumes(), round);
    }
}

#[test]
fn t11_at_the_deadline_it_ends() {
    let mut scene = Scene::interrupted();
    scene.passes(secs(900));
    assert_eq!(scene.end_reason(), "resume_timeout");
    assert_eq!(scene.notices(), ["broadcast.interrupted", "broadcast.ended"]);
    assert!(scene.effects.contains(&Effect::EndOutput) && scene.effects.contains(&Effect::FinishRecording));
    assert_eq!(scene.broadcast.ended_at(), Some(START + secs(910)));
}

#[test]
fn t11_899_s_resumes_and_901_s_does_not() {
    let mut early = Scene::interrupted();
    early.passes(secs(899));
    early.comes_up();
    assert_eq!(early.state(), "live");

    let mut late = Scene::interrupted();
    late.now = late.now + secs(901);
    late.publishes();
    assert_eq!(late.end_reason(), "resume_timeout", "even if nobody ticked in time");
    assert_eq!(late.broadcast.owner(), None);
}

#[test]
fn t12_a_goodbye_ends_what_a_push_opened() {
    for (policy, ad_hoc, ends) in [
        (EndOnUnpublish::AutoCreated, true, true),
        (EndOnUnpublish::AutoCreated, false, false),
        (EndOnUnpublish::Always, true, true),
        (EndOnUnpublish::Always, false, true),
        (EndOnUnpublish::Never, true, false),
        (EndOnUnpublish::Never, false, false),
    ] {
        let policy = Policy { end_on_unpublish: policy, ..Policy::default() };
        let mut scene = if ad_hoc { Scene::ad_hoc(policy) } else { Scene::api(AUTO, policy) };
        scene.comes_up();
        scene.forget();
        scene.goes_down(DownCause::DeleteStream);
        if ends {
            assert_eq!(scene.end_reason(), "unpublished");
            assert_eq!(scene.notices(), ["push.down", "broadcast.ended"]);
        } else {
            assert_eq!(scene.state(), "interrupted");
        }
    }
}

#[test]
fn t13_stop_ends_every_state_that_is_not_final() {
    let started = |mut scene: Scene| {
        scene.does(Event::Stop);
        scene.end_reason()
    };
    let mut paused = Scene::live();
    paused.does(Event::Pause);
    let mut banned = Scene::live();
    banned.does(Event::Ban);
    for scene in [Scene::live(), Scene::live_ad_hoc(), Scene::interrupted(), paused] {
        assert_eq!(started(scene), "stopped");
    }
    assert_eq!(started(banned), "banned", "what a ban hides stays hidden");
    for scene in [planned(), preview()] {
        assert_eq!(started(scene), "cancelled");
    }
}

#[test]
fn t13_a_stopped_push_is_drained_for_thirty_seconds() {
    let mut scene = Scene::live();
    scene.does(Event::Stop);
    assert_eq!(
        scene.effects,
        [
            Effect::Announce(Notice::PushDown { epoch: Epoch(1), cause: DownCause::Over }),
            Effect::DrainPush(Epoch(1)),
            Effect::EndOutput,
            Effect::FinishRecording,
            Effect::Announce(Notice::Ended { reason: kaibo_broadcast::EndReason::Stopped }),
        ]
    );
    scene.forget();
    scene.passes(secs(29));
    scene.keyframe();
    assert_eq!(scene.effects, []);
    scene.passes(secs(1));
    assert_eq!(scene.effects, [Effect::ClosePush { epoch: Epoch(1), cause: DownCause::Over }]);
    assert_eq!(scene.broadcast.next_deadline(), None);
}

#[test]
fn t13_stop_is_idempotent() {
    let mut scene = Scene::interrupted();
    scene.does(Event::Stop);
    assert_eq!(scene.does(Event::Stop), []);
    assert_eq!(scene.end_reason(), "stopped");
}

#[test]
fn t14_twelve_hours_after_the_start_it_ends_with_two_warnings() {
    let left = |scene: &Scene| match notices(&scene.effects).as_slice() {
        [Notice::DurationWarning { left }] => left.as_secs(),
        other => panic!("{other:?}"),
    };
    let mut scene = Scene::live();
    scene.passes(secs(43_200 - 600 - 1));
    assert_eq!(scene.notices(), [""; 0]);
    scene.passes(secs(1));
    assert_eq!(left(&scene), 600);
    scene.forget();
    scene.passes(secs(540));
    assert_eq!(left(&scene), 60);
    scene.forget();
    scene.passes(secs(60));
    assert_eq!(scene.end_reason(), "max_duration");
    assert_eq!(scene.notices(), ["push.down", "broadcast.ended"]);
}

#[test]
fn t14_the_twelve_hours_run_on_while_interrupted_or_paused() {
    let mut paused = Scene::live();
    paused.does(Event::Pause);
    paused.passes(secs(43_200));
    assert_eq!(paused.end_reason(), "max_duration");

    let mut interrupted = Scene::live();
    interrupted.passes(secs(43_100));
    interrupted.drops();
    interrupted.passes(secs(100));
    assert_eq!(interrupted.end_reason(), "max_duration");
}

#[test]
fn t14_a_broadcast_too_short_for_a_warning_gets_none_of_it() {
    let mut scene = Scene::api(AUTO, Policy { max_duration: secs(120), ..Policy::default() });
    scene.comes_up();
    scene.forget();
    scene.passes(secs(120));
    assert_eq!(scene.notices(), ["broadcast.duration_warning", "push.down", "broadcast.ended"]);
}

#[test]
fn t15_a_pause_drops_media_and_lets_the_push_come_and_go() {
    let mut scene = Scene::live();
    assert_eq!(
        scene.does(Event::Pause),
        [Effect::BreakTimeline, Effect::FlushRecording, Effect::Announce(Notice::Paused)]
    );
    scene.forget();
    scene.goes_down(DownCause::DeleteStream);
    scene.passes(secs(3600));
    scene.comes_up();
    assert_eq!((scene.state(), scene.notices()), ("paused", vec!["push.down", "push.up"]));
    assert!(!scene.effects.iter().any(|effect| matches!(effect, Effect::Continue(_))));
}

#[test]
fn t15_only_what_is_live_can_be_paused() {
    for (mut scene, conflict) in [
        (planned(), CommandConflict::NotStarted),
        (preview(), CommandConflict::NotStarted),
        (Scene::interrupted(), CommandConflict::Interrupted),
    ] {
        assert_eq!(scene.does(Event::Pause), [Effect::Conflict(conflict)]);
    }
}

#[test]
fn t16_resume_is_live_at_once_while_the_push_is_up() {
    let mut scene = Scene::live();
    scene.does(Event::Pause);
    scene.passes(secs(30));
    let effects = scene.does(Event::Resume);
    assert_eq!(scene.state(), "live");
    assert_eq!(effects, [Effect::Continue(Epoch(1)), Effect::Announce(Notice::Resumed { gap: secs(30) })]);
}

#[test]
fn t16_resume_without_a_push_waits_a_fresh_window() {
    let mut scene = Scene::live();
    scene.does(Event::Pause);
    scene.drops();
    scene.passes(secs(5000));
    scene.does(Event::Resume);
    assert_eq!(scene.broadcast.resume_deadline(), Some(scene.now + secs(900)));
    scene.passes(secs(899));
    scene.comes_up();
    assert_eq!(scene.state(), "live");
    let notices = scene.notices();
    assert_eq!(
        notices,
        ["broadcast.paused", "push.down", "broadcast.interrupted", "push.up", "broadcast.resumed"]
    );
}

#[test]
fn t17_a_ban_drops_the_push_and_refuses_new_ones() {
    let mut scene = Scene::live();
    assert_eq!(
        scene.does(Event::Ban),
        [
            Effect::Announce(Notice::PushDown { epoch: Epoch(1), cause: DownCause::Banned }),
            Effect::ClosePush { epoch: Epoch(1), cause: DownCause::Banned },
            Effect::WithholdOutput,
            Effect::BreakTimeline,
            Effect::FlushRecording,
            Effect::Announce(Notice::Banned),
        ]
    );
    assert_eq!((scene.state(), scene.broadcast.state().live_status()), ("banned", 104));
    let refused = scene.publishes();
    assert!(
        matches!(&refused[0], Effect::RejectPublish { refusal, .. } if refusal.code().to_string() == "18/305")
    );
}

#[test]
fn t18_a_ban_lifted_within_the_window_lets_it_go_on() {
    let mut scene = Scene::live();
    scene.does(Event::Ban);
    scene.passes(secs(800));
    assert_eq!(scene.does(Event::Unban), [Effect::RestoreOutput]);
    assert_eq!(scene.broadcast.resume_deadline(), Some(scene.now + secs(900)));
    scene.passes(secs(600));
    scene.comes_up();
    assert_eq!(scene.state(), "live");
    assert_eq!(scene.notices().last(), Some(&"broadcast.resumed"));
}

#[test]
fn t18_a_ban_lifted_before_the_start_leaves_it_created() {
    let mut scene = preview();
    scene.does(Event::Ban);
    scene.does(Event::Unban);
    assert_eq!(scene.state(), "created");
    scene.comes_up();
    scene.does(Event::Start { force: false });
    scene.keyframe();
    assert_eq!(scene.notices().last(), Some(&"broadcast.started"));
}

#[test]
fn t18_a_ban_that_outlives_the_window_is_the_end() {
    let mut scene = Scene::live();
    scene.does(Event::Ban);
    scene.passes(secs(900));
    assert_eq!(scene.end_reason(), "banned");
    assert_eq!(scene.does(Event::Unban), []);
}

#[test]
fn a_kick_is_an_interruption_like_any_other() {
    let mut scene = Scene::live_ad_hoc();
    let effects = scene.does(Event::Kick);
    assert!(effects.contains(&Effect::ClosePush { epoch: Epoch(1), cause: DownCause::Kicked }));
    assert_eq!(scene.state(), "interrupted");
    assert_eq!(scene.does(Event::Kick), [Effect::Conflict(CommandConflict::NothingPushed)]);
}

#[test]
fn every_state_has_its_name_and_its_code() {
    let at = Millis(0);
    let interrupted = State::Interrupted { since: at, deadline: at, announce_at: None };
    let ended = State::Ended { reason: kaibo_broadcast::EndReason::Stopped };
    let banned = State::Banned { deadline: at };
    for (state, name, code) in [
        (State::Live, "live", 101),
        (State::Created, "created", 102),
        (State::Preview, "preview", 102),
        (ended, "ended", 103),
        (banned, "banned", 104),
        (State::Paused, "paused", 105),
        (interrupted, "interrupted", 106),
        (State::Expired, "expired", 107),
    ] {
        assert_eq!((state.name(), state.live_status()), (name, code));
    }
}
