//! How a run is measured, in the words of the report.

use crate::{
    cell::FROM_MEMORY,
    plan::Plan,
    text::{binary_bytes, size},
};

/// How a plan is measured, in sentences, for readers who want to judge the figures.
pub(crate) fn method(plan: &Plan) -> Vec<String> {
    let reach = binary_bytes(plan.reach);
    vec![
        "Logits from N(0, 3), as many labels of 1 as of 0, the same in every run; every row's sum, and elements of \
         every output, were checked before it was timed."
            .to_owned(),
        format!(
            "ns/elem is a median and ± the median deviation from it, over at least {} measurements taken in turn with \
             those of the limit.",
            plan.repeats()
        ),
        format!(
            "From {} values on, calls go round through batches that span {reach} (512 MiB on a GPU) as far as there \
             are so many, so that caches do not hold them; smaller batches are the same each time, and so are their \
             limits.",
            size(FROM_MEMORY as u64)
        ),
        "The limit of a CPU or of data on a GPU is a pass that moves as many bytes in the same way and computes \
         nothing, on the CPU over the same arrays with the same threads (the fastest of some ways: values asked for \
         ahead or not, ordinary or streaming stores), on a GPU a copy (a read, where nothing is written) by a \
         kernel; that of data from the host is the slower of uploading the inputs and downloading the outputs."
            .to_owned(),
        "Data on a GPU are timed by its own clock where it has one, everything else by the wall clock of whole calls."
            .to_owned(),
    ]
}
