//! Sockets: the accept loop, and the options that bound what a peer may cost.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};

use crate::server::Server;

/// Unsent bytes that the kernel takes from us for one viewer before the socket stops being writable. A stalled
/// viewer then costs 0.3 MB of kernel memory instead of 3.9 MB, at no price in CPU.
const UNSENT: u32 = 128 << 10;

/// Pause after `accept` fails (no file descriptors left): long enough not to spin, short enough to recover at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// At most one line about a failing `accept` in this time.
const ACCEPT_LOG: Duration = Duration::from_secs(10);

/// Accepts connections until `server` stops, one task each. A panic in one ends that one and is counted.
pub async fn accept<F, C>(server: &Arc<Server>, listener: TcpListener, what: &'static str, serve: F)
where
    F: Fn(Arc<Server>, TcpStream, SocketAddr) -> C,
    C: Future<Output = ()> + Send + 'static,
{
    let mut stopping = server.stopping();
    let mut logged: Option<std::time::Instant> = None;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopping.wait() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let task = tokio::spawn(serve(server.clone(), stream, peer));
                let server = server.clone();
                tokio::spawn(async move {
                    if task.await.is_err_and(|error| error.is_panic()) {
                        server.metrics.panics.inc();
                    }
                });
            }
            Err(error) => {
                if logged.is_none_or(|at| at.elapsed() > ACCEPT_LOG) {
                    tracing::warn!(listener = what, %error, "can't accept connections");
                    logged = Some(std::time::Instant::now());
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Options of a socket that media is written to. `stall` is how long its peer may leave data unacknowledged or its
/// window closed before the kernel drops the connection (`TCP_USER_TIMEOUT`).
pub fn for_viewer(stream: &TcpStream, stall: Duration) {
    let socket = SockRef::from(stream);
    // None of these can fail in a way that matters: without them a viewer only costs more.
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_tcp_notsent_lowat(UNSENT);
    let _ = socket.set_tcp_user_timeout(Some(stall));
}

/// Options of a publisher's socket: a host that vanished without a FIN is found out by the kernel, too.
pub fn for_publisher(stream: &TcpStream, idle: Duration) {
    let socket = SockRef::from(stream);
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_tcp_user_timeout(Some(idle));
    let _ = socket
        .set_tcp_keepalive(&TcpKeepalive::new().with_time(idle / 2).with_interval(Duration::from_secs(2)));
}
