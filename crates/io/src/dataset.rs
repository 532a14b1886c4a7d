//! The data of an evaluation, part by part: a source, and the mask beside it.

use logloss::{
    Array, BLOCK, Batch, Engine, Error as EngineError, Form, Ignore, NonFinite, Objective, Reduction, Totals,
    WeightShape,
};

use crate::{
    Error, Inputs, Missing, ObjectiveSpec, Observer, Part, PartUnrepresentable, ReadOptions, Result, Selection, Shape,
    Source, Unrepresentable,
    contradiction::Contradiction,
    explain::{Circumstances, explain},
    observer,
    seen::Seen,
    source::{self, Mask},
    statistics::{LabelCounts, NoLabel, is_counted},
};

/// The most values that a part can be made to hold by whole rows of many classes.
const MOST_TOGETHER: u64 = 1 << 26;

/// A source and its mask.
pub(crate) struct Dataset {
    pub source: Box<dyn Source>,
    mask: Option<Mask>,
    options: ReadOptions,
    non_finite: NonFinite,
    /// The number of values in a row, if the evaluation depends on it.
    classes: Option<usize>,
}

/// One part of a dataset.
pub(crate) struct MaskedPart<'a> {
    pub part: Part<'a>,
    /// A bit for each value, 1 where it counts.
    pub mask: Option<&'a [u8]>,
    form: Form,
    classes: Option<usize>,
    weight_shape: Option<WeightShape>,
}

impl<'a> MaskedPart<'a> {
    /// The same for the engine.
    pub(crate) fn batch(&self) -> Result<Batch<'a>, EngineError> {
        let mut batch = Batch::new(self.form, self.part.predictions, self.part.targets)?;
        if let Some(classes) = self.classes {
            batch = batch.with_classes(classes)?;
        }
        batch = match (self.part.weights, self.weight_shape) {
            (Some(weights), Some(WeightShape::Samples)) => batch.with_sample_weights(weights)?,
            (Some(weights), _) => batch.with_weights(weights)?,
            (None, _) => batch,
        };
        match self.mask {
            Some(bits) => batch.with_mask(bits),
            None => Ok(batch),
        }
    }

    /// The value that an error is about as its file has it, if it could not be converted as it was. `first` is the index
    /// of the part's first value.
    pub(crate) fn unrepresentable(&self, error: &EngineError, first: u64) -> Option<Unrepresentable> {
        let EngineError::InvalidValue { array, index, .. } = error else { return None };
        self.part.unrepresentable.find(*array, usize::try_from(index.checked_sub(first)?).ok()?).cloned()
    }

    /// Whether an element is neither ignored nor masked.
    pub(crate) fn counts(&self, index: usize, ignore: Option<Ignore>) -> bool {
        is_counted(&self.part, self.mask, ignore, index)
    }

    /// The first value that is missing and belongs to an element that is neither ignored nor masked: its array, the index
    /// of the element in the part, and the line.
    pub(crate) fn missing(&self, ignore: Option<Ignore>) -> Option<(Array, Missing)> {
        let each = if self.weight_shape == Some(WeightShape::Samples) { self.classes.unwrap_or(1) } else { 1 };
        let PartUnrepresentable { predictions, targets, weights } = self.part.unrepresentable;
        let arrays =
            [(Array::Predictions, predictions, 1), (Array::Targets, targets, 1), (Array::Weights, weights, each)];
        let missing = arrays.into_iter().filter_map(|(array, values, elements)| {
            let of_element = |missing: &Missing| {
                let from = missing.index * elements;
                (from..from + elements)
                    .find(|&index| self.counts(index, ignore))
                    .map(|index| Missing { index, ..*missing })
            };
            Some((array, values?.missing().iter().find_map(of_element)?))
        });
        missing.min_by_key(|(_, missing)| missing.index)
    }
}

impl Dataset {
    /// Opens the files, and checks that they fit together and to the objective.
    pub(crate) fn open(
        inputs: &Inputs,
        selection: &Selection,
        options: ReadOptions,
        objective: &ObjectiveSpec,
    ) -> Result<Self> {
        let mut source = source::open_source(inputs, selection, &options)?;
        let mask = source::open_mask(inputs)?;
        let shape = source.shape();
        if let Some(mask) = &mask {
            mask.check(shape)?;
        }
        objective.check_classes(shape.classes())?;
        let (unit, classes) = unit(objective, shape, source.weight_shape())?;
        source.set_unit(unit);
        Ok(Self { source, mask, options, non_finite: objective.non_finite, classes })
    }

    /// Remarks on how the values were read, for the reader of the result.
    pub(crate) fn notes(&self) -> Vec<String> {
        let mask = self.mask.iter().flat_map(Mask::notes).cloned();
        self.source.notes().into_iter().chain(mask).collect()
    }

    /// Whether there is a mask.
    pub(crate) fn has_mask(&self) -> bool {
        self.mask.is_some()
    }

    /// The next part. None after the last.
    pub(crate) fn next(&mut self, observer: &mut dyn Observer) -> Result<Option<MaskedPart<'_>>> {
        observer::check(observer)?;
        let (form, classes) = (self.options.form, self.classes);
        let weight_shape = self.source.weight_shape();
        let Some(part) = self.source.next_part(observer)? else {
            return self.mask.as_ref().map_or(Ok(()), Mask::end).map(|()| None);
        };
        let mask = self.mask.as_mut().map(|mask| mask.next(part.predictions.len())).transpose()?;
        Ok(Some(MaskedPart { part, mask, form, classes, weight_shape }))
    }

    /// Reports to the observer that `values` values are done.
    pub(crate) fn report(&self, observer: &mut dyn Observer, values: u64) {
        let (done, total) = self.source.position();
        observer.progress(done, total, values);
    }

    /// The error for a value that is missing, in a part whose first value has the index `first`.
    pub(crate) fn missing_value(&self, first: u64, (array, missing): (Array, Missing)) -> Error {
        let index = first + missing.index as u64;
        match self.source.place(array, index) {
            Some(place) => Error::MissingValue { place: place.with_line(missing.line) },
            None => EngineError::InvalidValue { array, index, value: f64::NAN }.into(),
        }
    }

    /// Goes back to the first part.
    pub(crate) fn rewind(&mut self) -> Result<()> {
        if let Some(mask) = &mut self.mask {
            mask.rewind();
        }
        self.source.rewind()
    }

    /// Counts the labels in a pass over everything. Neither is absent.
    pub(crate) fn count_labels(&mut self, observer: &mut dyn Observer) -> Result<LabelCounts> {
        let ignore = self.source.ignore();
        let any_number_is_label = self.options.any_number_is_label;
        let mut counts = LabelCounts::default();
        let mut first = 0;
        while let Some(read) = self.next(observer)? {
            if let Some(missing) = read.missing(ignore) {
                return Err(self.missing_value(first, missing));
            }
            let MaskedPart { part, mask, .. } = read;
            let no_label = counts.add(&part, mask, ignore, any_number_is_label);
            let len = part.predictions.len() as u64;
            if let Some(no_label) = no_label {
                let circumstances = Circumstances {
                    any_number_is_label,
                    unrepresentable: part.unrepresentable.find(Array::Targets, no_label.index).cloned(),
                    seen: Some(Seen::of(&part)),
                };
                self.check_label(first, no_label, circumstances)?;
            }
            first += len;
            self.report(observer, first);
        }
        self.rewind()?;
        let LabelCounts { negatives, positives } = counts;
        if negatives == 0 || positives == 0 {
            return Err(Error::Unbalanceable { targets: self.source.target_names(), negatives, positives });
        }
        Ok(counts)
    }

    /// The error for a target that cannot be counted as one of two labels, unless invalid values are propagated.
    fn check_label(&self, first: u64, NoLabel { index, value }: NoLabel, circumstances: Circumstances) -> Result<()> {
        let (array, index) = (Array::Targets, first + index as u64);
        if (0.0..=1.0).contains(&value) {
            let Some(place) = self.source.place(array, index) else {
                return Err(EngineError::InvalidValue { array, index, value }.into());
            };
            return Err(Error::InvalidValue {
                array,
                place,
                value: (value as f32).to_string(),
                must: "labels that are to be balanced must be 0 or 1",
                help: "pass the weights of the labels: --label-weight W0,W1".into(),
            });
        }
        match self.non_finite {
            NonFinite::Propagate => Ok(()),
            _ => {
                let error = EngineError::InvalidValue { array, index, value };
                Err(explain(error, self.source.as_ref(), circumstances))
            }
        }
    }

    /// Adds up what the gradient is divided by, in a pass over everything.
    pub(crate) fn totals(
        &mut self,
        engine: &Engine,
        objective: &Objective,
        observer: &mut dyn Observer,
    ) -> Result<Totals> {
        let ignore = self.source.ignore();
        let mut totals = Totals::default();
        let mut first = 0;
        while let Some(read) = self.next(observer)? {
            if let Some(missing) = read.missing(ignore) {
                return Err(self.missing_value(first, missing));
            }
            // Parts that do not say where they begin are added: they are whole blocks.
            totals.merge(&engine.totals(&read.batch()?, objective)?)?;
            first += read.part.predictions.len() as u64;
            self.report(observer, first);
        }
        self.rewind()?;
        Ok(totals)
    }
}

/// The number of values that every part but the last must be a multiple of, and the number of classes if the evaluation
/// depends on it.
fn unit(objective: &ObjectiveSpec, shape: Shape, weights: Option<WeightShape>) -> Result<(usize, Option<usize>)> {
    let block = BLOCK as u64;
    let classes = shape.classes();
    if classes <= 1 {
        return Ok((BLOCK, None));
    }
    let sums = matches!(objective.effective_reduction(), Reduction::PerClass | Reduction::PerRow);
    let by_class = sums
        || weights == Some(WeightShape::Samples)
        || objective.class_weights.is_some()
        || objective.pos_weight.as_ref().is_some_and(|list| list.len() > 1);
    // The power of two that divides both.
    let shared = 1 << classes.trailing_zeros().min(block.trailing_zeros());
    let unit = (block / if sums { 1 } else { shared }).checked_mul(classes);
    let most = shape.value_count().filter(|&len| len <= MOST_TOGETHER).map_or(MOST_TOGETHER, |_| u64::MAX);
    // (Of no rows, too: a list by class is made all the same.)
    match unit.filter(|&unit| unit <= most && classes <= MOST_TOGETHER).and_then(|unit| usize::try_from(unit).ok()) {
        Some(unit) => Ok((unit, Some(classes as usize))),
        None if !by_class => Ok((BLOCK, None)),
        None => Err(Contradiction::TooManyClasses(shape).into()),
    }
}
