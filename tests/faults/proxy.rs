//! A wire that can break: a TCP relay of one connection between an encoder and the server.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::Duration,
};

use socket2::SockRef;

/// How soon a break is noticed by a relay that waits for bytes.
const LOOK: Duration = Duration::from_millis(20);

/// How the wire breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// The server sees a FIN, and no goodbye before it.
    Fin,
    /// The server sees an RST.
    Reset,
    /// The server sees nothing any more: the connection stays open, for ever.
    BlackHole,
}

/// A relay at work. It goes when dropped, and whatever it holds open with it.
pub struct Proxy {
    /// Where encoders connect to.
    pub at: String,
    breaks: Sender<Break>,
}

impl Proxy {
    /// Relays the first connection to the server at `server`.
    pub fn start(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap().to_string();
        let (breaks, broken) = channel();
        let server = server.to_owned();
        thread::spawn(move || {
            let (encoder, _) = listener.accept().unwrap();
            relay(encoder, TcpStream::connect(server).unwrap(), &broken);
        });
        Self { at, breaks }
    }

    pub fn cut(&self, how: Break) {
        self.breaks.send(how).unwrap();
    }
}

fn relay(mut encoder: TcpStream, mut server: TcpStream, broken: &Receiver<Break>) {
    let (mut answers, mut back) = (server.try_clone().unwrap(), encoder.try_clone().unwrap());
    // Ends with either of the two: a peer that is gone takes no answers.
    thread::spawn(move || std::io::copy(&mut answers, &mut back));
    encoder.set_read_timeout(Some(LOOK)).unwrap();
    let mut buffer = [0; 16 << 10];
    loop {
        match broken.try_recv() {
            Ok(Break::Fin) => {
                let _ = server.shutdown(Shutdown::Write);
                let _ = encoder.shutdown(Shutdown::Both);
                return;
            }
            Ok(Break::Reset) => {
                SockRef::from(&server).set_linger(Some(Duration::ZERO)).unwrap();
                // With this the copying of answers lets go of its half of the server's socket.
                let _ = server.shutdown(Shutdown::Read);
                let _ = encoder.shutdown(Shutdown::Both);
                return;
            }
            Ok(Break::BlackHole) => {
                // Until the proxy goes.
                let _ = broken.recv();
                return;
            }
            Err(_) => {}
        }
        match encoder.read(&mut buffer) {
            Ok(0) => {
                let _ = server.shutdown(Shutdown::Write);
                return;
            }
            Ok(length) => {
                if server.write_all(&buffer[..length]).is_err() {
                    let _ = encoder.shutdown(Shutdown::Both);
                    return;
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => {
                let _ = server.shutdown(Shutdown::Both);
                return;
            }
        }
    }
}
