//! How ciphertexts, signatures and HMACs are written: `vault:v3:` and the rest in base64. Clients look at
//! the prefix, and the number says which version of the key made it.

use super::refusal::TransitRefusal;

const PREFIX: &str = "vault:v";

/// With its version before it.
pub fn versioned(version: u32, body: &str) -> String {
    format!("{PREFIX}{version}:{body}")
}

/// The version, and what stands behind it.
///
/// # Errors
/// [`TransitRefusal`] where it was not written so.
pub fn read_versioned(text: &str) -> Result<(u32, &str), TransitRefusal> {
    let rest = text.strip_prefix(PREFIX).ok_or(TransitRefusal::NoPrefix)?;
    let (number, body) = rest.split_once(':').ok_or(TransitRefusal::Fields)?;
    let is_plain = number.bytes().all(|byte| byte.is_ascii_digit());
    let number = number.parse().ok().filter(|_| is_plain);
    Ok((number.ok_or(TransitRefusal::Number)?, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_comes_back() {
        assert_eq!(read_versioned(&versioned(7, "a:b")), Ok((7, "a:b")));
        for (bad, why) in [
            ("", TransitRefusal::NoPrefix),
            ("vault:1:a", TransitRefusal::NoPrefix),
            ("vault:v1", TransitRefusal::Fields),
            ("vault:v:a", TransitRefusal::Number),
            ("vault:v+1:a", TransitRefusal::Number),
            ("vault:v99999999999:a", TransitRefusal::Number),
        ] {
            assert_eq!(read_versioned(bad), Err(why), "{bad}");
        }
    }
}
