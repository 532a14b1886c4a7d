//! Every public type has an example in its documentation. (The lint `unreachable_pub` sees to it that what is `pub` at the
//! top of a file is part of an API.)

use std::{fs, path::Path};

/// The public types of a source whose documentation has no example. A blank line ends what belongs to a declaration.
fn without_example(source: &str) -> Vec<String> {
    let lines: Vec<&str> = source.lines().collect();
    let declared = |line: &str| {
        let rest = ["pub struct ", "pub enum ", "pub trait "].iter().find_map(|kind| line.strip_prefix(kind))?;
        rest.split(|c: char| !c.is_alphanumeric()).next().map(str::to_owned)
    };
    let shows = |at: usize| {
        let above = lines[..at].iter().rev().take_while(|line| !line.is_empty());
        above.into_iter().any(|line| line.starts_with("/// ```"))
    };
    lines.iter().enumerate().filter(|(at, _)| !shows(*at)).filter_map(|(_, line)| declared(line)).collect()
}

fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("UTF-8");
            found.push((path.display().to_string(), text));
        }
    }
}

#[test]
fn of_every_public_type() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in ["src", "crates/io/src", "crates/verify/src", "crates/bench/src"] {
        sources(&root.join(folder), &mut found);
    }
    assert!(found.len() > 100, "{} files", found.len());
    let missing = found.iter().flat_map(|(path, text)| without_example(text).into_iter().map(move |name| (path, name)));
    let missing: Vec<_> = missing.collect();
    assert!(missing.is_empty(), "without an example: {missing:#?}");
}

#[test]
fn a_missing_one_is_found() {
    let source = "/// A.\n///\n/// ```\n/// ```\n#[derive(\n    Debug\n)]\npub struct A;\n\n/// B.\npub enum B {}\n";
    assert_eq!(without_example(source), ["B"]);
}
