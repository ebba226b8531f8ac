//! Answers to repeated requests.

use kaibo_broadcast::Millis;
use rusqlite::params;

use super::Sqlite;
use crate::{Answer, Answers, Error, Idempotent, answer::RUNNING, error::fits};

impl Answers for Sqlite {
    fn idempotent(&mut self, key: &str, fingerprint: &str, now: Millis) -> Result<Idempotent, Error> {
        fits([key, fingerprint])?;
        self.atomically(|store| {
            let begun = store.execute(
                "INSERT INTO answer (key, fingerprint, expires_at) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET fingerprint = ?2, status = NULL, body = NULL, expires_at = ?3
                     WHERE expires_at <= ?4",
                params![key, fingerprint, (now + RUNNING).0, now.0],
            )?;
            if begun > 0 {
                return Ok(Idempotent::New);
            }
            let (first, answer) = store
                .connection
                .prepare_cached("SELECT fingerprint, status, body FROM answer WHERE key = ?1")?
                .query_row([key], |row| {
                    let status: Option<u16> = row.get("status")?;
                    let body: Option<String> = row.get("body")?;
                    let answer = status.zip(body).map(|(status, body)| Answer { status, body });
                    Ok((row.get::<_, String>("fingerprint")?, answer))
                })?;
            Ok(match answer {
                _ if first != fingerprint => Idempotent::Conflict,
                Some(answer) => Idempotent::Known(answer),
                None => Idempotent::Running,
            })
        })
    }

    fn remember(&mut self, key: &str, answer: &Answer, expires: Millis) -> Result<(), Error> {
        fits([&*answer.body])?;
        self.execute(
            "UPDATE answer SET status = ?2, body = ?3, expires_at = ?4 WHERE key = ?1",
            params![key, answer.status, answer.body, expires.0],
        )?;
        Ok(())
    }

    fn release(&mut self, key: &str) -> Result<(), Error> {
        self.execute("DELETE FROM answer WHERE key = ?1 AND status IS NULL", [key])?;
        Ok(())
    }
}
