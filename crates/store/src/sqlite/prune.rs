//! The bounds of what is kept.

use kaibo_broadcast::Millis;
use rusqlite::params;

use super::Sqlite;
use crate::{
    Error, Outbox, Pruned,
    answer::ANSWERS,
    outbox::{NOTICE_AGE, NOTICES},
};

/// Rows of a kind that one call removes: other calls wait for no more than some 10 ms.
pub(super) const PIECE: usize = 1000;

impl Sqlite {
    pub(super) fn prune_some(&self, now: Millis) -> Result<Pruned, Error> {
        let bans = self.execute(
            "DELETE FROM ban WHERE (app, stream) IN (SELECT app, stream FROM ban WHERE until <= ?1 LIMIT ?2)",
            params![now.0, PIECE],
        )?;
        let lapsed = self.execute(
            "DELETE FROM answer WHERE rowid IN (SELECT rowid FROM answer WHERE expires_at <= ?1 LIMIT ?2)",
            params![now.0, PIECE],
        )?;
        let surplus = self.execute(
            "DELETE FROM answer WHERE rowid IN (
                 SELECT rowid FROM answer ORDER BY expires_at
                 LIMIT min(?2, max(0, (SELECT count(*) FROM answer) - ?1)))",
            params![ANSWERS, PIECE],
        )?;
        let (notices, undelivered) = self.prune_notices(now)?;
        let more = [bans, lapsed, surplus, notices].contains(&PIECE);
        Ok(Pruned { bans, answers: lapsed + surplus, notices, undelivered, more })
    }

    /// Removes the oldest notices; how many, and how many deliveries never happened thereby.
    fn prune_notices(&self, now: Millis) -> Result<(usize, usize), Error> {
        // Sequences may skip, so there are no more than this many notices after it.
        let surplus = self.newest()?.saturating_sub(NOTICES);
        let last: Option<u64> = self
            .connection
            .prepare_cached(
                "SELECT max(sequence) FROM (
                     SELECT sequence, at FROM notice ORDER BY sequence LIMIT ?3) WHERE sequence <= ?1 OR at <= ?2",
            )?
            .query_row(params![surplus, (now - NOTICE_AGE).0, PIECE], |row| row.get(0))?;
        let Some(last) = last else { return Ok((0, 0)) };
        let undelivered: Vec<u64> =
            self.rows("SELECT id FROM delivery WHERE notice <= ?1 AND state = 'pending'", [last], |row| {
                row.get(0)
            })?;
        for id in &undelivered {
            self.execute("UPDATE delivery SET state = 'gave_up', next_attempt = NULL WHERE id = ?1", [id])?;
            self.let_next_go(*id, now)?;
        }
        Ok((self.execute("DELETE FROM notice WHERE sequence <= ?1", [last])?, undelivered.len()))
    }
}
