//! Burn's `BinaryCrossEntropyLoss` on its wgpu backend, as a child process of `benches/peers/peers.py`. It has the same
//! protocol as `ours.rs`, where it is described.
//!
//! `burn` is the unmodified module, whose targets are integers; `burn_float` is its formula with float targets.

use std::{
    error::Error,
    fs::File,
    io::{self, BufRead, Read, Write},
    path::Path,
    time::Instant,
};

use burn::{
    nn::loss::{BinaryCrossEntropyLoss, BinaryCrossEntropyLossConfig},
    tensor::{Device, DeviceKind, Int, Tensor, TensorData, activation::log_sigmoid},
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let device = Device::wgpu(DeviceKind::DefaultDevice);
    let mut out = io::stdout().lock();
    writeln!(out, "hello Burn 0.22.1 wgpu (WGSL)\tburn,burn_float")?;
    let mut arrays = None;
    for line in io::stdin().lock().lines() {
        let line = line?;
        if line == "quit" {
            break;
        }
        match answer(&device, &mut arrays, &line) {
            Ok(answer) => writeln!(out, "ok {answer}")?,
            Err(error) => writeln!(out, "error {}", error.to_string().replace('\n', " "))?,
        }
    }
    Ok(())
}

fn answer(device: &Device, arrays: &mut Option<Arrays>, line: &str) -> Result<String> {
    let words: Vec<_> = line.splitn(4, ' ').collect();
    match (&words[..], arrays) {
        (["load", len, folder @ ..], arrays) => {
            *arrays = None;
            *arrays = Some(Arrays::load(device, len.parse()?, &folder.join(" "))?);
            Ok(String::new())
        }
        (["check", who, work, path], Some(arrays)) => {
            let (mean, gradient) = arrays.evaluate(who, work)?;
            if let Some(gradient) = gradient {
                let values = gradient.into_data().to_vec::<f32>().map_err(|error| format!("{error:?}"))?;
                File::create(path)?.write_all(bytemuck::cast_slice(&values))?;
            }
            Ok(format!("{mean:e}"))
        }
        (["time", who, work, reps], Some(arrays)) => {
            let reps: u32 = reps.parse()?;
            arrays.evaluate(who, work)?;
            let started = Instant::now();
            let mut mean = 0.0;
            for _ in 0..reps {
                mean = arrays.evaluate(who, work)?.0;
            }
            Ok(format!("{:e} {mean:e}", started.elapsed().as_secs_f64() / f64::from(reps)))
        }
        _ => Err(format!("what is {line:?}?").into()),
    }
}

/// The arrays on the device, once without and once with gradient tracking.
struct Arrays {
    device: Device,
    x: Tensor<1>,
    z: Tensor<1>,
    labels: Tensor<1, Int>,
    loss: BinaryCrossEntropyLoss,
    leaf: Tensor<1>,
    leaf_z: Tensor<1>,
    leaf_labels: Tensor<1, Int>,
    leaf_loss: BinaryCrossEntropyLoss,
}

impl Arrays {
    fn load(device: &Device, len: usize, folder: &str) -> Result<Self> {
        let (x, z) = (read(folder, "x.f32", len)?, read(folder, "z.f32", len)?);
        let labels: Vec<i32> = z.iter().map(|&z| z as i32).collect();
        let tracked = device.clone().autodiff();
        let floats = |values: &[f32], device| Tensor::<1>::from_data(TensorData::new(values.to_vec(), [len]), device);
        let ints = |device| Tensor::<1, Int>::from_data(TensorData::new(labels.clone(), [len]), device);
        let config = BinaryCrossEntropyLossConfig::new().with_logits(true);
        Ok(Self {
            device: device.clone(),
            x: floats(&x, device),
            z: floats(&z, device),
            labels: ints(device),
            loss: config.init(device),
            leaf: floats(&x, &tracked).require_grad(),
            leaf_z: floats(&z, &tracked),
            leaf_labels: ints(&tracked),
            leaf_loss: config.init(&tracked),
        })
    }

    /// The mean, and the gradient if it is part of the work. Returns after the device has finished.
    fn evaluate(&self, who: &str, work: &str) -> Result<(f32, Option<Tensor<1>>)> {
        let with_gradient = work == "mean+grad";
        let (x, z, labels, module) = if with_gradient {
            (&self.leaf, &self.leaf_z, &self.leaf_labels, &self.leaf_loss)
        } else {
            (&self.x, &self.z, &self.labels, &self.loss)
        };
        let loss = match who {
            "burn" => module.forward(x.clone(), labels.clone()),
            // The formula of the module, without the conversion of integers to floats.
            "burn_float" => ((z.clone().neg() + 1.0) * x.clone() - log_sigmoid(x.clone())).mean(),
            _ => return Err(format!("who is {who}?").into()),
        };
        let gradient = with_gradient.then(|| x.grad(&loss.backward()).ok_or("no gradient")).transpose()?;
        let mean = loss.into_scalar::<f32>();
        self.device.flush().map_err(|error| format!("{error:?}"))?;
        self.device.sync().map_err(|error| format!("{error:?}"))?;
        Ok((mean, gradient))
    }
}

fn read(folder: &str, name: &str, len: usize) -> Result<Vec<f32>> {
    let mut values = vec![0.0; len];
    File::open(Path::new(folder).join(name))?.read_exact(bytemuck::cast_slice_mut(&mut values))?;
    Ok(values)
}
