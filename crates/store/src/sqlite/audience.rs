//! Audiences.

use kaibo_broadcast::{BroadcastId, Millis};
use rusqlite::{OptionalExtension, params};

use super::{Sqlite, prune::PIECE};
use crate::{Audience, Audiences, Counted, Error, LARGEST, error::fits};

impl Audiences for Sqlite {
    fn save_audience(
        &mut self,
        broadcast: &BroadcastId,
        audience: &Audience,
        now: Millis,
    ) -> Result<(), Error> {
        fits(audience.counted.iter().flat_map(|counted| [&*counted.phase, &counted.counts]))?;
        if audience.seen.as_ref().is_some_and(|seen| seen.len() > LARGEST) {
            return Err(Error::TooLarge);
        }
        self.atomically(|store| {
            for Counted { phase, start, counts } in &audience.counted {
                store.execute(
                    "INSERT INTO audience (broadcast, phase, start, counts)
                     SELECT id, ?2, ?3, ?4 FROM broadcast WHERE id = ?1
                     ON CONFLICT DO UPDATE SET counts = excluded.counts",
                    params![broadcast.as_str(), phase, start.0, counts],
                )?;
            }
            if let Some(seen) = &audience.seen {
                store.execute(
                    "INSERT INTO audience_seen (broadcast, at, sketch) SELECT id, ?2, ?3 FROM broadcast WHERE id = ?1
                     ON CONFLICT DO UPDATE SET at = excluded.at, sketch = excluded.sketch",
                    params![broadcast.as_str(), now.0, seen],
                )?;
            }
            Ok(())
        })
    }

    fn audience(&self, broadcast: &BroadcastId) -> Result<Audience, Error> {
        let counted = self.rows(
            "SELECT phase, start, counts FROM audience WHERE broadcast = ?1 ORDER BY phase, start",
            [broadcast.as_str()],
            |row| {
                let (phase, start) = (row.get("phase")?, Millis(row.get("start")?));
                Ok(Counted { phase, start, counts: row.get("counts")? })
            },
        )?;
        Ok(Audience { counted, seen: self.audience_seen(broadcast)? })
    }

    fn audience_seen(&self, broadcast: &BroadcastId) -> Result<Option<Vec<u8>>, Error> {
        let mut query =
            self.connection.prepare_cached("SELECT sketch FROM audience_seen WHERE broadcast = ?1")?;
        Ok(query.query_row([broadcast.as_str()], |row| row.get(0)).optional()?)
    }

    fn prune_audiences(&mut self, before: Millis) -> Result<usize, Error> {
        self.atomically(|store| {
            let counted = store.execute(
                "DELETE FROM audience WHERE (broadcast, phase, start) IN (
                     SELECT broadcast, phase, start FROM audience WHERE start < ?1 LIMIT ?2)",
                params![before.0, PIECE],
            )?;
            let seen = store.execute(
                "DELETE FROM audience_seen WHERE broadcast IN (
                     SELECT broadcast FROM audience_seen WHERE at < ?1 LIMIT ?2)",
                params![before.0, PIECE],
            )?;
            Ok(counted + seen)
        })
    }
}
