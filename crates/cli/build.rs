//! Tells the program which commit it is built from: `LOGLOSS_COMMIT`, or what git says of the checkout.

use std::{env, path::Path, process::Command};

fn main() {
    println!("cargo::rerun-if-env-changed=LOGLOSS_COMMIT");
    // Whatever makes another program: the sources, and what a commit or checkout writes.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"]);
    for path in ["src", "..", "../../src", "../../shaders", "../../Cargo.lock"].into_iter().chain(log.as_deref()) {
        if Path::new(path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    let commit = env::var("LOGLOSS_COMMIT").ok();
    // Not that of a repository that an unpacked archive happens to lie in.
    let checkout = || {
        Path::new("../../.git")
            .exists()
            .then(|| git(&["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]))
    };
    if let Some(commit) = commit.or_else(|| checkout().flatten()) {
        println!("cargo::rustc-env=LOGLOSS_COMMIT={commit}");
    }
}

/// The line that git prints, if there is a git, and a repository.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let line = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !line.is_empty()).then_some(line)
}
