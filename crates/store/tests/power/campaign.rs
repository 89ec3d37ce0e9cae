//! Many images, on all processors.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::check::{Finding, Said, Wrong, check};
use crate::disk::{Disk, Fate, Image, Op, Unsynced};
use crate::expect::{Expect, write};
use crate::images::{Fates, fates, moments, seed_of, shares};
use crate::plan::Plan;
use crate::support::FILE;
use crate::workload::Remark;

/// What to look at.
pub(crate) struct Campaign<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) expect: &'a Expect,
    /// What the disk held at first, and what was said till then.
    pub(crate) start: (&'a Image, Said),
    pub(crate) ops: &'a [Op],
    pub(crate) images: usize,
    pub(crate) seed: u64,
    /// Ends at the first of these.
    pub(crate) until: Option<Wrong>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) images: usize,
    pub(crate) moments: usize,
    /// Images with a torn write.
    pub(crate) torn: usize,
    /// Images of a disk that kept nothing but what was synced.
    pub(crate) bare: usize,
    /// Images without a database file.
    pub(crate) without: usize,
    /// Answered units looked for, all images together.
    pub(crate) answered: usize,
    /// Units that were there though nobody had been answered.
    pub(crate) unanswered: usize,
    pub(crate) findings: Vec<(Finding, String, Image)>,
}

impl Campaign<'_> {
    pub(crate) fn run(&self) -> Report {
        let moments = moments(self.ops);
        let shares = shares(&self.unsynced(&moments), self.images, self.seed);
        let workers = thread::available_parallelism().map_or(1, usize::from);
        let over = AtomicBool::new(false);
        let reports: Vec<Report> = thread::scope(|scope| {
            let started: Vec<_> = (0..workers)
                .map(|worker| {
                    let (moments, shares, over) = (&moments, &shares, &over);
                    scope.spawn(move || self.work(moments, shares, (worker, workers), over))
                })
                .collect();
            started.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let mut all = Report {
            moments: moments.len(),
            ..Report::default()
        };
        for one in reports {
            all.images += one.images;
            all.torn += one.torn;
            all.bare += one.bare;
            all.without += one.without;
            all.answered += one.answered;
            all.unanswered += one.unanswered;
            all.findings.extend(one.findings);
        }
        all
    }

    /// The unsynced changes at each moment.
    fn unsynced(&self, moments: &[usize]) -> Vec<Vec<Unsynced>> {
        let (mut disk, mut done) = (Disk::holding(self.start.0), 0);
        let at = |moment: &usize| {
            self.ops[done..*moment].iter().for_each(|op| disk.apply(op));
            done = *moment;
            disk.unsynced()
        };
        moments.iter().map(at).collect()
    }

    fn work(
        &self,
        moments: &[usize],
        shares: &[usize],
        (worker, workers): (usize, usize),
        over: &AtomicBool,
    ) -> Report {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let mut report = Report::default();
        let (mut disk, mut said) = (Disk::holding(self.start.0), self.start.1.clone());
        let (mut done, mut serial) = (0, 0);
        for (number, (moment, share)) in moments.iter().zip(shares).enumerate() {
            for op in &self.ops[done..*moment] {
                disk.apply(op);
                if let Op::Remark(text) = op {
                    said.hear(Remark::parse(text), self.expect);
                }
            }
            done = *moment;
            let unsynced = disk.unsynced();
            for fates in fates(&unsynced, *share, seed_of(self.seed, number)) {
                serial += 1;
                if serial % workers != worker {
                    continue;
                }
                if over.load(Ordering::Relaxed) {
                    return report;
                }
                let image = disk.image(&fates);
                let checked = check((&image, serial % 8 < 2), &said, self.plan, self.expect);
                let checked = runtime.block_on(checked);
                report.count(&image, &fates, &said, &checked);
                if let Err(finding) = checked {
                    let ends = self.until.is_none_or(|until| until == finding.0);
                    over.fetch_or(ends, Ordering::Relaxed);
                    let story = story(*moment, &unsynced, &fates);
                    report.findings.push((finding, story, image));
                }
            }
        }
        report
    }
}

impl Report {
    fn count(
        &mut self,
        image: &Image,
        fates: &Fates,
        said: &Said,
        checked: &Result<usize, Finding>,
    ) {
        let torn = |fate: &Fate| matches!(fate, Fate::Torn(_) | Fate::Longer);
        self.images += 1;
        self.torn += usize::from(fates.iter().any(torn));
        self.bare += usize::from(fates.iter().all(|fate| *fate == Fate::Missing));
        self.without += usize::from(!image.contains_key(FILE));
        if let Ok(units) = checked {
            self.answered += said.units;
            self.unanswered += units - said.units;
        }
    }

    /// Fails with the first finding; its image is kept.
    ///
    /// # Panics
    /// When there is a finding.
    pub(crate) fn assert_clean(&self) {
        let Some(((wrong, text), story, image)) = self.findings.first() else {
            return;
        };
        let kept = tempfile::Builder::new()
            .prefix("scaivault-power-finding-")
            .tempdir();
        let kept = kept.unwrap().keep();
        write(image, &kept);
        panic!(
            "{wrong:?}: {text}\nThe image is in {}. {story}",
            kept.display()
        );
    }
}

fn story(moment: usize, unsynced: &[Unsynced], fates: &[Fate]) -> String {
    let lines: Vec<String> = unsynced
        .iter()
        .zip(fates)
        .map(|(change, fate)| format!("  {}: {fate:?}", change.what))
        .collect();
    format!(
        "Power was lost before change {moment}:\n{}",
        lines.join("\n")
    )
}
