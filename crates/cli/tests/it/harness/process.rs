//! A process that ends with the test that started it.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, getpgid, kill_process, kill_process_group};

use super::eventually;

/// How much of a dead test's process output is worth showing.
const TAIL_LINES: usize = 60;

/// A child process. Dropping it kills it; when that happens because the test failed, the end of
/// its output is shown.
pub(crate) struct Process {
    name: String,
    child: Child,
    stdout: Arc<Mutex<Vec<String>>>,
    stderr: PathBuf,
    readers: Vec<JoinHandle<()>>,
    _files: tempfile::TempDir,
}

impl Process {
    /// Starts `command`. Standard output is kept line by line, standard error goes to a file
    /// through a pipe of ours, so that a limit on the child's file sizes does not silence it.
    #[track_caller]
    pub(crate) fn start(name: &str, mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let files = tempfile::tempdir().expect("a temporary directory");
        let stderr = files.path().join("stderr");
        let stdout = Arc::new(Mutex::new(Vec::new()));
        let out = child.stdout.take().expect("standard output is piped");
        let err = child.stderr.take().expect("standard error is piped");
        let file = File::create(&stderr).expect("a file for standard error");
        let readers = vec![keep_lines(out, Arc::clone(&stdout)), copy(err, file)];
        Self {
            name: name.to_owned(),
            child,
            stdout,
            stderr,
            readers,
            _files: files,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Standard output so far, by line.
    pub(crate) fn stdout(&self) -> Vec<String> {
        self.stdout
            .lock()
            .expect("the reader does not panic")
            .clone()
    }

    /// Standard error so far.
    pub(crate) fn stderr(&self) -> String {
        let bytes = std::fs::read(&self.stderr).expect("the file is there as long as we are");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Asks it to end.
    pub(crate) fn terminate(&self) {
        kill_process(self.id(), Signal::TERM).expect("our own child takes our signal");
    }

    /// Asks it to read its files again.
    pub(crate) fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.id(), signal).expect("our own child takes our signal");
    }

    /// `kill -9`, and waits for it to be gone. A child that leads a process group of its own
    /// takes its own children with it.
    pub(crate) fn kill(&mut self) {
        if self.child.try_wait().expect("our own child").is_none() {
            let id = self.id();
            if getpgid(Some(id)) == Ok(id) {
                kill_process_group(id, Signal::KILL).expect("our own group takes our signal");
            }
            self.child.kill().expect("our own child takes our signal");
            self.child.wait().expect("our own child");
        }
        self.join_readers();
    }

    fn id(&self) -> Pid {
        Pid::from_raw(self.pid().cast_signed()).expect("a child has a pid")
    }

    /// Its exit status, once it has ended by itself, with both streams complete.
    pub(crate) async fn exited(&mut self, within: Duration) -> ExitStatus {
        let what = format!("{} exits", self.name);
        let status = eventually(&what, within, async || {
            self.child.try_wait().expect("our own child")
        })
        .await;
        self.join_readers();
        status
    }

    /// Whether it has ended.
    pub(crate) fn is_gone(&mut self) -> bool {
        self.child.try_wait().expect("our own child").is_some()
    }

    fn join_readers(&mut self) {
        for reader in self.readers.drain(..) {
            reader.join().expect("the reader does not panic");
        }
    }

    fn show(&self) {
        let stderr = self.stderr();
        let lines: Vec<_> = stderr.lines().collect();
        let from = lines.len().saturating_sub(TAIL_LINES);
        eprintln!("---- standard error of {} (the end of it)", self.name);
        for line in &lines[from..] {
            eprintln!("{line}");
        }
        eprintln!("----");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            self.show();
        }
    }
}

fn keep_lines(
    stream: impl Read + Send + 'static,
    lines: Arc<Mutex<Vec<String>>>,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { break };
            lines.lock().expect("nobody panics holding it").push(line);
        }
    })
}

fn copy(mut stream: impl Read + Send + 'static, mut file: File) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            if file.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
    })
}
