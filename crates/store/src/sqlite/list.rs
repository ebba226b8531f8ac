//! Lists in pages, newest first.

use rusqlite::{Row, params_from_iter, types::Value};

use super::Sqlite;
use crate::{Error, PAGE, Page};

/// A list being asked for. Only what is to be filtered by is in its `WHERE`, so that an index can serve it.
pub(super) struct List {
    sql: String,
    values: Vec<Value>,
    /// The column that grows with every row.
    order: &'static str,
    limit: usize,
}

impl List {
    pub(super) fn new(select: String, order: &'static str, limit: usize) -> Self {
        Self { sql: select, values: Vec::new(), order, limit: limit.clamp(1, PAGE) }
    }

    /// Only what is older than `cursor`.
    pub(super) fn before(&mut self, cursor: Option<u64>) {
        // A cursor that no row can have is beyond the newest one.
        let cursor = cursor.map(|cursor| i64::try_from(cursor).unwrap_or(i64::MAX));
        self.condition(&format!("{} < ?", self.order), cursor);
    }

    /// Only rows with `value` in `column`.
    pub(super) fn only(&mut self, column: &str, value: Option<impl Into<String>>) {
        self.condition(&format!("{column} = ?"), value.map(Into::into));
    }

    fn condition(&mut self, condition: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.sql += if self.values.is_empty() { " WHERE " } else { " AND " };
            self.sql += condition;
            self.values.push(value.into());
        }
    }
}

impl Sqlite {
    /// One page of `list`; `read` answers the value of the growing column with each item.
    pub(super) fn page<T>(
        &self,
        list: List,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<(u64, T)>,
    ) -> Result<Page<T>, Error> {
        let List { sql, values, order, limit } = list;
        // One more than asked for tells whether there is another page.
        let sql = format!("{sql} ORDER BY {order} DESC LIMIT {}", limit + 1);
        let mut rows = self.rows(&sql, params_from_iter(values), read)?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|(cursor, _)| *cursor);
        Ok(Page { items: rows.into_iter().map(|(_, item)| item).collect(), next })
    }
}
