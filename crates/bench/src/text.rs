//! Numbers as people read them.

/// A size of a batch: `2^20`, or the number itself where it is no power of two.
pub(crate) fn size(n: u64) -> String {
    if n.is_power_of_two() { format!("2^{}", n.ilog2()) } else { n.to_string() }
}

/// A number with three significant digits or more.
pub(crate) fn digits(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// A number of bytes in the largest binary unit that it fills: `1.50 GiB`.
pub(crate) fn binary_bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let Some(power) = bytes.checked_ilog2().map(|log2| log2 / 10).filter(|power| *power > 0) else {
        return format!("{bytes} B");
    };
    format!("{:.2} {}", bytes as f64 / (1u64 << (10 * power)) as f64, UNITS[power as usize - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!([size(1), size(1 << 20), size(1000)], ["2^0", "2^20", "1000"]);
    }

    #[test]
    fn three_digits() {
        assert_eq!([1234.5, 12.345, 1.2345, 0.012_345].map(digits), ["1234", "12.3", "1.23", "0.012"]);
    }

    #[test]
    fn bytes() {
        assert_eq!([0, 1023, 1024, 3 << 29].map(binary_bytes), ["0 B", "1023 B", "1.00 KiB", "1.50 GiB"]);
        assert_eq!(binary_bytes(1_500_000), "1.43 MiB");
        assert_eq!(binary_bytes(u64::MAX), "16.00 EiB");
    }
}
