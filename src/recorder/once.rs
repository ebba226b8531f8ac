//! What is made of recordings when somebody asks, once for all who do.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::OnceCell;

/// The newest things that somebody asked for.
pub struct Once<K, V> {
    made: Mutex<VecDeque<(K, Arc<OnceCell<V>>)>>,
    most: usize,
}

impl<K: PartialEq, V: Clone> Once<K, V> {
    /// Keeps `most` of them.
    pub fn new(most: usize) -> Self {
        Self { made: Mutex::default(), most }
    }

    /// What `key` stands for. Those who ask at the same time wait for the one who makes it; a failure is not kept.
    pub async fn get_or_make<E>(&self, key: K, make: impl Future<Output = Result<V, E>>) -> Result<V, E> {
        let cell = {
            let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            match made.iter().find(|(known, _)| *known == key) {
                Some((_, cell)) => cell.clone(),
                None => {
                    if made.len() >= self.most {
                        made.pop_front();
                    }
                    let cell = Arc::new(OnceCell::new());
                    made.push_back((key, cell.clone()));
                    cell
                }
            }
        };
        cell.get_or_try_init(|| make).await.cloned()
    }

    /// Keeps the oldest no longer that is made; false where there is none.
    pub fn forget_oldest(&self) -> bool {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = made.iter().position(|(_, cell)| cell.initialized());
        oldest.is_some_and(|oldest| made.remove(oldest).is_some())
    }
}
