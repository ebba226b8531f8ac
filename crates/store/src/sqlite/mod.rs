//! A store in one SQLite file.

mod answers;
mod audience;
mod bans;
mod broadcasts;
mod clips;
mod file;
mod list;
mod outbox;
mod prune;

use std::path::Path;

use kaibo_broadcast::Millis;
use rusqlite::{Connection, ErrorCode};

use crate::{Error, Pruned, Store};

/// The default store: one file in WAL mode, with every commit on the disk before it is answered.
pub struct Sqlite {
    connection: Connection,
    /// How many [`Store::together`] are around what is being done.
    depth: usize,
}

impl Sqlite {
    /// Opens the database at `path`, or makes a new one, readable for its owner only, if there is no file. An older
    /// schema is brought up to date. Reads the whole file to see that it is sound: some 2 ms per MiB.
    pub fn open(path: &Path) -> Result<Self, Error> {
        file::open(path)
            .map(|connection| Self { connection, depth: 0 })
            .map_err(|cause| Error::Open { path: path.to_owned(), cause: Box::new(cause) })
    }

    /// Does `work` in a transaction of its own, or in a part of the one that is under way.
    fn atomically<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        let (begin, commit, undo) = match self.depth {
            0 => ("BEGIN IMMEDIATE", "COMMIT", "ROLLBACK"),
            _ => ("SAVEPOINT part", "RELEASE part", "ROLLBACK TO part; RELEASE part"),
        };
        self.execute(begin, [])?;
        self.depth += 1;
        let result = work(self);
        self.depth -= 1;
        let result = match result {
            Ok(_) if self.connection.is_autocommit() => Err(Error::RolledBack),
            Ok(value) => self.execute(commit, []).map(|_| value),
            failed => failed,
        };
        if result.is_err() && !self.connection.is_autocommit() {
            self.connection.execute_batch(undo)?;
        }
        result
    }

    /// Runs a statement that answers no rows; how many it changed.
    fn execute(&self, sql: &str, values: impl rusqlite::Params) -> Result<usize, Error> {
        // On some errors SQLite rolls back the whole transaction by itself (sqlite.org/lang_transaction.html).
        if self.depth > 0 && self.connection.is_autocommit() {
            return Err(Error::RolledBack);
        }
        Ok(self.connection.prepare_cached(sql)?.execute(values)?)
    }

    /// Every row of a query.
    fn rows<T>(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Error> {
        Ok(self.connection.prepare_cached(sql)?.query_map(values, read)?.collect::<Result<_, _>>()?)
    }
}

impl Store for Sqlite {
    fn together(&mut self, work: &mut dyn FnMut(&mut dyn Store) -> Result<(), Error>) -> Result<(), Error> {
        self.atomically(|store| work(store))
    }

    fn prune(&mut self, now: Millis) -> Result<Pruned, Error> {
        self.atomically(|store| store.prune_some(now))
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Corrupt { says: error.to_string() }
            }
            _ => Self::engine(error),
        }
    }
}

/// Reads a name from a column.
fn name<T>(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<T>
where
    T: std::str::FromStr<Err = kaibo_broadcast::NameError>,
{
    parse(column, &row.get::<_, String>(column)?)
}

/// Reads a name from a column that may be empty.
fn optional_name<T>(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<Option<T>>
where
    T: std::str::FromStr<Err = kaibo_broadcast::NameError>,
{
    row.get::<_, Option<String>>(column)?.map(|text| parse(column, &text)).transpose()
}

fn parse<T>(column: &str, text: &str) -> rusqlite::Result<T>
where
    T: std::str::FromStr<Err = kaibo_broadcast::NameError>,
{
    text.parse().map_err(|error| unreadable(column, &error))
}

/// A value that this version cannot have written.
fn unreadable(column: &str, says: &dyn std::fmt::Display) -> rusqlite::Error {
    let cause = format!("column {column}: {says}").into();
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, cause)
}

/// Reads a time that may be missing.
fn optional_time(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<Option<Millis>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Millis))
}
