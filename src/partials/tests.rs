//! Parts that are cut anywhere and merged in any order, by the trees alone, without a device.

use proptest::prelude::*;

use super::*;
use crate::{job::Sums, plan};

const TREES: [(TreeKind, Sums, usize); 7] = [
    (TreeKind::Cpu, Sums::All, 3),
    (TreeKind::Cpu, Sums::PerClass, 3),
    (TreeKind::Cpu, Sums::PerRow, 6),
    (TreeKind::Gpu, Sums::All, 3),
    (TreeKind::Gpu, Sums::PerClass, 3),
    (TreeKind::Gpu, Sums::PerRow, 3),
    (TreeKind::Gpu, Sums::PerRow, 12),
];

/// The partials of losses that begin at index `first`, with weights or without, as a device has them.
fn partials(tree: Tree, classes: usize, first: u64, losses: &[f32], weights: Option<&[f32]>) -> Partials {
    let len = losses.len() as u64;
    let [head, tail] = plan::ends(first, len, tree.unit());
    let mut piece = Piece::new(first..first + len);
    let mut partials = Partials { classes: vec![ClassPartials::default(); classes], ..Partials::default() };
    let middle = (head..len - tail).step_by(tree.unit() as usize).map(|at| (at..at + tree.unit(), false));
    for (range, is_end) in [(0..head, true)].into_iter().chain(middle).chain([(len - tail..len, true)]) {
        if range.is_empty() {
            continue;
        }
        let at = first + range.start;
        let range = range.start as usize..range.end as usize;
        let weights = weights.map(|weights| weights[range.clone()].to_vec());
        let kept = Kept { tree, losses: losses[range.clone()].to_vec(), weights };
        let mut found = Partials { classes: vec![ClassPartials::default(); classes], ..Partials::default() };
        found.count = range.len() as u64;
        found.set_sums(&tree.sums(at, &kept));
        partials.add(&found);
        if is_end {
            piece.keep(at, kept);
        }
    }
    partials.pieces = piece.into();
    partials
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_cuts_in_any_order(
        which in 0..TREES.len(),
        weighted: bool,
        losses in prop::collection::vec(0u32..0x7f00_0000, 1..3000),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        start in 0u64..9000,
        order: u64,
    ) {
        let (kind, sums, classes) = TREES[which];
        let tree = Tree::new(kind, sums, classes);
        // All magnitudes; repeated, so that there are several blocks, and in whole rows.
        let mut losses: Vec<f32> = losses.into_iter().map(f32::from_bits).collect();
        losses = losses.iter().copied().cycle().take(5 * losses.len() / classes * classes).collect();
        let weights: Option<Vec<f32>> = weighted.then(|| losses.iter().map(|loss| (loss.to_bits() % 7) as f32).collect());
        let start = start / classes as u64 * classes as u64;
        let by_class = if sums == Sums::PerClass { classes } else { 0 };
        let part = |range: Range<usize>| {
            let weights = weights.as_deref().map(|weights| &weights[range.clone()]);
            partials(tree, by_class, start + range.start as u64, &losses[range], weights)
        };
        let rows = losses.len() / classes;
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.index(rows + 1) * classes).collect();
        cuts.extend([0, losses.len()]);
        cuts.sort_unstable();
        let mut parts: Vec<_> = cuts.windows(2).map(|pair| part(pair[0]..pair[1])).collect();
        let mut merged = Partials::default();
        let mut random = order;
        while !parts.is_empty() {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let next = parts.swap_remove((random >> 33) as usize % parts.len());
            merged.merge(&next).unwrap();
            prop_assert!(merged.clone().merge(&next).is_err() || next.pieces.is_empty());
        }
        prop_assert_eq!(merged, part(0..losses.len()));
    }
}

/// Texts that are no partials are errors, and no panic later.
#[cfg(feature = "serde")]
#[test]
fn inconsistent_texts() {
    let tree = Tree::new(TreeKind::Gpu, Sums::PerClass, 3);
    let good = serde_json::to_value(partials(tree, 3, 3, &[1.0; 9], Some(&[1.0; 9]))).unwrap();
    let read = |value: serde_json::Value| serde_json::from_value::<Partials>(value);
    assert!(read(good.clone()).is_ok());
    for (path, value) in [
        ("/pieces/0/first", 4u64),
        ("/pieces/0/first", 0),
        ("/pieces/0/end", 11),
        ("/pieces/0/end", 3),
        ("/pieces/0/head/tree/classes", 0),
        ("/pieces/0/head/tree/classes", 2),
        ("/pieces/0/head/losses", 0),
        ("/pieces/0/head/weights", 0),
    ] {
        let mut bad = good.clone();
        let place = bad.pointer_mut(path).unwrap();
        *place = if place.is_array() { serde_json::json!([1]) } else { value.into() };
        assert!(read(bad).is_err(), "{path}: {value}");
    }
    // What no device makes: more values than there are, an invalid one elsewhere, negative sums.
    for (path, value) in [
        ("/count", serde_json::json!(10)),
        ("/count", serde_json::json!(u64::MAX)),
        ("/classes/0/count", serde_json::json!(u64::MAX)),
        ("/first_invalid", serde_json::json!(12)),
        ("/threshold", serde_json::json!({ "below": 9, "at_or_above": 1 })),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(path).unwrap() = value.clone();
        assert!(read(bad).is_err(), "{path}: {value}");
    }
    let negative = serde_json::to_value(ExactSum::of([-5.0])).unwrap();
    for path in ["/sum", "/weight", "/classes/1/sum"] {
        let mut bad = good.clone();
        *bad.pointer_mut(path).unwrap() = negative.clone();
        assert!(read(bad).is_err(), "{path}");
    }
    let mut twice = good.clone();
    let piece = good.pointer("/pieces/0").unwrap().clone();
    twice.pointer_mut("/pieces").unwrap().as_array_mut().unwrap().push(piece);
    assert!(read(twice).is_err());
    // Those written before parts had places have none.
    let mut old = good;
    old.as_object_mut().unwrap().remove("pieces");
    assert_eq!(read(old).unwrap().ranges().count(), 0);
}
