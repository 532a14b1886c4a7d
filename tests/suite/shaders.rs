//! Tests of the shaders as text: they are valid WGSL without extensions, and twins of the code of the CPU.
//! The unit tests of src/gpu compile every composition.

use std::{collections::BTreeMap, fs, path::Path};

use logloss::{DeviceOutputs, DeviceSink, Engine, Metrics, Objective, OutputType, Reduction, Weights};
use naga::valid::{Capabilities, ValidationFlags, Validator};

use crate::common::{batch, gpu_engines};

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Parses and validates a shader as a browser does.
fn validate(what: &str, source: &str) -> naga::Module {
    let module =
        naga::front::wgsl::parse_str(source).unwrap_or_else(|error| panic!("{what}: {}", error.emit_to_string(source)));
    let checked = Validator::new(ValidationFlags::all(), Capabilities::empty()).validate(&module);
    if let Err(error) = checked {
        panic!("{what}: {}", error.emit_to_string(source));
    }
    module
}

/// The modules of an evaluation of weighted logits, with or without a gradient.
pub(crate) fn modules(engine: &Engine, objective: &Objective, gradient: Option<OutputType>) -> Vec<String> {
    let weighted = batch(logloss::Form::Logits, &[0.5f32; 4], &[1u8; 4]).with_weights(Weights::F32(&[1.0; 4]));
    let there = engine.upload(&weighted.expect("as many")).expect("it fits");
    let mut outputs = DeviceOutputs::none();
    outputs.gradient = gradient.map_or(DeviceSink::Skip, DeviceSink::NewAs);
    engine.prepare(&there, objective, outputs).expect("valid").wgsl()
}

#[test]
fn valid_without_extensions() {
    for engine in gpu_engines() {
        let metrics = Metrics::none().with_threshold(0.5).expect("a number");
        for reduction in [Reduction::Mean, Reduction::PerClass, Reduction::PerRow] {
            let objective = Objective::default().with_reduction(reduction).with_metrics(metrics.clone());
            for gradient in [None, Some(OutputType::F32), Some(OutputType::F16)] {
                let modules = modules(engine, &objective, gradient);
                assert!(modules.len() >= 2);
                for (at, source) in modules.iter().enumerate() {
                    let module = validate(&format!("module {at} of {reduction:?}, {gradient:?}"), source);
                    let entries: Vec<_> = module.entry_points.iter().map(|entry| entry.name.as_str()).collect();
                    let last = at + 1 == modules.len();
                    assert_eq!(entries, if last { ["finish", "divide"] } else { ["main", "store_alone"] });
                }
            }
        }
    }
    // The file of element functions is valid by itself, so that callers can concatenate it with their own kernels.
    validate("element", &read("shaders/element.wgsl"));
    validate("element + weighted", &[read("shaders/element.wgsl"), read("shaders/weighted.wgsl")].join("\n"));
}

#[test]
fn validation_can_fail() {
    let broken = read("shaders/element.wgsl").replacen("bitcast<f32>", "bitcast<i32>", 1);
    let caught = std::panic::catch_unwind(|| validate("broken on purpose", &broken));
    assert!(caught.is_err());
}

/// The number of the right-hand side of a constant, in either language; `None` if it cannot be parsed.
fn number(text: &str) -> Option<u64> {
    let float = |value: f32| Some(u64::from(value.to_bits()) | 1 << 63);
    match text.trim() {
        "std::f32::consts::LOG2_E" => return float(std::f32::consts::LOG2_E),
        "std::f32::consts::LN_2" => return float(std::f32::consts::LN_2),
        quotient if quotient.contains('/') => {
            let (above, below) = quotient.split_once('/')?;
            return float(above.trim().parse::<f32>().ok()? / below.trim().parse::<f32>().ok()?);
        }
        _ => {}
    }
    let text = text.trim().replace('_', "");
    if let Some(hexadecimal) = text.strip_prefix("0x") {
        let digits = hexadecimal.trim_end_matches("u32").trim_end_matches("i32").trim_end_matches(['u', 'i']);
        return u64::from_str_radix(digits, 16).ok();
    }
    let digits = ["f32", "u32", "i32", "usize", "f", "u", "i"]
        .iter()
        .find_map(|suffix| text.strip_suffix(suffix))
        .unwrap_or(&text)
        .to_owned();
    match digits.parse::<i64>() {
        // Floats are compared by the bits of the f32, integers by their bits.
        Ok(integer) => Some(integer as u64),
        Err(_) => digits.parse().ok().and_then(float),
    }
}

/// The constants of a source, by name.
fn constants(source: &str) -> BTreeMap<String, String> {
    source
        .lines()
        .filter_map(|line| {
            let line = line.trim().trim_start_matches("pub(crate) ").trim_start_matches("pub(super) ");
            let (name, value) = line.trim_start_matches("pub ").strip_prefix("const ")?.split_once('=')?;
            let name = name.split(':').next()?.trim().to_owned();
            Some((name, value.split(';').next()?.trim().to_owned()))
        })
        .collect()
}

/// The functions of a source, in order.
fn functions(source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines()
        .filter_map(|line| {
            let at = line.find("fn ")?;
            let before = line[..at].trim();
            let declares = before.is_empty() || before.starts_with("pub") || before.ends_with("unsafe");
            let name = line[at + 3..].split(['(', '<']).next()?.trim();
            (declares && !line.trim_start().starts_with("//")).then(|| name.to_owned())
        })
        .collect()
}

fn disagreements(shader: &str, twin: &str) -> Vec<String> {
    let (shader, twin) = (constants(shader), constants(twin));
    let shared: Vec<_> = shader.iter().filter_map(|(name, value)| Some((name, value, twin.get(name)?))).collect();
    let mut found: Vec<String> = shared
        .iter()
        .filter(|(_, a, b)| number(a).is_none() || number(a) != number(b))
        .map(|(name, a, b)| format!("{name}: {a} in the shader, {b} on the CPU"))
        .collect();
    if shared.is_empty() {
        found.push("they share no constant".into());
    }
    found
}

#[test]
fn twins_have_the_same_constants() {
    let found = disagreements(&read("shaders/element.wgsl"), &read("src/cpu/element.rs"));
    assert!(found.is_empty(), "{found:#?}");
}

/// Functions that are in both files have the same order, so that a diff of the files is readable.
#[test]
fn twins_have_their_functions_in_the_same_order() {
    for (shader, twin) in
        [("shaders/element.wgsl", "src/cpu/element.rs"), ("shaders/weighted.wgsl", "src/cpu/weighted.rs")]
    {
        let [shader, twin] = [shader, twin].map(|path| functions(&read(path)));
        let in_both = |names: &[String], others: &[String]| -> Vec<String> {
            names.iter().filter(|name| others.contains(name)).cloned().collect()
        };
        let [shader, twin] = [in_both(&shader, &twin), in_both(&twin, &shader)];
        assert!(shader.len() >= 3, "{shader:?}");
        assert_eq!(shader, twin);
    }
}

#[test]
fn twins_comparison_can_fail() {
    let shader = "const LN2: f32 = 0.6931472;\nconst BIAS: i32 = 127i;\n";
    let same = "    pub const LN2: f32 = 0.693_147_2;\nconst BIAS: i32 = 127;\nconst MORE: u32 = 0x7f;\n";
    assert_eq!(disagreements(shader, same), [""; 0]);
    assert_eq!(disagreements(shader, &same.replace("47_2", "47_3")).len(), 1);
    assert_eq!(disagreements(shader, &same.replace("127", "126")).len(), 1);
    assert_eq!(disagreements(shader, "const OTHER: u32 = 1;").len(), 1);
    assert_eq!(number("0x3f80_0000u"), number("0x3f800000"));
    assert_ne!(number("1.0"), number("1"));
    assert_eq!(number("331.0 / 1024.0"), number("0.3232421875"));
    assert_ne!(number("331.0 / 1024.0"), number("0.3232423"));
    assert_eq!(functions("pub(crate) fn a(x: f32) {}\n// fn b()\nfn c<S>(s: S) {}\n"), ["a", "c"]);
}
