//! Turns the samples of a row into the row of the report.

use crate::{
    MeasuredDevice, Row,
    cell::Cell,
    sampling::Sample,
    stats::{Summary, median, rounded},
};

/// The fastest that a device moves the bytes of a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowLimit {
    /// How it moves them, in words.
    pub what: &'static str,
    /// The time that this takes, in seconds.
    pub seconds: f64,
}

/// Everything that was measured of one row.
pub(crate) struct Measurement<'a> {
    /// The device.
    pub device: &'a MeasuredDevice,
    /// What was computed.
    pub cell: Cell,
    /// Whether the batch lies on the device.
    pub resident: bool,
    /// The number of batches that calls cycled through.
    pub sets: usize,
    /// The samples of the evaluation, at least one.
    pub samples: &'a [Sample],
    /// What the samples are compared with.
    pub limit: RowLimit,
    /// The relative error of the sum.
    pub sum_error: f64,
}

impl Measurement<'_> {
    /// Whether the device's clock is reliable: it is not if it tells no time, or a longer one than that of the whole
    /// call.
    fn device_clock(&self) -> bool {
        self.samples.iter().all(|sample| sample.timestamps && sample.kernel > 0.0)
            && median(self.samples.iter().map(|sample| sample.kernel / sample.call)) <= 1.0
    }

    /// The row of the report.
    pub(crate) fn row(&self) -> Row {
        let Self { device, cell, resident, sets, samples, limit, sum_error } = *self;
        let n = cell.n as f64;
        let nanoseconds = |seconds: f64| rounded(seconds * 1e9 / n);
        let each = |get: fn(&Sample) -> f64| nanoseconds(median(samples.iter().map(get)));
        let device_clock = self.device_clock();
        // A batch that streams in from the host takes as long as the call, a resident one as long as its kernels.
        let by_device = device_clock && resident;
        let time = |sample: &Sample| if by_device { sample.kernel } else { sample.call };
        let summary = Summary::of(samples.iter().map(time));
        let [read, written] = cell.bytes();
        let bytes = (read + written) as f64;
        Row {
            device: device.device.clone(),
            work: cell.work.to_string(),
            n: cell.n as u64,
            predictions: cell.inputs.prediction.to_string(),
            targets: cell.inputs.target.to_string(),
            resident,
            threads: device.threads,
            ns_per_elem: nanoseconds(summary.median),
            gb_per_s: rounded(bytes / summary.median / 1e9),
            limit_gb_per_s: rounded(bytes / limit.seconds / 1e9),
            percent_of_limit: rounded(100.0 * limit.seconds / summary.median),
            limit: limit.what.to_owned(),
            bytes_per_elem: cell.bytes_per_element(),
            clock: if by_device { "device" } else { "wall" }.to_owned(),
            call_ns_per_elem: each(|sample| sample.call),
            kernel_ns_per_elem: device_clock.then(|| each(|sample| sample.kernel)),
            upload_ns_per_elem: each(|sample| sample.upload),
            readback_ns_per_elem: each(|sample| sample.readback),
            q1_ns_per_elem: nanoseconds(summary.q1),
            q3_ns_per_elem: nanoseconds(summary.q3),
            mad_ns_per_elem: nanoseconds(summary.mad),
            min_ns_per_elem: nanoseconds(summary.min),
            repeats: summary.count,
            sets,
            working_set_bytes: sets as u64 * (read + written),
            sum_error: rounded(sum_error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Inputs, Work, demo};

    fn row(resident: bool, sample: Sample) -> Row {
        let device = demo::device("gpu");
        let cell = Cell { n: 1 << 20, inputs: Inputs::F32, work: Work::GRADIENT };
        let limit = RowLimit { what: "copying", seconds: 1e-3 };
        let samples = [sample; 3];
        Measurement { device: &device, cell, resident, sets: 2, samples: &samples, limit, sum_error: 0.0 }.row()
    }

    #[test]
    fn figures_agree() {
        let sample = Sample { call: 4e-3, kernel: 2e-3, timestamps: true, upload: 1e-3, readback: 0.0 };
        let resident = row(true, sample);
        assert_eq!((resident.clock.as_str(), resident.percent_of_limit), ("device", 50.0));
        assert!((resident.gb_per_s - resident.bytes_per_elem / resident.ns_per_elem).abs() < 1e-3 * resident.gb_per_s);
        assert!((resident.call_ns_per_elem / resident.ns_per_elem - 2.0).abs() < 1e-3);
        let streamed = row(false, sample);
        assert_eq!((streamed.clock.as_str(), streamed.percent_of_limit), ("wall", 25.0));
        assert_eq!(streamed.kernel_ns_per_elem, resident.kernel_ns_per_elem);
        assert_eq!(streamed.working_set_bytes, 24 << 20);
    }

    #[test]
    fn clocks_that_are_wrong() {
        for kernel in [0.0, 1.0] {
            let sample = Sample { call: 4e-3, kernel, timestamps: true, ..Sample::default() };
            let row = row(true, sample);
            assert_eq!((row.clock.as_str(), row.kernel_ns_per_elem), ("wall", None));
        }
    }
}
