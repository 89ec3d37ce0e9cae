//! All secrets of a mount, some at a time.

use std::future::Future;

use futures_util::future::try_join_all;
use tokio::sync::{Mutex, mpsc};

use super::context::{Done, at_source};
use super::progress::Progress;
use super::report::{Kind, Report};
use super::source::Source;
use super::trouble::Trouble;

/// Names that wait to be copied.
const AHEAD: usize = 256;

/// A mount to go through.
pub(crate) struct Walk<'a> {
    pub(crate) source: &'a Source,
    pub(crate) report: &'a Report,
    /// Path of the mount there, with its slash.
    pub(crate) mount: &'a str,
    /// What stands between the mount and the names in a list: `metadata/` or nothing.
    pub(crate) word: &'a str,
    pub(crate) concurrency: usize,
}

impl Walk<'_> {
    /// Has `copy` called for each, several at the same time.
    ///
    /// # Errors
    /// When going on makes no sense: the server is away, or its token has ended.
    pub(crate) async fn run<F>(&self, copy: impl Fn(String) -> F) -> Result<(), Trouble>
    where
        F: Future<Output = Result<Done, Trouble>>,
    {
        let (names, waiting) = mpsc::channel::<String>(AHEAD);
        let waiting = Mutex::new(waiting);
        let worker = async || -> Result<(), Trouble> {
            loop {
                // Not held while copying.
                let next = waiting.lock().await.recv().await;
                let Some(path) = next else {
                    return Ok(());
                };
                let done = copy(path.clone()).await?;
                let whole = format!("{}{path}", self.mount);
                let numbers = (done.written, done.destroyed);
                self.report
                    .secret(self.mount, done.outcome, &whole, numbers, done.reasons);
            }
        };
        let workers = try_join_all((0..self.concurrency).map(|_| worker()));
        let listing = self.list(names);
        let progress = Progress::new(self.mount);
        let ticking = async {
            loop {
                tokio::time::sleep(progress.pause()).await;
                progress.tell(self.report.of_mount(self.mount));
            }
        };
        let all = async { tokio::try_join!(listing, workers) };
        let ended = tokio::select! {
            ended = all => ended,
            never = ticking => never,
        };
        progress.end(self.report.of_mount(self.mount));
        ended.map(|_| ())
    }

    /// Folder by folder: what is kept of the tree are the folders that are still to be listed.
    async fn list(&self, names: mpsc::Sender<String>) -> Result<(), Trouble> {
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            let path = format!("{}{}{folder}", self.mount, self.word);
            let mut after = None;
            loop {
                let page = self.source.page(&path, after.as_deref()).await;
                let (found, next) = match page {
                    Ok(page) => page,
                    Err(trouble) if trouble.is_general() => return Err(trouble),
                    Err(trouble) => {
                        let halt = at_source(trouble);
                        let whole = format!("{}{folder}", self.mount);
                        let why = format!("cannot be listed: {}", halt.text());
                        self.report.say(Kind::Secret, halt.outcome(), &whole, why);
                        break;
                    }
                };
                for name in found {
                    let path = format!("{folder}{name}");
                    match name.strip_suffix('/') {
                        // It would be listed again and again.
                        Some("") => {}
                        Some(_) => folders.push(path),
                        None if names.send(path).await.is_err() => return Ok(()),
                        None => {}
                    }
                }
                match next {
                    Some(_) => after = next,
                    None => break,
                }
            }
        }
        Ok(())
    }
}
