//! The child process of `benches/peers/peers.py` for this library: it loads the arrays once, keeps its outputs in
//! memory, and evaluates on request. It also measures the memory bandwidth with the same arrays.
//!
//! `peers_ours cpu THREADS` or `peers_ours gpu ADAPTER` (an index, part of a name, or `best`) prints a line that starts
//! with `hello`, and then answers each line of its standard input with one line, `ok ...` or `error ...`:
//!
//! - `load N DIR`: reads the first N values of `x.f32` and `z.f32` in that folder;
//! - `check WHO WORK FILE`: evaluates once and writes the gradient, if it is part of the work, to that file: `ok MEAN`;
//! - `time WHO WORK REPS`: evaluates once to warm up and then REPS times: `ok SECONDS MEAN [KERNEL_SECONDS]`, with
//!   times per evaluation, that of the kernel by the device's own clock;
//! - `quit`: ends the process.

use std::{
    error::Error,
    fs::File,
    hint::black_box,
    io::{self, BufRead, Read, Write},
    num::NonZeroUsize,
    path::Path,
    time::Instant,
};

use bytemuck::{Pod, Zeroable};
use logloss::{Batch, Device, DeviceOutputs, Engine, EngineOptions, Evaluation, Objective, Outputs, Prepared, Targets};

#[path = "limits.rs"]
mod limits;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let mut side: Box<dyn Side> = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["cpu", threads] => Box::new(Cpu::new(threads.parse()?)?),
        ["gpu", adapter] => Box::new(Gpu::new(adapter)?),
        _ => return Err("usage: peers_ours cpu THREADS | gpu ADAPTER".into()),
    };
    let info = side.engine().device();
    let mut out = io::stdout().lock();
    writeln!(out, "hello {}\t{}\t{}\t{}\t{}", info.name, info.backend, info.kind, info.driver, side.who().join(","))?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        if line == "quit" {
            break;
        }
        match answer(&mut *side, &line) {
            Ok(answer) => writeln!(out, "ok {answer}")?,
            Err(error) => writeln!(out, "error {}", error.to_string().replace('\n', " "))?,
        }
    }
    Ok(())
}

fn answer(side: &mut dyn Side, line: &str) -> Result<String> {
    let words: Vec<_> = line.splitn(4, ' ').collect();
    match words[..] {
        ["load", len, ref folder @ ..] => {
            let folder = folder.join(" ");
            let len = len.parse()?;
            side.load(read(&folder, "x.f32", len)?, read(&folder, "z.f32", len)?)?;
            Ok(String::new())
        }
        ["check", who, work, path] => {
            let mean = side.evaluate(who, Work::parse(work)?)?.mean;
            if Work::parse(work)? == Work::MeanGrad {
                File::create(path)?.write_all(bytemuck::cast_slice(side.gradient()?))?;
            }
            Ok(format!("{mean:e}"))
        }
        ["time", who, work, reps] => {
            let (work, reps) = (Work::parse(work)?, reps.parse()?);
            let timed = side.time(who, work, reps)?;
            let kernel = timed.kernel.map(|seconds| format!(" {seconds:e}")).unwrap_or_default();
            Ok(format!("{:e} {:e}{kernel}", timed.seconds, timed.mean))
        }
        _ => Err(format!("what is {line:?}?").into()),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    Mean,
    MeanGrad,
}

impl Work {
    fn parse(text: &str) -> Result<Self> {
        match text {
            "mean" => Ok(Self::Mean),
            "mean+grad" => Ok(Self::MeanGrad),
            _ => Err(format!("no such work: {text}").into()),
        }
    }
}

/// A cache line, so that a vector of them is aligned to cache lines. JAX needs aligned arrays, so all competitors get
/// them.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// An array of f32 values that starts at a cache line.
#[derive(Default)]
struct Array {
    lines: Vec<Line>,
    len: usize,
}

impl Array {
    fn zeroed(len: usize) -> Self {
        let mut lines = Vec::with_capacity(len.div_ceil(16));
        if std::env::var_os("PEER_PAGES").is_some_and(|pages| pages == "thp") {
            advise_huge(lines.spare_capacity_mut());
        }
        lines.resize(len.div_ceil(16), Line::zeroed());
        Self { lines, len }
    }

    fn values(&self) -> &[f32] {
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }

    fn values_mut(&mut self) -> &mut [f32] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len]
    }
}

/// Requests transparent huge pages for uninitialised memory.
fn advise_huge(memory: &mut [std::mem::MaybeUninit<Line>]) {
    #[cfg(target_os = "linux")]
    {
        unsafe extern "C" {
            fn madvise(address: *mut u8, len: usize, advice: i32) -> i32;
        }
        const MADV_HUGEPAGE: i32 = 14;
        const PAGE: usize = 4096;
        let start = memory.as_mut_ptr().cast::<u8>();
        let skipped = start.align_offset(PAGE);
        if let Some(len) = size_of_val(memory).checked_sub(skipped) {
            // SAFETY: the pages lie inside `memory`, and the advice does not change their content.
            unsafe { madvise(start.wrapping_add(skipped), len / PAGE * PAGE, MADV_HUGEPAGE) };
        }
    }
    let _ = memory;
}

fn read(folder: &str, name: &str, len: usize) -> Result<Array> {
    let mut array = Array::zeroed(len);
    File::open(Path::new(folder).join(name))?.read_exact(bytemuck::cast_slice_mut(array.values_mut()))?;
    Ok(array)
}

/// The seconds per evaluation, and the mean.
struct Timed {
    seconds: f64,
    kernel: Option<f64>,
    mean: f64,
}

/// The operations of a child process on a CPU or a GPU.
trait Side {
    fn engine(&self) -> &Engine;
    fn who(&self) -> &'static [&'static str];
    fn load(&mut self, x: Array, z: Array) -> Result<()>;
    fn evaluate(&mut self, who: &str, work: Work) -> Result<Evaluation>;
    fn gradient(&mut self) -> Result<&[f32]>;
    fn limit(&mut self, work: Work, reps: u32) -> Result<Timed>;

    fn time(&mut self, who: &str, work: Work, reps: u32) -> Result<Timed> {
        if who == "memory" {
            return self.limit(work, reps);
        }
        self.evaluate(who, work)?;
        let (mut kernel, mut mean) = (Some(0.0), 0.0);
        let started = Instant::now();
        for _ in 0..reps {
            let evaluation = black_box(self.evaluate(who, work)?);
            mean = evaluation.mean;
            let phases = evaluation.run.phases;
            kernel = kernel.filter(|_| phases.timestamps).map(|sum| sum + phases.kernel.as_secs_f64());
        }
        let seconds = started.elapsed().as_secs_f64() / f64::from(reps);
        Ok(Timed { seconds, kernel: kernel.map(|sum| sum / f64::from(reps)), mean })
    }
}

struct Cpu {
    engine: Engine,
    limits: limits::Limits,
    x: Array,
    z: Array,
    bytes: Vec<u8>,
    bits: Vec<u8>,
    gradient: Array,
}

impl Cpu {
    fn new(threads: NonZeroUsize) -> Result<Self> {
        Ok(Self {
            engine: Engine::new(EngineOptions::new(Device::Cpu).with_threads(threads))?,
            limits: limits::Limits::new(threads.get())?,
            x: Array::default(),
            z: Array::default(),
            bytes: Vec::new(),
            bits: Vec::new(),
            gradient: Array::default(),
        })
    }
}

impl Side for Cpu {
    fn engine(&self) -> &Engine {
        &self.engine
    }

    fn who(&self) -> &'static [&'static str] {
        &["logloss", "logloss_u8", "logloss_bits", "memory"]
    }

    fn load(&mut self, x: Array, z: Array) -> Result<()> {
        self.bytes = z.values().iter().map(|&z| z as u8).collect();
        self.bits = self.bytes.chunks(8).map(|byte| byte.iter().rev().fold(0, |bits, z| (bits << 1) | z)).collect();
        self.gradient = Array::zeroed(x.len);
        self.gradient.values_mut().fill(1.0); // the first write maps the pages
        (self.x, self.z) = (x, z);
        Ok(())
    }

    fn evaluate(&mut self, who: &str, work: Work) -> Result<Evaluation> {
        let targets = match who {
            "logloss" => self.z.values().into(),
            "logloss_u8" => Targets::U8(&self.bytes),
            "logloss_bits" => Targets::Bits(&self.bits),
            _ => return Err(format!("who is {who}?").into()),
        };
        let outputs = match work {
            Work::Mean => Outputs::none(),
            Work::MeanGrad => Outputs::none().with_gradient(self.gradient.values_mut()),
        };
        Ok(self.engine.evaluate(&Batch::logits(self.x.values(), targets)?, &Objective::mean(), outputs)?)
    }

    fn gradient(&mut self) -> Result<&[f32]> {
        Ok(self.gradient.values())
    }

    fn limit(&mut self, work: Work, reps: u32) -> Result<Timed> {
        let mut run = || match work {
            Work::Mean => self.limits.read(self.x.values(), self.z.values()),
            Work::MeanGrad => self.limits.read_write(self.x.values(), self.z.values(), self.gradient.values_mut()),
        };
        run();
        let started = Instant::now();
        for _ in 0..reps {
            run();
        }
        Ok(Timed { seconds: started.elapsed().as_secs_f64() / f64::from(reps), kernel: None, mean: 0.0 })
    }
}

struct Gpu {
    engine: Engine,
    loaded: Option<Loaded>,
    gradient: Array,
}

struct Loaded {
    mean: Prepared,
    mean_grad: Prepared,
    x: logloss::wgpu::Buffer,
    copy: logloss::wgpu::Buffer,
    len: usize,
}

impl Gpu {
    fn new(adapter: &str) -> Result<Self> {
        let device = match adapter.parse() {
            Ok(index) => Device::Index(index),
            Err(_) if adapter == "best" => Device::Gpu,
            Err(_) => Device::Name(adapter.into()),
        };
        let engine = Engine::new(EngineOptions::new(device).with_allow_software(true))?;
        if engine.wgpu().is_none() {
            return Err("that is no GPU".into());
        }
        Ok(Self { engine, loaded: None, gradient: Array::default() })
    }

    fn loaded(&self) -> Result<&Loaded> {
        self.loaded.as_ref().ok_or_else(|| "nothing is loaded".into())
    }
}

impl Side for Gpu {
    fn engine(&self) -> &Engine {
        &self.engine
    }

    fn who(&self) -> &'static [&'static str] {
        &["logloss", "memory"]
    }

    fn load(&mut self, x: Array, z: Array) -> Result<()> {
        self.loaded = None; // frees the memory
        let batch = self.engine.upload(&Batch::logits(x.values(), z.values())?)?;
        let prepare = |outputs| self.engine.prepare(&batch, &Objective::mean(), outputs);
        let (mean, mean_grad) = (prepare(DeviceOutputs::none())?, prepare(DeviceOutputs::gradient())?);
        let (device, _) = self.engine.wgpu().ok_or("no GPU")?;
        let copy = device.create_buffer(&logloss::wgpu::BufferDescriptor {
            label: Some("copy"),
            size: 4 * x.len as u64,
            usage: logloss::wgpu::BufferUsages::COPY_DST | logloss::wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        self.loaded = Some(Loaded { mean, mean_grad, x: batch.predictions().buffer.clone(), copy, len: x.len });
        Ok(())
    }

    fn evaluate(&mut self, who: &str, work: Work) -> Result<Evaluation> {
        let loaded = self.loaded()?;
        match (who, work) {
            ("logloss", Work::Mean) => Ok(loaded.mean.evaluate()?),
            ("logloss", Work::MeanGrad) => Ok(loaded.mean_grad.evaluate()?),
            _ => Err(format!("who is {who}?").into()),
        }
    }

    fn gradient(&mut self) -> Result<&[f32]> {
        let mut gradient = Array::zeroed(self.loaded()?.len);
        let region = self.loaded()?.mean_grad.gradient().ok_or("no gradient")?;
        self.engine.download(region, gradient.values_mut())?;
        self.gradient = gradient;
        Ok(self.gradient.values())
    }

    /// Copies the number of bytes that the work moves: half of them are read, half are written.
    fn limit(&mut self, work: Work, reps: u32) -> Result<Timed> {
        const SUBMISSION: f64 = 0.02;
        let Loaded { x, copy, len, .. } = self.loaded()?;
        let (device, queue) = self.engine.wgpu().ok_or("no GPU")?;
        let whole = 4 * *len as u64;
        let copies = |count: u64| -> Result<f64> {
            let mut encoder = device.create_command_encoder(&Default::default());
            for _ in 0..count {
                encoder.copy_buffer_to_buffer(x, 0, copy, 0, whole);
                if work == Work::MeanGrad {
                    encoder.copy_buffer_to_buffer(x, 0, copy, 0, whole / 2);
                }
            }
            let started = Instant::now();
            let submission_index = Some(queue.submit([encoder.finish()]));
            device.poll(logloss::wgpu::PollType::Wait { submission_index, timeout: None })?;
            Ok(started.elapsed().as_secs_f64() / count as f64)
        };
        // One submission has so many copies that the cost of submitting is negligible.
        let count = (SUBMISSION / copies(1)?).clamp(1.0, 1000.0).max(f64::from(reps));
        let seconds = copies(count as u64)?;
        Ok(Timed { seconds, kernel: Some(seconds), mean: 0.0 })
    }
}
