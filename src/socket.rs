//! Sockets: the accept loop, and the options that bound what a peer may cost.

mod places;
mod stream;

use std::{
    future::Future,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use socket2::TcpKeepalive;
use tokio::net::{TcpListener, TcpStream};

pub use places::{Place, Places};
pub use stream::{Stream, send};

use crate::{
    server::{Server, Stopping},
    tls::Acceptor,
};

/// Unsent bytes that the kernel takes from us for one viewer before the socket stops being writable. A stalled
/// viewer then costs 0.3 MB of kernel memory instead of 3.9 MB, at no price in CPU.
const UNSENT: u32 = 128 << 10;

/// Pause after `accept` fails (no file descriptors left): long enough not to spin, short enough to recover at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// At most one line about a failing `accept` in this time.
const ACCEPT_LOG: Duration = Duration::from_secs(10);

/// Where connections come in.
pub struct Listener {
    /// For logs.
    pub what: &'static str,
    pub tcp: TcpListener,
    /// Shakes hands, where connections are TLS.
    pub tls: Option<Acceptor>,
    /// Those that connections of this listener take; other listeners may take of them, too.
    pub places: Arc<Places>,
    /// Peers may be proxies (`http.trusted_proxies`): each request then says whose it is.
    pub behind_proxies: bool,
}

impl Listener {
    /// Without TLS, and without a limit for each address.
    pub fn plain(what: &'static str, tcp: TcpListener, connections: usize) -> Self {
        Self { what, tcp, tls: None, places: Places::new(connections, connections), behind_proxies: false }
    }
}

/// Accepts connections `until` the server stops, one task each. Beyond the limits a connection is closed at once; its
/// retry may find a place.
pub async fn accept<F, C>(server: &Arc<Server>, listener: Listener, mut until: Stopping, serve: F)
where
    F: Fn(Arc<Server>, Stream, SocketAddr, Place) -> C + Clone + Send + 'static,
    C: Future<Output = ()> + Send + 'static,
{
    let Listener { what, tcp, tls, places, behind_proxies } = listener;
    let mut logged: Option<Instant> = None;
    loop {
        let accepted = tokio::select! {
            accepted = tcp.accept() => accepted,
            () = until.wait() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let is_proxy = behind_proxies && server.settings().config.http.trusts(peer.ip());
                let place = if is_proxy { places.take_unnamed() } else { places.take(peer.ip()) };
                let Some(place) = place else { continue };
                let (tls, serve, serving) = (tls.clone(), serve.clone(), server.clone());
                spawn(server, async move {
                    let mut closing = serving.closing();
                    let secured = tokio::select! {
                        biased;
                        secured = secure(stream, tls) => secured,
                        // A stop need not wait for those who dawdle here.
                        () = closing.wait() => return,
                    };
                    match secured {
                        Ok(stream) => serve(serving, stream, peer, place).await,
                        // Scanners, plain text, clients that do not trust us: everyday life.
                        Err(error) => tracing::debug!(listener = what, %peer, %error, "no TLS handshake"),
                    }
                });
            }
            Err(error) => {
                if logged.is_none_or(|at| at.elapsed() > ACCEPT_LOG) {
                    tracing::warn!(listener = what, %error, "can't accept connections");
                    logged = Some(Instant::now());
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn secure(stream: TcpStream, tls: Option<Acceptor>) -> io::Result<Stream> {
    match tls {
        None => Ok(Stream::Plain(stream)),
        Some(tls) => Ok(Stream::Tls(Box::new(tls.accept(stream).await?))),
    }
}

/// Runs what serves a peer. A panic in it ends that one and is counted.
pub fn spawn(server: &Arc<Server>, serving: impl Future<Output = ()> + Send + 'static) {
    let task = tokio::spawn(serving);
    let server = server.clone();
    tokio::spawn(async move {
        if task.await.is_err_and(|error| error.is_panic()) {
            server.metrics.panics.inc();
        }
    });
}

/// Options of a socket that media is written to. `stall` is how long its peer may leave data unacknowledged or its
/// window closed before the kernel drops the connection (`TCP_USER_TIMEOUT`); it looks only when it probes, a little later.
pub fn for_viewer(stream: &Stream, stall: Duration) {
    let Some(socket) = stream.socket() else { return };
    // None of these can fail in a way that matters: without them a viewer only costs more.
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_tcp_notsent_lowat(UNSENT);
    let _ = socket.set_tcp_user_timeout(Some(stall - stall / 15));
}

/// Options of a publisher's socket: a host that vanished without a FIN is found out by the kernel, too.
pub fn for_publisher(stream: &Stream, idle: Duration) {
    let Some(socket) = stream.socket() else { return };
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_tcp_user_timeout(Some(idle));
    let _ = socket
        .set_tcp_keepalive(&TcpKeepalive::new().with_time(idle / 2).with_interval(Duration::from_secs(2)));
}
