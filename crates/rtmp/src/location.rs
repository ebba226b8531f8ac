//! Which stream a URL means.

use std::fmt;

/// The query of a URL, as sent and without the `?`; it may hold secrets, so `Debug` does not show it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Query(String);

impl Query {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&str> for Query {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Query({} bytes)", self.0.len())
    }
}

/// What stands in front of the first `?`, and what stands behind it.
pub fn split_query(url: &str) -> (&str, Query) {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    (path, query.into())
}

/// App and name out of `app + "/" + name`: clients draw the line between them where they like, and put slashes where
/// they like. The app is the first path element; a deeper path leaves slashes in the name.
pub fn split_path(app: &str, name: &str) -> (String, String) {
    let mut elements = app.split('/').chain(name.split('/')).filter(|element| !element.is_empty());
    let app = elements.next().unwrap_or_default().to_owned();
    (app, elements.collect::<Vec<_>>().join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_url_means_the_same_stream() {
        for (app, name) in [
            ("live", "room"),
            ("live/", "room"),
            ("/live", "/room"),
            ("live", "room/"),
            ("live/room", ""),
            ("", "live//room"),
        ] {
            assert_eq!(split_path(app, name), ("live".to_owned(), "room".to_owned()), "{app} {name}");
        }
        for (app, name) in [("a/b", "c/d"), ("a/b/c", "d"), ("a", "b//c/d")] {
            assert_eq!(split_path(app, name), ("a".to_owned(), "b/c/d".to_owned()), "{app} {name}");
        }
        for (app, name) in [("", ""), ("/", "/")] {
            assert_eq!(split_path(app, name), (String::new(), String::new()));
        }
        assert_eq!(split_path("live", ""), ("live".to_owned(), String::new()));
        assert_eq!(split_path("", "key"), ("key".to_owned(), String::new()));
    }

    #[test]
    fn a_query_ends_the_path_and_stays_out_of_the_logs() {
        let (path, query) = split_query("room?txSecret=abc/def?x&txTime=5F00");
        assert_eq!((path, query.as_str()), ("room", "txSecret=abc/def?x&txTime=5F00"));
        assert!(!format!("{query:?}").contains("abc"));
        assert!(split_query("room?").1.is_empty());
    }
}
