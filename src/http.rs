//! The viewers' HTTP server: connections, and one line per URL.

mod body;
mod h2;
mod proxies;
mod reply;
mod takeover;

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

pub use body::Body;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use kaibo_hls::Format;
pub use reply::{Cache, Content, Ranged};
use takeover::{Taken, Takeover};
use tokio::time::sleep;

use crate::{
    fanout, output,
    problem::Problem,
    server::Server,
    socket::{self, Listener, Place, Stream},
    watch,
};

/// A request head's time limit: a browser sends it at once, a slowloris doesn't.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes that hyper gathers for one viewer before it waits for the socket, in either direction. It looks only between
/// two reads, so of a request head it may hold twice as much.
const BUFFER: usize = 64 << 10;

/// Bytes of a request head: many times what browsers send, cookies included.
const HEAD: usize = 16 << 10;

/// Headers of a request.
const HEADERS: usize = 64;

/// How long a request that is under way when the server closes may still take: to read a file, not to wait for media.
const BLOCKED: Duration = Duration::from_millis(500);

/// What a handler sees of a request.
pub struct Call {
    pub server: Arc<Server>,
    /// The viewer's: the peer's or, of a trusted proxy, that of whom it stands for.
    pub address: IpAddr,
    pub request: Request<Incoming>,
    /// One of the places for viewers: taken for as long as somebody holds it.
    pub place: Arc<Place>,
}

impl Call {
    /// The query string, empty without one.
    pub fn query(&self) -> &str {
        self.request.uri().query().unwrap_or_default()
    }

    /// A header's value, empty without one or where it is no text.
    pub fn header(&self, name: header::HeaderName) -> &str {
        self.request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Accepts viewers until `server` closes, and waits until those who are there have read to the end.
pub async fn serve(server: Arc<Server>, listener: Listener) {
    let (shared, places) = (listener.places.clone(), listener.places.clone());
    socket::accept(&server, listener, server.closing(), move |server, stream, peer, place| {
        let places = shared.clone();
        async move {
            socket::for_viewer(&stream, server.settings().config.limits.viewer_stall.0);
            if stream.is_h2() {
                h2::serve(&server, stream, peer, &places).await;
                drop(place);
            } else {
                http1(server, stream, peer, Arc::new(place)).await;
            }
        }
    })
    .await;
    places.all_gone().await;
}

async fn http1(server: Arc<Server>, stream: Stream, peer: SocketAddr, place: Arc<Place>) {
    let (mut stopping, mut closing) = (server.stopping(), server.closing());
    let asked = AtomicBool::new(false);
    let takeover = Takeover::of(&stream);
    let service = service_fn(|request: Request<Incoming>| {
        // What hyper has not written of an answer before would be lost with it.
        let first = !asked.swap(true, Ordering::Relaxed);
        let (server, place, takeover) = (server.clone(), place.clone(), &takeover);
        async move {
            let (address, version) = (viewer(&server, peer, &request), request.version());
            let response = match place.count_for(address) {
                true => answer(Call { server, address, request, place }).await,
                false => busy(&server, &request),
            };
            Ok::<_, Infallible>(match first {
                true => takeover.unless_media(version, response).await,
                false => response,
            })
        }
    });
    // Of a server that stops, one answer for each connection.
    let (mut stays, mut closes) = (server.is_ready(), true);
    let mut connection = hyper::server::conn::http1::Builder::new()
        .keep_alive(stays)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(BUFFER)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let done = loop {
        tokio::select! {
            done = &mut connection => break done,
            Taken { head, carriage, feed } = takeover.wanted() => {
                if let Some(Stream::Plain(tcp)) = connection.into_parts().map(|parts| parts.io.into_inner()) {
                    server.fanout.take(fanout::Viewer::new(tcp, [head], carriage, feed, place));
                }
                return;
            }
            () = stopping.wait(), if stays => {
                stays = false;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
            () = closing.wait(), if closes => {
                closes = false;
                // There is half a request's head at the most.
                if !asked.load(Ordering::Relaxed) {
                    return;
                }
            }
        }
    };
    if let Err(error) = done {
        // A viewer that goes away in the middle of something is everyday life.
        tracing::trace!(%peer, %error, "viewer connection ended");
    }
}

async fn answer(call: Call) -> Response<Body> {
    let origin = call.request.headers().get(header::ORIGIN).cloned();
    let server = call.server.clone();
    let response = match *call.request.method() {
        _ if head_bytes(&call.request) > HEAD => {
            let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            Problem::new(status, "head_too_large", "the request's address and headers are too long")
                .with_header(header::CONNECTION, "close")
                .into()
        }
        Method::GET | Method::HEAD => in_time(call).await.unwrap_or_else(Response::from),
        Method::OPTIONS => preflight(),
        _ => Problem::method_not_allowed("GET, HEAD and OPTIONS")
            .with_header(header::ALLOW, "GET, HEAD, OPTIONS")
            .into(),
    };
    open_to_pages(&server, origin.as_ref(), response)
}

/// Whose request it is.
fn viewer(server: &Server, peer: SocketAddr, request: &Request<Incoming>) -> IpAddr {
    proxies::viewer(&server.settings().config.http, peer.ip(), request.headers())
}

/// There is no place left, of all or of the viewer's network.
fn busy(server: &Server, request: &Request<Incoming>) -> Response<Body> {
    let busy = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "too many viewers at once")
        .with_header(header::RETRY_AFTER, "1");
    open_to_pages(server, request.headers().get(header::ORIGIN), busy.into())
}

/// What every answer goes through: pages may read it, whatever it says.
fn open_to_pages(
    server: &Server,
    origin: Option<&HeaderValue>,
    mut response: Response<Body>,
) -> Response<Body> {
    let origin = origin.and_then(|origin| origin.to_str().ok()).unwrap_or_default();
    reply::allow_origin(&server.settings().config.http.cors_origins, origin, &mut response);
    server.metrics.http_response(response.status());
    response
}

/// What waits for media gets none from a server that closes.
async fn in_time(call: Call) -> Result<Response<Body>, Problem> {
    let mut closing = call.server.closing();
    let closed = async {
        closing.wait().await;
        sleep(BLOCKED).await;
    };
    tokio::select! {
        // Most have their answer at once.
        biased;
        answer = route(call) => answer,
        () = closed => {
            let (status, detail) = (StatusCode::SERVICE_UNAVAILABLE, "the server is stopping; try again");
            Err(Problem::new(status, "stopping", detail).with_header(header::RETRY_AFTER, "1"))
        }
    }
}

fn head_bytes(request: &Request<Incoming>) -> usize {
    let address = request.uri().path_and_query().map_or(0, |address| address.as_str().len());
    request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>() + address
}

/// One line per URL. Path elements are taken as they stand: nothing that needs percent-encoding is a name. All but what live
/// viewers ask for over and over is boxed: a connection has room for the largest of what is not, for as long as it lives.
async fn route(call: Call) -> Result<Response<Body>, Problem> {
    let uri = call.request.uri().clone();
    let Some(path) = uri.path().strip_prefix('/') else {
        return Err(Problem::not_found());
    };
    let elements: Vec<&str> = path.splitn(6, '/').collect();
    match elements.as_slice() {
        ["watch", app, stream] => watch::page(&call, app, stream),
        ["assets", file] => watch::asset(&call, file),
        ["favicon.ico"] => watch::asset(&call, "favicon.svg"),
        ["status", app, stream] => output::status::answer(&call, app, stream),
        ["replay" | "clip", file] if file.ends_with(".mp4") => {
            Box::pin(output::mp4::replay(&call, file)).await
        }
        ["replay" | "clip", file] => Box::pin(output::replay::playlist(&call, file)).await,
        ["replay" | "clip", id, file] => Box::pin(output::replay::file(&call, id, file)).await,
        [app, file] => match file.rsplit_once('.') {
            Some((stream, "flv")) => Box::pin(output::flv::answer(call, app, stream)).await,
            Some((stream, "jpg")) => Box::pin(output::pictures::newest(&call, app, stream)).await,
            Some((stream, "m3u8")) => {
                Box::pin(output::hls::multivariant(&call, app, stream, Format::Fmp4)).await
            }
            _ => Err(Problem::not_found()),
        },
        [app, stream, "ts.m3u8"] => Box::pin(output::hls::multivariant(&call, app, stream, Format::Ts)).await,
        [app, stream, broadcast, file] => output::hls::file(&call, app, stream, broadcast, file).await,
        _ => Err(Problem::not_found()),
    }
}

fn preflight() -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::NO_CONTENT;
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, OPTIONS"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "Range, If-None-Match"),
        (header::ACCESS_CONTROL_MAX_AGE, "86400"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of what `answering` waits with.
    fn size<F>(_answering: fn(Call) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_connection_takes_little_room_whatever_else_could_be_asked_for() {
        assert!(size(answer) <= 4 << 10, "{} bytes", size(answer));
    }
}
