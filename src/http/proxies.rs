//! Whose request it is, where proxies of the operator's own stand before the server (`http.trusted_proxies`).

use std::net::{IpAddr, SocketAddr};

use hyper::{HeaderMap, header};

use crate::config::{Http, ProxyHeader};

/// The address of the viewer behind a request that `peer` sent: its own or, of a trusted proxy, the nearest one in the
/// proxies' header that is not a trusted proxy itself. What stands before that one was written by strangers.
pub fn viewer(http: &Http, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let (name, hop): (_, fn(&str) -> Option<IpAddr>) = match http.proxy_header {
        ProxyHeader::XForwardedFor => ("x-forwarded-for", node),
        ProxyHeader::Forwarded => (header::FORWARDED.as_str(), forwarded_for),
    };
    let mut viewer = peer.to_canonical();
    if !http.trusts(viewer) {
        return viewer;
    }
    let lines = headers.get_all(name).into_iter().rev();
    for element in lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(',')) {
        if !http.trusts(viewer) {
            break;
        }
        // A proxy that names nobody we understand stands for its viewers.
        let Some(before) = hop(element) else { break };
        viewer = before;
    }
    viewer
}

/// `for` of one element of `Forwarded` (RFC 7239 §4). A comma within quotes was taken for the end of an element: such
/// pieces have half a pair of quotes.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    if element.matches('"').count() % 2 == 1 || element.contains('\\') {
        return None;
    }
    let mut values = element
        .split(';')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("for"))
        .map(|(_, value)| value.trim());
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    node(value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value))
}

/// An address, with or without a port; IPv6 with brackets or without.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().or_else(|_| text.parse::<SocketAddr>().map(|at| at.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(proxy_header: ProxyHeader, peer: &str, lines: &[&str]) -> String {
        let trusted_proxies = ["127.0.0.1", "10.0.0.0/8", "2001:db8::/64"].map(|text| text.parse().unwrap());
        let http = Http { trusted_proxies: trusted_proxies.into(), proxy_header, ..Http::default() };
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap();
            let name = header::HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, header::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        viewer(&http, peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn the_nearest_stranger_is_the_viewer() {
        for (peer, lines, expected) in [
            ("127.0.0.1", &["X-Forwarded-For: 192.0.2.7"][..], "192.0.2.7"),
            ("::ffff:127.0.0.1", &["X-Forwarded-For: 192.0.2.7"], "192.0.2.7"),
            ("2001:db8::5", &["X-Forwarded-For: 2001:db8:0:1::9"], "2001:db8:0:1::9"),
            ("127.0.0.1", &["X-Forwarded-For: 192.0.2.7, 10.0.0.3,10.0.0.4"], "192.0.2.7"),
            ("127.0.0.1", &["X-Forwarded-For: 192.0.2.7", "X-Forwarded-For: 10.0.0.3"], "192.0.2.7"),
            ("127.0.0.1", &["X-Forwarded-For: 192.0.2.7:4711"], "192.0.2.7"),
            ("127.0.0.1", &["X-Forwarded-For: [2001:db8:1::9]:4711"], "2001:db8:1::9"),
            ("127.0.0.1", &["X-Forwarded-For: [2001:db8:1::9]"], "2001:db8:1::9"),
            ("127.0.0.1", &["X-Forwarded-For: ::ffff:192.0.2.7"], "192.0.2.7"),
            // All the way inside.
            ("127.0.0.1", &["X-Forwarded-For: 10.0.0.9, 10.0.0.3"], "10.0.0.9"),
            ("127.0.0.1", &[], "127.0.0.1"),
        ] {
            assert_eq!(seen(ProxyHeader::XForwardedFor, peer, lines), expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn nobody_passes_for_another() {
        for (peer, lines, expected) in [
            // A stranger writes what it likes.
            ("192.0.2.66", &["X-Forwarded-For: 198.51.100.1"][..], "192.0.2.66"),
            ("192.0.2.66", &["X-Forwarded-For: 198.51.100.1, 10.0.0.1"], "192.0.2.66"),
            // What a stranger wrote stands before what the proxy wrote.
            ("127.0.0.1", &["X-Forwarded-For: 198.51.100.1, 192.0.2.66"], "192.0.2.66"),
            ("127.0.0.1", &["X-Forwarded-For: 10.0.0.9, 192.0.2.66, 10.0.0.2"], "192.0.2.66"),
            ("127.0.0.1", &["X-Forwarded-For: 198.51.100.1", "X-Forwarded-For: 192.0.2.66"], "192.0.2.66"),
            // The other header may be the stranger's.
            ("127.0.0.1", &["Forwarded: for=198.51.100.1"], "127.0.0.1"),
            // Nothing is guessed from what is no address.
            ("127.0.0.1", &["X-Forwarded-For: 198.51.100.1, unknown"], "127.0.0.1"),
            ("127.0.0.1", &["X-Forwarded-For: 198.51.100.1, "], "127.0.0.1"),
            ("127.0.0.1", &["X-Forwarded-For: \u{ff}198.51.100.1"], "127.0.0.1"),
            ("127.0.0.1", &["X-Forwarded-For: 198.51.100.1, x, 10.0.0.3"], "10.0.0.3"),
        ] {
            assert_eq!(seen(ProxyHeader::XForwardedFor, peer, lines), expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn forwarded_as_rfc_7239_has_it() {
        for (value, expected) in [
            ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"),
            ("For=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"),
            ("for=198.51.100.1, proto=https; FOR = \"192.0.2.60:80\"", "192.0.2.60"),
            ("for=192.0.2.60, for=10.0.0.5", "192.0.2.60"),
            ("for=198.51.100.1, for=unknown", "127.0.0.1"),
            ("for=198.51.100.1, for=_hidden", "127.0.0.1"),
            ("for=198.51.100.1, proto=https", "127.0.0.1"),
            ("for=198.51.100.1;for=198.51.100.2", "127.0.0.1"),
            // A host header with a comma in it.
            ("for=192.0.2.66;host=\"a,for=198.51.100.1\"", "127.0.0.1"),
            ("for=192.0.2.66;host=\"a\\\",for=198.51.100.1;b=\\\"\"", "127.0.0.1"),
        ] {
            let lines = [&*format!("Forwarded: {value}"), "X-Forwarded-For: 203.0.113.99"];
            assert_eq!(seen(ProxyHeader::Forwarded, "127.0.0.1", &lines), expected, "{value}");
        }
    }
}
