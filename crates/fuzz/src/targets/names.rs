//! Names at targets, as connectors quote them: one word that reads back as the name, whatever it
//! holds. The input is two names with a line end between them.

use scaivault_connectors::{mysql, postgresql, redis};

use crate::target::{Target, text, texts};

pub(crate) const TARGET: Target = Target {
    name: "names",
    seeds: || {
        texts(&[
            "app_a\n%",
            "o'b\"r\\n`x\n10.0.0.%",
            "'; DROP ROLE x; --\n/*",
            "E'\\'\n\u{202e}",
            "GRANT SELECT ON `db`.* TO `a`@`%` WITH GRANT OPTION\nx",
            "people wrote this scaivault:epoch=7 tag=rot-1\nrot_2",
        ])
    },
    words: &[
        "'",
        "''",
        "\"",
        "\\",
        "`",
        ";",
        "--",
        "/*",
        "$$",
        "E'",
        "\0",
        "\u{2bc}",
        "\u{ff07}",
        "\r",
        "@",
        " TO ",
        "scaivault:epoch=",
        " tag=",
        "18446744073709551616",
        "GRANT",
        "REVOKE",
        "\\x00",
        "\x7f",
    ],
    run,
};

fn run(data: &[u8]) {
    let Some((one, two)) = text(data).and_then(|text| text.split_once('\n')) else {
        return;
    };
    let plain = one.replace('\0', "");
    assert_eq!(
        read(&postgresql::probes::name(one), '"', false),
        Some(plain.clone())
    );
    let quoted = postgresql::probes::text(one);
    match quoted.strip_prefix(" E") {
        Some(quoted) => assert_eq!(read(quoted, '\'', true), Some(plain)),
        None => {
            // The same with and without escapes.
            assert_eq!(read(&quoted, '\'', false), Some(plain.clone()));
            assert_eq!(read(&quoted, '\'', true), Some(plain));
        }
    }
    let account = mysql::probes::account(one, two);
    let (name, rest) = first(&account, '\'', false).expect("a name");
    let host = rest
        .strip_prefix('@')
        .and_then(|rest| read(rest, '\'', false));
    assert_eq!((name, host), (one.to_owned(), Some(two.to_owned())));
    let statement = format!("GRANT SELECT ON x TO {account}");
    assert_eq!(mysql::probes::words(&statement).len(), 6);
    // A printed grant for another account ends in that account, whole.
    if let Some(again) = mysql::probes::grant(one, &account) {
        let options = ["", " WITH GRANT OPTION", " WITH ADMIN OPTION"];
        assert!(
            options
                .iter()
                .any(|tail| again.ends_with(&format!("{account}{tail}")))
        );
    }
    let word = redis::probes::word(one);
    assert!(word.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    assert_eq!(unescaped(&word), Some(one.as_bytes().to_vec()));
    let (before, after, epoch) = postgresql::probes::marked(one, 7, two);
    assert_eq!((before, epoch), (after, Some(7)));
}

/// One quoted token and nothing behind it, as a server's scanner reads it.
fn read(sql: &str, quote: char, escapes: bool) -> Option<String> {
    first(sql, quote, escapes).and_then(|(text, rest)| rest.is_empty().then_some(text))
}

fn first(sql: &str, quote: char, escapes: bool) -> Option<(String, &str)> {
    let mut rest = sql.strip_prefix(quote)?;
    let mut out = String::new();
    loop {
        let c = rest.chars().next()?;
        rest = &rest[c.len_utf8()..];
        if escapes && c == '\\' {
            let c = rest.chars().next()?;
            rest = &rest[c.len_utf8()..];
            out.push(c);
        } else if c != quote {
            out.push(c);
        } else if let Some(after) = rest.strip_prefix(quote) {
            rest = after;
            out.push(quote);
        } else {
            return Some((out, rest));
        }
    }
}

/// A word as `redis-cli` documents its quoting.
fn unescaped(word: &str) -> Option<Vec<u8>> {
    let Some(inner) = word.strip_prefix('"') else {
        return Some(word.as_bytes().to_vec());
    };
    let inner = inner.strip_suffix('"')?;
    let mut out = Vec::new();
    let mut bytes = inner.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return None,
            b'\\' => match bytes.next()? {
                b'x' => {
                    let pair = [bytes.next()?, bytes.next()?];
                    out.push(u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()?);
                }
                other => out.push(other),
            },
            byte => out.push(byte),
        }
    }
    Some(out)
}
