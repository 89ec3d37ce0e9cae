//! Values of settings as literals. Those that are lists of names are stored as one text and must be
//! given as one literal per name: as a single literal they would become one odd name.

use super::sql;

const LISTS: [&str; 6] = [
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// What stands behind `SET name =`.
pub(super) fn literals(name: &str, value: &str) -> String {
    if !LISTS.contains(&name.to_ascii_lowercase().as_str()) {
        return sql::text(value);
    }
    let names: Vec<String> = names(value).iter().map(|name| sql::text(name)).collect();
    match names.is_empty() {
        true => sql::text(""),
        false => names.join(", "),
    }
}

/// The names of a list, which may be quoted.
fn names(value: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut chars = value.chars().peekable();
    let mut name = String::new();
    let (mut quoted, mut was_quoted) = (false, false);
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                name.push('"');
            }
            '"' => {
                quoted = !quoted;
                was_quoted = true;
            }
            ',' if !quoted => {
                out.push(std::mem::take(&mut name));
                was_quoted = false;
            }
            c if c.is_whitespace() && !quoted => {}
            c => name.push(c),
        }
    }
    if !name.is_empty() || was_quoted {
        out.push(name);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_given_name_by_name() {
        let check = |name, value, expect: &str| assert_eq!(literals(name, value), expect);
        check("work_mem", "64MB", "'64MB'");
        check("app.note", "a, b", "'a, b'");
        check("search_path", "app, public", "'app', 'public'");
        check(
            "search_path",
            r#""$user", "A ""b"", c""#,
            r#"'$user', 'A "b", c'"#,
        );
        check("search_path", r#""""#, "''");
    }
}
