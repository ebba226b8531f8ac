//! Where a webhook is sent.

use hyper::Uri;

/// An `http` or `https` URL, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub https: bool,
    /// A name or an address, IPv6 without brackets.
    pub host: String,
    pub port: u16,
    /// As it stands in the URL: the `Host` header.
    pub authority: String,
    /// With its query, which may hold a credential and so is never shown.
    pub path: String,
}

impl Target {
    /// `url`, or what is wrong with it, without a word of it: it may hold a credential.
    pub fn parse(url: &str) -> Result<Self, &'static str> {
        const WRONG: &str = "is not http://HOST/PATH or https://HOST/PATH";
        let uri: Uri = url.parse().map_err(|_| WRONG)?;
        let https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(WRONG),
        };
        let authority = uri.authority().ok_or(WRONG)?;
        if authority.as_str().contains('@') {
            return Err("has a user name, which is not sent; the signature says who sends");
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(WRONG);
        }
        Ok(Self {
            https,
            host: host.to_string(),
            port: authority.port_u16().unwrap_or(if https { 443 } else { 80 }),
            authority: authority.to_string(),
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_string(),
        })
    }

    /// The URL without its query.
    pub fn shown(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        let path = self.path.split('?').next().unwrap_or_default();
        format!("{scheme}://{}{path}", self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let target = Target::parse("https://shop.example.com/hooks/live?token=x").unwrap();
        assert_eq!((target.host.as_str(), target.port, target.https), ("shop.example.com", 443, true));
        assert_eq!(target.path, "/hooks/live?token=x");
        assert_eq!(target.shown(), "https://shop.example.com/hooks/live", "no query: it may hold a token");
        let target = Target::parse("http://[::1]:8080").unwrap();
        assert_eq!((target.host.as_str(), target.port, target.path.as_str()), ("::1", 8080, "/"));
        assert_eq!(target.authority, "[::1]:8080");
    }

    #[test]
    fn what_is_no_url_of_a_server_is_refused() {
        for url in [
            "",
            "/hooks",
            "shop.example.com",
            "ftp://a/",
            "http://",
            "http://u:p@a/",
            "http://a b/",
            "http:///x",
        ] {
            assert!(Target::parse(url).is_err(), "{url}");
        }
    }
}
