struct Element { loss: f32, gradient: f32, hessian: f32 }
fn logit_element(x: f32, a: f32, b: f32) -> Element {
    let t = abs(x);
    let e = exp(-min(t, 100.0));
    let d = 1.0 + e;
    let m = select(b, a, x >= 0.0);
    let l = select(t * m, 0.0, m == 0.0) + (a + b) * log(d);
    let g = (a * select(e, 1.0, x >= 0.0) - b * select(1.0, e, x >= 0.0)) / d;
    return Element(l, g, (a + b) * e / (d * d));
}
fn probability_element(p: f32, a: f32, b: f32) -> Element {
    return Element(-(a * log(1.0 - p) + b * log(p)), a / (1.0 - p) - b / p, a / ((1.0 - p) * (1.0 - p)) + b / (p * p));
}
fn decode_f16(bits: u32) -> f32 { return unpack2x16float(bits).x; }
fn decode_bf16(bits: u32) -> f32 { return bitcast<f32>(bits << 16u); }
fn is_nan(bits: u32) -> bool { return (bits & 0x7fffffffu) > 0x7f800000u; }
