//! Patterns over subjects, claims and names of certificates. Foreign names are made of parts between
//! colons (`repo:acme/shop:ref:refs/heads/main`, `system:serviceaccount:prod:shop`), so `*` stays
//! within a part: who writes `repo:acme/shop:*` does not mean whatever the rest may become. Names of
//! certificates have parts of their own ([`Parts`]).

/// Longest pattern, and longest text that one fits.
const BYTES_MAX: usize = 1_024;

/// `*` is any run of characters within a part, `**` any run at all, everything else itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    pieces: Vec<Piece>,
    parts: Parts,
}

/// What a text's parts lie between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Parts {
    /// Colons: subjects and claims.
    #[default]
    Colons,
    /// Everything that divides a URI.
    Uri,
    /// The dots of a host's name.
    Host,
    /// The at sign of a mail address, and the dots behind it.
    Mail,
    /// Everything that divides one of the others: a subject's name may hold any of them.
    Words,
}

impl Parts {
    /// How far a part reaches that begins at this place.
    fn reach(self, text: &str, at: usize) -> usize {
        let divides: &[char] = match self {
            Self::Colons => &[':'],
            Self::Uri => &['/', ':', '?', '#', '@'],
            Self::Host => &['.'],
            Self::Mail if text[..at].contains('@') => &['.', '@'],
            Self::Mail => &['@'],
            Self::Words => &['/', ':', '.', '@'],
        };
        text[at..].find(divides).unwrap_or(text.len() - at)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Part,
    Rest,
}

impl Pattern {
    /// Reads a pattern: 1 to 1,024 bytes with at most 16 stars.
    pub fn parse(text: &str) -> Option<Self> {
        Self::parse_in(Parts::default(), text)
    }

    /// The same over texts of such parts.
    pub fn parse_in(parts: Parts, text: &str) -> Option<Self> {
        let mut pieces = Vec::new();
        let mut left = text;
        while let Some(at) = left.find('*') {
            let (before, stars) = left.split_at(at);
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            let (piece, taken) = match stars.strip_prefix("**") {
                Some(_) => (Piece::Rest, 2),
                None => (Piece::Part, 1),
            };
            pieces.push(piece);
            left = &stars[taken..];
        }
        if !left.is_empty() {
            pieces.push(Piece::Text(left.to_owned()));
        }
        let stars = text.bytes().filter(|byte| *byte == b'*').count();
        let fits = (1..=BYTES_MAX).contains(&text.len()) && stars <= 16 && !text.contains("***");
        fits.then_some(Self { pieces, parts })
    }

    /// Whether the whole text is meant.
    pub fn matches(&self, text: &str) -> bool {
        if text.len() > BYTES_MAX {
            return false;
        }
        // Places in the text that the pieces so far can end at.
        let mut ends = vec![0];
        for piece in &self.pieces {
            let mut next = Vec::new();
            for end in ends {
                match piece {
                    Piece::Text(words) => {
                        if text[end..].starts_with(words.as_str()) {
                            next.push(end + words.len());
                        }
                    }
                    Piece::Part | Piece::Rest => {
                        let within = match piece {
                            Piece::Part => self.parts.reach(text, end),
                            _ => text.len() - end,
                        };
                        let reached = (end..=end + within).filter(|at| text.is_char_boundary(*at));
                        next.extend(reached);
                    }
                }
            }
            next.sort_unstable();
            next.dedup();
            ends = next;
        }
        ends.contains(&text.len())
    }

    /// Whether it means every text.
    pub fn is_anything(&self) -> bool {
        self.pieces == [Piece::Rest]
    }
}
