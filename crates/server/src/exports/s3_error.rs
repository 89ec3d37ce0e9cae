//! What a bucket's refusals mean, and what to do about them.

/// What an operator is told. Repeats nothing of the answer but its code, which is a word.
pub(super) fn meaning(status: u16, body: &[u8], bucket: &str) -> String {
    let code = code(body);
    let what = match (code.as_deref(), status) {
        (Some("NoSuchBucket"), _) => {
            return format!(
                "there is no bucket {bucket} at this endpoint: make it, or correct audit.s3_bucket"
            );
        }
        (
            Some(
                "InvalidAccessKeyId"
                | "SignatureDoesNotMatch"
                | "InvalidToken"
                | "ExpiredToken"
                | "TokenRefreshRequired",
            ),
            _,
        ) => {
            "the key is not accepted: look at the files of audit.s3_access_key_file, \
             s3_secret_key_file and s3_session_token_file"
        }
        (Some("RequestTimeTooSkewed"), _) => "this machine's clock and the service's differ",
        (Some("AuthorizationHeaderMalformed" | "AuthorizationQueryParametersError"), _)
        | (Some("PermanentRedirect" | "TemporaryRedirect"), _)
        | (_, 301 | 307) => {
            "the bucket is elsewhere: look at audit.s3_region and audit.s3_endpoint"
        }
        (Some("InvalidRequest"), _) => {
            "the bucket does not take such a request: is it made with object lock, if \
             audit.s3_lock_mode is set?"
        }
        (_, 401 | 403) => {
            "the key may not do this: it needs s3:PutObject, s3:GetObject, s3:ListBucket and \
             s3:DeleteObject (with object lock also s3:PutObjectRetention) on the bucket and prefix"
        }
        (_, 503 | 429) => "the service asks for a pause",
        _ => "the service refused",
    };
    match code {
        Some(code) => format!("{what} ({status} {code})"),
        None => format!("{what} (status {status})"),
    }
}

/// The word in `<Code>…</Code>`.
fn code(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    let plain = code.len() <= 64 && code.bytes().all(|c| c.is_ascii_alphanumeric());
    plain.then(|| code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_is_said() {
        let body = |code: &str| format!("<Error><Code>{code}</Code></Error>").into_bytes();
        for (status, code, said) in [
            (404, "NoSuchBucket", "there is no bucket trail"),
            (403, "SignatureDoesNotMatch", "the key is not accepted"),
            (403, "AccessDenied", "needs s3:PutObject"),
            (301, "PermanentRedirect", "audit.s3_region"),
            (403, "RequestTimeTooSkewed", "clock"),
            (500, "InternalError", "refused (500 InternalError)"),
        ] {
            let text = meaning(status, &body(code), "trail");
            assert!(text.contains(said), "{text}");
        }
        assert_eq!(
            meaning(500, b"<Code><script></Code>", "b"),
            "the service refused (status 500)"
        );
        assert!(meaning(403, b"", "b").contains("s3:GetObject"));
    }
}
