//! Places in our tree that stand for something else than secrets: who may read or write there may do
//! what they stand for.

use crate::access::Permission;

/// One of them.
#[derive(Debug)]
pub(super) struct OtherPlace {
    permission: Permission,
    /// Its segments; `*` is any one.
    pub(super) path: &'static str,
    /// Why a pattern for secrets is refused that matches it.
    pub(super) why: &'static str,
}

const DATABASES: &str = "its mount shows more of our tree than secrets: this block would also reach what \
                         stands for connections, roles and leases. Name the folders that are meant \
                         (mount/data/app/*)";
const KEYS: &str = "its mount shows more of our tree than secrets: this block would also use keys. Name the \
                    folders that are meant (mount/data/app/*)";

/// All; the narrower ones first.
static PLACES: [OtherPlace; 8] = [
    OtherPlace {
        permission: Permission::Write,
        path: "auth/token/create",
        why: "its mount shows more of our tree than secrets: where this block writes, it would also \
              make tokens. Name the folders that are meant (mount/data/app/*), or give \
              auth/token/create [update] as well",
    },
    OtherPlace {
        permission: Permission::Read,
        path: "dynamic/*/creds/*",
        why: "its mount shows more of our tree than secrets: where this block reads, it would also \
              make credentials of every role of every engine. Name the folders that are meant \
              (mount/data/app/*)",
    },
    OtherPlace {
        permission: Permission::Read,
        path: "dynamic/*/*/*",
        why: DATABASES,
    },
    OtherPlace {
        permission: Permission::Read,
        path: "transit/*/*/*",
        why: KEYS,
    },
    OtherPlace {
        permission: Permission::Write,
        path: "dynamic/*/*/*",
        why: DATABASES,
    },
    OtherPlace {
        permission: Permission::Write,
        path: "transit/*/*/*",
        why: KEYS,
    },
    OtherPlace {
        permission: Permission::Delete,
        path: "dynamic/*/*/*",
        why: DATABASES,
    },
    OtherPlace {
        permission: Permission::Delete,
        path: "transit/*/*/*",
        why: KEYS,
    },
];

impl OtherPlace {
    /// Those that a pattern with this permission matches, or some of which it does.
    pub(super) fn met_by(
        pattern: &str,
        permission: Permission,
    ) -> impl Iterator<Item = &'static Self> {
        PLACES
            .iter()
            .filter(move |place| place.permission == permission && meets(pattern, place.path))
    }

    /// Whether it is one path.
    pub(super) fn is_one(&self) -> bool {
        !self.path.contains('*')
    }
}

/// Whether some path matches both; `**` stands at the end of a pattern.
fn meets(pattern: &str, place: &str) -> bool {
    let mut places = place.split('/');
    for own in pattern.split('/') {
        let Some(segment) = places.next() else {
            return false;
        };
        let fits = match own.strip_suffix('*') {
            _ if own == "**" => return true,
            _ if segment == "*" => true,
            Some(begin) => segment.starts_with(begin),
            None => own == segment,
        };
        if !fits {
            return false;
        }
    }
    places.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_meets() {
        let create = "auth/token/create";
        for yes in [
            "**",
            "auth/**",
            "au*/**",
            "*/*/*",
            "auth/token/create",
            "auth/*/c*",
        ] {
            assert!(meets(yes, create), "{yes}");
        }
        for no in [
            "*",
            "a/**",
            "auth/token",
            "auth/token/create/**",
            "auth/token/x*",
            "secret/**",
        ] {
            assert!(!meets(no, create), "{no}");
        }
        let creds = "dynamic/*/creds/*";
        for yes in ["dynamic/x/**", "dynamic/db-*/creds/ro", "*/*/*/*", "dy*/**"] {
            assert!(meets(yes, creds), "{yes}");
        }
        for no in ["dynamic/x/roles/*", "dynamic/x", "kv/**"] {
            assert!(!meets(no, creds), "{no}");
        }
    }
}
