//! An HTTP client for other people's addresses: it trusts neither the name's address, nor the answer, nor its length.

use std::{
    convert::Infallible,
    future::pending,
    io,
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, StatusCode, body::Incoming, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{self, RootCertStore, pki_types::ServerName},
};

use super::{address::is_public, target::Target};
use crate::tls;

/// Bytes of an answer that are read, and of its head: what matters is the status, and a sentence at the most.
const ANSWER: usize = 64 << 10;

/// How long the rest of an answer is waited for once its status is here.
const REST: Duration = Duration::from_secs(2);

/// To connect to one of the receiver's addresses.
const CONNECT: Duration = Duration::from_secs(5);

/// Why there was no answer. Names no path or query: they may hold a credential.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}: no such host: {1}")]
    Resolve(String, io::Error),
    #[error("{0} is a private address, and allow_private is off")]
    Private(String),
    #[error("can't connect: {0}")]
    Connect(io::Error),
    #[error("TLS: {0}")]
    Tls(io::Error),
    #[error("no usable answer: {0}")]
    Http(#[from] hyper::Error),
    #[error("the request can't be made: {0}")]
    Request(#[from] hyper::http::Error),
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: StatusCode,
    /// How long the receiver asks us to wait.
    pub retry_after: Option<Duration>,
}

/// Makes a connection of its own for every request: they are few, and receivers come and go.
pub struct Client(TlsConnector);

impl Client {
    /// Trusts the certificate authorities that Mozilla trusts.
    pub fn new() -> Result<Self, rustls::Error> {
        Self::trusting(tls::public_authorities())
    }

    fn trusting(roots: RootCertStore) -> Result<Self, rustls::Error> {
        Ok(Self(tls::connector(roots)?))
    }

    /// Sends `request`, whose URI and `Host` are set here. Redirects are answers like any other.
    pub async fn send(
        &self,
        target: &Target,
        allow_private: bool,
        request: hyper::http::request::Builder,
        body: String,
    ) -> Result<Answer, Error> {
        self.ask(target, allow_private, request, body).await.map(|(answer, _)| answer)
    }

    /// The same, with what is said in the answer, as far as it is read.
    pub async fn ask(
        &self,
        target: &Target,
        allow_private: bool,
        request: hyper::http::request::Builder,
        body: String,
    ) -> Result<(Answer, Vec<u8>), Error> {
        let request = request
            .uri(&target.path)
            .header(header::HOST, &target.authority)
            .header(header::USER_AGENT, concat!("Kaibo/", env!("CARGO_PKG_VERSION")))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))?;
        let stream = connect(target, allow_private).await?;
        if !target.https {
            return exchange(stream, request).await;
        }
        let name = ServerName::try_from(target.host.clone());
        let name = name.map_err(|error| Error::Tls(io::Error::other(error)))?;
        exchange(self.0.connect(name, stream).await.map_err(Error::Tls)?, request).await
    }
}

/// Connects to the very addresses that were looked at: a name that means something else a moment later changes
/// nothing.
async fn connect(target: &Target, allow_private: bool) -> Result<TcpStream, Error> {
    let found = lookup_host((target.host.as_str(), target.port)).await;
    let found: Vec<SocketAddr> = found.map_err(|error| Error::Resolve(target.host.clone(), error))?.collect();
    let mut failed = Error::Private(target.host.clone());
    for address in found {
        if !allow_private && !is_public(address.ip()) {
            continue;
        }
        // A dead address must not take the time that the next one needs.
        match timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failed = Error::Connect(error),
            Err(_) => failed = Error::Connect(io::ErrorKind::TimedOut.into()),
        }
    }
    Err(failed)
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Full<Bytes>>,
) -> Result<(Answer, Vec<u8>), Error> {
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(ANSWER).handshake(TokioIo::new(stream)).await?;
    let talk = async {
        let response = sender.send_request(request).await?;
        let answer = Answer { status: response.status(), retry_after: retry_after(&response) };
        let mut said = Vec::new();
        // An answer that does not end is an answer all the same.
        let _ = timeout(REST, drain(response.into_body(), &mut said)).await;
        Ok((answer, said))
    };
    // What goes wrong with the connection comes out of the talk, unless the answer was here before.
    let driven = async {
        let _ = connection.await;
        pending::<Infallible>().await
    };
    tokio::select! {
        answer = talk => answer,
        never = driven => match never {},
    }
}

/// Reads what fits, so that the receiver sees its answer taken. What is wrong with it is no matter of ours.
async fn drain(mut body: Incoming, said: &mut Vec<u8>) {
    while said.len() < ANSWER
        && let Some(Ok(frame)) = body.frame().await
    {
        said.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
    }
}

/// `Retry-After` in either of its forms (RFC 9110 §10.2.3), where it says something about us.
fn retry_after(response: &Response<Incoming>) -> Option<Duration> {
    if !matches!(response.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        return None;
    }
    let value = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    match value.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(value).ok()?.duration_since(SystemTime::now()).ok(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;
    use crate::tls::testdata;

    /// Sends to somebody who answers `head`, and `body` for as long as it is taken.
    async fn ask(head: &'static str, body: &'static [u8]) -> Result<Answer, Error> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let mut sent = stream.write_all(head.as_bytes()).await;
            while sent.is_ok() && !body.is_empty() {
                sent = stream.write_all(body).await;
            }
            // It stays connected and says nothing more.
            let _ = stream.read(&mut request).await;
        });
        send(&format!("http://127.0.0.1:{port}/"), true).await
    }

    async fn send(url: &str, allow_private: bool) -> Result<Answer, Error> {
        send_by(&Client::new().unwrap(), url, allow_private).await
    }

    async fn send_by(client: &Client, url: &str, allow_private: bool) -> Result<Answer, Error> {
        let target = Target::parse(url).unwrap();
        let request = Request::builder().method("POST");
        client.send(&target, allow_private, request, "{}".into()).await
    }

    fn status(code: u16) -> Answer {
        Answer { status: StatusCode::from_u16(code).unwrap(), retry_after: None }
    }

    #[tokio::test]
    async fn of_an_endless_answer_only_the_status_counts() {
        let answer = ask("HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n", &[0; 65536]).await;
        assert_eq!(answer.unwrap(), status(200));
        let answer = ask("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", &[]).await;
        assert_eq!(answer.unwrap(), status(200), "nor is the rest waited for");
    }

    #[tokio::test]
    async fn an_endless_head_is_no_answer() {
        let answer = ask("HTTP/1.1 200 OK\r\nX: ", &[b'x'; 65536]).await;
        assert!(matches!(answer, Err(Error::Http(_))), "{answer:?}");
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed() {
        let answer =
            ask("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", &[]);
        assert_eq!(answer.await.unwrap(), status(302));
    }

    #[tokio::test]
    async fn a_busy_receiver_says_when_to_come_again() {
        let wait = |seconds| Some(Duration::from_secs(seconds));
        let answer =
            ask("HTTP/1.1 429 No\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", &[]).await.unwrap();
        assert_eq!(answer.retry_after, wait(7));
        let answer = ask(
            "HTTP/1.1 503 No\r\nRetry-After: Fri, 31 Dec 2100 23:59:59 GMT\r\nContent-Length: 0\r\n\r\n",
            &[],
        );
        assert!(answer.await.unwrap().retry_after > wait(86_400));
        let answer =
            ask("HTTP/1.1 500 No\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", &[]).await.unwrap();
        assert_eq!(answer.retry_after, None, "of a fault it says nothing");
    }

    #[tokio::test]
    async fn nothing_inside_is_connected_to() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "169.254.169.254"] {
            let answer = send(&format!("http://{host}:{port}/"), false).await;
            assert!(matches!(answer, Err(Error::Private(_))), "{host}: {answer:?}");
        }
    }

    /// A receiver whose certificate is for `localhost`, from an authority of the tests' own.
    async fn https() -> u16 {
        let acceptor = testdata::acceptor();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            // An error is a client that does not trust us.
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let mut request = [0; 4096];
                let length = stream.read(&mut request).await.unwrap();
                assert!(request[..length].starts_with(b"POST / HTTP/1.1\r\n"));
                stream.write_all(b"HTTP/1.1 204 Fine\r\n\r\n").await.unwrap();
            }
        });
        port
    }

    #[tokio::test]
    async fn https_receivers_are_known_by_their_certificates() {
        let trusting = Client::trusting(testdata::authority()).unwrap();
        let answer = send_by(&trusting, &format!("https://localhost:{}/", https().await), true).await;
        assert_eq!(answer.unwrap(), status(204));
        let answer = send_by(&trusting, &format!("https://127.0.0.1:{}/", https().await), true).await;
        assert!(matches!(answer, Err(Error::Tls(_))), "another name: {answer:?}");
        let answer = send(&format!("https://localhost:{}/", https().await), true).await;
        assert!(matches!(answer, Err(Error::Tls(_))), "nobody's authority: {answer:?}");
    }

    #[tokio::test]
    async fn somebody_who_speaks_no_tls_is_no_https_receiver() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        });
        let answer = send(&format!("https://127.0.0.1:{port}/"), true).await;
        assert!(matches!(answer, Err(Error::Tls(_))), "{answer:?}");
    }
}
