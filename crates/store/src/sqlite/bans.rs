//! Bans.

use kaibo_broadcast::{App, Millis, Stream};
use rusqlite::{OptionalExtension, Row, params};

use super::{Sqlite, name};
use crate::{Ban, Bans, Error, ban::BANS, error::fits};

fn ban(row: &Row<'_>) -> rusqlite::Result<Ban> {
    Ok(Ban {
        app: name(row, "app")?,
        stream: name(row, "stream")?,
        since: Millis(row.get("since")?),
        until: Millis(row.get("until")?),
        reason: row.get("reason")?,
    })
}

impl Bans for Sqlite {
    fn put_ban(&mut self, ban: &Ban) -> Result<(), Error> {
        fits([&*ban.reason])?;
        self.atomically(|store| {
            store.execute(
                "INSERT INTO ban (app, stream, since, until, reason) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET since = excluded.since, until = excluded.until, reason = excluded.reason",
                params![ban.app.as_str(), ban.stream.as_str(), ban.since.0, ban.until.0, ban.reason],
            )?;
            let in_force = store
                .connection
                .prepare_cached("SELECT count(*) FROM ban WHERE until > ?1")?
                .query_row([ban.since.0], |row| row.get::<_, usize>(0))?;
            if in_force > BANS { Err(Error::TooManyBans { most: BANS }) } else { Ok(()) }
        })
    }

    fn ban(&self, app: &App, stream: &Stream, now: Millis) -> Result<Option<Ban>, Error> {
        let mut query = self.connection.prepare_cached(
            "SELECT app, stream, since, until, reason FROM ban WHERE app = ?1 AND stream = ?2 AND until > ?3",
        )?;
        Ok(query.query_row(params![app.as_str(), stream.as_str(), now.0], ban).optional()?)
    }

    fn lift_ban(&mut self, app: &App, stream: &Stream) -> Result<bool, Error> {
        let sql = "DELETE FROM ban WHERE app = ?1 AND stream = ?2";
        Ok(self.execute(sql, [app.as_str(), stream.as_str()])? > 0)
    }

    fn bans(&self, now: Millis) -> Result<Vec<Ban>, Error> {
        self.rows(
            "SELECT app, stream, since, until, reason FROM ban WHERE until > ?1 ORDER BY app, stream",
            [now.0],
            ban,
        )
    }
}
