//! A store for async code.

use std::{io, thread};

use tokio::sync::{mpsc, oneshot};

use crate::{Error, Store};

/// Questions that wait for the store's thread. Each broadcast has at most one transition under way, and each request
/// one call: whoever finds it full waits, as for the disk itself.
const WAITING: usize = 1024;

/// Questions that share one commit. More would save little, and the first would wait longer.
const TOGETHER: usize = 256;

/// A store on a thread of its own, which lives as long as its handles. Clones are the same store.
#[derive(Clone)]
pub struct Handle {
    questions: mpsc::Sender<Question>,
}

/// Asks the store, or learns why it cannot; the answer is kept back until the commit.
type Question = Box<dyn FnOnce(Result<&mut dyn Store, Error>) -> Answer + Send>;

/// Hands out the answer, knowing whether it was committed.
type Answer = Box<dyn FnOnce(Result<(), Error>) + Send>;

impl Handle {
    /// Starts the thread.
    pub fn start(store: impl Store + 'static) -> io::Result<Self> {
        let (questions, waiting) = mpsc::channel(WAITING);
        thread::Builder::new().name("store".into()).spawn(|| serve(store, waiting))?;
        Ok(Self { questions })
    }

    /// Asks the store. What `question` writes is durable when this returns, all of it or (on an error) nothing; all
    /// questions that wait at the same time share one commit. A caller who stops waiting undoes nothing.
    ///
    /// `question` runs on the store's thread, so it should do nothing but use the store.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut dyn Store) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        let question: Question = Box::new(move |store| {
            let result = store.and_then(|store| alone(store, question));
            // An error is a caller who stopped waiting.
            Box::new(move |committed| drop(reply.send(committed.and(result))))
        });
        self.questions.send(question).await.map_err(|_| Error::Closed)?;
        answer.await.unwrap_or(Err(Error::Closed))
    }
}

/// Asks one question, so that its failure undoes all of it but nothing else.
fn alone<T>(
    store: &mut dyn Store,
    question: impl FnOnce(&mut dyn Store) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut question = Some(question);
    let mut answer = None;
    store.together(&mut |store| {
        if let Some(question) = question.take() {
            answer = Some(question(store)?);
        }
        Ok(())
    })?;
    // The store did not run the question, although it says so.
    answer.ok_or(Error::RolledBack)
}

fn serve(mut store: impl Store, mut waiting: mpsc::Receiver<Question>) {
    let mut questions = Vec::new();
    while waiting.blocking_recv_many(&mut questions, TOGETHER) > 0 {
        let mut answers = Vec::new();
        let committed = store.together(&mut |store| {
            for question in questions.drain(..) {
                answers.push(question(Ok(&mut *store)));
            }
            Ok(())
        });
        // Where not even the transaction could begin, nobody was asked.
        if let Err(error) = &committed {
            answers.extend(questions.drain(..).map(|question| question(Err(error.clone()))));
        }
        for answer in answers {
            answer(committed.clone());
        }
    }
}
