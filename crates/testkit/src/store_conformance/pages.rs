//! Walking a list in pages.

/// Walks a list in pages of every size and expects the same rows each time.
macro_rules! check_pages {
    ($expect:expr, |$after:ident, $limit:ident| $page:expr, |$row:ident| $place:expr) => {{
        let expect: Vec<_> = $expect.into_iter().collect();
        for $limit in 1..=expect.len() + 1 {
            let (mut seen, mut last) = (Vec::new(), None::<String>);
            loop {
                let $after = last.as_deref();
                let page = $page.await.unwrap();
                assert!(
                    page.len() <= $limit,
                    "a page of {} with limit {}",
                    page.len(),
                    $limit
                );
                let full = page.len() == $limit;
                last = page.last().map(|$row| $place.to_string());
                seen.extend(page);
                if !full {
                    break;
                }
            }
            let (seen, want): (Vec<_>, Vec<_>) = (
                seen.iter().map(|$row| $place.to_string()).collect(),
                expect.iter().map(|place| place.to_string()).collect(),
            );
            assert_eq!(seen, want, "pages of {}", $limit);
        }
    }};
}

pub(super) use check_pages;
