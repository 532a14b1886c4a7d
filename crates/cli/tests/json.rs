//! What commands print as JSON is what docs/json.md says: every field and no other, of the types that are named there.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod util;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde_json::{Map, Value};
use util::{Folder, data};

/// A field in the document.
struct Field {
    /// What its values may be: "number", "null", …
    types: Vec<String>,
    may_be_absent: bool,
}

/// The fields that the document has for a command, by path.
fn documented(command: &str) -> BTreeMap<String, Field> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/json.md");
    let text = std::fs::read_to_string(path).unwrap();
    let section = text.split("\n## ").find(|section| section.starts_with(&format!("`{command}`\n"))).unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let field = |row: &str| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, types, _, meaning] = cells.as_slice() else { panic!("{row}") };
        let types = types.replace(" or ", ", ").split(", ").map(str::to_owned).collect();
        (name.trim_matches('`').to_owned(), Field { types, may_be_absent: meaning.contains("absent") })
    };
    rows.map(field).collect()
}

/// What was printed, checked against the document.
struct Printed {
    documented: BTreeMap<String, Field>,
    seen: BTreeSet<String>,
}

impl Printed {
    fn new(command: &str) -> Self {
        Self { documented: documented(command), seen: BTreeSet::new() }
    }

    /// Checks an object, and every one in it.
    fn add(&mut self, prefix: &str, object: &Map<String, Value>) {
        let here = |path: &str| path.strip_prefix(prefix).is_some_and(|rest| !rest.contains('.'));
        for (path, field) in self.documented.iter().filter(|(path, _)| here(path)) {
            let is_there = object.contains_key(&path[prefix.len()..]);
            assert!(is_there || field.may_be_absent, "{path} is not printed");
        }
        for (name, value) in object {
            let path = format!("{prefix}{name}");
            let field = self.documented.get(&path).unwrap_or_else(|| panic!("{path} is not documented"));
            let found = match value {
                Value::Null => "null",
                Value::Bool(_) => "boolean",
                Value::Number(number) if number.is_u64() => "integer",
                Value::Number(_) => "number",
                Value::String(_) => "string",
                Value::Array(_) => "array",
                Value::Object(_) => "object",
            };
            let fits = |documented: &String| documented == found || (documented == "number" && found == "integer");
            assert!(field.types.iter().any(fits), "{path} is {found}");
            self.seen.insert(path.clone());
            match value {
                Value::Object(object) => self.add(&format!("{path}."), object),
                Value::Array(values) => {
                    values
                        .iter()
                        .filter_map(Value::as_object)
                        .for_each(|object| self.add(&format!("{path}[]."), object));
                }
                _ => {}
            }
        }
    }

    /// Runs a command, and adds what it prints.
    fn run(&mut self, folder: &Folder, args: &str) -> Value {
        let output = folder.run(args);
        let parsed = serde_json::from_slice(&output.stdout);
        let json: Value = parsed.unwrap_or_else(|_| panic!("{args}: {}", String::from_utf8_lossy(&output.stderr)));
        self.add("", json.as_object().unwrap());
        json
    }

    /// Checks that every documented field was printed, but for some.
    fn end(&self, but: impl Fn(&str) -> bool) {
        let unseen: Vec<_> = self.documented.keys().filter(|path| !self.seen.contains(*path) && !but(path)).collect();
        assert!(unseen.is_empty(), "documented, and not printed: {unseen:?}");
    }
}

fn has_adapter(folder: &Folder) -> bool {
    let output = folder.run("devices --json");
    let devices: Value = serde_json::from_slice(&output.stdout).unwrap();
    !devices["adapters"].as_array().unwrap().is_empty()
}

#[test]
fn eval() {
    let folder = Folder::new();
    folder.pair(&[0.5, -1.0, f32::INFINITY], &[1, 0, 0]).file("none.csv", "x,y\n");
    let mut printed = Printed::new("logloss eval --json");
    let flights = format!("{} {}", data("flights_logits.npy"), data("flights_delayed.npy"));
    printed.run(&folder, &format!("eval --json {flights} --compat torch"));
    printed.run(&folder, "eval --json logits.npy labels.npy --device cpu");
    printed.run(&folder, "eval --json logits.npy labels.npy --device cpu --reduction none --focal-gamma 2");
    printed.run(&folder, "eval --json none.csv --pred x --target y --device cpu");
    let outputs = "--loss-out l.npy --grad-out g.npy --hess-out h.npy --value-out v.npy";
    printed.run(&folder, &format!("eval --json logits.npy labels.npy --device cpu --reduction per-class {outputs}"));
    printed.run(&folder, &format!("eval --json logits.npy labels.npy --device cpu --reduction per-row {outputs}"));
    printed.run(&folder, "eval --json logits.npy labels.npy --device cpu --reduction per-row");
    printed.end(|_| false);
}

#[test]
fn bench() {
    let folder = Folder::new();
    let adapter = has_adapter(&folder);
    let mut printed = Printed::new("logloss bench --json");
    let tiny = "bench --json --quick --seconds 0.001 --sizes 3 --work mean --inputs f32/u8";
    let device = if adapter { "cpu,0" } else { "cpu" };
    let mut report = printed.run(&folder, &format!("{tiny} --threads 1 --device {device}"));
    folder.file("new.json", report.to_string());
    for name in ["ns_per_elem", "q1_ns_per_elem", "q3_ns_per_elem", "mad_ns_per_elem"] {
        let row = &mut report["results"][0];
        row[name] = (row[name].as_f64().unwrap() / 1e6).into();
    }
    folder.file("old.json", report.to_string());
    printed.run(&folder, "bench --json --saved new.json --compare old.json");
    printed.end(|path| !adapter && path.contains("first_call."));
}

#[test]
fn devices() {
    let folder = Folder::new();
    let adapter = has_adapter(&folder);
    let mut printed = Printed::new("logloss devices --json");
    printed.run(&folder, "devices --json");
    printed.run(&folder, "devices --json --measure");
    printed.end(|path| path.ends_with(".error") || (!adapter && path.starts_with("adapters[]")));
}

#[test]
fn selftest() {
    let mut printed = Printed::new("logloss selftest --json");
    printed.run(&Folder::new(), "selftest --json --device cpu");
    printed.end(|_| false);
}
