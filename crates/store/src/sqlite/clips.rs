//! Clips and edited versions.

use kaibo_broadcast::{BroadcastId, Millis};
use rusqlite::{OptionalExtension, Row, named_params, params};

use super::{Sqlite, list::List, name, unreadable};
use crate::{Clip, ClipFilter, ClipKind, Clips, Error, NewNotice, Page, clip::CLIPS, error::fits};

const COLUMNS: &str = "number, id, kind, broadcast, app, stream, state, open, title, public, created_at, cut";

fn clip(row: &Row<'_>) -> rusqlite::Result<Clip> {
    let kind: String = row.get("kind")?;
    let known = [ClipKind::Clip, ClipKind::Version].into_iter().find(|known| known.name() == kind);
    Ok(Clip {
        id: name(row, "id")?,
        kind: known.ok_or_else(|| unreadable("kind", &kind))?,
        broadcast: name(row, "broadcast")?,
        app: name(row, "app")?,
        stream: name(row, "stream")?,
        state: row.get("state")?,
        is_open: row.get("open")?,
        title: row.get("title")?,
        public: row.get("public")?,
        created_at: Millis(row.get("created_at")?),
        cut: row.get("cut")?,
    })
}

impl Sqlite {
    fn put_clip(&self, clip: &Clip) -> Result<(), Error> {
        fits([&*clip.title, &clip.cut])?;
        let changed = self.execute(
            "UPDATE clip SET state = :state, open = :open, title = :title, public = :public, cut = :cut WHERE id = :id",
            named_params! {
                ":id": clip.id.as_str(), ":state": clip.state, ":open": clip.is_open, ":title": clip.title,
                ":public": clip.public, ":cut": clip.cut,
            },
        )?;
        if changed > 0 {
            return Ok(());
        }
        let mut count = self.connection.prepare_cached("SELECT count(*) FROM clip WHERE broadcast = ?1")?;
        if count.query_row([clip.broadcast.as_str()], |row| row.get::<_, usize>(0))? >= CLIPS {
            return Err(Error::TooManyClips { most: CLIPS });
        }
        self.execute(
            "INSERT INTO clip (id, kind, broadcast, app, stream, state, open, title, public, created_at, cut)
             VALUES (:id, :kind, :broadcast, :app, :stream, :state, :open, :title, :public, :created_at, :cut)",
            named_params! {
                ":id": clip.id.as_str(), ":kind": clip.kind.name(), ":broadcast": clip.broadcast.as_str(),
                ":app": clip.app.as_str(), ":stream": clip.stream.as_str(), ":state": clip.state,
                ":open": clip.is_open, ":title": clip.title, ":public": clip.public,
                ":created_at": clip.created_at.0, ":cut": clip.cut,
            },
        )?;
        Ok(())
    }
}

impl Clips for Sqlite {
    fn save_clip(&mut self, clip: &Clip, notices: &[NewNotice]) -> Result<Vec<u64>, Error> {
        self.atomically(|store| {
            store.put_clip(clip)?;
            store.post_all(notices)
        })
    }

    fn clip(&self, id: &BroadcastId) -> Result<Option<Clip>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM clip WHERE id = ?1");
        Ok(self.connection.prepare_cached(&sql)?.query_row([id.as_str()], clip).optional()?)
    }

    fn clips(&self, filter: &ClipFilter) -> Result<Page<Clip>, Error> {
        let mut list = List::new(format!("SELECT {COLUMNS} FROM clip"), "number", filter.limit);
        list.before(filter.cursor);
        list.only("kind", filter.kind.map(ClipKind::name));
        list.only("broadcast", filter.broadcast.as_ref().map(BroadcastId::as_str));
        list.only("app", filter.app.clone());
        list.only("stream", filter.stream.clone());
        self.page(list, |row| Ok((row.get("number")?, clip(row)?)))
    }

    fn open_clips(&self) -> Result<Vec<Clip>, Error> {
        self.rows(&format!("SELECT {COLUMNS} FROM clip WHERE open = 1 ORDER BY number"), [], clip)
    }

    fn publish_clips(&mut self, broadcast: &BroadcastId, public: bool) -> Result<(), Error> {
        let sql = "UPDATE clip SET public = ?2 WHERE broadcast = ?1";
        self.execute(sql, params![broadcast.as_str(), public]).map(drop)
    }

    fn delete_clip(&mut self, id: &BroadcastId) -> Result<bool, Error> {
        Ok(self.execute("DELETE FROM clip WHERE id = ?1", [id.as_str()])? > 0)
    }
}
