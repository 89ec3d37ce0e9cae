//! What of a tenant's mounts policies are compiled against.

/// What a mount serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum MountKind {
    Kv1,
    Kv2,
    Database,
    Transit,
    Cubbyhole,
    System,
    Auth,
    /// Shown, but nobody is served by it.
    Other,
}

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountView {
    /// Where it is, without the slash at its end.
    pub path: String,
    /// What it serves.
    pub kind: MountKind,
    /// Where it lies in our tree of secrets; empty is all of it.
    pub root: String,
}

/// The mounts of a tenant, and those that are always there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounts(Vec<MountView>);

impl Mounts {
    /// Of these; `sys`, `auth` and `cubbyhole` are added.
    pub fn new(mut all: Vec<MountView>) -> Self {
        for (path, kind) in [
            ("sys", MountKind::System),
            ("auth", MountKind::Auth),
            ("cubbyhole", MountKind::Cubbyhole),
        ] {
            all.retain(|mount| mount.path != path);
            all.push(MountView {
                path: path.to_owned(),
                kind,
                root: String::new(),
            });
        }
        Self(all)
    }

    /// All of them.
    pub fn all(&self) -> &[MountView] {
        &self.0
    }

    /// The mount that serves a path, and what of the path is below it.
    pub fn of<'a>(&self, path: &'a str) -> Option<(&MountView, &'a str)> {
        let below = |mount: &MountView| {
            let rest = path.strip_prefix(mount.path.as_str())?;
            rest.strip_prefix('/')
        };
        let found = self
            .0
            .iter()
            .filter_map(|mount| Some((mount, below(mount)?)));
        found.max_by_key(|(mount, _)| mount.path.len())
    }
}
