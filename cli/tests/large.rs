//! More values than 32 bits can index, in files of which the disk holds nothing.
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
