//! The grammar that policies are written in: bodies of `key [label] [=] value`, with texts, numbers,
//! lists, objects, comments and heredocs; an object whose keys are texts is JSON. There are no
//! expressions, so a text of any kind is read in one pass, to a bounded depth.

use super::document::Refusal;

/// Values inside values.
const DEPTH_MAX: usize = 10;
/// Entries and values of one text.
const PARTS_MAX: usize = 20_000;

/// `key label… = value`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) line: u32,
    pub(super) key: String,
    pub(super) label: Option<String>,
    pub(super) value: Value,
}

/// What stands behind a key.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    /// A number, `true`, `false` or `null`, as it is written.
    Word(String),
    List(Vec<Value>),
    Object(Vec<Entry>),
}

/// Reads a whole text.
pub(super) fn read(text: &str) -> Result<Vec<Entry>, Refusal> {
    let mut reader = Reader {
        text: text.as_bytes(),
        at: 0,
        line: 1,
        parts: 0,
    };
    reader.skip()?;
    let entries = match reader.peek() {
        Some(b'{') => {
            reader.step();
            reader.body(Some(b'}'), 1)?
        }
        _ => reader.body(None, 0)?,
    };
    reader.skip()?;
    match reader.peek() {
        None => Ok(entries),
        Some(_) => Err(reader.refusal("the policy ends before this")),
    }
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    line: u32,
    parts: usize,
}

impl Reader<'_> {
    fn refusal(&self, reason: impl Into<String>) -> Refusal {
        Refusal::at(self.line, reason)
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn step(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        if byte == b'\n' {
            self.line += 1;
        }
        Some(byte)
    }

    fn starts(&self, with: &[u8]) -> bool {
        self.text[self.at..].starts_with(with)
    }

    fn part(&mut self) -> Result<(), Refusal> {
        self.parts += 1;
        match self.parts > PARTS_MAX {
            true => Err(self.refusal("the policy has too many parts")),
            false => Ok(()),
        }
    }

    /// White space and comments.
    fn skip(&mut self) -> Result<(), Refusal> {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\r' | b'\n') => {
                    self.step();
                }
                Some(b'#') => self.skip_line(),
                Some(b'/') if self.starts(b"//") => self.skip_line(),
                Some(b'/') if self.starts(b"/*") => self.comment()?,
                _ => return Ok(()),
            }
        }
    }

    fn skip_line(&mut self) {
        while self.peek().is_some_and(|byte| byte != b'\n') {
            self.at += 1;
        }
    }

    fn comment(&mut self) -> Result<(), Refusal> {
        let opened = self.line;
        self.at += 2;
        while !self.starts(b"*/") {
            if self.step().is_none() {
                return Err(Refusal::at(opened, "this comment is not closed with */"));
            }
        }
        self.at += 2;
        Ok(())
    }

    /// Entries up to `end`, which is taken, or to the end of the text.
    fn body(&mut self, end: Option<u8>, depth: usize) -> Result<Vec<Entry>, Refusal> {
        if depth > DEPTH_MAX {
            return Err(self.refusal("values stand too deep inside each other"));
        }
        let mut entries = Vec::new();
        loop {
            self.skip()?;
            match self.peek() {
                None if end.is_none() => return Ok(entries),
                None => return Err(self.refusal("a { is not closed with }")),
                byte if byte == end => {
                    self.step();
                    return Ok(entries);
                }
                Some(b',' | b';') if !entries.is_empty() => {
                    self.step();
                }
                Some(_) => entries.push(self.entry(depth)?),
            }
        }
    }

    fn entry(&mut self, depth: usize) -> Result<Entry, Refusal> {
        self.part()?;
        let line = self.line;
        let key = self.key()?;
        self.skip()?;
        let label = match self.peek() {
            Some(b'"') => Some(self.text()?),
            _ => None,
        };
        self.skip()?;
        let assigned = matches!(self.peek(), Some(b'=' | b':'));
        if assigned && label.is_none() {
            self.step();
        } else if self.peek() != Some(b'{') {
            let what = match label {
                Some(_) => "a { is missing behind the path",
                None => "an = is missing behind the key",
            };
            return Err(self.refusal(what));
        }
        let value = self.value(depth + 1)?;
        Ok(Entry {
            line,
            key,
            label,
            value,
        })
    }

    fn key(&mut self) -> Result<String, Refusal> {
        if self.peek() == Some(b'"') {
            return self.text();
        }
        let word = self.word();
        match word.is_empty() {
            true => Err(self.refusal("a key is expected here, such as path or capabilities")),
            false => Ok(word),
        }
    }

    fn word(&mut self) -> String {
        let from = self.at;
        let is_word =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'+');
        while self.peek().is_some_and(is_word) {
            self.at += 1;
        }
        String::from_utf8_lossy(&self.text[from..self.at]).into_owned()
    }

    fn value(&mut self, depth: usize) -> Result<Value, Refusal> {
        self.part()?;
        if depth > DEPTH_MAX {
            return Err(self.refusal("values stand too deep inside each other"));
        }
        self.skip()?;
        match self.peek() {
            Some(b'"') => self.text().map(Value::Text),
            Some(b'[') => self.list(depth),
            Some(b'{') => {
                self.step();
                self.body(Some(b'}'), depth + 1).map(Value::Object)
            }
            Some(b'<') if self.starts(b"<<") => self.heredoc().map(Value::Text),
            _ => match self.word() {
                word if word.is_empty() => Err(self.refusal("a value is expected here")),
                word => Ok(Value::Word(word)),
            },
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value, Refusal> {
        self.step();
        let mut values = Vec::new();
        loop {
            self.skip()?;
            match self.peek() {
                None => return Err(self.refusal("a [ is not closed with ]")),
                Some(b']') => {
                    self.step();
                    return Ok(Value::List(values));
                }
                Some(_) => values.push(self.value(depth + 1)?),
            }
            self.skip()?;
            match self.peek() {
                Some(b',') => {
                    self.step();
                }
                Some(b']') => {}
                _ => return Err(self.refusal("a comma or ] is missing in this list")),
            }
        }
    }

    fn text(&mut self) -> Result<String, Refusal> {
        let opened = self.line;
        self.step();
        let mut read = Vec::new();
        loop {
            match self.step() {
                None | Some(b'\n') => {
                    return Err(Refusal::at(opened, "a text is not closed with \""));
                }
                Some(b'"') => break,
                Some(b'\\') => self.escaped(&mut read)?,
                Some(b'$') if self.peek() == Some(b'{') => {
                    return Err(self.refusal("${…} is filled in by nobody here"));
                }
                Some(byte) => read.push(byte),
            }
        }
        String::from_utf8(read).map_err(|_| Refusal::at(opened, "a text is not UTF-8"))
    }

    fn escaped(&mut self, read: &mut Vec<u8>) -> Result<(), Refusal> {
        let char = match self.step() {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'n') => '\n',
            Some(b't') => '\t',
            Some(b'r') => '\r',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'u') => {
                let digits = self.text.get(self.at..self.at + 4);
                let digits = digits.filter(|all| all.iter().all(u8::is_ascii_hexdigit));
                let digits = digits.and_then(|all| std::str::from_utf8(all).ok());
                let code = digits.and_then(|all| u32::from_str_radix(all, 16).ok());
                self.at += 4 * usize::from(code.is_some());
                code.and_then(char::from_u32)
                    .ok_or_else(|| self.refusal("\\u is followed by the four digits of a letter"))?
            }
            _ => return Err(self.refusal("\\ is followed by n, t, r, u0000, \\ or \"")),
        };
        let mut bytes = [0; 4];
        read.extend_from_slice(char.encode_utf8(&mut bytes).as_bytes());
        Ok(())
    }

    /// `<<WORD`, lines, `WORD` alone; with `<<-` white space before the lines goes.
    fn heredoc(&mut self) -> Result<String, Refusal> {
        let opened = self.line;
        self.at += 2;
        let indented = self.peek() == Some(b'-');
        self.at += usize::from(indented);
        let mark = self.word();
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r')) {
            self.at += 1;
        }
        if mark.is_empty() || self.step() != Some(b'\n') {
            return Err(Refusal::at(
                opened,
                "<< is followed by a word and the end of the line",
            ));
        }
        let mut lines: Vec<String> = Vec::new();
        loop {
            let from = self.at;
            self.skip_line();
            let line = String::from_utf8_lossy(&self.text[from..self.at]).into_owned();
            let is_last = line.trim() == mark;
            if self.step().is_none() && !is_last {
                let why = format!("no line consists of {mark} alone, which ends this text");
                return Err(Refusal::at(opened, why));
            }
            if is_last {
                break;
            }
            lines.push(line);
        }
        if indented {
            let white = |line: &String| line.len() - line.trim_start_matches([' ', '\t']).len();
            let filled = lines.iter().filter(|line| !line.trim().is_empty());
            let least = filled.map(white).min().unwrap_or(0);
            for line in &mut lines {
                *line = line.get(least..).unwrap_or_default().to_owned();
            }
        }
        Ok(lines.iter().map(|line| format!("{line}\n")).collect())
    }
}
