//! Runs the transcripts in `transcripts/`, which double as documentation, from the project's root.

use std::path::Path;

#[test]
fn transcripts() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::env::set_current_dir(here.join("../..")).expect("the root is there");
    let cases = trycmd::TestCases::new();
    cases.case(here.join("tests/transcripts/*.md"));
    if cfg!(debug_assertions) {
        // Two million results a row take half a minute without optimisation.
        cases.skip(here.join("tests/transcripts/selftest.md"));
    }
    cases.run();
}
