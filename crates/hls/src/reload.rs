//! Blocking reloads: what a player says about the playlist that it waits for (rfc8216bis §6.2.5).

use std::borrow::Cow;

use kaibo_media::Span;

use crate::{view::View, window::Position};

/// What the query of a playlist's URL asks of the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// `_HLS_msn`, and `_HLS_part` with it: not before this segment, or this part of it, is listed.
    pub from: Option<(u64, Option<u32>)>,
    /// `_HLS_skip`: a delta update is welcome.
    pub delta: bool,
}

/// What a server refuses with 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadDirective {
    /// It makes no sense as a number.
    #[error("{0} is no number")]
    NoNumber(&'static str),
    /// It may be meant in two ways.
    #[error("{0} stands twice")]
    Twice(&'static str),
    /// A part of no segment.
    #[error("_HLS_part without _HLS_msn")]
    PartAlone,
    /// So far ahead that the player must be mistaken.
    #[error("_HLS_msn or _HLS_part is too far ahead")]
    TooFar,
}

const MSN: &str = "_HLS_msn";
const PART: &str = "_HLS_part";
const SKIP: &str = "_HLS_skip";

/// Every directive's name begins so; those of the future are to be ignored.
const RESERVED: &str = "_HLS_";

/// The rest of a query: what is no directive.
pub fn without_directives(query: &str) -> Cow<'_, str> {
    without(query, |field| field.starts_with(RESERVED))
}

/// `query` without those of its fields that are `ours`.
pub fn without(query: &str, ours: impl Fn(&str) -> bool) -> Cow<'_, str> {
    if !query.split('&').any(&ours) {
        return query.into();
    }
    let rest: Vec<&str> = query.split('&').filter(|field| !ours(field)).collect();
    rest.join("&").into()
}

impl Directives {
    /// Reads them from a query.
    ///
    /// # Errors
    /// Where they make no sense, see [`BadDirective`].
    pub fn parse(query: &str) -> Result<Self, BadDirective> {
        let msn = number(query, MSN)?;
        let part = number(query, PART)?;
        let from = match (msn, part) {
            (None, Some(_)) => return Err(BadDirective::PartAlone),
            (msn, part) => msn.map(|msn| (msn, part.map(|part| u32::try_from(part).unwrap_or(u32::MAX)))),
        };
        // Another value may come to mean something: the whole list is right for it.
        let delta = matches!(field(query, SKIP)?, Some("YES" | "v2"));
        Ok(Self { from, delta })
    }
}

fn number(query: &str, name: &'static str) -> Result<Option<u64>, BadDirective> {
    let Some(digits) = field(query, name)? else { return Ok(None) };
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| all_digits).map(Some).ok_or(BadDirective::NoNumber(name))
}

fn field<'a>(query: &'a str, name: &'static str) -> Result<Option<&'a str>, BadDirective> {
    let mut values = query.split('&').filter_map(|field| match field.split_once('=') {
        Some((known, value)) => (known == name).then_some(value),
        None => (field == name).then_some(""),
    });
    let value = values.next();
    if values.next().is_some() { Err(BadDirective::Twice(name)) } else { Ok(value) }
}

impl View {
    /// Whether the playlist has what `directives` wait for. Once it has, it stays so.
    ///
    /// # Errors
    /// If they ask for what comes much later, see [`BadDirective::TooFar`].
    pub fn answers(&self, directives: &Directives) -> Result<bool, BadDirective> {
        let Some((segment, part)) = directives.from else { return Ok(true) };
        if self.ended() {
            return Ok(true);
        }
        let next = self.position();
        // The newest listed segment is `next - 1`: more than two above it is a mistake, and so is a part that comes
        // more than three seconds after the newest one.
        let advance = match part {
            Some(part) if segment == next.segment => part.saturating_sub(next.parts),
            Some(part) if segment > next.segment => part,
            _ => 0,
        };
        if segment > next.segment.saturating_add(1) || advance >= self.advance_limit() {
            return Err(BadDirective::TooFar);
        }
        let Some(part) = part else { return Ok(next.segment > segment) };
        // A part after the last of its segment is the first of the next one.
        let complete = self.newest().filter(|newest| newest.number() == segment);
        let awaited = match complete {
            Some(complete) if complete.parts.len() <= part as usize => {
                Position { segment: next.segment, parts: 0 }
            }
            _ => Position { segment, parts: part },
        };
        Ok(next > awaited)
    }

    /// Parts that a request may be ahead: three seconds of them, or three if they are longer than a second.
    fn advance_limit(&self) -> u32 {
        let millis = self.part_target().map_or(1000, Span::as_millis).clamp(1, 1000);
        u32::try_from(3000 / millis).unwrap_or(3).max(3)
    }
}
