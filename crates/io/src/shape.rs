//! Shapes of arrays.

use logloss::WeightShape;

/// The shape of an array: `[N]`, or `[N, C]`. N may be unknown until a file was read.
///
/// ```
/// use logloss_io::Shape;
///
/// let shape = Shape::new(&[100, 3]).expect("one or two dimensions");
/// assert_eq!((shape.rows(), shape.classes(), shape.value_count()), (Some(100), 3, Some(300)));
/// assert_eq!(Shape::flat(5).dimensions(), [5]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    rows: Option<u64>,
    classes: Option<u64>,
}

impl Shape {
    /// Shape `[N]`.
    pub fn flat(len: u64) -> Self {
        Self { rows: Some(len), classes: None }
    }

    /// The shape of `columns` columns side by side: `[N]` of one, `[N, C]` of several.
    pub fn of_columns(rows: Option<u64>, columns: usize) -> Self {
        Self { rows, classes: (columns > 1).then_some(columns as u64) }
    }

    /// The same shape with as many rows as `len` values make.
    pub fn with_len(self, len: u64) -> Self {
        Self { rows: self.rows.or(Some(len / self.classes().max(1))), ..self }
    }

    /// Shape `[N]` with the same N.
    pub fn by_row(self) -> Self {
        Self { classes: None, ..self }
    }

    /// The number of rows N, if it is known.
    pub fn rows(&self) -> Option<u64> {
        self.rows
    }

    /// The number of classes C; 1 for shape `[N]`.
    pub fn classes(&self) -> u64 {
        self.classes.unwrap_or(1)
    }

    /// The shape with these dimensions. None unless there are one or two, and the number of values fits in 64 bits.
    pub fn new(dimensions: &[u64]) -> Option<Self> {
        let shape = match *dimensions {
            [rows] => Self::flat(rows),
            [rows, classes] => Self { rows: Some(rows), classes: Some(classes) },
            _ => return None,
        };
        shape.value_count().is_some().then_some(shape)
    }

    /// The number of values, if it is known.
    pub fn value_count(&self) -> Option<u64> {
        self.rows?.checked_mul(self.classes())
    }

    /// The dimensions, one or two. An unknown N is 0.
    pub fn dimensions(&self) -> Vec<u64> {
        [Some(self.rows.unwrap_or(0)), self.classes].into_iter().flatten().collect()
    }

    /// The dimensions as text, with "N" where it is not known.
    pub(crate) fn described(&self) -> String {
        match (self.rows, self.classes) {
            (None, None) => "[N]".to_owned(),
            (None, Some(classes)) => format!("[N, {classes}]"),
            _ => format!("{:?}", self.dimensions()),
        }
    }

    /// The row of a value, and its class if the shape is `[N, C]`.
    pub(crate) fn row_and_class(&self, index: u64) -> (u64, Option<u64>) {
        match self.classes {
            Some(classes) if classes > 0 => (index / classes, Some(index % classes)),
            _ => (index, None),
        }
    }

    /// Whether another array's values lie in the same order: `[N]` and `[N, 1]` do.
    pub(crate) fn matches(&self, other: &Self) -> bool {
        self.rows == other.rows && self.classes() == other.classes()
    }
}

/// Whether weights of this shape belong to elements or to samples, if the shape fits that of the predictions.
pub(crate) fn weight_shape(weights: &Shape, predictions: &Shape) -> Option<WeightShape> {
    if weights.matches(predictions) {
        Some(WeightShape::Elements)
    } else if weights.rows == predictions.rows && weights.classes() == 1 {
        Some(WeightShape::Samples)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_go_with_elements_or_samples() {
        let shape = |dimensions: &[u64]| Shape::new(dimensions).expect("one or two dimensions");
        let matrix = shape(&[3, 2]);
        assert_eq!(weight_shape(&shape(&[3, 2]), &matrix), Some(WeightShape::Elements));
        assert_eq!(weight_shape(&shape(&[3]), &matrix), Some(WeightShape::Samples));
        assert_eq!(weight_shape(&shape(&[3, 1]), &matrix), Some(WeightShape::Samples));
        assert_eq!(weight_shape(&shape(&[2]), &matrix), None);
        assert_eq!(weight_shape(&shape(&[6]), &matrix), None);
        assert_eq!(weight_shape(&shape(&[3]), &shape(&[3, 1])), Some(WeightShape::Elements));
    }

    #[test]
    fn shapes() {
        let shape = |dimensions: &[u64]| Shape::new(dimensions).expect("one or two dimensions");
        assert_eq!(shape(&[3, 2]).value_count(), Some(6));
        assert_eq!(shape(&[3, 2]).row_and_class(5), (2, Some(1)));
        assert_eq!(shape(&[3]).row_and_class(2), (2, None));
        assert_eq!(shape(&[0, 0]).row_and_class(0), (0, None));
        assert!(shape(&[3]).matches(&shape(&[3, 1])));
        assert!(!shape(&[6]).matches(&shape(&[3, 2])));
        assert_eq!(Shape::new(&[]), None);
        assert_eq!(Shape::new(&[1, 2, 3]), None);
        assert_eq!(Shape::new(&[u64::MAX, 2]), None);
    }
}
