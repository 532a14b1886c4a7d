//! `logloss bench`: what it prints, and that its checks and comparisons can fail. No figure is looked at but for being
//! one.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod util;

use serde_json::Value;
use util::Folder;

const TINY: &str = "bench --quick --device cpu --seconds 0.001 --sizes 3,10";

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The object that `--json` prints.
fn json(folder: &Folder, args: &str) -> Value {
    let output = folder.run(&format!("{TINY} --json {args}"));
    assert!(output.status.success(), "{args}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn every_cell_has_its_row() {
    let found =
        json(&Folder::new(), "--threads 1,2 --work mean,mean+grad,mean+loss+grad+hess --inputs f32/f32,f16/bits");
    let results = found["results"].as_array().unwrap();
    assert_eq!(results.len(), 2 * 2 * 3 * 2);
    for row in results {
        for name in ["device", "work", "predictions", "targets", "limit", "clock"] {
            assert!(row[name].is_string(), "{name}: {row}");
        }
        for name in ["ns_per_elem", "gb_per_s", "limit_gb_per_s", "percent_of_limit", "call_ns_per_elem"] {
            assert!(row[name].as_f64().unwrap() > 0.0, "{name}: {row}");
        }
        let [gb, bytes, ns] = ["gb_per_s", "bytes_per_elem", "ns_per_elem"].map(|name| row[name].as_f64().unwrap());
        assert!((gb * ns / bytes - 1.0).abs() < 0.01, "{row}");
        assert!(row["q1_ns_per_elem"].as_f64() <= row["q3_ns_per_elem"].as_f64());
        assert!([8, 1024].contains(&row["n"].as_u64().unwrap()));
        assert_eq!(row["resident"], false);
        assert!(row["repeats"].as_u64().unwrap() >= 3);
    }
    let gradient = results.iter().find(|row| row["work"] == "mean+grad" && row["targets"] == "f32").unwrap();
    assert_eq!(gradient["bytes_per_elem"], 12.0);
    for name in ["cpu", "simd", "os", "pages"] {
        assert!(!found["machine"][name].as_str().unwrap().is_empty(), "{name}");
    }
    assert_eq!(found["program"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(found["devices"].as_array().unwrap().len(), 2);
    assert!(found["date"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn wrong_answers_are_not_timed() {
    let folder = Folder::new();
    for (spoil, said) in [("sum", "the sum is"), ("element", "gradient[0] is")] {
        let output = folder.run(&format!("{TINY} --threads 1 --work mean+grad --inputs f32/u8 --json --spoil {spoil}"));
        assert_eq!(output.status.code(), Some(1), "{spoil}");
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(found["results"].as_array().unwrap().len(), 0);
        assert_eq!(found["failures"].as_array().unwrap().len(), 2);
        assert!(text(&output.stderr).contains(said), "{}", text(&output.stderr));
    }
}

#[test]
fn comparison_can_fail() {
    let folder = Folder::new();
    let found = json(&folder, "--threads 1 --work mean --inputs f32/f32");
    folder.file("new.json", found.to_string());
    let same = folder.run("bench --saved new.json --compare new.json --threshold 0%");
    assert_eq!(same.status.code(), Some(0), "{}", text(&same.stderr));
    assert!(text(&same.stdout).contains("Nothing moved"));

    let mut old = found;
    for name in ["ns_per_elem", "q1_ns_per_elem", "q3_ns_per_elem", "mad_ns_per_elem"] {
        let row = &mut old["results"][0];
        row[name] = (row[name].as_f64().unwrap() / 1000.0).into();
    }
    folder.file("old.json", old.to_string());
    // Even a spread of the new run as wide as its median is nothing against a thousandfold.
    let mut new: Value = serde_json::from_slice(&std::fs::read(folder.path("new.json")).unwrap()).unwrap();
    new["results"][0]["mad_ns_per_elem"] = 0.0.into();
    folder.file("new.json", new.to_string());
    let slower = folder.run("bench --saved new.json --compare old.json");
    assert_eq!(slower.status.code(), Some(1), "{}", text(&slower.stdout));
    assert!(text(&slower.stdout).contains("REGRESSION"));
    let allowed = folder.run("bench --saved new.json --compare old.json --threshold 1e9%");
    assert_eq!(allowed.status.code(), Some(0));
    let csv = folder.run("bench --saved new.json --compare old.json --csv");
    assert_eq!(csv.status.code(), Some(1));
    assert!(text(&csv.stdout).starts_with("device,work,n,") && text(&csv.stderr).contains("REGRESSION"));

    folder.file("other.json", "{}");
    let other = folder.run("bench --saved new.json --compare other.json");
    assert_eq!(other.status.code(), Some(1));
    assert!(text(&other.stderr).contains("other.json"), "{}", text(&other.stderr));
}

/// What was measured is not lost, and what is read is not replaced.
#[test]
fn nothing_is_lost() {
    let folder = Folder::new();
    let [old, new] =
        ["mean", "mean+grad"].map(|work| json(&folder, &format!("--threads 1 --inputs f32/u8 --work {work}")));
    folder.file("old.json", old.to_string()).file("new.json", new.to_string());
    let strangers = folder.run("bench --saved new.json --compare old.json --html page.html");
    assert_eq!(strangers.status.code(), Some(1));
    assert!(text(&strangers.stderr).contains("no row in common"), "{}", text(&strangers.stderr));
    assert!(text(&strangers.stdout).contains("mean+grad"), "{}", text(&strangers.stdout));
    assert_eq!(folder.names(), ["new.json", "old.json", "page.html"]);

    for args in ["--saved new.json --html ./new.json", "--saved new.json --compare old.json --html old.json"] {
        let output = folder.run(&format!("bench {args}"));
        assert_eq!(output.status.code(), Some(2), "{args}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains("an input already"), "{args}: {}", text(&output.stderr));
    }
    assert_eq!(std::fs::read_to_string(folder.path("new.json")).unwrap(), new.to_string());
    assert_eq!(std::fs::read_to_string(folder.path("old.json")).unwrap(), old.to_string());
}

#[test]
fn page_stands_alone() {
    let folder = Folder::new();
    let output = folder.run(&format!("{TINY} --html page.html"));
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("ns/elem") && output.stderr.is_empty());
    let page = std::fs::read_to_string(folder.path("page.html")).unwrap();
    assert!(page.contains("<svg") && page.contains("prefers-color-scheme: dark"));
    for outside in ["<script", "src=", "<link", "url(", "@import"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert_eq!(folder.names(), ["page.html"]);
}

#[test]
fn usage() {
    let folder = Folder::new();
    for wrong in [
        "--sizes 99",
        "--work gradient",
        "--inputs f64/u8",
        "--json --csv",
        "--threshold 10%",
        "--threshold -1 --compare x",
        "--saved x.json --quick",
        "--seconds 0",
        "--threads 0",
    ] {
        assert_eq!(folder.run(&format!("bench {wrong}")).status.code(), Some(2), "{wrong}");
    }
    let missing = folder.run("bench --device nonesuch --quick");
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("help: "), "{}", text(&missing.stderr));
    let unwritable = folder.run("bench --quick --device cpu --html nowhere/page.html");
    assert_eq!(unwritable.status.code(), Some(1));
}
