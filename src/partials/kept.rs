//! The values of an unfinished block, which are kept until a neighbour brings the others.

use super::block_tree::{BlockSums, Tree};

/// What consecutive values of one block add to its sums.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Kept {
    /// The tree that sums the block when it is complete.
    pub tree: Tree,
    /// The loss of each value: 0 for an ignored one, NaN for an invalid one (on a GPU only for the first).
    #[cfg_attr(feature = "serde", serde(with = "bits"))]
    pub losses: Vec<f32>,
    /// The weight of each value, 0 for an ignored one; none if each weighs 1.
    #[cfg_attr(feature = "serde", serde(with = "optional_bits"))]
    pub weights: Option<Vec<f32>>,
}

impl Kept {
    /// The number of values.
    pub(super) fn len(&self) -> u64 {
        self.losses.len() as u64
    }

    /// What these values, the first of which has index `first`, add to sums as they lie.
    pub(super) fn sums(&self, first: u64) -> BlockSums {
        self.tree.sums(first, self)
    }

    /// Appends the values that follow.
    pub(super) fn append(&mut self, next: &Self) {
        self.weights = match (self.weights.take(), &next.weights) {
            (None, None) => None,
            (weights, others) => {
                let mut weights = weights.unwrap_or_else(|| vec![1.0; self.losses.len()]);
                match others {
                    Some(others) => weights.extend_from_slice(others),
                    None => weights.resize(weights.len() + next.losses.len(), 1.0),
                }
                Some(weights)
            }
        };
        self.losses.extend_from_slice(&next.losses);
    }
}

/// Floats as the bits of each, which is exact also in formats that write floats as text or cannot represent infinity.
#[cfg(feature = "serde")]
mod bits {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(values: &[f32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(|value| value.to_bits()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
        Ok(Vec::<u32>::deserialize(deserializer)?.into_iter().map(f32::from_bits).collect())
    }
}

#[cfg(feature = "serde")]
mod optional_bits {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(values: &Option<Vec<f32>>, serializer: S) -> Result<S::Ok, S::Error> {
        let bits: Option<Vec<u32>> = values.as_ref().map(|values| values.iter().map(|value| value.to_bits()).collect());
        bits.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<f32>>, D::Error> {
        let bits = Option::<Vec<u32>>::deserialize(deserializer)?;
        Ok(bits.map(|bits| bits.into_iter().map(f32::from_bits).collect()))
    }
}
