//! Values out of their range, and lengths that do not fit.

use super::*;

#[test]
fn nan() {
    let folder = folder();
    folder.pair(&[1.0, f32::NAN, 2.0], &[1, 0, 1]);
    folder.refuses(
        1,
        EVAL,
        str![[r#"
error: logits.npy, index 1: the value is NaN: logits must not be NaN
  help: drop that row; or pass --non-finite propagate to let NaN through to the results

"#]],
    );
    folder.npy("logits.npy", "'<f8'", "(3,)", le(&[1.0, 2.0, f64::NAN], f64::to_le_bytes));
    folder.refuses(
        1,
        EVAL,
        str![[r#"
error: logits.npy, index 2: the value is NaN: logits must not be NaN
  help: drop that row; or pass --non-finite propagate to let NaN through to the results

"#]],
    );
    folder.file("a.csv", "x,y\n1,0\n nan ,1\n").file("b.csv", "x,y\n1,0\n1,NaN\n");
    folder.refuses(
        1,
        "eval a.csv --pred x --target y --device cpu",
        str![[r#"
error: a.csv: column 'x', index 1 (line 3): the value is nan: logits must not be NaN
  help: drop that row; or pass --non-finite propagate to let NaN through to the results

"#]],
    );
    folder.refuses(
        1,
        "eval b.csv --pred x --target y --device cpu",
        str![[r#"
error: b.csv: column 'y', index 1 (line 3): the value is NaN: labels must be 0 or 1, or probabilities in between
  help: drop that row or correct its label; or leave it out with --ignore-label nan

"#]],
    );
    let folder = labels("'<f4'", &[0.0, 1.0, 0.5, f32::NAN], f32::to_le_bytes);
    folder.refuses(
        1,
        EVAL,
        str![[r#"
error: labels.npy, index 3: the value is NaN: labels must be 0 or 1, or probabilities in between
  help: drop that row or correct its label; or leave it out with --ignore-label nan

"#]],
    );
}

#[test]
fn label_of_two() {
    let folder = folder();
    folder.pair(&[0.0, 1.5, 3.0], &[0, 1, 2]).refuses(
        1,
        EVAL,
        str![[r#"
error: labels.npy, index 2: the value is 2: labels must be 0 or 1, or probabilities in between
  help: class numbers become 0 and 1 as y == CLASS; 2 for 'unknown' is left out by --ignore-label=2

"#]],
    );
    labels("'<i8'", &[0i64, 1, 2, 1], i64::to_le_bytes).refuses(
        1,
        EVAL,
        str![[r#"
error: labels.npy, index 2: the value is 2: labels must be 0 or 1, or probabilities in between
  help: class numbers become 0 and 1 as y == CLASS; 2 for 'unknown' is left out by --ignore-label=2

"#]],
    );
    labels("'>i4'", &[0i32, 1, 2, 1], i32::to_be_bytes).refuses(
        1,
        EVAL,
        str![[r#"
error: labels.npy, index 2: the value is 2: labels must be 0 or 1, or probabilities in between
  help: class numbers become 0 and 1 as y == CLASS; 2 for 'unknown' is left out by --ignore-label=2

"#]],
    );
    labels("'<f8'", &[0.0, 1.0, 2.0, 1.0], f64::to_le_bytes).refuses(
        1,
        EVAL,
        str![[r#"
error: labels.npy, index 2: the value is 2: labels must be 0 or 1, or probabilities in between
  help: class numbers become 0 and 1 as y == CLASS; 2 for 'unknown' is left out by --ignore-label=2

"#]],
    );
    folder.file("a.csv", "x,y\n1,0\n2,2\n").refuses(
        1,
        "eval a.csv --pred x --target y --device cpu",
        str![[r#"
error: a.csv: column 'y', index 1 (line 3): the value is 2: labels must be 0 or 1, or probabilities in between
  help: if all labels are 0 or 2, they become 0 and 1 as y == 2; class numbers as y == CLASS

"#]],
    );
}

#[test]
fn label_of_minus_one() {
    labels("'|i1'", &[1i8, 1, -1, 1], i8::to_le_bytes).refuses(
        1,
        EVAL,
        str![[r#"
error: labels.npy, index 2: the value is -1: labels must be 0 or 1, or probabilities in between
  help: if all labels are -1 or 1, they become 0 and 1 as (y + 1) / 2; where there are 0, too, -1 for 'unknown' is left out by --ignore-label=-1

"#]],
    );
    labels("'<i8'", &[1i64, -1, -1, 1], i64::to_le_bytes).refuses(
        1,
        EVAL,
        str![[r#"
error: labels.npy, index 1: the value is -1: labels must be 0 or 1, or probabilities in between
  help: if all labels are -1 or 1, they become 0 and 1 as (y + 1) / 2; where there are 0, too, -1 for 'unknown' is left out by --ignore-label=-1

"#]],
    );
    let folder = folder();
    folder
        .npy("y.npy", "'<i2'", "(2, 2)", le(&[1i16, 0, 1, -1], i16::to_le_bytes))
        .npy("x.npy", "'<f4'", "(2, 2)", [0; 16]);
    folder.refuses(
        1,
        "eval x.npy y.npy --device cpu",
        str![[r#"
error: y.npy, index [1, 1]: the value is -1: labels must be 0 or 1, or probabilities in between
  help: -1 for 'unknown' is left out by --ignore-label=-1

"#]],
    );
}

#[test]
fn labels_that_would_wrap() {
    labels("'<i8'", &[0i64, 256, 1, 1], i64::to_le_bytes).refuses(
        1,
        EVAL,
        str![[r#"
error: labels.npy, index 1: the value is 256: labels must be 0 or 1, or probabilities in between
  help: class numbers become 0 and 1 as y == CLASS; 256 for 'unknown' is left out by --ignore-label=256

"#]],
    );
    labels("'<u8'", &[0u64, 1, (1 << 32) + 1, 1], u64::to_le_bytes).refuses(
        1,
        EVAL,
        str![[r#"
error: labels.npy, index 2: the value is 4294967297: labels must be 0 or 1, or probabilities in between
  help: drop that row or correct its label; or are predictions and labels swapped?

"#]],
    );
    labels("'<i8'", &[0i64, 1, 1, i64::MIN], i64::to_le_bytes).refuses(
        1,
        EVAL,
        str![[r#"
error: labels.npy, index 3: the value is -9223372036854775808: labels must be 0 or 1, or probabilities in between
  help: drop that row or correct its label; or are predictions and labels swapped?

"#]],
    );
    labels("'<f8'", &[0.0, 1.0, 1.0 + f64::EPSILON, 1.0], f64::to_le_bytes).refuses(
        1,
        EVAL,
        str![[r#"
error: labels.npy, index 2: the value is 1.0000000000000002: labels must be 0 or 1, or probabilities in between
  help: drop that row or correct its label; or are predictions and labels swapped?

"#]],
    );
}

#[test]
fn the_first_of_two_offenders_is_named() {
    let folder = labels("'<i8'", &[0i64, 0, 0, -7], i64::to_le_bytes);
    folder.npy("logits.npy", "'<f8'", "(4,)", le(&[0.0, 2.0, f64::NAN, f64::NAN], f64::to_le_bytes));
    folder.refuses(
        1,
        EVAL,
        str![[r#"
error: logits.npy, index 2: the value is NaN: logits must not be NaN
  help: drop that row; or pass --non-finite propagate to let NaN through to the results

"#]],
    );
}

#[test]
fn an_offender_far_into_a_file() {
    let folder = folder();
    let mut values = vec![0i64; 2_500_000];
    values[2_400_000] = 3;
    folder.npy("labels.npy", "'<i8'", "(2500000,)", le(&values, i64::to_le_bytes));
    folder.sparse("logits.npy", "'<f4'", 2_500_000, 4);
    folder.refuses(
        1,
        EVAL,
        str![[r#"
error: labels.npy, index 2400000: the value is 3: labels must be 0 or 1, or probabilities in between
  help: if all labels are 0 or 3, they become 0 and 1 as y == 3; class numbers as y == CLASS

"#]],
    );
}

#[test]
fn probability_above_one() {
    let folder = folder();
    folder.pair(&[0.5, 1.2, -0.1], &[0, 1, 1]);
    folder.refuses(
        1,
        &format!("{EVAL} --from probabilities"),
        str![[r#"
error: logits.npy, index 1: the value is 1.2: probabilities must lie in [0, 1]
  help: if these are logits, leave out --from probabilities; else clip them: numpy.clip(p, 0, 1)

"#]],
    );
    folder.npy("logits.npy", "'<f8'", "(3,)", le(&[0.5, 1.0, 1.0 + f64::EPSILON], f64::to_le_bytes));
    folder.refuses(
        1,
        &format!("{EVAL} --from probabilities"),
        str![[r#"
error: logits.npy, index 2: the value is 1.0000000000000002: probabilities must lie in [0, 1]
  help: clip them: numpy.clip(p, 0, 1)

"#]],
    );
    folder.file("a.csv", "x,y\n0.5,0\n1.00000000001,1\n");
    folder.refuses(
        1,
        "eval a.csv --pred x --target y --device cpu --from probabilities",
        str![[r#"
error: a.csv: column 'x', index 1 (line 3): the value is 1.00000000001: probabilities must lie in [0, 1]
  help: clip them: numpy.clip(p, 0, 1)

"#]],
    );
}

#[test]
fn weights_of_the_wrong_length_or_shape() {
    let folder = folder();
    folder
        .npy("w.npy", "'<f4'", "(5,)", [0; 20])
        .npy("x.npy", "'<f4'", "(2, 3)", [0; 24])
        .npy("y.npy", "'|u1'", "(2, 3)", [0; 6])
        .npy("v.npy", "'<f4'", "(3,)", [0; 12]);
    folder.refuses(1, &format!("{EVAL} --weight w.npy"), str![[r#"
error: logits.npy has shape [4], w.npy has [5]
  help: weights have the shape of the predictions, or [N], one for each sample; one for each class is --class-weight a,b,…

"#]]);
    folder.refuses(1, "eval x.npy y.npy --weight v.npy", str![[r#"
error: x.npy has shape [2, 3], v.npy has [3]
  help: weights have the shape of the predictions, or [N], one for each sample; one for each class is --class-weight a,b,…

"#]]);
    folder.refuses(
        1,
        &format!("{EVAL} --weight nowhere.npy"),
        str![[r#"
error: nowhere.npy: cannot be read: No such file or directory (os error 2)
  help: check the name and the folder

"#]],
    );
    folder.npy("c.npy", "'<c8'", "(4,)", [0; 32]);
    folder.refuses(
        1,
        &format!("{EVAL} --weight c.npy"),
        str![[r#"
error: c.npy: '<c8' values cannot be evaluated
  help: save numbers: a.astype('float32'), labels as a.astype('uint8')

"#]],
    );
}

#[test]
fn invalid_weights_are_named_by_file_and_index() {
    let folder = folder();
    let eval = format!("{EVAL} --weight w.npy");
    folder.npy("w.npy", "'<f4'", "(4,)", le(&[1.0, 0.0, -0.5, f32::NAN], f32::to_le_bytes));
    folder.refuses(
        1,
        &eval,
        str![[r#"
error: w.npy, index 2: the value is -0.5: weights must be finite in f32, and at least 0
  help: correct it, or leave the element out with a weight of 0, or with --mask M.npy

"#]],
    );
    // f32 would have made it a valid 0.
    folder.npy("w.npy", "'<f8'", "(4,)", le(&[1.0, 0.0, 1.0, -1e-300], f64::to_le_bytes));
    folder.refuses(
        1,
        &eval,
        str![[r#"
error: w.npy, index 3: the value is -1e-300: weights must be finite in f32, and at least 0
  help: correct it, or leave the element out with a weight of 0, or with --mask M.npy

"#]],
    );
    folder.npy("w.npy", "'<f8'", "(4,)", le(&[1.0, 1e39, 1.0, 1.0], f64::to_le_bytes));
    folder.refuses(
        1,
        &eval,
        str![[r#"
error: w.npy, index 1: the value is 1e39: weights must be finite in f32, and at least 0
  help: correct it, or leave the element out with a weight of 0, or with --mask M.npy

"#]],
    );
    folder.npy("w.npy", "'<i8'", "(4,)", le(&[1i64, 1, 1, -3], i64::to_le_bytes));
    folder.refuses(
        1,
        &eval,
        str![[r#"
error: w.npy, index 3: the value is -3: weights must be finite in f32, and at least 0
  help: correct it, or leave the element out with a weight of 0, or with --mask M.npy

"#]],
    );
    folder.npy("w.npy", "'<f2'", "(4,)", [0, 0, 0, 0, 0, 0x7c, 0, 0]);
    folder.refuses(
        1,
        &eval,
        str![[r#"
error: w.npy, index 2: the value is inf: weights must be finite in f32, and at least 0
  help: correct it, or leave the element out with a weight of 0, or with --mask M.npy

"#]],
    );
    // A sample's weight has the index of the sample.
    folder.npy("x.npy", "'<f4'", "(3, 2)", [0; 24]).npy("y.npy", "'|u1'", "(3, 2)", [0; 6]).npy(
        "w.npy",
        "'<f4'",
        "(3,)",
        le(&[1.0f32, 1.0, -2.0], f32::to_le_bytes),
    );
    folder.refuses(
        1,
        "eval x.npy y.npy --weight w.npy --device cpu",
        str![[r#"
error: w.npy, index 2: the value is -2: weights must be finite in f32, and at least 0
  help: correct it, or leave the element out with a weight of 0, or with --mask M.npy

"#]],
    );
    folder.file("t.csv", "x,y,w,u\n1,0,1,1\n1,1,-1e-50,1\n");
    folder.refuses(
        1,
        "eval t.csv --pred x --target y --weight w --device cpu",
        str![[r#"
error: t.csv: column 'w', index 1 (line 3): the value is -1e-50: weights must be finite in f32, and at least 0
  help: correct it, or leave the element out with a weight of 0, or with --mask M.npy

"#]],
    );
    folder.refuses(
        1,
        "eval t.csv --pred x,x --target y,y --weight u,w --device cpu",
        str![[r#"
error: t.csv: column 'w', index 1 (line 3): the value is -1e-50: weights must be finite in f32, and at least 0
  help: correct it, or leave the element out with a weight of 0, or with --mask M.npy

"#]],
    );
    folder.refuses(
        1,
        "eval t.csv --pred x --target y --weight v --device cpu",
        str![[r#"
error: t.csv: there is no column 'v'
  help: there are: x, y, w, u

"#]],
    );
}

#[test]
fn masks_that_do_not_fit() {
    let folder = folder();
    folder.npy("m.npy", "'|b1'", "(5,)", [1; 5]).npy("f.npy", "'<f4'", "(4,)", [0; 16]).file("m.txt", "1");
    folder.refuses(
        1,
        &format!("{EVAL} --mask m.npy"),
        str![[r#"
error: m.npy has shape [5], the predictions have [4]
  help: a mask has the shape of the predictions; for a mask by sample, repeat it: numpy.broadcast_to(m[:, None], (N, C))

"#]],
    );
    folder.refuses(
        1,
        &format!("{EVAL} --mask f.npy"),
        str![[r#"
error: f.npy: f32 values cannot be a mask
  help: save it as m.astype(bool): true where an element counts

"#]],
    );
    folder.refuses(
        2,
        &format!("{EVAL} --mask m.txt"),
        str![[r#"
error: --mask m.txt: a mask is a NumPy file
  help: save it with numpy.save, as bool or u8 of the predictions' shape

"#]],
    );
    folder.npy("x.npy", "'<f4'", "(2, 3)", [0; 24]).npy("y.npy", "'|u1'", "(2, 3)", [0; 6]);
    folder.npy("m.npy", "'|b1'", "(2,)", [1; 2]);
    folder.refuses(
        1,
        "eval x.npy y.npy --mask m.npy",
        str![[r#"
error: m.npy has shape [2], the predictions have [2, 3]
  help: a mask has the shape of the predictions; for a mask by sample, repeat it: numpy.broadcast_to(m[:, None], (N, C))

"#]],
    );
    // How many rows a .csv file has is known at its end.
    folder.file("t.csv", "x,y\n1.5,0\n1,1\n1,1\n");
    folder.refuses(
        1,
        "eval t.csv --pred x --target y --mask m.npy --grad-out g.npy --device cpu",
        str![[r#"
error: m.npy has shape [2], the predictions have more rows
  help: a mask has the shape of the predictions; for a mask by sample, repeat it: numpy.broadcast_to(m[:, None], (N, C))

"#]],
    );
    folder.npy("m.npy", "'|b1'", "(4,)", [1; 4]);
    folder.refuses(
        1,
        "eval t.csv --pred x --target y --mask m.npy --grad-out g.npy --device cpu",
        str![[r#"
error: m.npy has shape [4], the predictions have 3 rows
  help: a mask has the shape of the predictions; for a mask by sample, repeat it: numpy.broadcast_to(m[:, None], (N, C))

"#]],
    );
}

#[test]
fn an_offender_after_ones_that_are_left_out() {
    let folder = folder();
    folder.npy("logits.npy", "'<f8'", "(4,)", le(&[-1.5, 0.5, 1.0 + f64::EPSILON, 0.0], f64::to_le_bytes));
    folder.npy("m.npy", "'|b1'", "(4,)", [0, 1, 1, 1]);
    folder.refuses(
        1,
        &format!("{EVAL} --from probabilities --mask m.npy"),
        str![[r#"
error: logits.npy, index 2: the value is 1.0000000000000002: probabilities must lie in [0, 1]
  help: if these are logits, leave out --from probabilities; else clip them: numpy.clip(p, 0, 1)

"#]],
    );
    let folder = labels("'<f8'", &[0.0, -1.0, f64::NAN, 1.0], f64::to_le_bytes);
    folder.refuses(
        1,
        &format!("{EVAL} --ignore-label -1"),
        str![[r#"
error: labels.npy, index 2: the value is NaN: labels must be 0 or 1, or probabilities in between
  help: drop that row or correct its label; or leave it out with --ignore-label nan

"#]],
    );
    let folder = labels("'<i8'", &[0, 255, -1, 254], i64::to_le_bytes);
    folder.refuses(
        1,
        &format!("{EVAL} --ignore-label -1"),
        str![[r#"
error: labels.npy, index 1: the value is 255: labels must be 0 or 1, or probabilities in between
  help: if all labels are 0 or 255, they become 0 and 1 as y == 255; class numbers as y == CLASS

"#]],
    );
}

#[test]
fn labels_that_cannot_be_balanced() {
    let folder = folder();
    folder.pair(&[1.0, 2.0], &[1, 1]);
    folder.refuses(
        1,
        &format!("{EVAL} --label-weight balanced"),
        str![[r#"
error: labels.npy: labels cannot be balanced: 0 are negative and 2 positive
  help: pass the weights of the labels: --label-weight W0,W1

"#]],
    );
    let folder = labels("'<f4'", &[0.0f32, 0.25, 1.0, 0.5], f32::to_le_bytes);
    folder.refuses(
        1,
        &format!("{EVAL} --label-weight balanced"),
        str![[r#"
error: labels.npy, index 1: the value is 0.25: labels that are to be balanced must be 0 or 1
  help: pass the weights of the labels: --label-weight W0,W1

"#]],
    );
    let folder = labels("'<i8'", &[0i64, 1, 2, 1], i64::to_le_bytes);
    folder.refuses(
        1,
        &format!("{EVAL} --label-weight balanced"),
        str![[r#"
error: labels.npy, index 2: the value is 2: labels must be 0 or 1, or probabilities in between
  help: class numbers become 0 and 1 as y == CLASS; 2 for 'unknown' is left out by --ignore-label=2

"#]],
    );
}

#[test]
fn what_scikit_learn_refuses() {
    let folder = folder();
    let eval = format!("{EVAL} --compat sklearn");
    folder.pair(&[1.0, 2.0], &[1, 1]);
    folder.refuses(
        1,
        &eval,
        str![[r#"
error: labels.npy: every label is 1, and scikit-learn's log_loss needs both 0 and 1 to be there
  help: evaluate more of the data; or pass --non-finite propagate, which is log_loss(…, labels=[0, 1])

"#]],
    );
    folder.pair(&[], &[]);
    folder.refuses(
        1,
        &eval,
        str![[r#"
error: labels.npy: there are no labels, and scikit-learn's log_loss needs one at least
  help: evaluate a file that has any; or pass --non-finite propagate, for a mean of NaN

"#]],
    );
    folder.pair(&[1.0, 2.0], &[1, 0]).npy("w.npy", "'<f4'", "(2,)", [0; 8]);
    folder.refuses(
        1,
        &format!("{eval} --weight w.npy"),
        str![[r#"
error: every weight is 0, and scikit-learn's log_loss needs one that is not
  help: correct the weights; or pass --non-finite propagate, for a weighted mean of NaN

"#]],
    );
    folder.npy("logits.npy", "'<f4'", "(3,)", le(&[0.5f32, 0.25, 1.0], f32::to_le_bytes));
    folder.npy("labels.npy", "'<f4'", "(3,)", le(&[1.0f32, 0.5, 0.0], f32::to_le_bytes));
    folder.refuses(
        1,
        &format!("{eval} --from probabilities"),
        str![[r#"
error: labels.npy, index 1: the value is 0.5: scikit-learn's log_loss takes labels of 0 and 1
  help: leave out --compat sklearn; or pass --non-finite propagate, for the loss of soft labels

"#]],
    );
    // By rows nothing is refused for one of them; and on request nothing is refused at all.
    folder.pair(&[1.0, 2.0], &[1, 0]);
    assert!(folder.run(&format!("{eval} --reduction per-row")).status.success());
    folder.pair(&[1.0, 2.0], &[1, 1]);
    assert!(folder.run(&format!("{eval} --non-finite propagate")).status.success());
}

#[test]
fn labels_that_need_a_conversion() {
    let folder = folder();
    folder.pair(&[-1.0, 1.5, 2.0], &[0, 255, 0]).refuses(
        1,
        EVAL,
        str![[r#"
error: labels.npy, index 1: the value is 255: labels must be 0 or 1, or probabilities in between
  help: if all labels are 0 or 255, they become 0 and 1 as y == 255; class numbers as y == CLASS

"#]],
    );
    labels("'<i8'", &[0i64, 255, 0, 0], i64::to_le_bytes).refuses(
        1,
        EVAL,
        str![[r#"
error: labels.npy, index 1: the value is 255: labels must be 0 or 1, or probabilities in between
  help: if all labels are 0 or 255, they become 0 and 1 as y == 255; class numbers as y == CLASS

"#]],
    );
    // Where there are ones, 255 is no positive.
    folder.pair(&[-1.0, 1.5, 2.0], &[0, 255, 1]).refuses(
        1,
        EVAL,
        str![[r#"
error: labels.npy, index 1: the value is 255: labels must be 0 or 1, or probabilities in between
  help: class numbers become 0 and 1 as y == CLASS; 255 for 'unknown' is left out by --ignore-label=255

"#]],
    );
    labels("'<i4'", &[1i32, 2, 2, 1], i32::to_le_bytes).refuses(
        1,
        EVAL,
        str![[r#"
error: labels.npy, index 1: the value is 2: labels must be 0 or 1, or probabilities in between
  help: if all labels are 1 or 2, they become 0 and 1 as y == 2; class numbers as y == CLASS

"#]],
    );
    labels("'<f4'", &[1.0f32, 2.0, 2.0, 1.0], f32::to_le_bytes).refuses(
        1,
        EVAL,
        str![[r#"
error: labels.npy, index 1: the value is 2: labels must be 0 or 1, or probabilities in between
  help: if all labels are 1 or 2, they become 0 and 1 as y == 2; class numbers as y == CLASS

"#]],
    );
    labels("'|i1'", &[1i8, -1, -1, 1], i8::to_le_bytes).refuses(
        1,
        &format!("{EVAL} --label-weight balanced"),
        str![[r#"
error: labels.npy, index 1: the value is -1: labels must be 0 or 1, or probabilities in between
  help: if all labels are -1 or 1, they become 0 and 1 as (y + 1) / 2; where there are 0, too, -1 for 'unknown' is left out by --ignore-label=-1

"#]],
    );
    labels("'|u1'", &[7u8, 3, 5, 9], u8::to_le_bytes).refuses(
        1,
        EVAL,
        str![[r#"
error: labels.npy, index 0: the value is 7: labels must be 0 or 1, or probabilities in between
  help: class numbers become 0 and 1 as y == CLASS; or is this not the array of the labels?

"#]],
    );
}

#[test]
fn probabilities_that_look_like_something_else() {
    let folder = folder();
    let eval = format!("{EVAL} --from probabilities");
    folder.pair(&[0.4, 15.1, 99.0], &[0, 0, 1]).refuses(
        1,
        &eval,
        str![[r#"
error: logits.npy, index 1: the value is 15.1: probabilities must lie in [0, 1]
  help: these look like percentages: divide them by 100, as p / 100

"#]],
    );
    folder.npy("logits.npy", "'<f8'", "(3,)", le(&[0.4, 15.1, 99.0], f64::to_le_bytes)).refuses(
        1,
        &eval,
        str![[r#"
error: logits.npy, index 1: the value is 15.1: probabilities must lie in [0, 1]
  help: these look like percentages: divide them by 100, as p / 100

"#]],
    );
    folder.file("a.csv", "x,y\n12.5,0\n99,1\n").refuses(
        1,
        "eval a.csv --pred x --target y --device cpu --from probabilities",
        str![[r#"
error: a.csv: column 'x', index 0 (line 2): the value is 12.5: probabilities must lie in [0, 1]
  help: these look like percentages: divide them by 100, as p / 100

"#]],
    );
    folder.pair(&[0.4, 1.000_001, -1e-9], &[0, 0, 1]).refuses(
        1,
        &eval,
        str![[r#"
error: logits.npy, index 1: the value is 1.000001: probabilities must lie in [0, 1]
  help: clip them: numpy.clip(p, 0, 1)

"#]],
    );
    folder.pair(&[0.4, 1.5, -2.5], &[0, 0, 1]).refuses(
        1,
        &eval,
        str![[r#"
error: logits.npy, index 1: the value is 1.5: probabilities must lie in [0, 1]
  help: if these are logits, leave out --from probabilities; else clip them: numpy.clip(p, 0, 1)

"#]],
    );
    folder.pair(&[0.4, f32::NAN, 1.0], &[0, 0, 1]).refuses(
        1,
        &eval,
        str![[r#"
error: logits.npy, index 1: the value is NaN: probabilities must lie in [0, 1]
  help: drop that row; or pass --non-finite propagate to let NaN through to the results

"#]],
    );
}

#[test]
fn text_predictions_that_are_integers() {
    let folder = folder();
    folder.file("a.csv", "x,y\n1,0.5\n0,1\n1,0.25\n").file("b.csv", "x,y\n1,0\n2.5,1\n-3,0\n");
    folder.refuses(
        1,
        "eval a.csv --pred x --target y --device cpu --grad-out g.npy",
        str![[r#"
error: a.csv: column 'x': integer values cannot be predictions
  help: predictions are floats: are these classes that a model decided for, or are --pred and --target swapped? (Logits that happen to be whole are written as 2.0)

"#]],
    );
    assert!(folder.run("eval b.csv --pred x --target y").status.success());
}

#[test]
fn predictions_that_are_missing() {
    let folder = folder();
    folder.file("a.csv", "x,y\n1.5,0\n,-1\n2.5,1\n").npy("m.npy", "'|b1'", "(3,)", [1, 0, 1]);
    let eval = "eval a.csv --pred x --target y --device cpu";
    assert!(folder.run(&format!("{eval} --ignore-label -1")).status.success());
    assert!(folder.run(&format!("{eval} --mask m.npy")).status.success());
    folder.refuses(1, &format!("{eval} --ignore-label -2"), str![[r#"
error: a.csv: column 'x', index 1 (line 3): the value is missing (null)
  help: drop the rows that lack a value, or fill them in before evaluating; --ignore-label nan leaves out labels that are missing

"#]]);
    folder.file("a.csv", "x,y\n1.5,0\n,1\n2.5,-1\n");
    folder.refuses(1, &format!("{eval} --ignore-label -1 --non-finite propagate"), str![[r#"
error: a.csv: column 'x', index 1 (line 3): the value is missing (null)
  help: drop the rows that lack a value, or fill them in before evaluating; --ignore-label nan leaves out labels that are missing

"#]]);
}
