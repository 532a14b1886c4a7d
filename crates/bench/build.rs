//! Sets `LOGLOSS_COMMIT`, the commit that the report names: the variable of that name, or what git says of the
//! checkout.

use std::{env, path::Path, process::Command};

fn main() {
    println!("cargo::rerun-if-env-changed=LOGLOSS_COMMIT");
    // The sources of the engine and of every crate, and what git writes with a commit or a checkout.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"]);
    for path in ["..", "../../src", "../../shaders", "../../Cargo.lock"].into_iter().chain(log.as_deref()) {
        if Path::new(path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    let commit = env::var("LOGLOSS_COMMIT").ok();
    // An unpacked archive may lie in a repository of something else, whose commit says nothing.
    let checkout = || {
        Path::new("../../.git")
            .exists()
            .then(|| git(&["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]))
    };
    if let Some(commit) = commit.or_else(|| checkout().flatten()) {
        println!("cargo::rustc-env=LOGLOSS_COMMIT={commit}");
    }
}

/// The line that git prints; none where git fails or is not installed.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let line = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !line.is_empty()).then_some(line)
}
