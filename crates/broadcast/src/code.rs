//! Why pushes end and why they are refused, in Tencent Cloud Live's numbers, RTMP's status codes and plain words.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{App, KeyError, NameError};

/// Tencent's error number of a callback: a main number and, for some, a second one, e.g. `18/501`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Code {
    /// The main number.
    pub main: u16,
    /// The number behind the slash.
    pub sub: Option<u16>,
}

impl Code {
    const fn plain(main: u16) -> Self {
        Self { main, sub: None }
    }

    const fn of(main: u16, sub: u16) -> Self {
        Self { main, sub: Some(sub) }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sub {
            None => write!(f, "{}", self.main),
            Some(sub) => write!(f, "{}/{sub}", self.main),
        }
    }
}

/// Why a push went down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum DownCause {
    /// The encoder said goodbye: `FCUnpublish` or `deleteStream`.
    #[error("the encoder stopped the stream")]
    DeleteStream,
    /// The encoder said goodbye: `closeStream`.
    #[error("the encoder closed the stream")]
    CloseStream,
    /// The connection was closed without a goodbye.
    #[error("the connection was closed")]
    Fin,
    /// The connection was reset or its peer broke the protocol.
    #[error("the connection failed")]
    Error,
    /// Nothing came for the idle limit, or no picture to begin with.
    #[error("no media arrived")]
    Idle,
    /// The server went down, with or without warning.
    #[error("the server stopped")]
    Server,
    /// Dropped through the API.
    #[error("the push was dropped by the operator")]
    Kicked,
    /// The name was banned.
    #[error("the stream is banned")]
    Banned,
    /// Silent while another publisher with the key was waiting.
    #[error("another publisher took over")]
    Replaced,
    /// The broadcast is over.
    #[error("the broadcast is over")]
    Over,
}

impl DownCause {
    /// The encoder said that it is done, rather than being lost.
    pub const fn is_clean(self) -> bool {
        matches!(self, Self::DeleteStream | Self::CloseStream)
    }

    /// Tencent's number.
    pub const fn code(self) -> Code {
        match self {
            Self::DeleteStream => Code::plain(1),
            Self::CloseStream => Code::plain(2),
            Self::Fin => Code::plain(3),
            Self::Error | Self::Server => Code::plain(4),
            Self::Idle => Code::plain(8),
            Self::Kicked => Code::of(21, 100),
            Self::Banned => Code::of(21, 101),
            Self::Replaced => Code::of(21, 103),
            Self::Over => Code::of(18, 307),
        }
    }
}

/// Why a push is refused, in words that an encoder may show to its streamer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The app's or the stream's name is not one.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The app's name begins other addresses of the server.
    #[error("the app name {app:?} is taken by the server itself")]
    Reserved {
        /// The app.
        app: App,
    },
    /// The credential is missing, wrong or over.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The backend does not allow it.
    #[error("this is not allowed{}", reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default())]
    Forbidden {
        /// The backend's words for the streamer.
        reason: Option<String>,
    },
    /// The backend that decides about pushes gave no answer.
    #[error("whether this push is allowed can't be found out now; try again later")]
    Unanswered,
    /// The publisher's address is not welcome.
    #[error("pushes from this address are refused")]
    Address,
    /// The name is banned.
    #[error("this stream is banned")]
    Banned,
    /// Nobody created a broadcast, and pushes do not create one here.
    #[error("no broadcast is planned for this stream")]
    NoBroadcast,
    /// The broadcast that this credential belongs to is over.
    #[error("this broadcast is over; get a new stream key to start another one")]
    Ended,
    /// A limit on concurrent pushes, or on the broadcasts of a day, is reached.
    #[error("the limit of streams is reached; try again later")]
    TooManyPushes,
    /// The server takes no pushes any more.
    #[error("the server is stopping; try again in a moment")]
    Stopping,
    /// Somebody is live under this name.
    #[error("this stream is already live from another encoder")]
    NameLive,
    /// The push was accepted, but sent no picture or sound to begin with.
    #[error("no keyframe arrived in time")]
    NoKeyframe,
}

impl Refusal {
    /// Tencent's number.
    pub fn code(&self) -> Code {
        match self {
            Self::Name(NameError::Empty { .. }) => Code::of(18, 300),
            Self::Name(_) | Self::Reserved { .. } => Code::of(18, 308),
            Self::Banned => Code::of(18, 305),
            Self::NoBroadcast => Code::of(18, 306),
            Self::Ended => Code::of(18, 307),
            Self::Address => Code::of(18, 400),
            Self::Key(KeyError::NoTime | KeyError::BadTime | KeyError::Repeated { name: "txTime" }) => {
                Code::of(18, 500)
            }
            Self::Key(KeyError::Expired { .. } | KeyError::TooFarAhead { .. }) => Code::of(18, 501),
            Self::Key(KeyError::NoSecret | KeyError::BadSecret { .. } | KeyError::Repeated { .. }) => {
                Code::of(18, 502)
            }
            Self::Key(KeyError::Mismatch) => Code::of(18, 503),
            // Beside Tencent's own numbers for keys.
            Self::Forbidden { .. } => Code::of(18, 506),
            Self::Unanswered => Code::of(18, 507),
            Self::TooManyPushes => Code::of(18, 600),
            Self::NameLive => Code::of(18, 601),
            Self::Stopping => Code::of(18, 602),
            Self::NoKeyframe => Code::plain(8),
        }
    }

    /// The RTMP status code: one of the few that OBS understands.
    pub const fn status(&self) -> &'static str {
        match self {
            Self::Name(_) | Self::Reserved { .. } | Self::NameLive => "NetStream.Publish.BadName",
            Self::Stopping => "NetStream.Publish.Rejected",
            _ => "NetStream.Publish.Denied",
        }
    }
}
