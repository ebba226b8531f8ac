//! HTTP/2 (RFC 9113): many requests on one connection, each within the bounds of a connection of its own.

mod paced;

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hyper::{
    Request, Response, body::Incoming, rt::Executor, server::conn::http2::Builder, service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::{interval, timeout};

use self::paced::Paced;
use super::{Call, HEAD, answer, busy, viewer};
use crate::{
    server::Server,
    socket::{self, Places, Stream},
};

/// Requests at once on one connection: a player's waiting ones, or a few hundred of a proxy's.
const STREAMS: u32 = 512;

/// Bytes of request bodies that a client may send before we take them, which we never do.
const WINDOW: u32 = 64 << 10;

/// Bytes of answers that are held for one request until the socket takes them.
const UNSENT: usize = 64 << 10;

/// Requests that a client may begin and take back before we have looked at them: beyond that it is an attack (rapid
/// reset, CVE-2023-44487). Also those that it makes us reset by breaking the rules.
const TAKEN_BACK: usize = 64;

/// Silence after which the client is asked whether it is still there. If the question is not even acknowledged, the
/// kernel drops the connection (`TCP_USER_TIMEOUT`); the answer itself may wait behind media.
const PING: Duration = Duration::from_secs(20);
const PONG: Duration = Duration::from_secs(60);

/// A connection without a request for this long, and for twice this long at the most, is closed.
const IDLE: Duration = Duration::from_secs(30);

/// Serves one connection until it or the server ends.
pub async fn serve(server: &Arc<Server>, stream: Stream, peer: SocketAddr, places: &Arc<Places>) {
    let stall = server.settings().config.limits.viewer_stall.0;
    let requests = Requests { server: server.clone(), stall, count: Arc::default() };
    let count = requests.count.clone();
    let service = service_fn(|request| {
        let (server, places) = (server.clone(), places.clone());
        async move { Ok::<_, Infallible>(place(server, &places, peer, request).await) }
    });
    let connection = Builder::new(requests)
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_send_buf_size(UNSENT)
        .max_header_list_size(HEAD as u32)
        .max_pending_accept_reset_streams(TAKEN_BACK)
        .max_local_error_reset_streams(TAKEN_BACK)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    // One that begins while the server stops is not turned away at once.
    let mut stopping = if server.is_ready() { server.stopping() } else { server.closing() };
    let done = tokio::select! {
        done = connection.as_mut() => Ok(done),
        () = stopping.wait() => {
            connection.as_mut().graceful_shutdown();
            Ok(connection.await)
        }
        () = count.idle() => {
            connection.as_mut().graceful_shutdown();
            timeout(stall, connection).await
        }
    };
    if let Ok(Err(error)) = done {
        tracing::trace!(%peer, %error, "viewer connection ended");
    }
}

/// Every request takes a place, as a connection of its own would.
async fn place(
    server: Arc<Server>,
    places: &Arc<Places>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Response<Paced> {
    let address = viewer(&server, peer, &request);
    let Some(place) = places.take(address).map(Arc::new) else {
        return busy(&server, &request).map(|body| Paced::new(body, None));
    };
    let response = answer(Call { server, address, request, place: place.clone() }).await;
    response.map(|body| Paced::new(body, Some(place)))
}

/// Runs the requests of one connection, each in a task of its own.
#[derive(Clone)]
struct Requests {
    server: Arc<Server>,
    stall: Duration,
    count: Arc<Count>,
}

impl<F> Executor<F> for Requests
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, request: F) {
        let (stall, count) = (self.stall, self.count.clone());
        count.begun.fetch_add(1, Ordering::Relaxed);
        let over = Over(count);
        socket::spawn(&self.server, async move {
            paced::until_stalled(stall, request).await;
            drop(over);
        });
    }
}

/// Requests of a connection so far.
#[derive(Default)]
struct Count {
    begun: AtomicU64,
    over: AtomicU64,
}

/// Counts the end of a request, however it ends.
struct Over(Arc<Count>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.over.fetch_add(1, Ordering::Relaxed);
    }
}

impl Count {
    /// Ready once no request was there from one look to the next.
    async fn idle(&self) {
        let mut looks = interval(IDLE);
        let mut last = None;
        loop {
            looks.tick().await;
            let (begun, over) = (self.begun.load(Ordering::Relaxed), self.over.load(Ordering::Relaxed));
            if begun == over && last == Some(begun) {
                return;
            }
            last = Some(begun);
        }
    }
}
