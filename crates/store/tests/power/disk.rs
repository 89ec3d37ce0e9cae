//! A disk that keeps what was synced, and of everything else whatever it likes.
//!
//! * A sync of a file keeps every write and cut of that file made before.
//! * Of the changes since, any may be there and any may be missing, in any combination.
//! * A write may be torn: each of its 512-byte sectors is there or not. It may also have made the
//!   file longer and nothing more.
//! * That a name is there, or gone, is certain after a sync of the directory; until then each such
//!   change may be there or missing, too. A sync of a file says nothing about its name.

use std::collections::BTreeMap;
use std::sync::Arc;

/// What is torn apart, at most.
pub(crate) const SECTOR: usize = 512;

/// A change of the disk, or a remark of the program that made the changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Op {
    /// A new, empty file of this name.
    Create(String),
    /// The name is gone.
    Unlink(String),
    Write(String, usize, Arc<[u8]>),
    /// The file has this length now.
    Truncate(String, usize),
    /// A file's content was synced.
    Sync(String),
    SyncDirectory,
    Remark(String),
}

/// A file, whatever its name.
#[derive(Debug, Clone, Default)]
struct File {
    /// As synced.
    kept: Vec<u8>,
    /// As programs see it.
    live: Vec<u8>,
    /// Writes and cuts since.
    unsynced: Vec<Op>,
}

/// A change of a name that was not synced.
#[derive(Debug, Clone)]
enum NameChange {
    Is(String, usize),
    Gone(String),
}

/// What becomes of one unsynced change.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Fate {
    Missing,
    There,
    /// The sectors of a write that are there.
    Torn(Vec<bool>),
    /// The file has the length the write gave it, and zeros for what is new.
    Longer,
}

/// What unsynced changes there are, in the order fates are given for them.
#[derive(Debug, Clone)]
pub(crate) struct Unsynced {
    /// As a person reads it.
    pub(crate) what: String,
    /// Sectors of a write, 0 for anything else.
    pub(crate) sectors: usize,
    /// Index of the first sector in its page of 4096 bytes.
    pub(crate) first: usize,
}

/// Files by name.
pub(crate) type Image = BTreeMap<String, Vec<u8>>;

#[derive(Debug, Clone, Default)]
pub(crate) struct Disk {
    files: Vec<File>,
    kept_names: BTreeMap<String, usize>,
    live_names: BTreeMap<String, usize>,
    name_changes: Vec<NameChange>,
}

impl Disk {
    /// A disk that keeps these files.
    pub(crate) fn holding(image: &Image) -> Self {
        let mut disk = Self::default();
        for (name, content) in image {
            disk.apply(&Op::Create(name.clone()));
            disk.apply(&Op::Write(name.clone(), 0, content.clone().into()));
            disk.apply(&Op::Sync(name.clone()));
        }
        disk.apply(&Op::SyncDirectory);
        disk
    }

    /// Makes a change.
    pub(crate) fn apply(&mut self, op: &Op) {
        match op {
            Op::Create(name) => {
                let at = self.files.len();
                self.files.push(File::default());
                let before = self.live_names.insert(name.clone(), at);
                assert_eq!(before, None, "{name} was there");
                self.name_changes.push(NameChange::Is(name.clone(), at));
            }
            Op::Unlink(name) => {
                self.live_names.remove(name).expect("it was there");
                self.name_changes.push(NameChange::Gone(name.clone()));
            }
            Op::Write(name, ..) | Op::Truncate(name, _) => {
                let file = self.file(name);
                change(&mut file.live, op);
                file.unsynced.push(op.clone());
            }
            Op::Sync(name) => {
                let file = self.file(name);
                file.kept.clone_from(&file.live);
                file.unsynced.clear();
            }
            Op::SyncDirectory => {
                self.kept_names.clone_from(&self.live_names);
                self.name_changes.clear();
            }
            Op::Remark(_) => {}
        }
    }

    fn file(&mut self, name: &str) -> &mut File {
        let at = self.live_names[name];
        &mut self.files[at]
    }

    /// The files as programs see them.
    pub(crate) fn live(&self) -> Image {
        let live = |(name, at): (&String, &usize)| (name.clone(), self.files[*at].live.clone());
        self.live_names.iter().map(live).collect()
    }

    /// Files a name may lead to, the names' changes seen in any combination.
    fn reachable(&self) -> Vec<usize> {
        let fresh = self.name_changes.iter().filter_map(|change| match change {
            NameChange::Is(_, at) => Some(*at),
            NameChange::Gone(_) => None,
        });
        let mut all: Vec<usize> = self.kept_names.values().copied().chain(fresh).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The unsynced changes: of names first, then of each file.
    pub(crate) fn unsynced(&self) -> Vec<Unsynced> {
        let names = self.name_changes.iter().map(|change| Unsynced {
            what: match change {
                NameChange::Is(name, at) => format!("{name} is file {at}"),
                NameChange::Gone(name) => format!("{name} is gone"),
            },
            sectors: 0,
            first: 0,
        });
        let files = self.reachable();
        let changes = files
            .iter()
            .flat_map(|at| self.files[*at].unsynced.iter().map(move |op| (at, op)));
        names
            .chain(changes.map(|(at, op)| match op {
                Op::Write(name, offset, data) => Unsynced {
                    what: format!("file {at} ({name}): {} bytes at {offset}", data.len()),
                    sectors: sectors(*offset, data.len()),
                    first: offset / SECTOR % 8,
                },
                other => Unsynced {
                    what: format!("file {at}: {other:?}"),
                    sectors: 0,
                    first: 0,
                },
            }))
            .collect()
    }

    /// What is there when each unsynced change had this fate.
    pub(crate) fn image(&self, fates: &[Fate]) -> Image {
        let mut fates = fates.iter();
        let mut names = self.kept_names.clone();
        for change in &self.name_changes {
            if fates.next() != Some(&Fate::There) {
                continue;
            }
            match change {
                NameChange::Is(name, at) => names.insert(name.clone(), *at),
                NameChange::Gone(name) => names.remove(name),
            };
        }
        let mut contents = BTreeMap::new();
        for at in self.reachable() {
            let mut content = self.files[at].kept.clone();
            for op in &self.files[at].unsynced {
                match fates.next().expect("a fate for each change") {
                    Fate::Missing => {}
                    Fate::There => change(&mut content, op),
                    Fate::Torn(there) => tear(&mut content, op, there),
                    Fate::Longer => tear(&mut content, op, &[]),
                }
            }
            contents.insert(at, content);
        }
        names
            .into_iter()
            .map(|(name, at)| (name, contents[&at].clone()))
            .collect()
    }
}

/// How many sectors a write touches.
fn sectors(offset: usize, len: usize) -> usize {
    (offset + len).div_ceil(SECTOR) - offset / SECTOR
}

fn change(content: &mut Vec<u8>, op: &Op) {
    match op {
        Op::Write(_, offset, data) => {
            lengthen(content, offset + data.len());
            content[*offset..offset + data.len()].copy_from_slice(data);
        }
        Op::Truncate(_, len) => content.resize(*len, 0),
        _ => unreachable!("not a change of a file's content"),
    }
}

/// The sectors of a write that are there; the file is as long as the whole write makes it.
fn tear(content: &mut Vec<u8>, op: &Op, there: &[bool]) {
    let Op::Write(_, offset, data) = op else {
        unreachable!("only a write is torn");
    };
    lengthen(content, offset + data.len());
    let first = offset / SECTOR;
    for (sector, _) in (first..).zip(there).filter(|(_, there)| **there) {
        let from = (sector * SECTOR).max(*offset);
        let to = ((sector + 1) * SECTOR).min(offset + data.len());
        content[from..to].copy_from_slice(&data[from - offset..to - offset]);
    }
}

fn lengthen(content: &mut Vec<u8>, len: usize) {
    if content.len() < len {
        content.resize(len, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(offset: usize, byte: u8, len: usize) -> Op {
        Op::Write("f".into(), offset, vec![byte; len].into())
    }

    #[test]
    fn what_is_synced_stays_and_the_rest_is_as_fate_has_it() {
        let mut disk = Disk::default();
        let early = [
            Op::Create("f".into()),
            write(0, 1, 600),
            Op::Sync("f".into()),
        ];
        early.iter().for_each(|op| disk.apply(op));
        // The content is kept, the name is not.
        assert_eq!(disk.unsynced().len(), 1);
        assert!(disk.image(&[Fate::Missing]).is_empty());
        assert_eq!(disk.image(&[Fate::There])["f"], vec![1; 600]);
        disk.apply(&Op::SyncDirectory);
        disk.apply(&write(500, 2, 100));
        disk.apply(&Op::Truncate("f".into(), 300));
        disk.apply(&Op::Unlink("f".into()));
        assert_eq!(disk.unsynced()[1].sectors, 2);
        let gone = [Fate::There, Fate::There, Fate::There];
        assert!(disk.image(&gone).is_empty());
        let none = [Fate::Missing, Fate::Missing, Fate::Missing];
        assert_eq!(disk.image(&none)["f"], vec![1; 600]);
        let torn = [Fate::Missing, Fate::Torn(vec![true, false]), Fate::Missing];
        let mut halves = vec![1; 600];
        halves[500..512].fill(2);
        assert_eq!(disk.image(&torn)["f"], halves);
        let cut = [Fate::Missing, Fate::Missing, Fate::There];
        assert_eq!(disk.image(&cut)["f"], vec![1; 300]);
        assert!(disk.live().is_empty());
    }

    #[test]
    fn a_name_may_lead_to_the_old_file_or_the_new_one() {
        let mut disk = Disk::default();
        let ops = [
            Op::Create("f".into()),
            write(0, 1, 1),
            Op::Sync("f".into()),
            Op::SyncDirectory,
            Op::Unlink("f".into()),
            Op::Create("f".into()),
            write(0, 2, 1),
        ];
        ops.iter().for_each(|op| disk.apply(op));
        let image = |gone, is, wrote: Fate| disk.image(&[gone, is, wrote]).remove("f");
        let (there, missing) = (Fate::There, Fate::Missing);
        assert_eq!(
            image(missing.clone(), missing.clone(), there.clone()),
            Some(vec![1])
        );
        assert_eq!(image(there.clone(), missing.clone(), there.clone()), None);
        assert_eq!(
            image(missing.clone(), there.clone(), there.clone()),
            Some(vec![2])
        );
        assert_eq!(image(there.clone(), there, Fate::Longer), Some(vec![0]));
    }
}
