//! Broadcasts.

use kaibo_broadcast::{App, BroadcastId, Millis, Stream};
use rusqlite::{ErrorCode, OptionalExtension, Row, named_params, params};

use super::{Sqlite, list::List, name, optional_time};
use crate::{Broadcasts, Error, Filter, NewNotice, PAGE, Page, Record, error::fits};

const COLUMNS: &str = "number, id, app, stream, state, final, created_at, started_at, ended_at, title, owner, epoch, \
                       snapshot, extra";

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record {
        id: name(row, "id")?,
        app: name(row, "app")?,
        stream: name(row, "stream")?,
        state: row.get("state")?,
        is_final: row.get("final")?,
        created_at: Millis(row.get("created_at")?),
        started_at: optional_time(row, "started_at")?,
        ended_at: optional_time(row, "ended_at")?,
        title: row.get("title")?,
        owner: row.get("owner")?,
        epoch: row.get("epoch")?,
        snapshot: row.get("snapshot")?,
        extra: row.get("extra")?,
    })
}

impl Sqlite {
    fn save_record(&self, record: &Record) -> Result<(), Error> {
        fits([&*record.title, &record.owner, &record.snapshot, &record.extra])?;
        let changed = self.execute(
            "UPDATE broadcast SET state = :state, final = :final, started_at = :started_at, ended_at = :ended_at,
                 title = :title, owner = :owner, epoch = :epoch, snapshot = :snapshot, extra = :extra
             WHERE id = :id AND epoch <= :epoch",
            named_params! {
                ":id": record.id.as_str(), ":state": record.state, ":final": record.is_final,
                ":started_at": record.started_at.map(|at| at.0), ":ended_at": record.ended_at.map(|at| at.0),
                ":title": record.title, ":owner": record.owner, ":epoch": record.epoch,
                ":snapshot": record.snapshot, ":extra": record.extra,
            },
        )?;
        if changed > 0 {
            return Ok(());
        }
        if let Some(Record { id, owner, epoch, .. }) = self.get(&record.id)? {
            return Err(Error::Fenced { id, owner, epoch });
        }
        self.execute(
            "INSERT INTO broadcast (id, app, stream, state, final, created_at, started_at, ended_at, title, owner,
                 epoch, snapshot, extra)
             VALUES (:id, :app, :stream, :state, :final, :created_at, :started_at, :ended_at, :title, :owner,
                 :epoch, :snapshot, :extra)",
            named_params! {
                ":id": record.id.as_str(), ":app": record.app.as_str(), ":stream": record.stream.as_str(),
                ":state": record.state, ":final": record.is_final, ":created_at": record.created_at.0,
                ":started_at": record.started_at.map(|at| at.0), ":ended_at": record.ended_at.map(|at| at.0),
                ":title": record.title, ":owner": record.owner, ":epoch": record.epoch,
                ":snapshot": record.snapshot, ":extra": record.extra,
            },
        )?;
        Ok(())
    }
}

impl Broadcasts for Sqlite {
    fn save(&mut self, record: &Record, notices: &[NewNotice]) -> Result<Vec<u64>, Error> {
        self.atomically(|store| {
            store.save_record(record).map_err(|error| match error {
                // The only constraint that a record can violate is the one open broadcast per name.
                Error::Engine(cause) if is_constraint(&*cause) => {
                    Error::NameTaken { app: record.app.clone(), stream: record.stream.clone() }
                }
                error => error,
            })?;
            store.post_all(notices)
        })
    }

    fn get(&self, id: &BroadcastId) -> Result<Option<Record>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM broadcast WHERE id = ?1");
        Ok(self.connection.prepare_cached(&sql)?.query_row([id.as_str()], record).optional()?)
    }

    fn open(&self) -> Result<Vec<Record>, Error> {
        // Without the hint SQLite reads every broadcast there ever was, to spare itself the sorting of a few.
        let sql = format!(
            "SELECT {COLUMNS} FROM broadcast INDEXED BY broadcast_open WHERE final = 0 ORDER BY number"
        );
        self.rows(&sql, [], record)
    }

    fn newest_named(&self, app: &App, stream: &Stream) -> Result<Option<Record>, Error> {
        let filter =
            Filter { app: Some(app.clone()), stream: Some(stream.clone()), limit: 1, ..Filter::default() };
        Ok(self.list(&filter)?.items.pop())
    }

    fn list(&self, filter: &Filter) -> Result<Page<Record>, Error> {
        let mut list = List::new(format!("SELECT {COLUMNS} FROM broadcast"), "number", filter.limit);
        list.before(filter.cursor);
        list.only("state", filter.state.clone());
        list.only("app", filter.app.clone());
        list.only("stream", filter.stream.clone());
        self.page(list, |row| Ok((row.get("number")?, record(row)?)))
    }

    fn over(&self, before: Millis, after: Option<u64>, limit: usize) -> Result<Page<Record>, Error> {
        let limit = limit.clamp(1, PAGE);
        let sql = format!(
            "SELECT {COLUMNS} FROM broadcast WHERE number > ?1 AND final = 1 AND ended_at < ?2 ORDER BY number LIMIT ?3"
        );
        let after = after.map_or(0, |after| i64::try_from(after).unwrap_or(i64::MAX));
        let rows: Vec<(u64, Record)> =
            self.rows(&sql, params![after, before.0, limit], |row| Ok((row.get("number")?, record(row)?)))?;
        let next = rows.last().filter(|_| rows.len() == limit).map(|(number, _)| *number);
        Ok(Page { items: rows.into_iter().map(|(_, record)| record).collect(), next })
    }

    fn made_since(&self, app: &App, since: Millis) -> Result<u64, Error> {
        let sql = "SELECT count(*) FROM broadcast WHERE app = ?1 AND created_at >= ?2";
        let mut query = self.connection.prepare_cached(sql)?;
        Ok(query.query_row(params![app.as_str(), since.0], |row| row.get(0))?)
    }

    fn delete(&mut self, id: &BroadcastId) -> Result<bool, Error> {
        Ok(self.execute("DELETE FROM broadcast WHERE id = ?1", [id.as_str()])? > 0)
    }
}

fn is_constraint(cause: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    cause.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error_code)
        == Some(ErrorCode::ConstraintViolation)
}
