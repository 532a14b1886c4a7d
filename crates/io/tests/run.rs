//! Runs from outside: observers, typed errors, and files that are whole or not there.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use logloss::{Array, Compat, Engine, Form, Metrics, Reduction};
use logloss_io::{
    Error, ErrorClass, IgnoredLabel, Inputs, LabelWeights, Layout, Note, NpyFile, Number, ObjectiveSpec, Observer,
    OutputPaths, PreparedRun, ReducedValues, RunSpec, Selection, Severity, Shape, ShapeOf, Summary, run,
};
use tempfile::TempDir;

/// The number of values that are converted at a time.
const PART: u64 = 1 << 20;

/// Writes a `.npy` file.
fn npy(folder: &TempDir, name: &str, number: Number, shape: Shape, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    let mut file = NpyFile::create(&path, number, shape).unwrap();
    file.write(bytes).unwrap();
    file.finish(shape.value_count().unwrap()).unwrap();
    path
}

/// The specification for f32 logits and u8 labels of this shape.
fn pair(folder: &TempDir, shape: Shape, logits: &[f32], labels: &[u8]) -> RunSpec {
    let logits: Vec<u8> = logits.iter().flat_map(|value| value.to_le_bytes()).collect();
    let predictions = npy(folder, "logits.npy", Number::F32, shape, &logits);
    let targets = npy(folder, "labels.npy", Number::U8, shape, labels);
    RunSpec::new(Inputs::new(predictions).with_targets(targets))
}

/// The specification for zeros in two parts and a bit, which are converted.
fn zeros(folder: &TempDir) -> (RunSpec, u64) {
    let len = 2 * PART + 5;
    let bytes = vec![0; 8 * len as usize];
    let predictions = npy(folder, "logits.npy", Number::F64, Shape::flat(len), &bytes);
    let targets = npy(folder, "labels.npy", Number::U8, Shape::flat(len), &bytes[..len as usize]);
    (RunSpec::new(Inputs::new(predictions).with_targets(targets)), len)
}

/// The specification for the columns `p` and `y` of a text file.
fn text(folder: &TempDir, text: &str) -> RunSpec {
    let path = folder.path().join("a.csv");
    fs::write(&path, text).unwrap();
    let selection = Selection::default().with_predictions("p").with_targets("y");
    RunSpec::new(Inputs::new(path)).with_selection(selection)
}

fn evaluate(spec: &RunSpec) -> Result<Summary, Error> {
    run(spec, &Engine::cpu(), &mut ())
}

fn names(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Records the progress, and interrupts once there is as much as it was told.
#[derive(Default)]
struct Recorder {
    seen: Vec<(u64, u64, u64)>,
    most: Option<usize>,
}

impl Observer for Recorder {
    fn progress(&mut self, done: u64, total: u64, values: u64) {
        self.seen.push((done, total, values));
    }

    fn interrupted(&self) -> bool {
        self.most == Some(self.seen.len())
    }
}

#[test]
fn progress_is_told_after_every_part() {
    let folder = TempDir::new().unwrap();
    let (mut spec, len) = zeros(&folder);
    let mut observer = Recorder::default();
    let summary = run(&spec, &Engine::cpu(), &mut observer).unwrap();
    let one_pass = [PART, 2 * PART, len].map(|values| (values, len, values));
    assert_eq!(observer.seen, one_pass);
    assert_eq!((summary.len, summary.labels.count, summary.labels.base_rate()), (len, len, Some(0.0)));
    assert_eq!(
        summary.notes.iter().map(|note| note.severity).collect::<Vec<_>>(),
        [Severity::Info, Severity::Info, Severity::Warning]
    );

    // What a weighted mean is divided by takes a pass of its own.
    spec.objective.reduction = Some(Reduction::WeightedMean);
    spec.outputs.gradient = Some(folder.path().join("gradient.npy"));
    let mut observer = Recorder::default();
    run(&spec, &Engine::cpu(), &mut observer).unwrap();
    assert_eq!(observer.seen, [one_pass, one_pass].concat());
}

#[test]
fn an_interrupted_run_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let (mut spec, _) = zeros(&folder);
    spec.outputs.loss = Some(folder.path().join("loss.npy"));
    let before = names(&folder);
    for most in [0, 1, 3] {
        let mut observer = Recorder { most: Some(most), ..Recorder::default() };
        let error = run(&spec, &Engine::cpu(), &mut observer).unwrap_err();
        assert!(matches!(error, Error::Interrupted));
        assert_eq!((error.class(), error.to_string().as_str()), (ErrorClass::Interrupted, "interrupted"));
        assert_eq!((observer.seen.len(), names(&folder)), (most, before.clone()));
    }
    let summary = run(&spec, &Engine::cpu(), &mut Recorder { most: Some(4), ..Recorder::default() }).unwrap();
    let [output] = summary.outputs.as_slice() else { panic!("one output") };
    assert_eq!((output.name, Some(&output.path)), ("loss", spec.outputs.loss.as_ref()));
}

#[test]
fn text_is_interrupted_while_it_is_counted() {
    let folder = TempDir::new().unwrap();
    let mut spec = text(&folder, "p,y\n1,0\n2,1\n");
    spec.outputs.gradient = Some(folder.path().join("gradient.npy"));
    let error = run(&spec, &Engine::cpu(), &mut Recorder { most: Some(0), ..Recorder::default() }).unwrap_err();
    assert!(matches!(error, Error::Interrupted));
}

#[test]
fn an_invalid_value_is_told_by_its_place() {
    let folder = TempDir::new().unwrap();
    let shape = Shape::new(&[3, 2]).unwrap();
    let spec = pair(&folder, shape, &[1.0, -1.0, 0.5, 2.0, 3.0, 4.0], &[0, 1, 1, 7, 0, 1]);
    let error = evaluate(&spec).unwrap_err();
    let Error::InvalidValue { array: Array::Targets, place, value, .. } = &error else { panic!("{error}") };
    assert_eq!(place.column.path(), spec.inputs.targets.as_deref().unwrap());
    assert_eq!((place.column.name(), place.row, place.class, place.line), (None, 1, Some(1), None));
    assert_eq!((value.as_str(), error.class()), ("7", ErrorClass::Failure));
    assert_eq!((error.path(), error.place()), (spec.inputs.targets.as_deref(), Some(place)));
    assert!(
        error
            .to_string()
            .ends_with("labels.npy, index [1, 1]: the value is 7: labels must be 0 or 1, or probabilities in between")
    );
    assert!(error.help().unwrap().starts_with("class numbers become 0 and 1 as y == CLASS"));
}

#[test]
fn a_value_that_f32_cannot_represent_is_told_as_it_was_written() {
    let folder = TempDir::new().unwrap();
    let spec = text(&folder, "p,y\n0.5,0\n1.0000000001,1\n").with_form(Form::Probabilities);
    let error = evaluate(&spec).unwrap_err();
    let Error::InvalidValue { array: Array::Probabilities, place, value, .. } = &error else { panic!("{error}") };
    assert_eq!((place.column.name(), place.row, place.line), (Some("p"), 1, Some(3)));
    assert_eq!(value, "1.0000000001");
}

#[test]
fn missing_values_and_words_are_told_by_their_place() {
    let folder = TempDir::new().unwrap();
    let error = evaluate(&text(&folder, "p,y\n0.5,0\n,1\n")).unwrap_err();
    let Error::MissingValue { place } = &error else { panic!("{error}") };
    assert_eq!((place.column.name(), place.row, place.line), (Some("p"), 1, Some(3)));

    let error = evaluate(&text(&folder, "p,y\n0.5,yes\n")).unwrap_err();
    let Error::NotANumber { place, text } = &error else { panic!("{error}") };
    assert_eq!((place.column.name(), place.row, place.line), (Some("y"), 0, Some(2)));
    assert_eq!(text, "yes");
    assert_eq!(error.column(), Some(&place.column));
}

#[test]
fn what_is_missing_counts_where_its_element_does() {
    let folder = TempDir::new().unwrap();
    let spec = text(&folder, "p,y\n0.5,0\n,-1\n1.5,1\n,-100\n,1\n");
    let both = spec.clone().with_ignored_label(IgnoredLabel::Integer(-1));
    let error = evaluate(&both.with_ignored_label(IgnoredLabel::Integer(-100))).unwrap_err();
    let Error::MissingValue { place } = &error else { panic!("{error}") };
    assert_eq!((place.column.name(), place.row, place.line), (Some("p"), 4, Some(6)));
    let all = [-1, -100, 1].map(IgnoredLabel::Integer).into_iter().fold(spec, RunSpec::with_ignored_label);
    assert_eq!(evaluate(&all).unwrap().evaluation.count, 1);
}

#[test]
fn shapes_and_layouts_are_told_by_type() {
    let folder = TempDir::new().unwrap();
    let mut spec = pair(&folder, Shape::flat(2), &[1.0, 2.0], &[0, 1]);
    let two = npy(&folder, "two.npy", Number::F32, Shape::new(&[2, 2]).unwrap(), &[0; 16]);
    spec.inputs.predictions = two.clone();
    let error = evaluate(&spec).unwrap_err();
    let Error::ShapeMismatch { shape, other: ShapeOf::Array { column, shape: other }, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!((shape.as_slice(), other.as_slice()), ([2, 2].as_slice(), [2].as_slice()));
    assert_eq!((column.path(), error.path()), (spec.inputs.targets.as_deref().unwrap(), Some(two.as_path())));
    // A header that is made to say another order and another number of dimensions.
    let bytes = fs::read(&two).unwrap();
    let replaced = |from: &str, to: &str| {
        let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        let mut changed = bytes.clone();
        changed[at..at + from.len()].copy_from_slice(to.as_bytes());
        fs::write(&two, changed).unwrap();
        evaluate(&spec).unwrap_err()
    };
    let error = replaced("'fortran_order': False", "'fortran_order': True ");
    assert!(matches!(&error, Error::UnsupportedLayout { layout: Layout::Fortran(shape), .. } if *shape == [2, 2]));
    let error = replaced("(2, 2, )", "(1,2,2) ");
    assert!(matches!(&error, Error::UnsupportedLayout { layout: Layout::Dimensions(shape), .. } if shape.len() == 3));
    assert!(error.help().unwrap().contains("numpy.ascontiguousarray(p[..., 1])"));
}

#[test]
fn columns_that_are_not_there() {
    let folder = TempDir::new().unwrap();
    let mut spec = text(&folder, "p,y,y\n0.5,0,1\n");
    let error = evaluate(&spec).unwrap_err();
    assert!(matches!(&error, Error::DuplicateColumn { name, .. } if name == "y"), "{error}");
    spec.selection.predictions = Some("q".to_owned());
    let error = evaluate(&spec).unwrap_err();
    let Error::MissingColumn { path, name, found, .. } = &error else { panic!("{error}") };
    assert_eq!((path, name.as_str()), (&spec.inputs.predictions, "q"));
    assert_eq!(found, &["p", "y", "y"]);
    assert_eq!(error.help().unwrap(), "there are: p, y, y");
    spec.selection = Selection::default();
    let error = evaluate(&spec).unwrap_err();
    assert!(matches!(error, Error::UnnamedColumns { .. }), "{error}");
    assert_eq!(error.class(), ErrorClass::Usage);
}

#[test]
fn files_that_cannot_be_read() {
    let folder = TempDir::new().unwrap();
    let open = |name: &str| {
        let spec = RunSpec::new(Inputs::new(folder.path().join(name)));
        PreparedRun::new(&spec).err().unwrap()
    };
    let error = open("absent.npy");
    assert!(matches!(error, Error::Io { kind: std::io::ErrorKind::NotFound, .. }), "{error}");
    fs::write(folder.path().join("a.txt"), "1").unwrap();
    let error = open("a.txt");
    assert!(matches!(&error, Error::UnsupportedFormat { extension, .. } if extension == "txt"), "{error}");
    assert_eq!((error.class(), error.path()), (ErrorClass::Usage, Some(folder.path().join("a.txt").as_path())));
}

#[test]
fn specifications_that_make_no_sense() {
    let folder = TempDir::new().unwrap();
    let good = pair(&folder, Shape::flat(2), &[1.0, 2.0], &[0, 1]);
    let plain = ObjectiveSpec::default;
    let is_unbalance = plain().with_label_weights(LabelWeights::IsUnbalance);
    for objective in [
        is_unbalance.clone(),
        plain().with_class_weights([1.0; 2]),
        is_unbalance.with_pos_weight([2.0]).with_compat(Compat::Lightgbm),
    ] {
        let error = evaluate(&good.clone().with_objective(objective)).unwrap_err();
        assert!(matches!(error, Error::Usage(_)) && error.class() == ErrorClass::Usage, "{error}");
    }
    let outputs = OutputPaths::default().with_value(folder.path().join("value.npy"));
    let error = evaluate(&good.with_outputs(outputs)).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Usage);
}

/// Metrics of the objective are part of the evaluation, and the summary without them is the same.
#[test]
fn metrics_are_handed_on() {
    let folder = TempDir::new().unwrap();
    let mut spec = pair(&folder, Shape::flat(4), &[-1.0, 0.0, 1.0, 2.0], &[0, 1, 0, 1]);
    let without = evaluate(&spec).unwrap().evaluation;
    assert_eq!(without.partials.threshold, None);
    spec.objective.metrics = Metrics::none().with_threshold(0.0).unwrap();
    let with = evaluate(&spec).unwrap().evaluation;
    let counts = with.partials.threshold.expect("requested");
    assert_eq!((counts.below, counts.at_or_above), (1, 3));
    assert_eq!(with.mean.to_bits(), without.mean.to_bits());
}

#[test]
fn labels_are_balanced_by_their_counts() {
    let folder = TempDir::new().unwrap();
    let mut spec = pair(&folder, Shape::flat(4), &[0.0; 4], &[0, 1, 0, 0]);
    spec.objective.label_weights = Some(LabelWeights::Balanced);
    let summary = evaluate(&spec).unwrap();
    let text = "3 labels are 0 and weigh 0.6666667, 1 are 1 and weigh 2";
    let is_balance = |note: &Note| note.severity == Severity::Info && note.text == text;
    assert!(summary.notes.iter().any(is_balance), "{:?}", summary.notes);
    assert!(!summary.is_plain);
    let spec = pair(&folder, Shape::flat(2), &[0.0; 2], &[1, 1]).with_objective(spec.objective);
    let error = evaluate(&spec).unwrap_err();
    assert!(matches!(error, Error::Unbalanceable { negatives: 0, positives: 2, .. }), "{error}");
}

#[test]
fn rows_and_classes() {
    let folder = TempDir::new().unwrap();
    let mut spec = pair(&folder, Shape::new(&[2, 3]).unwrap(), &[0.0; 6], &[0, 1, 0, 0, 1, 1]);
    let value = folder.path().join("value.npy");
    spec.outputs.value = Some(value.clone());
    let read = |path: &Path| npyz::NpyFile::new(fs::File::open(path).unwrap()).unwrap().into_vec::<f64>().unwrap();

    spec.objective.reduction = Some(Reduction::PerClass);
    let summary = evaluate(&spec).unwrap();
    let ReducedValues::Classes { means, counts } = summary.values else { panic!("classes") };
    assert_eq!((counts.as_slice(), &means), ([2; 3].as_slice(), &read(&value)));

    spec.objective.reduction = Some(Reduction::PerRow);
    let summary = evaluate(&spec).unwrap();
    let ReducedValues::Rows(rows) = summary.values else { panic!("rows") };
    assert_eq!(rows.all(), Some(read(&value).as_slice()));
    assert_eq!(summary.shape.dimensions(), [2, 3]);
}

#[test]
fn runs_and_errors_may_be_sent_to_another_thread() {
    fn check<T: Send>() {}
    fn check_both<T: Send + Sync>() {}
    check::<PreparedRun<'static>>();
    check_both::<Error>();
    check_both::<RunSpec>();
    check_both::<Summary>();
}
