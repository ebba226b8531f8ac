//! Progressive MP4: a head from memory, then media from the recorded segments, read as the viewer takes it.

use std::{
    collections::VecDeque,
    io,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::{
    Response, StatusCode,
    header::{self, HeaderValue},
};
use kaibo_audience::{Pace, Phase};
use kaibo_container::mp4;
use kaibo_replay::{Edit, Error, Id};
use prometheus_client::metrics::counter::Counter;
use tokio::task::JoinHandle;

use super::{keep_private, make_private, replay};
use crate::{
    audience::{Audience, Visit},
    http::{Body, Cache, Call, Ranged},
    problem::Problem,
    recorder::{Movie, Next, NoMovie},
    server::Server,
    telemetry::Protocol,
};

/// `/replay/BROADCAST.mp4` and `/clip/CLIP.mp4`
pub async fn replay(call: &Call, file: &str) -> Result<Response<Body>, Problem> {
    let id = file.strip_suffix(".mp4").ok_or_else(Problem::not_found)?;
    let found = replay::find(call, id).await?;
    replay::admit(call, &found).await?;
    if !found.replay.is_final() {
        // Its head would be another one with every segment.
        let detail = "the MP4 is there when the broadcast is over; until then there is the playlist";
        return Err(Problem::new(StatusCode::CONFLICT, "replay_not_final", detail).with_retry_after(30));
    }
    let name = format!("{}-{}.mp4", found.stream, found.id);
    let whole = Edit::default();
    let edit = found.replay.excerpt().map_or(&whole, |(_, excerpt)| &excerpt.edit);
    let audience = call.server.audiences.go_on(&call.server, &found.broadcast).await;
    let visit = audience.and_then(|audience| audience.stay(Phase::After, found.asking(call, call.query())));
    let bytes = call.server.metrics.sent_bytes(Protocol::Mp4);
    let taker = Taker { visit, pace: found.pace(), bytes };
    let mut response = of(call, &found.id, edit, &name, taker).await?;
    keep_private(call, &found.app, &mut response);
    if found.private {
        make_private(&mut response);
    }
    Ok(response)
}

/// What `edit` shows of the recording `id`, as a file called `name`: letters, digits, `-`, `_` and `.` only.
async fn of(call: &Call, id: &Id, edit: &Edit, name: &str, taker: Taker) -> Result<Response<Body>, Problem> {
    let movie = call.server.recordings.mp4(id, edit).await.map_err(|error| no_movie(id, &error))?;
    let (server, total) = (call.server.clone(), movie.len());
    let ranged = Ranged {
        kind: "video/mp4",
        // A day: it never changes, but it may be deleted.
        cache: Cache::Seconds(86_400),
        etag: &movie.etag,
        modified: movie.modified,
        total,
    };
    let body = |range| Body::Movie(Download::new(server, movie.clone(), range, taker));
    let mut response = ranged.answer(call, Response::new(Body::Empty), body);
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

fn no_movie(id: &Id, error: &NoMovie) -> Problem {
    match error {
        NoMovie::Unreadable(error) => replay::fault(id, error),
        NoMovie::Busy => {
            let detail = "too many long recordings are being downloaded; try again";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).with_retry_after(30)
        }
        NoMovie::NotMade(mp4::Error::Empty) => {
            Problem::new(StatusCode::NOT_FOUND, "no_segment_yet", "nothing of this broadcast is recorded")
        }
        NoMovie::NotMade(mp4::Error::TooLong) => {
            let detail = "this recording is too long for one MP4; take the playlist";
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "too_long", detail)
        }
        NoMovie::NotMade(error) => {
            tracing::error!(recording = %id, %error, "can't make an MP4 of a recording");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "replay_unreadable", "this replay can't be read")
        }
    }
}

/// Who takes a file: a viewer for as long as it takes something.
struct Taker {
    /// None where there are too many audiences to be counted.
    visit: Option<Visit<Arc<Audience>>>,
    pace: Pace,
    bytes: Counter,
}

impl Taker {
    fn took(&self, bytes: u64) {
        self.bytes.inc_by(bytes);
        if let Some(visit) = &self.visit {
            visit.served(Protocol::Mp4, bytes, self.pace);
        }
    }
}

/// A stretch of a movie on its way to a viewer. While one piece of it is sent, the next one is read, and no more: 1 MiB
/// for each viewer.
pub struct Download {
    server: Arc<Server>,
    movie: Arc<Movie>,
    /// What is not asked for yet begins here.
    at: u64,
    end: u64,
    /// Bytes that are not handed on yet.
    left: u64,
    ready: VecDeque<Bytes>,
    reading: Option<JoinHandle<Result<Vec<Bytes>, Error>>>,
    taker: Taker,
}

impl Download {
    fn new(server: Arc<Server>, movie: Arc<Movie>, range: Range<u64>, taker: Taker) -> Self {
        let left = range.end.saturating_sub(range.start);
        let (ready, reading) = (VecDeque::new(), None);
        Self { server, movie, at: range.start, end: range.end, left, ready, reading, taker }
    }

    /// Bytes that it still has.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// The next bytes, none at the end. An error where they can't be read any more, or the server stops: the viewer
    /// has less than it was promised then, sees that, and asks for the rest.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                self.left = self.left.saturating_sub(bytes.len() as u64);
                self.taker.took(bytes.len() as u64);
                return Poll::Ready(Some(Ok(bytes)));
            }
            if self.server.is_closing() && self.left > 0 {
                return Poll::Ready(Some(Err(io::Error::other("the server is stopping"))));
            }
            self.read_on();
            if !self.ready.is_empty() {
                continue;
            }
            let Some(reading) = &mut self.reading else { return Poll::Ready(None) };
            let read = ready!(Pin::new(reading).poll(cx));
            self.reading = None;
            match read {
                Ok(Ok(pieces)) => self.ready = pieces.into(),
                Ok(Err(error)) => {
                    tracing::warn!(recording = %self.movie.id, %error, "a download breaks off");
                    return Poll::Ready(Some(Err(io::Error::other(error))));
                }
                Err(error) => return Poll::Ready(Some(Err(io::Error::other(error)))),
            }
            // One piece ahead.
            self.read_on();
        }
    }

    /// Asks for the next piece, if none is on its way.
    fn read_on(&mut self) {
        while self.reading.is_none() {
            match self.movie.next(self.at, self.end) {
                // These are shared bytes, so all of a head may wait here.
                Some(Next::Head(bytes)) => {
                    self.at += bytes.len() as u64;
                    self.ready.push_back(bytes);
                }
                Some(Next::Media(media)) => {
                    self.at += media.len();
                    let (server, movie) = (self.server.clone(), self.movie.clone());
                    let read = async move { server.recordings.media(&movie.id, &media).await };
                    self.reading = Some(tokio::spawn(read));
                }
                None => return,
            }
        }
    }
}
