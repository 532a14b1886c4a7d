//! Options and outputs that make no sense.

use super::*;

/// However few values there are.
#[test]
fn shares_of_one_device() {
    let folder = folder();
    folder.refuses(
        2,
        "eval logits.npy labels.npy --shares 1,3",
        str![[r#"
error: --shares has 2 for 1 devices
  help: name as many shares as devices, as in `--device cpu,0 --shares 1,3`

"#]],
    );
}

#[test]
fn unwritable_output() {
    let folder = folder();
    let eval = "eval logits.npy labels.npy --device cpu";
    folder.refuses(
        1,
        &format!("{eval} --loss-out nowhere/loss.npy"),
        str![[r#"
error: nowhere/loss.npy: cannot be written: its folder does not exist
  help: make sure that the folder 'nowhere' exists and that you may write to it

"#]],
    );
    std::fs::create_dir(folder.path("there.npy")).unwrap();
    folder.refuses(
        1,
        &format!("{eval} --loss-out there.npy"),
        str![[r#"
error: there.npy: cannot be written: it is not a regular file
  help: give the name of a file; leave out an output that is not needed

"#]],
    );
    // The first output is begun before the second fails.
    folder.refuses(
        1,
        &format!("{eval} --loss-out loss.npy --grad-out nowhere/grad.npy"),
        str![[r#"
error: nowhere/grad.npy: cannot be written: its folder does not exist
  help: make sure that the folder 'nowhere' exists and that you may write to it

"#]],
    );
    folder.refuses(
        1,
        "generate 10 --out nowhere/a.parquet",
        str![[r#"
error: nowhere/a.parquet: cannot be written: its folder does not exist
  help: make sure that the folder 'nowhere' exists and that you may write to it

"#]],
    );
}

#[test]
fn output_that_makes_no_sense() {
    let folder = folder();
    let eval = "eval logits.npy labels.npy --device cpu";
    folder.refuses(
        2,
        &format!("{eval} --loss-out loss.csv"),
        str![[r#"
error: --loss-out loss.csv: outputs are NumPy files
  help: name it loss.npy

"#]],
    );
    folder.refuses(
        2,
        &format!("{eval} --loss-out a.npy --grad-out ./a.npy"),
        str![[r#"
error: --grad-out ./a.npy: this is --loss-out already
  help: give every file a name of its own

"#]],
    );
    folder.refuses(
        2,
        &format!("{eval} --loss-out ./logits.npy"),
        str![[r#"
error: --loss-out ./logits.npy: this is an input already
  help: give every file a name of its own

"#]],
    );
}

#[test]
fn command_line_that_makes_no_sense() {
    let folder = folder();
    std::fs::copy(data("flights.parquet"), folder.path("flights.parquet")).unwrap();
    folder.file("a.txt", "x,y\n1,0\n");
    folder.refuses(
        2,
        "eval logits.npy",
        str![[r#"
error: logits.npy: the labels are missing
  help: pass a second .npy file: logloss eval PREDICTIONS.npy TARGETS.npy

"#]],
    );
    folder.refuses(
        2,
        "eval logits.npy labels.npy --pred x",
        str![[r#"
error: logits.npy: a .npy file holds one array, which has no name
  help: leave out --pred and --target

"#]],
    );
    folder.refuses(
        2,
        "eval logits.npy flights.parquet",
        str![[r#"
error: flights.parquet: labels beside a .npy file must be one too
  help: save them with numpy.save, or put both into one .parquet, .csv or .safetensors file

"#]],
    );
    folder.refuses(
        2,
        "eval flights.parquet",
        str![[r#"
error: flights.parquet: which columns? --pred NAME and --target NAME are needed
  help: there are: logit (f32), delayed (bool), distance (f32), month (i8)

"#]],
    );
    folder.refuses(
        2,
        "eval flights.parquet labels.npy --pred logit --target delayed",
        str![[r#"
error: labels.npy: one file too many: flights.parquet holds the labels too
  help: leave it out and name the columns with --pred NAME --target NAME

"#]],
    );
    folder.refuses(
        2,
        "eval a.txt --pred x --target y",
        str![[r#"
error: a.txt: a file whose name ends in '.txt' cannot be read
  help: pass two .npy files, or a .parquet, .csv or .safetensors file

"#]],
    );
    folder.refuses(
        2,
        "eval logits.npy labels.npy --scale inf",
        str![[r#"
error: invalid value 'inf' for '--scale <FACTOR>': pass a finite number

For more information, try '--help'.

"#]],
    );
    folder.refuses(
        2,
        "generate many --out a.csv",
        str![[r#"
error: invalid value 'many' for '<N>': pass a whole number of at most 9007199254740992, such as 1000000 or 1e6

For more information, try '--help'.

"#]],
    );
    folder.refuses(
        2,
        "generate 5 --out a.npy",
        str![[r#"
error: a.npy: a .npy file has no room for the labels
  help: pass --targets-out LABELS.npy too

"#]],
    );
    folder.refuses(
        2,
        "generate 5 --out a.csv --dtype bf16",
        str![[r#"
error: a.csv: '.csv' has no bf16
  help: pass --dtype f16 or f32, or write a .safetensors file

"#]],
    );
    folder.refuses(
        2,
        "generate 5 --out a.txt",
        str![[r#"
error: a.txt: a file whose name ends in '.txt' cannot be written
  help: name it .npy, .parquet, .csv or .safetensors

"#]],
    );
    folder.refuses(
        2,
        "generate 5 --out a.csv --pred x --target x",
        str![[r#"
error: a.csv: predictions and labels are both called 'x'
  help: pass --pred NAME or --target NAME

"#]],
    );
}

#[test]
fn no_such_device() {
    let folder = folder();
    folder.refuses(
        1,
        "eval logits.npy labels.npy --device imaginary",
        str![[r#"
error: no device 'imaginary'; there are: cpu[..]
  help: `logloss devices` lists what there is; `--device cpu` always works

"#]],
    );
    folder.refuses(
        1,
        "eval logits.npy labels.npy --device 99 --loss-out loss.npy",
        str![[r#"
error: no device '99'; there are: cpu[..]
  help: `logloss devices` lists what there is; `--device cpu` always works

"#]],
    );
}

#[test]
fn options_that_make_no_sense() {
    let folder = folder();
    std::fs::copy(data("flights.parquet"), folder.path("flights.parquet")).unwrap();
    let parquet = "eval flights.parquet --pred logit --target delayed";
    for options in [
        "--compat pytorch",
        "--reduction median",
        "--value-out v.npy",
        "--value-out v.npy --reduction none",
        "--label-weight is-unbalance",
        "--label-weight is-unbalance --compat lightgbm --pos-weight 2",
        "--label-weight 1,2 --compat lightgbm --pos-weight 2",
        "--label-weight 1",
        "--label-weight -1,1",
        "--pos-weight -1",
        "--pos-weight 1,2",
        "--class-weight 1,nan",
        "--class-weight 1,2",
        "--label-smoothing 1",
        "--focal-gamma -2",
        "--focal-gamma 2 --focal-alpha 1.5",
        "--focal-alpha 0.25",
        "--ignore-label 0.5",
        "--ignore-label nan",
        "--weight weights.parquet",
    ] {
        let output = folder.run(&format!("{EVAL} {options}"));
        assert_eq!(output.status.code(), Some(2), "{options}: {}", String::from_utf8_lossy(&output.stderr));
    }
    folder.refuses(
        2,
        &format!("{EVAL} --compat pytorch"),
        str![[r#"
error: invalid value 'pytorch' for '--compat <SYSTEM>'
  [possible values: torch, keras, tensorflow, sklearn, xgboost, lightgbm]

  tip: a similar value exists: 'torch'

For more information, try '--help'.

"#]],
    );
    folder.refuses(
        2,
        &format!("{EVAL} --value-out v.npy --reduction none"),
        str![[r#"
error: --value-out: nothing is reduced with --reduction none
  help: the loss of each element is what --loss-out writes

"#]],
    );
    folder.refuses(
        2,
        &format!("{EVAL} --compat lightgbm --label-weight is-unbalance --pos-weight 2"),
        str![[r#"
error: --label-weight and --pos-weight at the same time, which LightGBM refuses too
  help: leave one out: is_unbalance is a weight of the positives that is counted, scale_pos_weight one that is given

"#]],
    );
    folder.refuses(
        2,
        &format!("{EVAL} --class-weight 1,2"),
        str![[r#"
error: --class-weight: 2 values for 1 class
  help: give one value for each class

"#]],
    );
    folder.refuses(
        2,
        &format!("{EVAL} --ignore-label nan"),
        str![[r#"
error: labels.npy: holds u8, which is never nan
  help: pass --ignore-label L with the number that marks what to leave out, or --mask M.npy

"#]],
    );
    folder.refuses(
        2,
        &format!("{EVAL} --weight distance"),
        str![[r#"
error: --weight distance: weights beside a .npy file must be one too
  help: save them with numpy.save, as [N, C] or [N]; one for each class is --class-weight a,b,…

"#]],
    );
    folder.refuses(
        2,
        &format!("{EVAL} --reduction per-row --value-out loss.npy"),
        str![[r#"
error: --value-out loss.npy: this is --loss-out already
  help: give every file a name of its own

"#]],
    );
    folder.refuses(
        2,
        &format!("{parquet} --weight labels.npy"),
        str![[r#"
error: --weight labels.npy: weights of flights.parquet are in one of its columns
  help: name it; there are: logit (f32), delayed (bool), distance (f32), month (i8)

"#]],
    );
    folder.refuses(
        2,
        &format!("{parquet},distance"),
        str![[r#"
error: --pred and --target name 1 and 2 columns
  help: name one column of labels for each of predictions, in the same order

"#]],
    );
    folder.refuses(
        2,
        "eval flights.parquet --pred logit,distance --target delayed",
        str![[r#"
error: --pred and --target name 2 and 1 columns
  help: of the probabilities of two classes, name the column of the positive class alone; of two logits, store that of the positive class less the other as a column

"#]],
    );
    folder.refuses(
        2,
        "eval flights.parquet --pred logit,logit,logit --target delayed,delayed,delayed --weight distance,month",
        str![[r#"
error: --pred and --weight name 3 and 2 columns
  help: name one column of weights for all, or one for each column of predictions

"#]],
    );
}

#[cfg(unix)]
#[test]
fn too_many_classes() {
    let folder = folder();
    folder.sparse("x.npy", "'<f4'", 70_000_000, 4).sparse("y.npy", "'|u1'", 70_000_000, 1);
    let shaped = |name: &str, descr: &str, size: u64| {
        let header = npy_header(descr, "(2, 35000000)", false);
        let file = std::fs::File::options().write(true).open(folder.path(name)).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &header, 0).unwrap();
        file.set_len(header.len() as u64 + 70_000_000 * size).unwrap();
    };
    shaped("x.npy", "'<f4'", 4);
    shaped("y.npy", "'|u1'", 1);
    folder.refuses(2, "eval x.npy y.npy --reduction per-class", str![[r#"
error: shape [2, 35000000]: 35000000 classes are too many to be told apart
  help: evaluate some of them at a time; or leave out --class-weight, weights by sample, and --reduction per-class and per-row, which would hold 2048 rows at a time

"#]]);
}

#[test]
fn rows_too_many_for_json() {
    let folder = folder();
    folder.sparse("x.npy", "'<f4'", 20_000_000, 4).sparse("y.npy", "'|u1'", 20_000_000, 1);
    folder.refuses(
        2,
        "eval x.npy y.npy --reduction per-row --json",
        str![[r#"
error: --reduction per-row --json: more than 16777216 rows
  help: pass --value-out F.npy: their values go there, and not into the JSON

"#]],
    );
}

#[test]
fn columns_of_two_classes() {
    let folder = folder();
    folder.file("p.csv", "p0,p1,y\n0.25,0.75,1\n0.5,0.5,0\n");
    folder.refuses(2, "eval p.csv --pred p0,p1 --target y --from probabilities", str![[r#"
error: --pred and --target name 2 and 1 columns
  help: of the probabilities of two classes, name the column of the positive class alone; of two logits, store that of the positive class less the other as a column

"#]]);
    folder.refuses(
        2,
        "eval p.csv --pred p0",
        str![[r#"
error: p.csv: which column holds the labels? --target NAME is needed
  help: there are: p0, p1, y

"#]],
    );
    folder.refuses(
        2,
        "eval p.csv --target y",
        str![[r#"
error: p.csv: which column holds the predictions? --pred NAME is needed
  help: there are: p0, p1, y

"#]],
    );
}

#[test]
fn generated_files_replace_none() {
    let folder = folder();
    folder.refuses(
        1,
        "generate 5 --out new.npy --targets-out labels.npy",
        str![[r#"
error: labels.npy: exists already
  help: pass --force to overwrite it, or give another name

"#]],
    );
    folder.refuses(
        1,
        "generate 5 --out logits.npy --targets-out new.npy",
        str![[r#"
error: logits.npy: exists already
  help: pass --force to overwrite it, or give another name

"#]],
    );
    assert!(folder.run("generate 5 --out logits.npy --targets-out labels.npy --force").status.success());
    folder.refuses(
        2,
        "generate 1e17 --out a.csv",
        str![[r#"
error: invalid value '1e17' for '<N>': pass a whole number of at most 9007199254740992, such as 1000000 or 1e6

For more information, try '--help'.

"#]],
    );
}

#[test]
fn devices_that_make_no_sense() {
    let folder = folder();
    for args in ["eval logits.npy labels.npy --threads 0", "bench --threads 0", "bench --device ,"] {
        let output = folder.run(args);
        assert_eq!(output.status.code(), Some(2), "{args}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(": pass "), "{args}");
    }
}
