//! How many transitions per second this disk takes, and how long each waits: `throughput [FOLDER]`.

use std::{
    env,
    error::Error,
    path::PathBuf,
    sync::Arc,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use kaibo_broadcast::{Broadcast, Millis, Plan, Policy};
use kaibo_store::{Handle, NewNotice, Record, Sqlite};
use tokio::runtime::{Builder, Runtime};

const FOR: Duration = Duration::from_secs(3);

/// One caller: saves its broadcast again and again, each time with a notice for one endpoint. How long each took.
async fn save(
    handle: Handle,
    record: Record,
    count: Arc<AtomicUsize>,
) -> Result<Vec<Duration>, kaibo_store::Error> {
    let mut took = Vec::new();
    let end = Instant::now() + FOR;
    while Instant::now() < end {
        let record = record.clone();
        let notice = NewNotice {
            id: format!("{}-{}", record.id, count.fetch_add(1, Ordering::Relaxed)),
            broadcast: Some(record.id.clone()),
            kind: "broadcast.resumed".into(),
            at: record.created_at,
            body: format!(r#"{{"broadcast":{}}}"#, record.snapshot),
            endpoints: vec!["crm".into()],
        };
        let begun = Instant::now();
        handle.ask(move |store| store.save(&record, &[notice])).await?;
        took.push(begun.elapsed());
    }
    Ok(took)
}

fn measure(runtime: &Runtime, handle: &Handle, callers: usize) -> Result<String, Box<dyn Error>> {
    let count = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for caller in 0..callers {
        let id = format!("b{callers}-{caller}");
        let (app, stream) = ("live".parse()?, id.parse()?);
        let (broadcast, _) =
            Broadcast::create(id.parse()?, app, stream, Plan::default(), Policy::default(), Millis(0));
        let record = Record::new(&broadcast, "node-1", 1)?;
        tasks.push(runtime.spawn(save(handle.clone(), record, count.clone())));
    }
    let mut took = Vec::new();
    for task in tasks {
        took.extend(runtime.block_on(task)??);
    }
    took.sort_unstable();
    let part = |percent: usize| {
        took.get((took.len() * percent / 100).min(took.len() - 1)).copied().unwrap_or_default()
    };
    Ok(format!(
        "{callers:4} callers: {:6.0} saves/s, median {:?}, 99 % within {:?}, slowest {:?}",
        took.len() as f64 / FOR.as_secs_f64(),
        part(50),
        part(99),
        part(100),
    ))
}

#[allow(clippy::print_stdout, reason = "this is what it is for")]
fn main() -> Result<(), Box<dyn Error>> {
    let folder = env::args_os().nth(1).map_or_else(env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(folder)?;
    let path = folder.path().join("kaibo.db");
    let handle = Handle::start(Sqlite::open(&path)?)?;
    let runtime = Builder::new_multi_thread().worker_threads(2).build()?;
    for callers in [1, 10, 100, 1000] {
        println!("{}", measure(&runtime, &handle, callers)?);
    }
    drop(handle);
    let begun = Instant::now();
    Sqlite::open(&path)?;
    println!("opened {} MiB in {:?}", path.metadata()?.len() >> 20, begun.elapsed());
    Ok(())
}
