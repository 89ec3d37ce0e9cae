//! `GET /v1/docs`: the OpenAPI document as a page. It is ours, whole, and asks nobody but this
//! server: no other host, no script inside the page, nothing that can be framed.

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::no_such_route;
use crate::app::Shared;
use crate::openapi::Operation;
use crate::problem::Problem;

const PAGE: &str = include_str!("../docs/page.html");
const STYLE: &str = include_str!("../docs/page.css");
const SCRIPT: &str = include_str!("../docs/page.js");

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";
const REFERRER: HeaderName = HeaderName::from_static("referrer-policy");

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v1/docs", get(page))
        .route("/v1/docs/{file}", get(file))
}

async fn page() -> Response {
    sent("text/html; charset=utf-8", PAGE)
}

async fn file(Path(name): Path<String>) -> Result<Response, Problem> {
    match name.as_str() {
        "page.css" => Ok(sent("text/css; charset=utf-8", STYLE)),
        "page.js" => Ok(sent("text/javascript; charset=utf-8", SCRIPT)),
        _ => Err(no_such_route().await),
    }
}

fn sent(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(POLICY),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (REFERRER, HeaderValue::from_static("no-referrer")),
    ];
    (headers, text).into_response()
}

pub(super) fn operations() -> Vec<Operation> {
    let tag = "System";
    vec![
        Operation::get("/v1/docs", "docs", tag, "This document as a page to browse")
            .open()
            .text(200, "text/html"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All of it comes from here, and nothing runs that is not in the script's own file.
    #[test]
    fn the_page_asks_nobody_else_and_holds_no_script() {
        for text in [PAGE, STYLE, SCRIPT] {
            assert!(!text.contains("://"), "another host");
            assert!(!text.contains("url("), "something else to fetch");
        }
        assert!(PAGE.contains(r#"<script src="docs/page.js" defer></script>"#));
        assert_eq!(PAGE.matches("<script").count(), 1);
        assert!(!PAGE.contains(" on") && !PAGE.contains("style="));
        for word in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "eval(",
            "document.write",
        ] {
            assert!(!SCRIPT.contains(word), "{word}");
        }
        assert!(POLICY.contains("default-src 'none'") && !POLICY.contains("unsafe"));
    }
}
