//! `logloss generate`.

mod encode;
mod files;
mod parquet;
mod safetensors;
mod values;

use std::process::ExitCode;

use anyhow::Result;
use files::Files;
use indicatif::HumanCount;
use values::Values;

use crate::{args::GenerateArgs, interrupt, progress::Progress, terminal};

/// Runs the command.
pub(crate) fn run(args: &GenerateArgs) -> Result<ExitCode> {
    let mut files = Files::create(args)?;
    interrupt::watch()?;
    let mut progress = Progress::new();
    let mut values = Values::new(args);
    let mut done = 0;
    while let Some(chunk) = values.next_chunk() {
        interrupt::check()?;
        files.write(&chunk)?;
        done += chunk.labels.len() as u64;
        progress.show((done, args.len), done);
    }
    let paths = files.finish()?;
    drop(progress);
    terminal::print(&format!("{} values written to {}\n", HumanCount(args.len), paths.join(" and ")))?;
    Ok(ExitCode::SUCCESS)
}
