//! A read costs no more instructions and allocations than `read-budget.toml` allows, counted by
//! callgrind in the very build the tests are made of: the load of the machine does not matter.

use std::path::Path;
use std::process::Command;

#[test]
fn a_read_stays_within_its_budget() {
    if !cfg!(target_arch = "x86_64") {
        println!("not counted: the budget is for x86_64");
        return;
    }
    let budget = Path::new(env!("CARGO_MANIFEST_DIR")).join("read-budget.toml");
    let measured = Command::new(env!("CARGO_BIN_EXE_scaivault-bench"))
        .args(["read-cost", "--check"])
        .arg(budget)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&measured.stdout);
    println!("{said}");
    assert!(
        measured.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&measured.stderr)
    );
}
