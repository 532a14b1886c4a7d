//! More values than 32 bits can index, in files of which the disk holds nothing; and as many as memory must not grow with.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod util;

use util::Folder;

#[test]
#[cfg_attr(debug_assertions, ignore = "slow without optimisation: cargo test --release")]
fn more_than_two_to_the_31st() {
    let folder = Folder::new();
    let len = (1 << 31) + 5;
    folder.sparse("x.npy", "'<f2'", len, 2).sparse("y.npy", "'|b1'", len, 1);
    let json = folder.eval("x.npy y.npy");
    assert_eq!(json["count"], len);
    assert_eq!(json["bytes"], len * 3);
    let mean = json["mean"].as_f64().unwrap();
    assert!((mean / 2f64.ln() - 1.0).abs() <= 1e-7, "{mean}");

    // An offender past the 31st bit keeps its index.
    use std::os::unix::fs::FileExt;
    let labels = std::fs::OpenOptions::new().write(true).open(folder.path("y.npy")).unwrap();
    labels.write_all_at(&[9], labels.metadata().unwrap().len() - 2).unwrap();
    let output = folder.run("eval x.npy y.npy --device cpu");
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.starts_with(&format!("error: y.npy, index {}: the value is 9: ", len - 2)), "{message}");
    assert_eq!(output.status.code(), Some(1));
}

/// What a process may hold at any time beside the pages of files that it maps.
#[cfg(target_os = "linux")]
const MOST_MEMORY: u64 = 256 << 20;

/// What it may hold of those pages.
#[cfg(target_os = "linux")]
const MOST_MAPPED: u64 = 512 << 20;

/// Evaluates, and looks at the process all the while: what it printed, and the most memory that was its own, and that
/// was of files.
#[cfg(target_os = "linux")]
fn eval_and_watch(folder: &Folder, args: &str) -> (serde_json::Value, [u64; 2]) {
    use std::{fs, process::Stdio, thread, time::Duration};
    let mut command = folder.command(&format!("eval --json --device cpu {args}"));
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut most = [0; 2];
    while child.try_wait().unwrap().is_none() {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let kib = |line: &str| line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap();
        let bytes = |name: &str| status.lines().find(|line| line.starts_with(name)).map_or(0, kib) << 10;
        let now = [bytes("RssAnon:") + bytes("RssShmem:"), bytes("RssFile:")];
        most = [most[0].max(now[0]), most[1].max(now[1])];
        thread::sleep(Duration::from_millis(1));
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{args}");
    assert!(most[0] > 0, "{args}: nothing was seen of it");
    (serde_json::from_slice(&output.stdout).unwrap(), most)
}

#[test]
#[cfg(target_os = "linux")]
#[cfg_attr(debug_assertions, ignore = "slow without optimisation: cargo test --release")]
fn memory_does_not_grow_with_the_input() {
    let folder = Folder::new();
    let len = 1 << 30;
    folder.sparse("x.npy", "'<f4'", len, 4).sparse("y.npy", "'|u1'", len, 1);
    // Converted on the way, too.
    folder.sparse("wide.npy", "'<f8'", len >> 3, 8).sparse("few.npy", "'<i8'", len >> 3, 8);
    // Read twice.
    folder.sparse("a.npy", "'<f4'", len >> 2, 4).sparse("b.npy", "'|u1'", len >> 2, 1);
    use std::os::unix::fs::FileExt;
    let labels = std::fs::OpenOptions::new().write(true).open(folder.path("b.npy")).unwrap();
    labels.write_all_at(&[1], labels.metadata().unwrap().len() - 1).unwrap();
    assert!(folder.run("generate 2e7 --out d.parquet --dtype f64 --target-dtype i64").status.success());
    for (args, len) in [
        ("x.npy y.npy", len),
        ("wide.npy few.npy", len >> 3),
        ("a.npy b.npy --label-weight balanced", len >> 2),
        ("d.parquet --pred logit --target label", 20_000_000),
    ] {
        let (json, [own, mapped]) = eval_and_watch(&folder, args);
        assert_eq!(json["count"], len, "{args}");
        assert!(own < MOST_MEMORY, "{args}: {} MiB", own >> 20);
        assert!(mapped < MOST_MAPPED, "{args}: {} MiB of files", mapped >> 20);
    }
}
