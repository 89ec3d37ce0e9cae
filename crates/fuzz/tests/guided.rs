//! The targets guided by coverage: run by `scripts/fuzz`, which builds this with counters.
#![cfg(fuzzing_libfuzzer)]

use std::path::Path;

use scaivault_fuzz::{TARGETS, Target, mutate, short};

fn chosen() -> &'static Target {
    let name = std::env::var("SCAIVAULT_FUZZ_TARGET").expect("the name of a target");
    let target = TARGETS.iter().find(|target| target.name == name);
    target.expect("a target of that name")
}

#[test]
fn guided() {
    let target = chosen();
    bolero::check!().for_each(|input: &[u8]| (target.run)(input));
}

/// The names of all.
#[test]
fn list() {
    for target in TARGETS {
        println!("target {}", target.name);
    }
}

/// Seeds, regressions and words, as files for the engine.
#[test]
fn seeds() {
    let target = chosen();
    let to = std::env::var("SCAIVAULT_FUZZ_SEEDS").expect("a directory");
    let to = Path::new(&to);
    for (number, seed) in (target.seeds)().iter().enumerate() {
        std::fs::write(to.join(format!("seed-{number}")), seed).expect("a directory of ours");
    }
    for kept in std::fs::read_dir(short::regressions(target))
        .into_iter()
        .flatten()
    {
        let kept = kept.expect("an entry");
        std::fs::copy(kept.path(), to.join(kept.file_name())).expect("a copy");
    }
    let quoted = |word: &&str| {
        let bytes = word.bytes().map(|byte| format!("\\x{byte:02x}"));
        format!("\"{}\"\n", bytes.collect::<String>())
    };
    let words: String = target.words.iter().map(quoted).collect();
    std::fs::write(to.with_extension("dict"), words).expect("a directory of ours");
}

/// A failing input made short, kept with the regressions.
#[test]
fn keep() {
    let target = chosen();
    let from = std::env::var("SCAIVAULT_FUZZ_FAILED").expect("a file");
    let input = std::fs::read(&from).expect("a file");
    let least = mutate::minimised(&input, &|shorter| short::fails(target, shorter));
    let to = short::regressions(target);
    std::fs::create_dir_all(&to).expect("a directory of ours");
    let name = Path::new(&from).file_name().expect("a name");
    std::fs::write(to.join(name), &least).expect("a directory of ours");
    println!("{}: b\"{}\"", target.name, least.escape_ascii());
}
