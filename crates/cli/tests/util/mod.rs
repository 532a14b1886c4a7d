//! What the tests of the command line share.
#![allow(dead_code, clippy::allow_attributes, reason = "every test is a crate of its own and uses a part of this")]

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use snapbox::{IntoData, assert_data_eq};
use tempfile::TempDir;

/// The binary under test.
pub(crate) const LOGLOSS: &str = env!("CARGO_BIN_EXE_logloss");

/// The mean over the flights, from float64.
pub(crate) const FLIGHTS_MEAN: f64 = 0.4902314668608806;

/// A file of the project's data.
pub(crate) fn data(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data").join(name);
    path.canonicalize().unwrap().to_str().unwrap().to_owned()
}

/// A folder with files to run on. Commands run in it, so that messages hold the names that the test gave.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file.
    pub(crate) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> &Self {
        fs::write(self.path(name), bytes).unwrap();
        self
    }

    /// Writes a `.npy` file.
    pub(crate) fn npy(&self, name: &str, descr: &str, shape: &str, bytes: impl AsRef<[u8]>) -> &Self {
        self.file(name, [&npy_header(descr, shape, false), bytes.as_ref()].concat())
    }

    /// Writes `logits.npy`, f32, and `labels.npy`, u8.
    pub(crate) fn pair(&self, logits: &[f32], labels: &[u8]) -> &Self {
        self.npy("logits.npy", "'<f4'", &format!("({},)", logits.len()), le(logits, |v| v.to_le_bytes()));
        self.npy("labels.npy", "'|u1'", &format!("({},)", labels.len()), labels)
    }

    /// Names of the files there are, hidden ones too.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// A command, its arguments separated by spaces, ready to be run here.
    pub(crate) fn command(&self, args: &str) -> Command {
        let mut command = Command::new(LOGLOSS);
        command.args(args.split_whitespace()).current_dir(self.0.path());
        command
    }

    pub(crate) fn run(&self, args: &str) -> Output {
        self.command(args).output().unwrap()
    }

    /// Evaluates on the CPU: the object that `--json` prints.
    pub(crate) fn eval(&self, args: &str) -> Value {
        let output = self.run(&format!("eval --json --device cpu {args}"));
        assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Runs a command that must fail with this status and exactly this on stderr, nothing on stdout, and no file
    /// changed or left behind.
    #[track_caller]
    pub(crate) fn refuses(&self, status: i32, args: &str, stderr: impl IntoData) {
        let before = self.names();
        let output = self.run(args);
        assert_data_eq!(String::from_utf8(output.stderr).unwrap(), stderr);
        assert_eq!(output.status.code(), Some(status), "{args}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{args}");
        assert_eq!(self.names(), before, "{args}");
    }

    /// A file that is all zeros, of which the disk holds none.
    pub(crate) fn sparse(&self, name: &str, descr: &str, len: u64, size: u64) -> &Self {
        let mut file = File::create(self.path(name)).unwrap();
        let header = npy_header(descr, &format!("({len},)"), false);
        file.write_all(&header).unwrap();
        file.set_len(header.len() as u64 + len * size).unwrap();
        self
    }
}

/// The header of a `.npy` file, as NumPy writes it.
pub(crate) fn npy_header(descr: &str, shape: &str, fortran: bool) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let mut text = format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}");
    let len = (10 + text.len() + 1).next_multiple_of(64) - 10;
    text = format!("{text:<width$}\n", width = len - 1);
    [b"\x93NUMPY\x01\x00", &(len as u16).to_le_bytes()[..], text.as_bytes()].concat()
}

/// The bytes of values.
pub(crate) fn le<T: Copy, const N: usize>(values: &[T], bytes: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|&value| bytes(value)).collect()
}

/// The f32 values of a `.npy` file.
pub(crate) fn read_npy(path: &Path) -> (Vec<u64>, Vec<f32>) {
    let npy = npyz::NpyFile::new(File::open(path).unwrap()).unwrap();
    (npy.shape().to_vec(), npy.into_vec().unwrap())
}
