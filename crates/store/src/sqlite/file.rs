//! The database file: made anew, checked, brought up to date.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};

use crate::Error;

/// The schema, in steps: the first makes version 1 out of nothing, the next version 2 out of that. Never changed once
/// released.
const SCHEMA: &[&str] = &[
    include_str!("../schema/1.sql"),
    include_str!("../schema/2.sql"),
    include_str!("../schema/3.sql"),
    include_str!("../schema/4.sql"),
];

/// Marks the file as ours (`application_id`, sqlite.org/fileformat.html §1.2.10): "Kaib".
const APPLICATION: i32 = 0x4b61_6962;

/// How long to wait for another process that has the file open, e.g. a backup. Broadcasts wait with it.
const BUSY: Duration = Duration::from_secs(1);

/// The write-ahead log is cut back to this many bytes whenever it was copied into the file, which happens every
/// [`LOG_PAGES`]: it grows beyond only during one large commit.
const LOG_SIZE: i64 = 16 << 20;

/// Pages of 4 kB in the log before it is copied into the file and begun anew.
const LOG_PAGES: i64 = 200;

/// Bytes that the log and the file each have in advance. On a disk that others have filled, transitions and events are
/// stored all the same: some 500 of 2 kB.
const RESERVE: i64 = 1 << 20;

/// Statements kept ready, several times what the code has.
const STATEMENTS: usize = 128;

pub(super) fn open(path: &Path) -> Result<Connection, Error> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(path)?,
        Err(error) => return Err(Error::engine(error)),
        // SQLite would take it for a new database.
        Ok(file) if file.len() == 0 => return Err(Error::Corrupt { says: "the file is empty".into() }),
        Ok(_) => {}
    }
    let connection = connect(path)?;
    let application: i32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    if application != APPLICATION {
        return Err(Error::Foreign);
    }
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(Error::engine(io::Error::other("the file system cannot hold a write-ahead log")));
    }
    connection.pragma_update(None, "journal_size_limit", LOG_SIZE)?;
    let says: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if says != "ok" {
        return Err(Error::Corrupt { says });
    }
    connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    migrate(&connection, SCHEMA)?;
    // Where there is no room for it, there is nothing to be set aside.
    if reserve(&connection).is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    Ok(connection)
}

/// Makes the log and the file as large as they may have to be on a full disk: what is written and then deleted leaves
/// pages that are used again.
fn reserve(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE;
        DROP TABLE IF EXISTS reserve; CREATE TABLE reserve (room BLOB); INSERT INTO reserve VALUES (zeroblob({RESERVE}));
        COMMIT;
        DROP TABLE reserve;
        PRAGMA wal_checkpoint(RESTART);"
    ))
}

/// Makes a new database beside `path` and moves it there once it is whole: a file at `path` is never half made, so an
/// empty or torn one has lost something.
fn create(path: &Path) -> Result<(), Error> {
    if beside(path, "-wal").exists() {
        let says = "the file is missing, its write-ahead log is not".into();
        return Err(Error::Corrupt { says });
    }
    let draft = beside(path, ".new");
    // Left by a crash in this function.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::engine(error)),
        _ => {}
    }
    // SQLite gives the mode of this file to the log as well.
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).map_err(Error::engine)?;
    let connection = connect(&draft)?;
    connection.pragma_update(None, "application_id", APPLICATION)?;
    migrate(&connection, SCHEMA)?;
    connection.close().map_err(|(_, error)| error)?;
    fs::rename(&draft, path).map_err(Error::engine)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::engine)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn connect(path: &Path) -> Result<Connection, Error> {
    // One thread uses it, so it needs no lock of its own.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok(connection)
}

/// Takes the schema from its version to the newest, each step whole or not at all.
fn migrate(connection: &Connection, steps: &[&str]) -> Result<(), Error> {
    let found: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let known = u32::try_from(steps.len()).unwrap_or(u32::MAX);
    if found > known {
        return Err(Error::Newer { found, known });
    }
    for (version, step) in (1..=known).zip(steps).skip(usize::try_from(found).unwrap_or(usize::MAX)) {
        let step = connection
            .execute_batch(&format!("BEGIN IMMEDIATE; {step}; PRAGMA user_version = {version}; COMMIT;"));
        if step.is_err() && !connection.is_autocommit() {
            connection.execute_batch("ROLLBACK")?;
        }
        step?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
