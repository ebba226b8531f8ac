//! Notices and their deliveries.

use std::time::Duration;

use kaibo_broadcast::{BroadcastId, Millis};
use rusqlite::{OptionalExtension, Row, named_params, params};

use super::{Sqlite, list::List, optional_name, optional_time, unreadable};
use crate::{
    Attempt, Delivery, DeliveryFilter, DeliveryState, DisabledEndpoint, Error, NewNotice, Notice, Outbox,
    PAGE, Page, error::fits,
};

/// A delivery with its notice.
const DELIVERY: &str = "SELECT delivery.id AS delivery, endpoint, state, next_attempt, attempts, tried_at, took_ms, \
                        status, error, sequence, notice.id AS id, notice.broadcast AS broadcast, kind, at, body \
                        FROM delivery JOIN notice ON notice.sequence = delivery.notice";

fn notice(row: &Row<'_>) -> rusqlite::Result<Notice> {
    Ok(Notice {
        sequence: row.get("sequence")?,
        id: row.get("id")?,
        broadcast: optional_name(row, "broadcast")?,
        kind: row.get("kind")?,
        at: Millis(row.get("at")?),
        body: row.get("body")?,
    })
}

fn attempt(row: &Row<'_>) -> rusqlite::Result<Option<Attempt>> {
    let Some(at) = optional_time(row, "tried_at")? else { return Ok(None) };
    let took = Duration::from_millis(row.get("took_ms")?);
    Ok(Some(Attempt { at, took, status: row.get("status")?, error: row.get("error")? }))
}

fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    let state: String = row.get("state")?;
    Ok(Delivery {
        id: row.get("delivery")?,
        endpoint: row.get("endpoint")?,
        notice: notice(row)?,
        state: DeliveryState::named(&state).ok_or_else(|| unreadable("state", &state))?,
        next_attempt: optional_time(row, "next_attempt")?,
        attempts: row.get("attempts")?,
        last: attempt(row)?,
    })
}

impl Sqlite {
    /// Puts `notices` into the outbox.
    pub(super) fn post_all(&self, notices: &[NewNotice]) -> Result<Vec<u64>, Error> {
        notices.iter().map(|notice| self.post_one(notice)).collect()
    }

    fn post_one(&self, notice: &NewNotice) -> Result<u64, Error> {
        fits(
            [&*notice.id, &notice.kind, &notice.body]
                .into_iter()
                .chain(notice.endpoints.iter().map(|e| &**e)),
        )?;
        let broadcast = notice.broadcast.as_ref().map(BroadcastId::as_str);
        let new = self
            .connection
            .prepare_cached(
                "INSERT INTO notice (id, broadcast, kind, at, body) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO NOTHING RETURNING sequence",
            )?
            .query_row(params![notice.id, broadcast, notice.kind, notice.at.0, notice.body], |row| row.get(0))
            .optional()?;
        let Some(sequence) = new else {
            let mut known = self.connection.prepare_cached("SELECT sequence FROM notice WHERE id = ?1")?;
            return Ok(known.query_row([&notice.id], |row| row.get(0))?);
        };
        for endpoint in &notice.endpoints {
            self.execute(
                "INSERT INTO delivery (notice, endpoint, broadcast, state, attempts, next_attempt)
                 VALUES (:notice, :endpoint, :broadcast, 'pending', 0, CASE WHEN EXISTS (
                     SELECT 1 FROM delivery
                     WHERE state = 'pending' AND endpoint = :endpoint AND broadcast = :broadcast
                 ) THEN NULL ELSE :now END)
                 ON CONFLICT DO NOTHING",
                named_params! {
                    ":notice": sequence, ":endpoint": endpoint, ":broadcast": broadcast, ":now": notice.at.0,
                },
            )?;
        }
        Ok(sequence)
    }

    /// Writes down how an attempt at a pending delivery went.
    fn tried(
        &mut self,
        id: u64,
        state: DeliveryState,
        attempt: &Attempt,
        next: Option<Millis>,
    ) -> Result<(), Error> {
        fits(attempt.error.as_deref())?;
        self.atomically(|store| {
            let changed = store.execute(
                "UPDATE delivery SET state = :state, next_attempt = :next, attempts = attempts + 1, tried_at = :at,
                     took_ms = :took, status = :status, error = :error
                 WHERE id = :id AND state = 'pending'",
                named_params! {
                    ":id": id, ":state": state.name(), ":next": next.map(|at| at.0), ":at": attempt.at.0,
                    ":took": u64::try_from(attempt.took.as_millis()).unwrap_or(u64::MAX),
                    ":status": attempt.status, ":error": attempt.error,
                },
            )?;
            if changed > 0 && state != DeliveryState::Pending {
                store.let_next_go(id, attempt.at + attempt.took)?;
            }
            Ok(())
        })
    }

    /// The delivery `id` is over, so the oldest one that waited behind it is due `now`.
    pub(super) fn let_next_go(&self, id: u64, now: Millis) -> Result<(), Error> {
        self.execute(
            "UPDATE delivery SET next_attempt = ?2
             WHERE next_attempt IS NULL AND id = (
                 SELECT min(next.id) FROM delivery AS next JOIN delivery AS done USING (endpoint, broadcast)
                 WHERE done.id = ?1 AND next.state = 'pending')",
            params![id, now.0],
        )?;
        Ok(())
    }
}

impl Outbox for Sqlite {
    fn post(&mut self, notices: &[NewNotice]) -> Result<Vec<u64>, Error> {
        self.atomically(|store| store.post_all(notices))
    }

    fn due(&self, endpoint: &str, now: Millis, limit: usize) -> Result<Vec<Delivery>, Error> {
        let sql = format!(
            "{DELIVERY}
             WHERE state = 'pending' AND next_attempt IS NOT NULL AND endpoint = ?1 AND next_attempt <= ?2
                 AND NOT EXISTS (SELECT 1 FROM disabled_endpoint WHERE name = ?1)
             ORDER BY next_attempt, delivery.id LIMIT ?3"
        );
        self.rows(&sql, params![endpoint, now.0, limit.min(PAGE)], delivery)
    }

    fn delivered(&mut self, id: u64, attempt: &Attempt) -> Result<(), Error> {
        self.tried(id, DeliveryState::Delivered, attempt, None)
    }

    fn failed(&mut self, id: u64, attempt: &Attempt, next_attempt: Millis) -> Result<(), Error> {
        self.tried(id, DeliveryState::Pending, attempt, Some(next_attempt))
    }

    fn give_up(&mut self, id: u64, attempt: &Attempt) -> Result<(), Error> {
        self.tried(id, DeliveryState::GaveUp, attempt, None)
    }

    fn retry(&mut self, id: u64, now: Millis) -> Result<bool, Error> {
        let sql = "UPDATE delivery SET state = 'pending', attempts = 0,
                       next_attempt = CASE WHEN state = 'pending' AND next_attempt IS NULL THEN NULL ELSE ?2 END
                   WHERE id = ?1";
        // An identity too large for a row has none.
        let Ok(id) = i64::try_from(id) else { return Ok(false) };
        Ok(self.execute(sql, params![id, now.0])? > 0)
    }

    fn deliveries(&self, filter: &DeliveryFilter) -> Result<Page<Delivery>, Error> {
        let mut list = List::new(DELIVERY.to_owned(), "delivery.id", filter.limit);
        list.before(filter.cursor);
        list.only("state", filter.state.map(DeliveryState::name));
        list.only("endpoint", filter.endpoint.clone());
        list.only("delivery.broadcast", filter.broadcast.clone());
        self.page(list, |row| delivery(row).map(|found| (found.id, found)))
    }

    fn disable_endpoint(&mut self, endpoint: &DisabledEndpoint) -> Result<(), Error> {
        fits([&*endpoint.name, &endpoint.reason])?;
        self.execute(
            "INSERT INTO disabled_endpoint (name, since, reason) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            params![endpoint.name, endpoint.since.0, endpoint.reason],
        )?;
        Ok(())
    }

    fn enable_endpoint(&mut self, name: &str) -> Result<bool, Error> {
        Ok(self.execute("DELETE FROM disabled_endpoint WHERE name = ?1", [name])? > 0)
    }

    fn disabled_endpoints(&self) -> Result<Vec<DisabledEndpoint>, Error> {
        self.rows("SELECT name, since, reason FROM disabled_endpoint ORDER BY name", [], |row| {
            Ok(DisabledEndpoint {
                name: row.get("name")?,
                since: Millis(row.get("since")?),
                reason: row.get("reason")?,
            })
        })
    }

    fn newest(&self) -> Result<u64, Error> {
        let newest: Option<u64> = self
            .connection
            .prepare_cached("SELECT max(sequence) FROM notice")?
            .query_row([], |row| row.get(0))?;
        Ok(newest.unwrap_or(0))
    }

    fn notices(&self, after: u64, limit: usize) -> Result<Vec<Notice>, Error> {
        // A client may say any number.
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        self.rows(
            "SELECT sequence, id, broadcast, kind, at, body FROM notice WHERE sequence > ?1 ORDER BY sequence LIMIT ?2",
            params![after, limit.min(PAGE)],
            notice,
        )
    }
}
