//! Reads what strace wrote: system calls in order, calls that were interrupted by others put
//! together again.

use std::collections::HashMap;

/// One system call that came to its end, or that its process did not survive.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) args: Vec<Arg>,
    /// `None`: its process was gone first.
    pub(crate) result: Option<i64>,
    /// The path of the file descriptor it returned.
    pub(crate) made: Option<String>,
    /// Lines at which it began and ended.
    pub(crate) began: usize,
    pub(crate) ended: usize,
}

/// One argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Arg {
    /// A file descriptor's path.
    Path(String),
    Bytes(Vec<u8>),
    /// Anything else, as it stands.
    Word(String),
}

impl Call {
    pub(crate) fn path(&self, at: usize) -> &str {
        match &self.args[at] {
            Arg::Path(path) => path,
            other => panic!("{self:?}: argument {at} is {other:?}"),
        }
    }

    pub(crate) fn bytes(&self, at: usize) -> &[u8] {
        match &self.args[at] {
            Arg::Bytes(bytes) => bytes,
            other => panic!("{self:?}: argument {at} is {other:?}"),
        }
    }

    pub(crate) fn word(&self, at: usize) -> &str {
        match &self.args[at] {
            Arg::Word(word) => word,
            other => panic!("{self:?}: argument {at} is {other:?}"),
        }
    }

    pub(crate) fn number(&self, at: usize) -> usize {
        self.word(at).parse().expect("a number")
    }
}

/// Every call of a log, by the line at which it began.
pub(crate) fn parse(log: &str) -> Vec<Call> {
    let mut open: HashMap<&str, (String, usize)> = HashMap::new();
    let mut calls = Vec::new();
    for (line_number, line) in log.lines().enumerate() {
        let (process, rest) = line.split_once(' ').expect("a process id");
        let rest = rest.trim_start();
        if rest.starts_with("+++") || rest.starts_with("---") {
            continue;
        }
        if let Some(begun) = rest.strip_suffix("<unfinished ...>") {
            let before = open.insert(process, (begun.to_owned(), line_number));
            assert!(before.is_none(), "two calls at once: {line}");
        } else if let Some(resumed) = rest.strip_prefix("<... ") {
            let (begun, began) = open.remove(process).expect("a call to resume");
            let (_, end) = resumed.split_once(" resumed>").expect("resumed");
            calls.push(call(&format!("{begun}{end}"), began, line_number));
        } else {
            calls.push(call(rest, line_number, line_number));
        }
    }
    for (begun, began) in open.into_values() {
        calls.push(call(&format!("{begun}) = ?"), began, usize::MAX));
    }
    calls.sort_by_key(|call| call.began);
    calls
}

fn call(text: &str, began: usize, ended: usize) -> Call {
    let (name, rest) = text.split_once('(').expect("a call");
    // The arguments hold no parenthesis: strings and paths are hex, and no structure is traced.
    let (inside, outcome) = rest.split_once(')').expect("its end");
    let outcome = outcome.trim_start().strip_prefix("= ").expect("a result");
    let word = outcome.split([' ', '<']).next().expect("a word");
    let made = outcome
        .split_once('<')
        .and_then(|(_, path)| path.split_once('>'))
        .map(|(path, _)| String::from_utf8(unescape(path)).expect("a path is text"));
    Call {
        name: name.to_owned(),
        args: inside
            .split(", ")
            .filter(|arg| !arg.trim().is_empty())
            .map(arg)
            .collect(),
        result: word.parse().ok(),
        made,
        began,
        ended,
    }
}

fn arg(text: &str) -> Arg {
    let text = text.trim();
    if let Some(quoted) = text.strip_prefix('"') {
        let whole = quoted.strip_suffix('"').expect("a string in whole length");
        return Arg::Bytes(unescape(whole));
    }
    if let Some((_, path)) = text.split_once('<') {
        let (path, _) = path.split_once('>').expect("a path in brackets");
        return Arg::Path(String::from_utf8_lossy(&unescape(path)).into_owned());
    }
    Arg::Word(text.to_owned())
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() / 4);
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        if *first == b'\\' {
            assert_eq!(more[0], b'x', "bytes are hex");
            let digits = std::str::from_utf8(&more[1..3]).expect("two digits");
            bytes.push(u8::from_str_radix(digits, 16).expect("hex"));
            rest = &more[3..];
        } else {
            bytes.push(*first);
            rest = more;
        }
    }
    bytes
}

#[test]
fn calls_are_put_together() {
    let log = "7 pwrite64(3<\\x2f\\x61>, \"\\x00\\xff\", 2, 10 <unfinished ...>\n\
               8 openat(AT_FDCWD<\\x2f>, \"\\x61\", O_RDWR|O_CREAT, 0600) = 4<\\x2f\\x61>\n\
               8 --- SIGCHLD {si_signo=SIGCHLD} ---\n\
               7 <... pwrite64 resumed>) = 2\n\
               8 unlink(\"\\x61\") = -1 ENOENT (No such file or directory)\n\
               9 fsync(3<\\x2f\\x61> <unfinished ...>\n\
               9 +++ killed by SIGKILL +++\n";
    let calls = parse(log);
    assert_eq!((calls[0].began, calls[0].ended), (0, 3));
    assert_eq!((calls[0].path(0), calls[0].bytes(1)), ("/a", &[0, 255][..]));
    assert_eq!((calls[0].number(3), calls[0].result), (10, Some(2)));
    assert_eq!(calls[1].made.as_deref(), Some("/a"));
    assert_eq!(calls[2].result, Some(-1));
    assert_eq!((calls[3].name.as_str(), calls[3].result), ("fsync", None));
}
