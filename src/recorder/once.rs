//! What is made of recordings when somebody asks, once for all who do.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::OnceCell;

/// The newest things that somebody asked for.
pub struct Once<K, V> {
    made: Mutex<VecDeque<Made<K, V>>>,
    /// What they may come to together.
    room: u64,
}

struct Made<K, V> {
    key: K,
    size: u64,
    cell: Arc<OnceCell<V>>,
}

impl<K: PartialEq, V: Clone> Once<K, V> {
    /// Keeps `most` of them.
    pub fn new(most: usize) -> Self {
        Self::with_room(most as u64)
    }

    /// Keeps what comes to `room` together, see [`Once::get_or_make_sized`].
    pub fn with_room(room: u64) -> Self {
        Self { made: Mutex::default(), room }
    }

    /// What `key` stands for. Those who ask at the same time wait for the one who makes it; a failure is not kept.
    pub async fn get_or_make<E>(&self, key: K, make: impl Future<Output = Result<V, E>>) -> Result<V, E> {
        self.get_or_make_sized(key, 1, make).await
    }

    /// The same of something that takes `size` of the room. What is larger than all of it is not kept.
    pub async fn get_or_make_sized<E>(
        &self,
        key: K,
        size: u64,
        make: impl Future<Output = Result<V, E>>,
    ) -> Result<V, E> {
        if size > self.room {
            return make.await;
        }
        let cell = {
            let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            match made.iter().find(|known| known.key == key) {
                Some(known) => known.cell.clone(),
                None => {
                    let mut taken: u64 = made.iter().map(|known| known.size).sum();
                    while taken + size > self.room
                        && let Some(oldest) = made.pop_front()
                    {
                        taken -= oldest.size;
                    }
                    let cell = Arc::new(OnceCell::new());
                    made.push_back(Made { key, size, cell: cell.clone() });
                    cell
                }
            }
        };
        cell.get_or_try_init(|| make).await.cloned()
    }

    /// Keeps the oldest no longer that is made; false where there is none.
    pub fn forget_oldest(&self) -> bool {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = made.iter().position(|known| known.cell.initialized());
        oldest.is_some_and(|oldest| made.remove(oldest).is_some())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// Whether `key` had to be made.
    async fn is_made(once: &Once<u32, u32>, key: u32, size: u64) -> bool {
        let mut made = false;
        let make = async {
            made = true;
            Ok::<_, Infallible>(key)
        };
        assert_eq!(once.get_or_make_sized(key, size, make).await, Ok(key));
        made
    }

    #[tokio::test]
    async fn the_oldest_go_where_the_room_ends() {
        let once = Once::with_room(10);
        for (key, size, made) in [
            (1, 4, true),
            (2, 4, true),
            (1, 4, false),
            (3, 2, true),
            (2, 4, false),
            (4, 7, true),
            (3, 2, false),
            (1, 4, true),
            (5, 11, true),
            (5, 11, true),
            (1, 4, false),
        ] {
            assert_eq!(is_made(&once, key, size).await, made, "{key}");
        }
    }

    #[tokio::test]
    async fn a_failure_is_not_kept() {
        let once = Once::new(1);
        assert_eq!(once.get_or_make(1, async { Err::<u32, _>("torn") }).await, Err("torn"));
        assert!(is_made(&once, 1, 1).await);
    }
}
