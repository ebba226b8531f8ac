//! A packager at work.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use kaibo_container::flv::{Format, Packager};
use kaibo_hub::{Cursor, Limits, Next, Publisher, Ring, Start, ring};
use kaibo_media::Item;
use tokio::time::{Instant, sleep};

use super::{Maker, Queued, Shared};

/// One packager and its blocks.
pub struct Packing<F> {
    pub blocks: Ring<Shared>,
    /// Wakes those who wait for blocks, when there are frames to make them of.
    stir: Waker,
    /// None when it is over.
    work: Mutex<Option<Work<F>>>,
}

/// What a packager has in hand.
struct Work<F> {
    frames: Cursor<Queued>,
    batch: Vec<Queued>,
    packager: Packager<F>,
    /// On their way into the ring.
    made: Vec<Shared>,
    blocks: Publisher<Shared>,
    /// Since when there has been no media, because the publisher is away.
    silent: Option<Instant>,
}

/// Wakes everybody who waits for a block.
struct Stir(Ring<Shared>);

impl Wake for Stir {
    fn wake(self: Arc<Self>) {
        self.0.stir();
    }
}

impl<F: Format + Send + 'static> Packing<F> {
    pub fn new(format: F, frames: &Ring<Queued>, limits: Limits) -> Arc<Self> {
        let (publisher, blocks) = ring(limits);
        let work = Work {
            frames: frames.cursor(Start::Keyframe),
            batch: Vec::new(),
            packager: Packager::new(format),
            made: Vec::new(),
            blocks: publisher,
            silent: Some(Instant::now()),
        };
        let stir = Waker::from(Arc::new(Stir(blocks.clone())));
        Arc::new(Self { blocks, stir, work: Mutex::new(Some(work)) })
    }

    /// Makes blocks of all that there is, for somebody who comes.
    pub fn catch_up(&self) {
        if let Some(work) = self.work().as_mut()
            && self.blocks.cursors() == 0
        {
            work.frames.skip();
        }
        self.make_of(Cursor::try_next);
    }

    /// Makes a block every time that frames have gathered for so long.
    pub async fn gather(&self, batch: Duration) {
        while poll_fn(|cx| self.poll_take(cx)).await {
            sleep(batch).await;
            self.make_of(Cursor::try_next);
        }
    }

    /// Ready when it has taken frames, or (false) when it is over.
    fn poll_take(&self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut work = self.work();
        let Some(at_work) = work.as_mut() else { return Poll::Ready(false) };
        let Poll::Ready(next) = at_work.frames.poll_next(cx, &mut at_work.batch) else {
            return Poll::Pending;
        };
        let over = at_work.take(next);
        at_work.share();
        if over {
            *work = None;
        }
        Poll::Ready(!over)
    }

    /// Makes blocks of all frames that `next` finds.
    fn make_of(&self, mut next: impl FnMut(&mut Cursor<Queued>, &mut Vec<Queued>) -> Option<Next>) {
        let mut work = self.work();
        let Some(at_work) = work.as_mut() else { return };
        let mut over = false;
        while !over && let Some(next) = next(&mut at_work.frames, &mut at_work.batch) {
            over = at_work.take(next);
        }
        at_work.flush();
        at_work.share();
        if over {
            *work = None;
        }
    }

    /// Since when there has been no media, if there is none; nothing when it is over.
    pub fn silent(&self) -> Option<Option<Instant>> {
        self.work().as_ref().map(|work| work.silent)
    }

    pub fn is_over(&self) -> bool {
        self.work().is_none()
    }

    /// Its viewers read to the end.
    pub fn end(&self) {
        let Some(mut work) = self.work().take() else { return };
        work.flush();
        work.share();
    }

    fn work(&self) -> MutexGuard<'_, Option<Work<F>>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F: Format + Send + 'static> Maker for Packing<F> {
    fn make(&self) {
        let mut cx = Context::from_waker(&self.stir);
        self.make_of(|frames, batch| match frames.poll_next(&mut cx, batch) {
            Poll::Ready(next) => Some(next),
            Poll::Pending => None,
        });
    }
}

impl<F: Format> Work<F> {
    /// Takes what came to be `next`; true if nothing follows.
    fn take(&mut self, next: Next) -> bool {
        match next {
            Next::Entries => {
                for Queued(item) in self.batch.drain(..) {
                    self.silent = matches!(item, Item::Break).then(Instant::now);
                    self.made.extend(self.packager.push(&item).map(Shared::new));
                }
            }
            Next::Lagged { .. } | Next::End => self.flush(),
        }
        next == Next::End
    }

    fn flush(&mut self) {
        self.made.extend(self.packager.flush().map(Shared::new));
    }

    /// Shows what was made.
    fn share(&mut self) {
        if !self.made.is_empty() {
            self.blocks.push_many(&mut self.made);
        }
    }
}
