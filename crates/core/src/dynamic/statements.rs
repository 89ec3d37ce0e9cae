//! Statements of roles: one text may hold several, with `{{name}}`, `{{password}}` and
//! `{{expiration}}` where a lease's own go.
//!
//! A text is cut into statements before anything is filled in, and what is filled in has no
//! character that ends a quote in any of the languages. So a value never becomes a part of the
//! language, however a role quotes it.

use zeroize::Zeroizing;

/// How a language quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `'…'`, `E'…\'…'`, `"…"`, `$tag$…$tag$`, `-- …`, `/* nested */`.
    Postgresql,
    /// `'…\'…'`, `"…"`, `` `…` ``, `-- …`, `# …`, `/* … */`.
    Mysql,
}

/// What is filled in.
pub struct Placeholders<'a> {
    /// The account: `{{name}}`, `{{username}}`.
    pub name: &'a str,
    /// Its password, or what the target takes instead: `{{password}}`.
    pub password: &'a str,
    /// When it ends, as the target writes times: `{{expiration}}`.
    pub expiration: &'a str,
}

/// Why a text was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// A quote or comment that does not end.
    #[error("a quote or a comment in it does not end")]
    Unended,
    /// An unknown placeholder.
    #[error("what may stand between {{{{ and }}}} is name, username, password and expiration")]
    Placeholder,
    /// Nothing in it.
    #[error("it holds no statement")]
    Empty,
    /// A value that might end a quote.
    #[error("a value cannot be put into a statement")]
    Value,
}

/// One statement of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement(String);

impl Statement {
    /// As the role says it.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether it names this placeholder.
    pub fn names(&self, placeholder: &str) -> bool {
        pieces(&self.0).is_ok_and(|pieces| {
            pieces
                .iter()
                .any(|piece| matches!(piece, Piece::Of(word) if *word == placeholder))
        })
    }

    /// With everything filled in.
    ///
    /// # Errors
    /// [`StatementError::Value`] when a value has a character that could end a quote.
    pub fn render(&self, values: &Placeholders<'_>) -> Result<Zeroizing<String>, StatementError> {
        let pieces = pieces(&self.0)?;
        let mut parts = Vec::with_capacity(pieces.len());
        for piece in pieces {
            parts.push(match piece {
                Piece::Text(text) => text,
                Piece::Of("name" | "username") => sound(values.name)?,
                Piece::Of("password") => sound(values.password)?,
                Piece::Of(_) => sound(values.expiration)?,
            });
        }
        // Made at its full size: nothing of it stays behind in a smaller buffer.
        let mut text = Zeroizing::new(String::with_capacity(
            parts.iter().map(|part| part.len()).sum(),
        ));
        for part in parts {
            text.push_str(part);
        }
        Ok(text)
    }
}

/// Characters that mean nothing in a quote, and nothing outside of one that could begin a
/// statement.
fn sound(value: &str) -> Result<&str, StatementError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.@:+/=$ ,*".contains(&byte);
    match value.bytes().all(fits) {
        true => Ok(value),
        false => Err(StatementError::Value),
    }
}

enum Piece<'a> {
    Text(&'a str),
    Of(&'a str),
}

fn pieces(text: &str) -> Result<Vec<Piece<'_>>, StatementError> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (word, behind) = after.split_once("}}").ok_or(StatementError::Placeholder)?;
        let word = word.trim();
        if !["name", "username", "password", "expiration"].contains(&word) {
            return Err(StatementError::Placeholder);
        }
        pieces.push(Piece::Text(before));
        pieces.push(Piece::Of(word));
        rest = behind;
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

/// Cuts texts into statements, in their order.
///
/// # Errors
/// [`StatementError`] says what is wrong and repeats nothing.
pub fn split(texts: &[String], dialect: Dialect) -> Result<Vec<Statement>, StatementError> {
    let mut statements = Vec::new();
    for text in texts {
        let before = statements.len();
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let end = end_of_statement(rest, dialect)?;
            let (statement, behind) = rest.split_at(end);
            let said = says_something(statement, dialect)?;
            if said {
                pieces(statement)?;
                statements.push(Statement(statement.trim().to_owned()));
            }
            rest = behind.strip_prefix(';').unwrap_or(behind);
        }
        if statements.len() == before {
            return Err(StatementError::Empty);
        }
    }
    Ok(statements)
}

/// The place of the `;` that ends the first statement, or the end.
fn end_of_statement(text: &str, dialect: Dialect) -> Result<usize, StatementError> {
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with(';') {
            return Ok(at);
        }
        at += token(rest, text[..at].chars().next_back(), dialect)?;
    }
    Ok(text.len())
}

/// Whether there is more in it than space and comments.
fn says_something(text: &str, dialect: Dialect) -> Result<bool, StatementError> {
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let length = token(rest, text[..at].chars().next_back(), dialect)?;
        if !rest.starts_with(char::is_whitespace) && !is_comment(rest, dialect) {
            return Ok(true);
        }
        at += length;
    }
    Ok(false)
}

fn is_comment(text: &str, dialect: Dialect) -> bool {
    let is_mysql = dialect == Dialect::Mysql;
    // There `5--1` is a subtraction.
    let begins_line = |rest: &str| !is_mysql || !rest.starts_with(|c: char| c > ' ');
    text.strip_prefix("--").is_some_and(begins_line)
        || text.starts_with("/*")
        || is_mysql && text.starts_with('#')
}

/// The length of what begins here: a quote or comment as a whole, else one character.
fn token(text: &str, before: Option<char>, dialect: Dialect) -> Result<usize, StatementError> {
    let first = text.chars().next().unwrap_or(' ');
    let is_mysql = dialect == Dialect::Mysql;
    if is_comment(text, dialect) && !text.starts_with("/*") {
        return Ok(text.find('\n').unwrap_or(text.len()));
    }
    match first {
        '/' if text.starts_with("/*") => comment(text, !is_mysql),
        // In PostgreSQL a backslash means itself, unless an E stands before the quote.
        '\'' => quote(text, '\'', is_mysql || matches!(before, Some('E' | 'e'))),
        '"' => quote(text, '"', is_mysql),
        '`' if is_mysql => quote(text, '`', false),
        '$' if !is_mysql && !before.is_some_and(is_word) => Ok(dollar(text)?.unwrap_or(1)),
        _ => Ok(first.len_utf8()),
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

fn quote(text: &str, mark: char, escapes: bool) -> Result<usize, StatementError> {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && escapes {
            chars.next();
        } else if c == mark {
            match chars.peek() {
                // Twice is one that does not end it.
                Some((_, again)) if *again == mark => {
                    chars.next();
                }
                _ => return Ok(at + mark.len_utf8()),
            }
        }
    }
    Err(StatementError::Unended)
}

fn comment(text: &str, nested: bool) -> Result<usize, StatementError> {
    let mut depth = 0usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") && (nested || depth == 0) {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return Ok(at);
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    Err(StatementError::Unended)
}

/// `$tag$ … $tag$`; `None` when it is only a `$`.
fn dollar(text: &str) -> Result<Option<usize>, StatementError> {
    let Some(end) = text[1..].find('$') else {
        return Ok(None);
    };
    let tag = &text[..end + 2];
    let name = &tag[1..tag.len() - 1];
    let is_tag = name.chars().all(|c| c.is_alphanumeric() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit());
    if !is_tag {
        return Ok(None);
    }
    match text[tag.len()..].find(tag) {
        Some(at) => Ok(Some(tag.len() + at + tag.len())),
        None => Err(StatementError::Unended),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(text: &str, dialect: Dialect) -> Result<Vec<String>, StatementError> {
        let statements = split(&[text.to_owned()], dialect)?;
        Ok(statements.iter().map(|one| one.text().to_owned()).collect())
    }

    #[test]
    fn texts_are_cut_where_their_language_ends_a_statement() {
        use Dialect::{Mysql, Postgresql};
        for (dialect, text, expect) in [
            (Postgresql, "A; B ;; C;", vec!["A", "B", "C"]),
            (Postgresql, "A ';' B; C", vec!["A ';' B", "C"]),
            (Postgresql, r"A '\'; B", vec![r"A '\'", "B"]),
            (Postgresql, r"A E'\';'; B", vec![r"A E'\';'", "B"]),
            (Postgresql, "A 'it''s; x'; B", vec!["A 'it''s; x'", "B"]),
            (Postgresql, "DO $$ x; y $$; B", vec!["DO $$ x; y $$", "B"]),
            (
                Postgresql,
                "DO $a$ x; $$ y $a$; B",
                vec!["DO $a$ x; $$ y $a$", "B"],
            ),
            (Postgresql, "A -- ; x\n; B", vec!["A -- ; x", "B"]),
            (
                Postgresql,
                "A /* ; /* ; */ ; */ ; B",
                vec!["A /* ; /* ; */ ; */", "B"],
            ),
            (Postgresql, "A a$b$; B", vec!["A a$b$", "B"]),
            (Postgresql, "A # ; B", vec!["A #", "B"]),
            (Mysql, r"A '\';'; B", vec![r"A '\';'", "B"]),
            (Mysql, "A `;`; B", vec!["A `;`", "B"]),
            (Mysql, "A # ; x\n; B", vec!["A # ; x", "B"]),
            (Mysql, "A; -- nothing\n", vec!["A"]),
            (Mysql, "A 5--1; B", vec!["A 5--1", "B"]),
            (Mysql, "A --\t;\n; B", vec!["A --\t;", "B"]),
            (Mysql, "A /* /* */; B", vec!["A /* /* */", "B"]),
            (Mysql, "A $$; B", vec!["A $$", "B"]),
        ] {
            assert_eq!(cut(text, dialect).unwrap(), expect, "{text}");
        }
        for text in ["A '", "A \"x", "/* /* */", "$$ x", "E'\\'"] {
            assert_eq!(
                cut(text, Postgresql),
                Err(StatementError::Unended),
                "{text}"
            );
        }
        for text in ["", " ; ", "-- x", "/* x */"] {
            assert_eq!(cut(text, Postgresql), Err(StatementError::Empty), "{text}");
        }
    }

    const VALUES: Placeholders<'_> = Placeholders {
        name: "v_app_x",
        password: "S3cret-_",
        expiration: "2026-11-22 05:00:00+0000",
    };

    #[test]
    fn what_is_filled_in_is_the_lease_s_own() {
        let text = "CREATE ROLE \"{{name}}\" PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'; \
                    GRANT a TO \"{{ username }}\"";
        let statements = split(&[text.to_owned()], Dialect::Postgresql).unwrap();
        assert!(statements[0].names("password") && !statements[1].names("password"));
        let texts: Vec<_> = statements
            .iter()
            .map(|one| one.render(&VALUES).unwrap().to_string())
            .collect();
        assert_eq!(
            texts,
            [
                "CREATE ROLE \"v_app_x\" PASSWORD 'S3cret-_' VALID UNTIL '2026-11-22 05:00:00+0000'",
                "GRANT a TO \"v_app_x\"",
            ]
        );
        for text in ["{{secret}}", "{{name", "{{}}"] {
            assert_eq!(
                cut(text, Dialect::Mysql),
                Err(StatementError::Placeholder),
                "{text}"
            );
        }
        for value in ["a'b", "a\"b", "a`b", "a\\b", "a;b", "a\nb", "ä"] {
            let values = Placeholders {
                name: value,
                ..VALUES
            };
            assert_eq!(statements[0].render(&values), Err(StatementError::Value));
        }
    }

    proptest! {
        /// Cutting what was cut changes nothing, and no character is lost but those between.
        #[test]
        fn every_text_is_cut_or_refused(text in "[ab;'\"`$\\\\E#/*\n -]{0,40}", mysql: bool) {
            let dialect = if mysql { Dialect::Mysql } else { Dialect::Postgresql };
            if let Ok(statements) = cut(&text, dialect) {
                for one in &statements {
                    prop_assert_eq!(cut(one, dialect).unwrap(), vec![one.clone()]);
                    prop_assert!(text.contains(one.as_str()));
                }
            }
        }
    }
}
