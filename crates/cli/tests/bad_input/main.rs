//! What goes wrong, each by its own hazard: the exit status, and a message that names the file, the column or index,
//! and how to correct it. No test here leaves a file behind: `refuses` looks.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod files;
mod options;
#[path = "../util/mod.rs"]
mod util;
mod values;

use snapbox::str;
use util::{Folder, data, le, npy_header};

/// A folder with two small files that go together.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.pair(&[-3.5, 0.0, 0.25, 2.0], &[0, 1, 1, 0]);
    folder
}

/// A `.npy` file of labels, of one type.
fn labels<T: Copy, const N: usize>(descr: &str, values: &[T], bytes: impl Fn(T) -> [u8; N]) -> Folder {
    let folder = folder();
    folder.npy("labels.npy", descr, &format!("({},)", values.len()), le(values, bytes));
    folder
}

const EVAL: &str = "eval logits.npy labels.npy --device cpu --loss-out loss.npy";
