//! How requests reach the bucket: HTTP/1.1 over connections that are used again, with rustls as everywhere else.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use http_body_util::BodyExt;
use hyper::{
    Request, Response, Uri,
    body::Incoming,
    client::conn::http1::{self, SendRequest},
    header::{HOST, HeaderValue, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use object_store::{
    ClientOptions,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse,
        HttpResponseBody, HttpService,
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

/// To connect, with or without TLS.
const CONNECT: Duration = Duration::from_secs(5);

/// Connections that wait for the next request: as many as upload at the same time, and some that read.
const IDLE: usize = 16;

/// A connection that nobody used for so long is not used again: stores close theirs after 20 s and more.
const STALE: Duration = Duration::from_secs(15);

/// Makes [`HttpClient`]s.
#[derive(Clone)]
pub struct Connector {
    tls: TlsConnector,
    idle: Arc<Mutex<Vec<Idle>>>,
}

/// A connection that nobody uses, and since when.
type Idle = (SendRequest<HttpRequestBody>, Instant);

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connector")
    }
}

impl Connector {
    pub fn new(tls: TlsConnector) -> Self {
        Self { tls, idle: Arc::default() }
    }

    /// A connection that was used before, and still stands as far as we know.
    fn waiting(&self) -> Option<SendRequest<HttpRequestBody>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(connection, since)| !connection.is_closed() && since.elapsed() < STALE);
        idle.pop().map(|(connection, _)| connection)
    }

    /// Takes the connection back once its answer has been read. One whose answer is dropped halfway closes.
    fn reuse(&self, mut connection: SendRequest<HttpRequestBody>) {
        let idle = self.idle.clone();
        tokio::spawn(async move {
            if connection.ready().await.is_ok() {
                let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
                if idle.len() < IDLE {
                    idle.push((connection, Instant::now()));
                }
            }
        });
    }

    async fn connect(&self, uri: &Uri) -> Result<SendRequest<HttpRequestBody>, HttpError> {
        let failed = |error: io::Error| HttpError::new(HttpErrorKind::Connect, error);
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let connecting = async {
            let stream = TcpStream::connect((host, port)).await?;
            stream.set_nodelay(true)?;
            if !secure {
                return Ok(start(stream).await);
            }
            let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
            Ok(start(self.tls.connect(name, stream).await?).await)
        };
        match timeout(CONNECT, connecting).await {
            Ok(connected) => connected.map_err(failed)?,
            Err(_) => Err(failed(io::ErrorKind::TimedOut.into())),
        }
    }
}

/// Speaks HTTP on `stream`.
async fn start<S>(stream: S) -> Result<SendRequest<HttpRequestBody>, HttpError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| fault(HttpErrorKind::Connect, error))?;
    // What goes wrong with it comes out of the requests.
    tokio::spawn(async {
        let _ = connection.await;
    });
    Ok(sender)
}

fn fault(kind: HttpErrorKind, error: hyper::Error) -> HttpError {
    HttpError::new(kind, error)
}

#[async_trait]
impl HttpService for Connector {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let uri = request.uri().clone();
        let request = on_the_wire(request)?;
        while let Some(mut connection) = self.waiting() {
            // One that the other side was about to close fails. All that is asked for may be asked for twice.
            if let Ok(response) = connection.send_request(request.clone()).await {
                self.reuse(connection);
                return Ok(answer(response));
            }
        }
        let mut connection = self.connect(&uri).await?;
        let response = connection.send_request(request).await;
        let response = response.map_err(|error| fault(HttpErrorKind::Interrupted, error))?;
        self.reuse(connection);
        Ok(answer(response))
    }
}

/// With a path for a URI and a `Host`, as a server of HTTP/1.1 wants it.
fn on_the_wire(request: HttpRequest) -> Result<Request<HttpRequestBody>, HttpError> {
    let refused = |error: hyper::http::Error| HttpError::new(HttpErrorKind::Unknown, error);
    let (mut head, body) = request.into_parts();
    let authority = head.uri.authority().map_or("", |authority| authority.as_str());
    let host = HeaderValue::from_str(authority).map_err(|error| refused(error.into()))?;
    head.headers.insert(HOST, host);
    head.headers.insert(USER_AGENT, HeaderValue::from_static(concat!("Kaibo/", env!("CARGO_PKG_VERSION"))));
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    head.uri = path.parse().map_err(|error: hyper::http::uri::InvalidUri| refused(error.into()))?;
    Ok(Request::from_parts(head, body))
}

fn answer(response: Response<Incoming>) -> HttpResponse {
    response.map(|body| HttpResponseBody::new(body.map_err(|error| fault(HttpErrorKind::Interrupted, error))))
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Bytes;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;
    use crate::tls::{self, testdata};

    fn connector() -> Connector {
        Connector::new(tls::connector(testdata::authority()).unwrap())
    }

    async fn put(connector: &Connector, url: &str) -> String {
        let body = HttpRequestBody::from(Bytes::from_static(b"a segment"));
        let request = hyper::Request::put(url).body(body).unwrap();
        let response = connector.call(request).await.unwrap();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.into()).unwrap()
    }

    /// Waits until the connection has been taken back, or was seen closed.
    async fn is_back(connector: &Connector) {
        // It is held by whoever waits for that.
        while Arc::strong_count(&connector.idle) > 1 {
            tokio::task::yield_now().await;
        }
    }

    /// Answers `each` requests on every connection with the connection's number, then closes it; the port.
    async fn store<S, F>(each: usize, accept: impl Fn(TcpStream) -> F + Send + 'static) -> u16
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
        F: Future<Output = Option<S>> + Send,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let connections = AtomicUsize::new(0);
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let number = connections.fetch_add(1, Ordering::Relaxed) + 1;
                let Some(mut stream) = accept(stream).await else { continue };
                for _ in 0..each {
                    let mut request = Vec::new();
                    while !request.ends_with(b"a segment") {
                        assert!(stream.read_buf(&mut request).await.unwrap() > 0);
                    }
                    let request = String::from_utf8(request).unwrap();
                    assert!(request.starts_with("PUT /media/1.m4s?x=y HTTP/1.1\r\n"), "{request}");
                    assert!(request.contains(&format!("host: localhost:{port}\r\n")), "{request}");
                    assert!(request.contains("content-length: 9\r\n"), "{request}");
                    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{number}");
                    stream.write_all(answer.as_bytes()).await.unwrap();
                    stream.flush().await.unwrap();
                }
            }
        });
        port
    }

    #[tokio::test]
    async fn a_connection_is_used_again_and_one_that_was_closed_is_not_missed() {
        let port = store(2, |stream| async { Some(stream) }).await;
        let (connector, url) = (connector(), format!("http://localhost:{port}/media/1.m4s?x=y"));
        for expected in ["1", "1", "2", "2", "3"] {
            assert_eq!(put(&connector, &url).await, expected);
            is_back(&connector).await;
        }
    }

    #[tokio::test]
    async fn a_store_is_known_by_its_certificate() {
        let acceptor = testdata::acceptor();
        let port = store(9, move |stream| {
            let acceptor = acceptor.clone();
            async move { acceptor.accept(stream).await.ok() }
        })
        .await;
        let url = format!("https://localhost:{port}/media/1.m4s?x=y");
        assert_eq!(put(&connector(), &url).await, "1");
        let public = Connector::new(tls::connector(tls::public_authorities()).unwrap());
        let request = hyper::Request::get(&url).body(HttpRequestBody::empty()).unwrap();
        let refused = public.call(request).await.map(drop).unwrap_err();
        assert_eq!(refused.kind(), HttpErrorKind::Connect, "nobody's authority");
    }
}
