//! How many pushes an app may have at once, and how many broadcasts a day.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use kaibo_broadcast::{App, Millis};
use kaibo_store::Error as StoreError;
use tokio::sync::MutexGuard;

use crate::server::Server;

/// What `broadcast.max_per_day` counts in.
const DAY: Duration = Duration::from_secs(86_400);

/// The pushes of each app, and whose turn it is to begin a broadcast.
#[derive(Default)]
pub struct Quotas {
    /// As many as there are RTMP connections, at the most.
    pushes: Arc<Mutex<HashMap<App, usize>>>,
    /// Broadcasts that are counted begin one after the other: the next one has to find the last one in the store.
    turn: tokio::sync::Mutex<()>,
}

/// One push of an app; given back when dropped.
pub struct Seat {
    pushes: Arc<Mutex<HashMap<App, usize>>>,
    app: App,
}

impl Quotas {
    /// A place among the pushes of `app`, unless there are `most` already.
    pub fn seat(&self, app: &App, most: Option<usize>) -> Option<Seat> {
        let mut pushes = self.pushes.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = pushes.get(app).copied().unwrap_or(0);
        if most.is_some_and(|most| taken >= most) {
            return None;
        }
        pushes.insert(app.clone(), taken.saturating_add(1));
        Some(Seat { pushes: self.pushes.clone(), app: app.clone() })
    }

    /// Waits until another broadcast of `app` may be counted, and says whether it would be one too many. Whoever opens
    /// it keeps the turn until it is stored. Without a quota everybody has the turn.
    pub async fn turn(
        &self,
        server: &Server,
        app: &App,
    ) -> Result<(Option<MutexGuard<'_, ()>>, bool), StoreError> {
        let most = server.app_settings(app.as_ref()).broadcast.max_per_day;
        if most == 0 {
            return Ok((None, false));
        }
        let turn = self.turn.lock().await;
        let since = Millis(server.clock.now().0.saturating_sub(DAY.as_millis() as i64));
        let counted = app.clone();
        let made = server.store.ask(move |store| store.made_since(&counted, since)).await?;
        Ok((Some(turn), made >= most))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut pushes = self.pushes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = pushes.get_mut(&self.app) {
            *taken -= 1;
            if *taken == 0 {
                pushes.remove(&self.app);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_app_has_its_seats_and_gets_them_back() {
        let quotas = Quotas::default();
        let (live, shop): (App, App) = ("live".parse().unwrap(), "shop".parse().unwrap());
        let first = quotas.seat(&live, Some(2)).unwrap();
        let second = quotas.seat(&live, Some(2)).unwrap();
        assert!(quotas.seat(&live, Some(2)).is_none());
        assert!(quotas.seat(&shop, Some(2)).is_some());
        let back = quotas.seat(&live, None).unwrap();
        drop(first);
        assert!(quotas.seat(&live, Some(2)).is_none(), "who came back counts, too");
        drop(back);
        assert!(quotas.seat(&live, Some(2)).is_some());
        drop(second);
        assert!(quotas.pushes.lock().unwrap().is_empty());
    }
}
