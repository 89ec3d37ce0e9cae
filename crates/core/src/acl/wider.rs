//! Where a compiled policy gives more, or less, than the text says: all of it. The page in `docs/` has
//! these lines, and the tests accept no other difference.

/// What gives more: whoever has one of the first may, at the same paths, the second as well.
pub const WIDER: &[(&str, &str)] = &[
    (
        "`data/` create and update",
        "`metadata/` create, update and patch, and with `data/` read also `data/` patch",
    ),
    ("`data/` read", "`subkeys/` read"),
    (
        "`data/` delete, `metadata/` delete, or update on one of `delete/`, `undelete/`, `destroy/`",
        "all of these",
    ),
    (
        "`metadata/` list",
        "`metadata/` read of what is in the folder, never its value",
    ),
    (
        "`metadata/` read, or version 1 or 2 list, of something in a folder",
        "list of that folder and of those above it, which shows only what may be seen",
    ),
    (
        "`sys/policies/acl/*`, or the older `sys/policy/*`",
        "the other one: they are one thing",
    ),
    (
        "`metadata/` list or read",
        "`sys/mounts` and `{mount}/config` read",
    ),
    (
        "two policies of one token",
        "what either gives: a more specific path in one takes nothing away from the other",
    ),
    ("a lease of one's own", "to look it up, renew and revoke it"),
];

/// What gives less.
pub const NARROWER: &[(&str, &str)] = &[
    (
        "`data/` patch without read",
        "nothing: what is patched is read",
    ),
    (
        "a list",
        "it shows the folders only that something may be seen in",
    ),
    (
        "a path with `*` over operations whose rights go together, without all of them",
        "nothing there; the answer to writing the policy has a warning",
    ),
    (
        "a path with `*` over mounts that are made later",
        "nothing there, until the policy is written again",
    ),
];
