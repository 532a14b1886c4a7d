//! Endings from outside: Ctrl-C, and a reader that has gone.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod util;

use std::{
    fs,
    io::Read,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use util::{Folder, data};

/// Waits until a temporary file has grown beyond its header.
fn wait_for_output(folder: &Folder, child: &mut Child) {
    let begun = Instant::now();
    loop {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it could be interrupted");
        assert!(begun.elapsed() < Duration::from_secs(60), "no output in a minute");
        let grown = |name: &String| fs::metadata(folder.path(name)).is_ok_and(|file| file.len() > 1000);
        if folder.names().iter().any(|name| name.starts_with(".logloss-") && grown(name)) {
            return;
        }
        sleep(Duration::from_millis(5));
    }
}

fn interrupted(folder: &Folder, args: &str) {
    let before = folder.names();
    let mut child = folder.command(args).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    wait_for_output(folder, &mut child);
    let signal = format!("kill -INT {}", child.id());
    assert!(Command::new("sh").args(["-c", &signal]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{args}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "error: interrupted\n", "{args}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{args}");
    assert_eq!(folder.names(), before, "{args}");
}

#[test]
fn ctrl_c_leaves_no_half_file() {
    let folder = Folder::new();
    let len = 1 << 29;
    folder.sparse("x.npy", "'<f2'", len, 2).sparse("y.npy", "'|u1'", len, 1);
    // What was there stays.
    folder.file("grad.npy", "an older gradient");
    interrupted(&folder, "eval x.npy y.npy --device cpu --loss-out loss.npy --grad-out grad.npy");
    assert_eq!(fs::read(folder.path("grad.npy")).unwrap(), b"an older gradient");
    for out in ["a.parquet", "a.npy --targets-out b.npy"] {
        interrupted(&folder, &format!("generate 1e9 --out {out}"));
    }
}

/// Two files, of which the second has no room: the first stays what it was, too.
#[test]
fn full_disk_replaces_nothing() {
    let folder = Folder::new();
    folder.file("x.npy", "older").file("grad.npy", "older gradient");
    folder.pair(&[1.0; 1500], &[1; 1500]);
    for args in [
        "generate 2000 --out x.npy --targets-out y.npy --dtype f16 --target-dtype f64 --force",
        "eval logits.npy labels.npy --device cpu --reduction per-row --value-out z.npy --grad-out grad.npy",
    ] {
        let before = folder.names();
        // Files of 6,144 bytes: room for the first, of 4,128 and 6,128, and not for the second.
        let command = format!("trap '' XFSZ; ulimit -f 12; exec {} {args}", util::LOGLOSS);
        let output = Command::new("sh").args(["-c", &command]).current_dir(folder.path("")).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains("cannot be written"), "{args}: {message}");
        assert_eq!(output.status.code(), Some(1), "{args}");
        assert_eq!(folder.names(), before, "{args}");
        assert_eq!(fs::read(folder.path("x.npy")).unwrap(), b"older", "{args}");
        assert_eq!(fs::read(folder.path("grad.npy")).unwrap(), b"older gradient", "{args}");
    }
}

#[test]
fn closed_pipe() {
    let folder = Folder::new();
    let (logits, labels) = (data("flights_logits.npy"), data("flights_delayed.npy"));
    for args in [
        &format!("eval {logits} {labels} --device cpu --grad-out grad.npy"),
        &format!("eval {logits} {labels} --device cpu --json"),
        "devices",
        "generate 10 --out a.csv",
        "--help",
    ] {
        let mut child = folder.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(0), ""), "{args}");
    }
    // The work was done all the same.
    assert_eq!(folder.names(), ["a.csv", "grad.npy"]);
}
