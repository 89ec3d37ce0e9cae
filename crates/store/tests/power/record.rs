//! Records what the store's process does to its files, by strace: the very system calls of the
//! real program, with nothing put in between.
//!
//! The recording is complete, or it fails: after each process the files on the real disk are, byte
//! by byte, what the recorded changes make, and a call that is not understood ends the test.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::disk::{Disk, Image, Op};
use crate::expect::write;
use crate::plan::{End, Plan, plan};
use crate::strace::{Arg, Call, parse};
use crate::support::INDEX;
use crate::workload::{DIRECTORY, PROCESS, REMARKS};

/// Every call that may change a file, or say that it is durable. With `?`: not on every machine.
const CALLS: &str = "trace=openat,?openat2,?open,?creat,write,pwrite64,writev,pwritev,pwritev2,\
    ftruncate,truncate,fallocate,fsync,fdatasync,sync_file_range,syncfs,sync,?unlink,unlinkat,\
    ?rename,renameat,renameat2,?link,linkat,?symlink,symlinkat,sendfile,copy_file_range,splice,mmap";

/// What was recorded.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) plan: Plan,
    pub(crate) ops: Vec<Op>,
    /// The files in the end.
    pub(crate) last: Image,
}

/// The recording, made once for all tests.
pub(crate) fn recording() -> &'static Recording {
    static RECORDING: OnceLock<Recording> = OnceLock::new();
    RECORDING.get_or_init(record)
}

fn record() -> Recording {
    let plan = plan();
    let numbers = 0..plan.processes.len();
    record_from(plan, &Image::new(), numbers)
}

/// Records a process that finds these files.
pub(crate) fn record_second(start: &Image) -> Recording {
    let plan = plan();
    let number = plan.processes.len();
    record_from(plan, start, number..number + 1)
}

fn record_from(plan: Plan, start: &Image, numbers: Range<usize>) -> Recording {
    let home = tempfile::tempdir().unwrap();
    // The kernel tells paths without links in them.
    let path = home.path().canonicalize().unwrap();
    let (store, remarks) = (path.join("store"), path.join("remarks"));
    std::fs::create_dir(&store).unwrap();
    std::fs::write(&remarks, "").unwrap();
    write(start, &store);
    let mut disk = Disk::holding(start);
    let mut reader = Reader {
        directory: store.clone(),
        remarks: remarks.clone(),
        names: start.keys().cloned().collect(),
    };
    let mut ops = Vec::new();
    for number in numbers {
        let log = run(&path, &store, &remarks, number, plan.process(number).end);
        for op in reader.read(&parse(&log)) {
            disk.apply(&op);
            ops.push(op);
        }
        let (made, real) = (disk.live(), files(&store));
        assert!(
            made.keys().eq(real.keys()),
            "the recording has other files than the disk: {:?}, {:?}",
            made.keys(),
            real.keys()
        );
        for (name, content) in &made {
            assert!(
                *content == real[name],
                "the recording missed changes of {name}"
            );
        }
    }
    let last = disk.live();
    Recording { plan, ops, last }
}

fn run(home: &Path, store: &Path, remarks: &Path, number: usize, end: End) -> String {
    let log = home.join(format!("calls.{number}"));
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-xx", "-s", "16777216", "-e", CALLS, "-o"]);
    command.arg(&log);
    let kill = match end {
        End::Close => None,
        End::KilledAtSync(count) => Some(("fsync,fdatasync", count)),
        End::KilledAtWrite(count) => Some(("pwrite64", count)),
    };
    if let Some((calls, count)) = kill {
        let kill = format!("inject={calls}:signal=SIGKILL:when={count}");
        command.args(["-e", &kill]);
    }
    command
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "workload::as_child", "--ignored", "--nocapture"])
        .arg("--test-threads=1")
        .env(DIRECTORY, store)
        .env(REMARKS, remarks)
        .env(PROCESS, number.to_string())
        .stdin(Stdio::null());
    let output = command.output().unwrap_or_else(|error| {
        panic!("strace does not start ({error}); it is in the package of that name")
    });
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let as_planned = output.status.success() == (end == End::Close);
    assert!(as_planned, "process {number}: {:?}\n{said}", output.status);
    let calls = std::fs::read_to_string(&log).unwrap();
    assert!(calls.contains("pwrite64("), "nothing was traced: {said}");
    calls
}

/// The store's files, but for those that never count.
fn files(directory: &Path) -> Image {
    std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .filter(|(name, _)| name != INDEX)
        .map(|(name, path)| (name, std::fs::read(path).unwrap()))
        .collect()
}

/// Turns calls into changes.
struct Reader {
    directory: PathBuf,
    remarks: PathBuf,
    names: BTreeSet<String>,
}

impl Reader {
    /// A change has its place where its call began, a sync where it ended: it keeps nothing
    /// before. A remark was true when its call began.
    fn read(&mut self, calls: &[Call]) -> Vec<Op> {
        let mut placed: Vec<(usize, Op)> = Vec::new();
        let mut busy_until = 0;
        for call in calls {
            let Some(op) = self.op(call) else {
                continue;
            };
            let place = match op {
                Op::Sync(_) | Op::SyncDirectory => call.ended,
                _ => call.began,
            };
            if !matches!(op, Op::Remark(_)) {
                assert!(call.began >= busy_until, "two changes at once: {call:?}");
                busy_until = call.ended;
            }
            placed.push((place, op));
        }
        placed.sort_by_key(|(place, _)| *place);
        placed.into_iter().map(|(_, op)| op).collect()
    }

    /// The name of a file of the store; empty for its directory.
    fn name(&self, path: &str) -> Option<String> {
        let inside = Path::new(path).strip_prefix(&self.directory).ok()?;
        Some(inside.to_str().expect("a name").to_owned())
    }

    fn op(&mut self, call: &Call) -> Option<Op> {
        let touched: Vec<String> = call
            .args
            .iter()
            .filter_map(|arg| match arg {
                Arg::Path(path) => Some(path.clone()),
                Arg::Bytes(bytes) => String::from_utf8(bytes.clone()).ok(),
                Arg::Word(_) => None,
            })
            .collect();
        if call.name == "write" && Path::new(&touched[0]) == self.remarks {
            let text = String::from_utf8(call.bytes(1).to_vec()).expect("text");
            return Some(Op::Remark(text.trim_end().to_owned()));
        }
        let name = touched.iter().find_map(|path| self.name(path));
        let global = matches!(call.name.as_str(), "sync" | "syncfs");
        assert!(!global, "a sync of everything is not understood");
        let name = name.filter(|name| name != INDEX)?;
        let in_directory = name.is_empty();
        match (call.name.as_str(), call.result) {
            ("openat", Some(found)) if found >= 0 => {
                let flags = call.word(2);
                assert!(!flags.contains("O_TRUNC"), "not understood: {call:?}");
                let fresh = flags.contains("O_CREAT") && self.names.insert(name.clone());
                fresh.then_some(Op::Create(name))
            }
            ("pwrite64", Some(written)) if written >= 0 => {
                let written = usize::try_from(written).expect("a length");
                let data = call.bytes(1)[..written].into();
                Some(Op::Write(name, call.number(3), data))
            }
            ("ftruncate", Some(0)) => Some(Op::Truncate(name, call.number(1))),
            ("fsync" | "fdatasync", Some(0)) if in_directory => Some(Op::SyncDirectory),
            ("fsync" | "fdatasync", Some(0)) => Some(Op::Sync(name)),
            // Its process was killed before it was done.
            ("fsync" | "fdatasync" | "pwrite64", None) => None,
            ("unlink" | "unlinkat", Some(0)) => {
                self.names.remove(&name);
                Some(Op::Unlink(name))
            }
            ("openat" | "unlink" | "unlinkat", Some(-1)) => None,
            ("mmap", _) if !call.args.iter().any(is_shared) => None,
            _ => panic!("not understood: {call:?}"),
        }
    }
}

fn is_shared(arg: &Arg) -> bool {
    matches!(arg, Arg::Word(word) if word.contains("MAP_SHARED"))
}
