//! Passwords that people log in by: kept as bcrypt hashes, because they are guessed.

use scaivault_core::ports::Entropy;
use zeroize::Zeroizing;

/// The longest password: what is behind it, the hash would not see.
pub const PASSWORD_BYTES_MAX: usize = 72;
/// How often each guess goes round: 2 to the power of this.
const COST: u32 = 10;
/// A hash of a password that nobody has: judged where there is none, so that it takes as long.
const NOBODY: &str = "$2b$10$abcdefghijklmnopqrstuuQ3xyYcHQwGv8fyW2wYwGmXvFJ4rWcZ2";

/// The hash of a password; `None` for one that is too long, or empty.
pub fn hash(password: &str, entropy: &dyn Entropy) -> Option<String> {
    if password.is_empty() || password.len() > PASSWORD_BYTES_MAX || password.contains('\0') {
        return None;
    }
    let mut salt = Zeroizing::new([0u8; 16]);
    entropy.fill(salt.as_mut_slice());
    let parts = bcrypt::hash_with_salt(password, COST, *salt).ok()?;
    Some(parts.format_for_version(bcrypt::Version::TwoB))
}

/// Whether a text is a hash that [`matches`] judges in a bearable time.
pub fn is_hash(text: &str) -> bool {
    let parts: Option<bcrypt::HashParts> = text.parse().ok();
    parts.is_some_and(|parts| (4..=14).contains(&parts.get_cost())) && text.len() == 60
}

/// Whether the password is that of the hash. Takes its time, whatever comes of it.
pub fn matches(password: &str, hash: Option<&str>) -> bool {
    let found = bcrypt::verify(password, hash.unwrap_or(NOBODY)).unwrap_or(false);
    let sane = (1..=PASSWORD_BYTES_MAX).contains(&password.len());
    found && sane && hash.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemEntropy;

    #[test]
    fn a_password_is_known_by_its_hash() {
        let one = hash("correct horse", &SystemEntropy).unwrap();
        let two = hash("correct horse", &SystemEntropy).unwrap();
        assert_ne!(one, two);
        assert!(is_hash(&one) && is_hash(NOBODY) && !is_hash("correct horse"));
        assert!(!is_hash(&one.replace("$10$", "$31$")));
        assert!(matches("correct horse", Some(&one)));
        for wrong in ["correct hors", "", "correct horse "] {
            assert!(!matches(wrong, Some(&one)), "{wrong}");
        }
        assert!(!matches("correct horse", None));
        assert!(hash("", &SystemEntropy).is_none());
        let long = "x".repeat(PASSWORD_BYTES_MAX);
        let kept = hash(&long, &SystemEntropy).unwrap();
        assert!(matches(&long, Some(&kept)) && !matches(&format!("{long}y"), Some(&kept)));
        assert!(hash(&format!("{long}y"), &SystemEntropy).is_none());
    }
}
