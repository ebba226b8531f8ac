use std::{fs, os::unix::fs::PermissionsExt};

use kaibo_broadcast::Millis;
use rusqlite::Connection;
use tempfile::TempDir;

use super::{SCHEMA, migrate};
use crate::{Broadcasts, Error, Filter, NewNotice, Outbox, Sqlite, Store};

/// A database with rows in every table, as each version of the schema left it.
const PAST: &[&str] = &[
    include_str!("../../../testdata/v1.sql"),
    include_str!("../../../testdata/v2.sql"),
    include_str!("../../../testdata/v3.sql"),
    include_str!("../../../testdata/v4.sql"),
];

fn fresh() -> (Sqlite, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (Sqlite::open(&folder.path().join("kaibo.db")).unwrap(), folder)
}

crate::conformance::suite!(fresh);

/// What a person reads when the file with these bytes is opened.
fn refusal(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kaibo.db");
    fs::write(&path, bytes).unwrap();
    let error = Sqlite::open(&path).err().unwrap().to_string();
    assert_eq!(fs::read(&path).unwrap(), bytes, "the file was changed");
    error.replace(&path.display().to_string(), "FILE")
}

fn tables(connection: &Connection) -> Vec<String> {
    let mut query =
        connection.prepare("SELECT coalesce(sql, name) FROM sqlite_schema ORDER BY name").unwrap();
    query.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn every_older_version_is_brought_up_to_date_with_its_rows() {
    assert_eq!(PAST.len(), SCHEMA.len(), "every version needs a file in testdata");
    let (new, _folder) = fresh();
    for (past, version) in PAST.iter().zip(1..) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kaibo.db");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(past).unwrap();
        assert_eq!(old.query_row("PRAGMA user_version", [], |row| row.get(0)), Ok(version));
        old.close().unwrap();

        let store = Sqlite::open(&path).unwrap();
        assert_eq!(tables(&store.connection), tables(&new.connection), "version {version}");
        let [ended, open] = &store.list(&Filter::default()).unwrap().items[..] else {
            panic!("two broadcasts")
        };
        assert_eq!((&*ended.state, &*open.state), ("ended", "interrupted"));
        assert_eq!(open.broadcast().unwrap().state().name(), "interrupted");
        let due = store.due("crm", open.created_at + std::time::Duration::from_secs(60), 10).unwrap();
        assert_eq!(due.len(), 1);
    }
}

#[test]
fn migration_goes_on_from_any_version_and_each_step_is_whole() {
    let steps = ["CREATE TABLE a (x)", "CREATE TABLE b (x)", "ALTER TABLE b RENAME COLUMN x TO y"];
    for from in 0..=3 {
        let database = Connection::open_in_memory().unwrap();
        migrate(&database, &steps[..from]).unwrap();
        migrate(&database, &steps).unwrap();
        assert_eq!(tables(&database), ["CREATE TABLE a (x)", "CREATE TABLE b (y)"], "from version {from}");
    }
    let database = Connection::open_in_memory().unwrap();
    migrate(&database, &[steps[0], "CREATE TABLE b (x); CREATE TABLE a (x)"]).unwrap_err();
    assert_eq!(tables(&database), ["CREATE TABLE a (x)"], "half a step was kept");
    migrate(&database, &steps).unwrap();
}

#[test]
fn a_newer_database_is_refused() {
    let (store, folder) = fresh();
    store.connection.pragma_update(None, "user_version", 99).unwrap();
    drop(store);
    let error = Sqlite::open(&folder.path().join("kaibo.db")).err().unwrap();
    let says = "has schema version 99; this version of Kaibo knows up to 4: use a newer one";
    assert!(error.to_string().ends_with(says), "{error}");
}

#[test]
fn a_damaged_file_is_refused_and_left_as_it_is() {
    let (mut store, folder) = fresh();
    for n in 0..100 {
        let id = format!("n{n}");
        let (at, body) = (kaibo_broadcast::Millis(0), "x".repeat(500));
        let (kind, endpoints) = ("a".into(), vec!["crm".into()]);
        store.post(&[crate::NewNotice { id, broadcast: None, kind, at, body, endpoints }]).unwrap();
    }
    drop(store);
    let whole = fs::read(folder.path().join("kaibo.db")).unwrap();
    let mut torn = whole.clone();
    // The second page is the first table's; those behind the tables are free, and nothing is lost with them.
    torn[4096..][..4096].fill(0x5a);
    let damaged = "restore it from a backup, or move it away to begin anew";
    for bytes in [&b""[..], b"not a database", &whole[..whole.len() / 2], &torn, &[0; 8192]] {
        let error = refusal(bytes);
        assert!(error.starts_with("FILE: is damaged (") && error.ends_with(damaged), "{error}");
    }
}

#[test]
fn a_missing_file_is_made_anew_only_if_nothing_is_left_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kaibo.db");
    fs::write(folder.path().join("kaibo.db.new"), "left by a crash while it was made").unwrap();
    drop(Sqlite::open(&path).unwrap());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something is left beside it");

    fs::remove_file(&path).unwrap();
    fs::write(folder.path().join("kaibo.db-wal"), "the last commits").unwrap();
    let error = Sqlite::open(&path).err().unwrap();
    assert!(error.to_string().contains("the file is missing, its write-ahead log is not"), "{error}");
}

#[test]
fn a_database_of_another_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("places.sqlite");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE bookmarks (url)").unwrap();
    let error = Sqlite::open(&path).err().unwrap();
    assert!(matches!(&error, Error::Open { cause, .. } if matches!(**cause, Error::Foreign)), "{error}");
}

#[test]
fn only_the_owner_may_read_the_files() {
    let (mut store, folder) = fresh();
    store.enable_endpoint("crm").unwrap();
    for file in fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.file_name());
    }
}

#[test]
fn commits_are_on_the_disk_before_they_are_answered() {
    let (store, _folder) = fresh();
    let setting = |name: &str| {
        store
            .connection
            .query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, rusqlite::types::Value>(0))
    };
    assert_eq!(setting("journal_mode"), Ok("wal".to_owned().into()));
    // 2 is FULL: the log is synced with every commit (sqlite.org/pragma.html#pragma_synchronous).
    assert_eq!(setting("synchronous"), Ok(2.into()));
    assert_eq!(setting("foreign_keys"), Ok(1.into()));
}

#[test]
fn a_full_disk_fails_whole_commits_and_passes() {
    let (mut store, _folder) = fresh();
    let posted = |n: u32, size: usize| crate::NewNotice {
        id: format!("n{n}"),
        broadcast: None,
        kind: "a".into(),
        at: kaibo_broadcast::Millis(0),
        body: "x".repeat(size),
        endpoints: vec!["crm".into()],
    };
    let used = pages(&store.connection, 0);
    pages(&store.connection, used + 20);
    let failed = store.together(&mut |store| {
        store.post(&[posted(1, 1)])?;
        // Each question of a batch is a part of its own, and goes on after the failure of another.
        let large = [posted(2, 900_000), posted(6, 900_000)];
        let full = store.together(&mut |store| store.post(&large).map(drop));
        assert!(full.is_err());
        assert!(matches!(store.post(&[posted(3, 1)]), Ok(_) | Err(Error::RolledBack)));
        full
    });
    assert_eq!(failed.unwrap_err().to_string(), "database or disk is full");
    assert_eq!(store.notices(0, 10).unwrap(), []);
    store.post(&[posted(4, 1)]).unwrap();
    pages(&store.connection, used + 1000);
    store.post(&[posted(5, 900_000)]).unwrap();
    let ids: Vec<_> = store.notices(0, 10).unwrap().into_iter().map(|notice| notice.id).collect();
    assert_eq!(ids, ["n4", "n5"]);
}

/// Lets the file have `most` pages (0: as many as it has); how many it may have now.
fn pages(connection: &Connection, most: u32) -> u32 {
    let most = match most {
        0 => connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap(),
        most => most,
    };
    connection.query_row(&format!("PRAGMA max_page_count = {most}"), [], |row| row.get(0)).unwrap()
}

#[test]
fn on_a_disk_that_others_have_filled_there_is_room_for_what_comes_next() {
    let (mut store, folder) = fresh();
    let sizes =
        || ["", "-wal"].map(|end| fs::metadata(folder.path().join(format!("kaibo.db{end}"))).unwrap().len());
    let before = sizes();
    for number in 0..200 {
        let event = NewNotice {
            id: format!("evt_{number}"),
            broadcast: None,
            kind: "replay.truncated".into(),
            at: Millis(number),
            body: "x".repeat(2000),
            endpoints: vec!["shop".into()],
        };
        store.post(&[event]).unwrap();
    }
    assert_eq!(sizes(), before, "the file and its log have grown");
}
