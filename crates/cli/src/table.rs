//! Plain text tables, and text from outside made harmless for a terminal.

use std::fmt::Write;

/// Rows of cells under a header, each column as wide as its widest cell.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(header: &[&str]) -> Self {
        Self {
            rows: vec![header.iter().map(|&cell| cell.to_owned()).collect()],
        }
    }

    /// Two columns without a header: names and values.
    pub(crate) fn fields() -> Self {
        Self { rows: Vec::new() }
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [&str; N]) {
        self.rows
            .push(cells.iter().map(|cell| plain(cell)).collect());
    }

    /// Each line ends with a line end; no line has spaces at its end.
    pub(crate) fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column| {
            let cells = self.rows.iter().filter_map(|row| row.get::<usize>(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                let _ = write!(line, "{cell:<width$}  ");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Control characters as their escapes: a tag or a description must not steer the terminal.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for char in text.chars() {
        if steers(char) {
            plain.extend(char.escape_default());
        } else {
            plain.push(char);
        }
    }
    plain
}

/// As [`plain`], but line ends and tabs stay.
pub(crate) fn plain_lines(text: &str) -> String {
    text.split_inclusive(['\n', '\t'])
        .map(|part| match part.chars().next_back() {
            Some(end @ ('\n' | '\t')) => format!("{}{end}", plain(&part[..part.len() - 1])),
            _ => plain(part),
        })
        .collect()
}

/// Control characters, and the marks that reorder the text around them.
fn steers(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What may be absent.
pub(crate) fn or_dash(text: Option<&str>) -> &str {
    text.filter(|text| !text.is_empty()).unwrap_or("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["PATH", "VERSION"]);
        table.row(["a", "1"]);
        table.row(["größer/als", "22"]);
        assert_eq!(
            table.render(),
            "PATH        VERSION\na           1\ngrößer/als  22\n"
        );
    }

    #[test]
    fn fields_have_no_header_and_lines_no_trailing_space() {
        let mut table = Table::fields();
        table.row(["path", "a"]);
        table.row(["tags", ""]);
        assert_eq!(table.render(), "path  a\ntags\n");
    }

    #[test]
    fn controls_are_escaped() {
        let check = |text: &str, expect: &str| assert_eq!(plain(text), expect);
        check("a\x1b[31mb", "a\\u{1b}[31mb");
        check("a\r\nb\tc", "a\\r\\nb\\tc");
        check("\u{202e}x\u{9b}", "\\u{202e}x\\u{9b}");
        check("größer", "größer");
        assert_eq!(plain_lines("a\nb\tc\x1b\n"), "a\nb\tc\\u{1b}\n");
    }
}
