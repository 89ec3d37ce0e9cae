//! The forms of SSH's protocol: texts with their length before them, big numbers without zeros in
//! front, and fields one after the other.

use zeroize::Zeroizing;

/// Fields that are put together.
#[derive(Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn u32(&mut self, number: u32) -> &mut Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    pub(super) fn u64(&mut self, number: u64) -> &mut Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    pub(super) fn text(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let bytes = bytes.as_ref();
        self.u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.0.extend_from_slice(bytes);
        self
    }

    /// A positive number.
    pub(super) fn number(&mut self, bytes: &[u8]) -> &mut Self {
        let bytes = trimmed(bytes);
        match bytes.first() {
            // The highest bit would be a sign.
            Some(first) if *first >= 0x80 => {
                let mut long = Vec::with_capacity(bytes.len() + 1);
                long.push(0);
                long.extend_from_slice(bytes);
                self.text(long)
            }
            _ => self.text(bytes),
        }
    }
}

/// Fields that are read one after the other.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        let bytes = self.bytes(4)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    }

    pub(super) fn text(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32()?).ok()?;
        self.bytes(length)
    }

    pub(super) fn word(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.text()?).ok()
    }
}

/// Without zeros in front.
pub(super) fn trimmed(bytes: &[u8]) -> &[u8] {
    let at = bytes.iter().position(|byte| *byte != 0);
    &bytes[at.unwrap_or(bytes.len())..]
}

/// One element of DER.
pub(super) fn der(tag: u8, content: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(content.len() + 6));
    out.push(tag);
    let length = content.len().to_be_bytes();
    let length = trimmed(&length);
    match content.len() {
        0..0x80 => out.push(u8::try_from(content.len()).unwrap_or(0)),
        _ => {
            out.push(0x80 | u8::try_from(length.len()).unwrap_or(0));
            out.extend_from_slice(length);
        }
    }
    out.extend_from_slice(content);
    out
}

/// A positive number in DER.
pub(super) fn der_number(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let bytes = trimmed(bytes);
    let mut number = Zeroizing::new(Vec::with_capacity(bytes.len() + 1));
    if bytes.first().is_none_or(|first| *first >= 0x80) {
        number.push(0);
    }
    number.extend_from_slice(bytes);
    der(0x02, &number)
}

/// The content of one element of DER with this tag, and what is behind it.
pub(super) fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = der.split_first()?;
    let (first, mut rest) = rest.split_first()?;
    let mut length = usize::from(*first);
    if *first & 0x80 != 0 {
        let (bytes, behind) = rest.split_at_checked(usize::from(*first & 0x7f))?;
        length = bytes.iter().try_fold(0usize, |sum, byte| {
            Some(sum.checked_mul(256)? + usize::from(*byte))
        })?;
        rest = behind;
    }
    (*found == tag).then(|| rest.split_at_checked(length))?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_have_no_sign_and_no_zeros() {
        for (number, expect) in [
            (&[0u8, 0][..], &[0u8, 0, 0, 0][..]),
            (&[0, 1], &[0, 0, 0, 1, 1]),
            (&[0x80], &[0, 0, 0, 2, 0, 0x80]),
        ] {
            let mut writer = Writer::default();
            writer.number(number);
            assert_eq!(writer.0, expect);
        }
    }

    proptest! {
        #[test]
        fn fields_are_read_back(texts in proptest::collection::vec(".{0,20}", 0..5)) {
            let mut writer = Writer::default();
            for text in &texts {
                writer.text(text);
            }
            let mut reader = Reader(&writer.0);
            for text in &texts {
                prop_assert_eq!(reader.word(), Some(text.as_str()));
            }
            prop_assert_eq!(reader.0, b"");
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut reader = Reader(&bytes);
            while reader.text().is_some() {}
            let _ = element(&bytes, 0x02);
        }

        #[test]
        fn der_is_read_back(content in proptest::collection::vec(any::<u8>(), 0..300)) {
            let told = der(0x30, &content);
            prop_assert_eq!(element(&told, 0x30), Some((&content[..], &b""[..])));
        }
    }
}
