//! What is read, in the parts that it is evaluated in: the source, and the mask beside it.

use anyhow::Result;
use logloss::{Array, BLOCK, Batch, Engine, Error, Form, Invalid, Objective, Totals, WeightShape};

use super::{
    explain::explain,
    facts::{LabelCounts, NoLabel},
};
use crate::{
    args::{EvalArgs, Reduce},
    failure::{fault, usage},
    interrupt,
    progress::Progress,
    source::{self, Mask, Odd, Part, Shape, Source, Wish},
};

/// The most values that a part can be made to hold by whole rows of many classes.
const MOST_TOGETHER: u64 = 1 << 26;

/// The values, and which of them count.
pub struct Input {
    pub source: Box<dyn Source>,
    mask: Option<Mask>,
    form: Form,
    /// Values a row, where the evaluation depends on it.
    classes: Option<usize>,
}

/// One part of it.
pub struct Read<'a> {
    pub part: Part<'a>,
    pub mask: Option<&'a [u8]>,
    form: Form,
    classes: Option<usize>,
    weights: Option<WeightShape>,
}

impl<'a> Read<'a> {
    /// The same for the library.
    pub fn batch(&self) -> Result<Batch<'a>, Error> {
        let mut batch = Batch::new(self.form, self.part.predictions, self.part.targets)?;
        if let Some(classes) = self.classes {
            batch = batch.with_classes(classes)?;
        }
        batch = match (self.part.weights, self.weights) {
            (Some(weights), Some(WeightShape::Samples)) => batch.with_sample_weights(weights)?,
            (Some(weights), _) => batch.with_weights(weights)?,
            (None, _) => batch,
        };
        match self.mask {
            Some(bits) => batch.with_mask(bits),
            None => Ok(batch),
        }
    }
}

/// How the file has the value that an error speaks of, if it could not be passed on as it was; `first` is the index of
/// the part's first value.
pub fn odd(error: &Error, part: &Part<'_>, first: u64) -> Option<Odd> {
    let Error::InvalidValue { array, index, .. } = error else { return None };
    part.odds.find(*array, usize::try_from(index.checked_sub(first)?).ok()?).cloned()
}

impl Input {
    /// Opens the files that the command line names, and checks that they go together and with its lists.
    pub fn open(args: &EvalArgs) -> Result<Self> {
        let form = args.from.form();
        let every_odd = args.ignore_label.is_some() || args.mask.is_some();
        let any_number = args.any_label();
        let wish = Wish { form, ignore: args.ignore_label, any_number, every_odd };
        let mut source = source::open(args, wish)?;
        let mask = source::open_mask(args)?;
        let shape = source.shape();
        if let Some(mask) = &mask {
            mask.check(shape)?;
        }
        check_lists(args, shape.classes())?;
        let (unit, classes) = unit(args, shape, source.weights())?;
        source.set_unit(unit);
        Ok(Self { source, mask, form, classes })
    }

    /// What a reader of the result should know about how the values were read.
    pub fn notes(&self) -> Vec<String> {
        let mask = self.mask.iter().flat_map(Mask::notes).cloned();
        self.source.notes().into_iter().chain(mask).collect()
    }

    /// Whether there is a mask.
    pub fn has_mask(&self) -> bool {
        self.mask.is_some()
    }

    /// The next part. None after the last.
    pub fn next(&mut self) -> Result<Option<Read<'_>>> {
        let Self { form, classes, .. } = *self;
        let weights = self.source.weights();
        let Some(part) = self.source.next_part()? else {
            return self.mask.as_ref().map_or(Ok(()), Mask::end).map(|()| None);
        };
        let mask = self.mask.as_mut().map(|mask| mask.next(part.predictions.len())).transpose()?;
        Ok(Some(Read { part, mask, form, classes, weights }))
    }

    /// Goes back to the first part.
    fn rewind(&mut self) -> Result<()> {
        if let Some(mask) = &mut self.mask {
            mask.rewind();
        }
        self.source.rewind()
    }

    /// A pass over everything, counting the labels.
    pub fn count_labels(&mut self, args: &EvalArgs, progress: &mut Progress) -> Result<LabelCounts> {
        let ignore = self.source.ignore();
        let mut counts = LabelCounts::default();
        let mut first = 0;
        loop {
            interrupt::check()?;
            let Some(Read { part, mask, .. }) = self.next()? else { break };
            let no_label = counts.add(&part, mask, ignore, args.any_label());
            let len = part.predictions.len() as u64;
            if let Some(no_label) = no_label {
                let odd = part.odds.find(Array::Targets, no_label.index).cloned();
                self.refuse(args, first, no_label, odd)?;
            }
            first += len;
            progress.show(self.source.position(), first);
        }
        self.rewind()?;
        Ok(counts)
    }

    /// The error for a target that cannot be counted as one of two labels, unless it is one to be let through.
    fn refuse(&self, args: &EvalArgs, first: u64, NoLabel { index, value }: NoLabel, odd: Option<Odd>) -> Result<()> {
        let index = first + index as u64;
        if (0.0..=1.0).contains(&value) {
            return Err(fault(
                format_args!(
                    "{}: the value is {}: labels that are to be balanced must be 0 or 1",
                    self.source.place(Array::Targets, index),
                    value as f32
                ),
                "say what the labels weigh: --label-weight W0,W1",
            ));
        }
        match args.non_finite.invalid() {
            Invalid::Propagate => Ok(()),
            Invalid::Error => {
                let error = Error::InvalidValue { array: Array::Targets, index, value };
                Err(explain(error, args, self.source.as_ref(), odd))
            }
        }
    }

    /// What the gradient is divided by, if that is known without a look at the values.
    pub fn count(&mut self) -> Result<u64> {
        self.source.count()
    }

    /// A pass over everything, adding up what the gradient is divided by.
    pub fn totals(&mut self, engine: &Engine, objective: &Objective, progress: &mut Progress) -> Result<Totals> {
        let mut totals = Totals::default();
        let mut first = 0;
        loop {
            interrupt::check()?;
            let Some(read) = self.next()? else { break };
            totals.merge(&engine.totals(&read.batch()?, objective)?);
            first += read.part.predictions.len() as u64;
            progress.show(self.source.position(), first);
        }
        self.rewind()?;
        Ok(totals)
    }
}

/// Checks that lists by class have an entry for each.
fn check_lists(args: &EvalArgs, classes: u64) -> Result<()> {
    let check = |flag: &str, list: &Option<Vec<f32>>, one: bool| match list {
        Some(list) if list.len() as u64 != classes && !(one && list.len() == 1) => Err(usage(
            format_args!(
                "{flag}: {} values for {classes} {}",
                list.len(),
                if classes == 1 { "class" } else { "classes" }
            ),
            if one { "give one value, or one for each class" } else { "give one value for each class" },
        )),
        _ => Ok(()),
    };
    check("--class-weight", &args.class_weight, false)?;
    check("--pos-weight", &args.pos_weight, true)
}

/// What every part but the last must be a multiple of, and the number of classes if the evaluation depends on it.
fn unit(args: &EvalArgs, shape: Shape, weights: Option<WeightShape>) -> Result<(usize, Option<usize>)> {
    let block = BLOCK as u64;
    let classes = shape.classes();
    if classes <= 1 {
        return Ok((BLOCK, None));
    }
    let sums = matches!(args.reduction, Reduce::PerClass | Reduce::PerRow);
    let by_class = sums
        || weights == Some(WeightShape::Samples)
        || args.class_weight.is_some()
        || args.pos_weight.as_ref().is_some_and(|list| list.len() > 1);
    // The power of two that divides both.
    let shared = 1 << classes.trailing_zeros().min(block.trailing_zeros());
    let unit = (block / if sums { 1 } else { shared }).checked_mul(classes);
    let most = shape.len().filter(|&len| len <= MOST_TOGETHER).map_or(MOST_TOGETHER, |_| u64::MAX);
    match unit.filter(|&unit| unit <= most).and_then(|unit| usize::try_from(unit).ok()) {
        Some(unit) => Ok((unit, Some(classes as usize))),
        None if !by_class => Ok((BLOCK, None)),
        None => Err(usage(
            format_args!("shape {:?}: {classes} classes are too many to be told apart", shape.dimensions()),
            format_args!(
                "evaluate some of them at a time; or leave out --class-weight, weights by sample, and --reduction \
                 per-class and per-row, which would hold {BLOCK} rows at a time"
            ),
        )),
    }
}
