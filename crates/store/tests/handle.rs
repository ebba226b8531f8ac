//! The store as async code sees it.

#![cfg(test)]

mod scene;

use std::time::Duration;

use kaibo_store::{Error, Handle, Sqlite};
use scene::{notice, record};
use tokio::runtime::{Builder, Runtime};

fn start() -> (Handle, Runtime, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&folder.path().join("kaibo.db")).unwrap();
    let runtime = Builder::new_multi_thread().worker_threads(2).build().unwrap();
    (Handle::start(store).unwrap(), runtime, folder)
}

#[test]
fn many_callers_are_all_answered_and_a_refused_one_alone_learns_of_it() {
    let (handle, runtime, _folder) = start();
    let callers: Vec<_> = (0..2000_u32)
        .map(|n| {
            let handle = handle.clone();
            // Every tenth one asks for a name that is taken, after it has written something else.
            let name = if n.is_multiple_of(10) { "taken".to_owned() } else { format!("room-{n}") };
            runtime.spawn(async move {
                let posted = notice(&format!("n{n}"), None);
                let saved = record(&format!("b{n}"), &name);
                let question = move |store: &mut dyn kaibo_store::Store| {
                    store.post(&[posted])?;
                    store.save(&saved, &[])
                };
                handle.ask(question).await
            })
        })
        .collect();
    let mut refused = 0;
    for caller in callers {
        match runtime.block_on(caller).unwrap() {
            Ok(_) => {}
            Err(Error::NameTaken { .. }) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(refused, 199, "one of the 200 got the name");
    let found = runtime.block_on(handle.ask(|store| {
        let mut notices = 0;
        while store.notices(notices, 1)?.len() == 1 {
            notices += 1;
        }
        Ok((store.open()?.len(), notices))
    }));
    assert_eq!(found.unwrap(), (1801, 1801), "what a refused question wrote was kept");
}

#[test]
fn a_caller_who_stops_waiting_undoes_nothing() {
    let (handle, runtime, _folder) = start();
    let (begun, waiting) = std::sync::mpsc::channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    let asked = {
        let handle = handle.clone();
        runtime.spawn(async move {
            let question = move |store: &mut dyn kaibo_store::Store| {
                begun.send(()).unwrap();
                may_go_on.recv().unwrap();
                store.save(&record("b1", "room"), &[])
            };
            handle.ask(question).await
        })
    };
    waiting.recv().unwrap();
    asked.abort();
    assert!(runtime.block_on(asked).unwrap_err().is_cancelled());
    go_on.send(()).unwrap();
    let open = runtime.block_on(handle.ask(|store| store.open())).unwrap();
    assert_eq!(open, [record("b1", "room")]);
}

#[test]
fn a_database_that_another_process_holds_is_an_error_and_then_works_again() {
    let (handle, runtime, folder) = start();
    let other = rusqlite::Connection::open(folder.path().join("kaibo.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let save = |id: &'static str| runtime.block_on(handle.ask(move |store| store.save(&record(id, id), &[])));
    let waited = std::time::Instant::now();
    let error = save("b1").unwrap_err();
    assert!(matches!(error, Error::Engine(_)), "{error}");
    assert_eq!(error.to_string(), "database is locked");
    assert!(waited.elapsed() < Duration::from_secs(5));
    other.execute_batch("ROLLBACK").unwrap();
    save("b2").unwrap();
    let open = runtime.block_on(handle.ask(|store| store.open())).unwrap();
    assert_eq!(open, [record("b2", "b2")]);
}
