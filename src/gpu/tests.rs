//! The composed shaders are valid WGSL that needs no extension, and their structs lie where Rust's do.

use std::{collections::HashSet, mem::offset_of};

use naga::{
    TypeInner,
    valid::{Capabilities, ValidationFlags, Validator},
};

use super::{
    bindings::Binding,
    layout::{self, BatchParameters, ClassSum, Declared, LossParameters, Window, WindowParameters, WindowSums},
    result::ResultBlock,
    source,
    spec::tests::every_use,
};
use crate::prediction_kind::Encoding;

/// Parses and validates a module.
fn compile(source: &str) -> naga::Module {
    let module =
        naga::front::wgsl::parse_str(source).unwrap_or_else(|error| panic!("{}", error.emit_to_string(source)));
    let checked = Validator::new(ValidationFlags::all(), Capabilities::empty()).validate(&module);
    if let Err(error) = checked {
        panic!("{}", error.emit_to_string(source));
    }
    module
}

/// The fields of a struct of a module, with their offsets, and its size.
fn fields(module: &naga::Module, name: &str) -> (Vec<(String, usize)>, usize) {
    let mut found = module.types.iter().filter(|(_, ty)| ty.name.as_deref() == Some(name));
    let Some((_, naga::Type { inner: TypeInner::Struct { members, span }, .. })) = found.next() else {
        panic!("no struct {name}");
    };
    let fields = members.iter().map(|member| (member.name.clone().unwrap_or_default(), member.offset as usize));
    (fields.collect(), *span as usize)
}

fn check<T: Declared>(module: &naga::Module) {
    let name = T::wgsl();
    let (fields, size) = fields(module, &name);
    let mut rust = T::offsets();
    if !fields.iter().any(|(field, _)| field == "padding") {
        // weighted.wgsl leaves padding to the compiler.
        rust.retain(|(field, _)| *field != "padding");
    }
    let wanted: Vec<_> = rust.into_iter().map(|(field, offset)| (field.to_owned(), offset)).collect();
    assert_eq!((fields, size), (wanted, size_of::<T>()), "{name}");
}

/// The value of a constant of a module.
fn constant(module: &naga::Module, name: &str) -> Option<u32> {
    let (_, constant) = module.constants.iter().find(|(_, constant)| constant.name.as_deref() == Some(name))?;
    match module.global_expressions[constant.init] {
        naga::Expression::Literal(naga::Literal::U32(value)) => Some(value),
        _ => None,
    }
}

#[test]
fn kernels_are_valid_and_declare_what_they_bind() {
    let mut sources = HashSet::new();
    for spec in every_use() {
        for limit in [8, 16] {
            let (summing, storing) = spec.split(limit);
            let weighing = spec.weighted.map(|_| spec.weights_alone());
            for kernel in [Some(summing), storing, weighing].into_iter().flatten() {
                if !sources.insert(kernel.source()) {
                    continue;
                }
                let module = compile(&kernel.source().wgsl());
                let names: Vec<_> = module.entry_points.iter().map(|entry| entry.name.as_str()).collect();
                assert_eq!(names, ["main", "store_alone"]);
                assert!(module.entry_points.iter().all(|entry| entry.workgroup_size == [layout::LANES, 1, 1]));
                let bound = module.global_variables.iter().filter(|(_, variable)| variable.binding.is_some());
                let mut bound: Vec<_> = bound.map(|(_, variable)| variable.binding.map(|at| at.binding)).collect();
                bound.sort();
                assert!(bound.into_iter().eq((0..kernel.bindings().len()).map(Some)), "{kernel:?}");
            }
        }
    }
}

#[test]
fn structs_of_both_languages_are_the_same() {
    for spec in every_use() {
        let module = compile(&spec.source().wgsl());
        check::<WindowSums>(&module);
        check::<WindowParameters>(&module);
        check::<LossParameters>(&module);
        check::<ClassSum>(&module);
        let (window, _) = fields(&module, "Window");
        let mut wanted: Vec<_> = Window::offsets();
        wanted.push(("class_weights", Window::CLASS_WEIGHTS as usize));
        assert!(window.iter().map(|(field, offset)| (field.as_str(), *offset)).eq(wanted));
        for (name, value) in [
            ("CLIPPED_IS_FLAT", layout::CLIPPED_IS_FLAT),
            ("BINARIZE", layout::BINARIZE),
            ("WEIGH_POSITIVES", layout::WEIGH_POSITIVES),
            ("UNLABELLED_LOSS", layout::UNLABELLED_LOSS),
            ("ROUNDS", layout::ROUNDS),
            ("FORM_LOGITS", Encoding::Logits as u32),
            ("FORM_PROBABILITIES", Encoding::Probabilities as u32),
            ("FORM_END_DISTANCES", Encoding::EndDistances as u32),
        ] {
            assert_eq!(constant(&module, name), Some(value), "{name}");
        }
    }
    let module = compile(&source::finish());
    let names: Vec<_> = module.entry_points.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["finish", "divide"]);
    check::<BatchParameters>(&module);
    let (block, size) = fields(&module, "ResultBlock");
    assert_eq!(size, size_of::<ResultBlock>());
    for (field, offset) in [
        ("status", offset_of!(ResultBlock, status)),
        ("infinite", offset_of!(ResultBlock, infinite)),
        ("first_invalid_low", offset_of!(ResultBlock, first_invalid)),
        ("count_low", offset_of!(ResultBlock, count)),
        ("sum", offset_of!(ResultBlock, sum)),
        ("mean", offset_of!(ResultBlock, mean)),
        ("weight", offset_of!(ResultBlock, weight)),
        ("limbs", offset_of!(ResultBlock, limbs)),
        ("weight_limbs", offset_of!(ResultBlock, weight_limbs)),
    ] {
        assert!(block.contains(&(field.to_owned(), offset)), "{field}");
    }
}

/// A comparison that finds nothing wrong with a wrong layout would be worth nothing.
#[test]
fn another_layout_is_found() {
    let source = every_use()[0].source().wgsl();
    let wrong = source.replacen("coefficient: f32,", "coefficient: vec2<f32>,", 1);
    let module = naga::front::wgsl::parse_str(&wrong).expect("still WGSL");
    assert!(std::panic::catch_unwind(|| check::<WindowParameters>(&module)).is_err());
}

#[test]
fn every_array_is_described() {
    let all = every_use().iter().fold(HashSet::new(), |mut all, spec| {
        all.extend(spec.bindings().iter().map(|binding| binding as usize));
        all
    });
    assert_eq!(all.len(), Binding::Counts as usize + 1);
}
