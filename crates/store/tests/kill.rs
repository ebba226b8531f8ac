//! `kill -9` at any moment: what was acknowledged is there.

#![cfg(test)]

mod scene;

use std::{
    collections::HashSet,
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
};

use kaibo_store::{Broadcasts, Handle, Outbox, Sqlite};
use scene::{notice, record};
use tokio::runtime::Builder;

const DATABASE: &str = "KAIBO_STORE_TEST_DATABASE";

/// Runs in a process of its own: many callers save without end and say which saves were acknowledged.
#[test]
#[ignore = "runs until it is killed, by the test below"]
fn saver() {
    let store = Sqlite::open(Path::new(&env::var_os(DATABASE).unwrap())).unwrap();
    let handle = Handle::start(store).unwrap();
    let runtime = Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let callers: Vec<_> = (0..8)
        .map(|caller| {
            let handle = handle.clone();
            runtime.spawn(async move {
                for n in 0_u64.. {
                    let id = format!("{}-{caller}-{n}", std::process::id());
                    let (saved, told) = (record(&id, &id), notice(&id, Some(&id)));
                    handle.ask(move |store| store.save(&saved, &[told])).await.unwrap();
                    writeln!(std::io::stdout().lock(), "saved {id}").unwrap();
                }
            })
        })
        .collect();
    for caller in callers {
        runtime.block_on(caller).unwrap();
    }
}

#[test]
fn every_acknowledged_save_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kaibo.db");
    let mut acknowledged = HashSet::new();
    // A fixed sequence of moments (xorshift32), so that a failure can be run again.
    let mut moment = 0x9e37_79b9_u32;
    for run in 0..20 {
        let mut saver = Command::new(env::current_exe().unwrap())
            .args(["saver", "--exact", "--ignored", "--nocapture"])
            .env(DATABASE, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(saver.stdout.take().unwrap()).lines().map(Result::unwrap);
        moment ^= moment << 13;
        moment ^= moment >> 17;
        moment ^= moment << 5;
        let enough = 1 + moment as usize % 300;
        let mut take =
            |line: String| line.strip_prefix("saved ").is_some_and(|id| acknowledged.insert(id.to_owned()));
        let heard = lines.by_ref().filter_map(|line| take(line).then_some(())).take(enough).count();
        saver.kill().unwrap();
        // What it said before it died.
        lines.for_each(|line| _ = take(line));
        saver.wait().unwrap();
        assert_eq!(heard, enough, "run {run}: it ended by itself");

        let store = Sqlite::open(&path).unwrap();
        let saved: HashSet<_> =
            store.open().unwrap().into_iter().map(|record| record.id.to_string()).collect();
        let lost: Vec<_> = acknowledged.difference(&saved).collect();
        assert!(lost.is_empty(), "run {run}: {lost:?}");
        let mut told = HashSet::new();
        let mut after = 0;
        while let Some(last) = {
            let notices = store.notices(after, 1000).unwrap();
            told.extend(notices.iter().map(|notice| notice.id.clone()));
            notices.last().map(|notice| notice.sequence)
        } {
            after = last;
        }
        assert_eq!(saved, told, "run {run}: a transition without its notice, or a notice without");
    }
}
