//! Names that may not be pushed: stored, and in memory for every push to be judged by.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use kaibo_broadcast::{App, Millis, Stream};
use kaibo_store::{Ban, Error, Handle};

/// The bans of a server. The store bounds them to 10,000 in force.
#[derive(Default)]
pub struct Bans(Mutex<HashMap<(App, Stream), Millis>>);

impl Bans {
    /// Those that the store knows.
    pub async fn load(store: &Handle, now: Millis) -> Result<Self, Error> {
        let stored = store.ask(move |store| store.bans(now)).await?;
        let known = stored.into_iter().map(|ban| ((ban.app, ban.stream), ban.until)).collect();
        Ok(Self(Mutex::new(known)))
    }

    /// Until when a name is banned, if it is.
    pub fn until(&self, app: &App, stream: &Stream, now: Millis) -> Option<Millis> {
        self.lock().get(&(app.clone(), stream.clone())).copied().filter(|until| now < *until)
    }

    /// Bans a name, in the place of an earlier ban.
    pub async fn put(&self, store: &Handle, ban: Ban) -> Result<(), Error> {
        let stored = ban.clone();
        store.ask(move |store| store.put_ban(&stored)).await?;
        let mut known = self.lock();
        known.retain(|_, until| ban.since < *until);
        known.insert((ban.app, ban.stream), ban.until);
        Ok(())
    }

    /// Lifts the ban of a name. False: there was none.
    pub async fn lift(&self, store: &Handle, app: &App, stream: &Stream, now: Millis) -> Result<bool, Error> {
        let was_banned = self.until(app, stream, now).is_some();
        let (at, name) = (app.clone(), stream.clone());
        store.ask(move |store| store.lift_ban(&at, &name)).await?;
        self.lock().remove(&(app.clone(), stream.clone()));
        Ok(was_banned)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(App, Stream), Millis>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
