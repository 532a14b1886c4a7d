//! Plots as SVG elements of a page.
//!
//! The module is public so that other pages, such as a report on several benchmarks, draw their plots as
//! [`html::page`](crate::html::page) draws its own.
//!
//! The elements have classes and no colours of their own: [`STYLE`](crate::html::STYLE) colours them, in light and in
//! dark. The classes `c0` to `c5` are the colours of lines, `p0` to `p3` those of the parts of bars.

use std::fmt::Write;

/// The size of a plot, in the units of its view box.
const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 300.0;
/// The margins around the plot. Numbers stand at its left and below it.
const LEFT: f64 = 52.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 40.0;

/// A line through points.
///
/// ```
/// use logloss_bench::plot::{Line, Point, lines};
///
/// let points = vec![Point { x: 1.0, y: 2.0, low: 1.5, high: 2.5, tooltip: "2 ns".into() }];
/// let line = Line { name: "cpu".into(), colour: 0, limit: false, points };
/// assert!(lines("Time", ["values", "ns"], &[line]).contains("<svg"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The name of the line in a legend.
    pub name: String,
    /// The number of its colour, from 0 to 5.
    pub colour: usize,
    /// Whether it is a limit, which is dashed and has no marks.
    pub limit: bool,
    /// The points, from left to right.
    pub points: Vec<Point>,
}

/// A point of a line.
///
/// ```
/// use logloss_bench::plot::Point;
///
/// let point = Point { x: 1.0, y: 2.0, low: 1.5, high: 2.5, tooltip: "2 ns".into() };
/// assert!(point.low <= point.y && point.y <= point.high);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The binary logarithm of what the horizontal axis shows.
    pub x: f64,
    /// The value, above 0. A value that is not finite is not shown.
    pub y: f64,
    /// The lower end of the spread of the value.
    pub low: f64,
    /// The upper end of the spread of the value.
    pub high: f64,
    /// The text that is shown when the pointer is over it.
    pub tooltip: String,
}

/// Lines with logarithmic axes, as an `svg` element. `title` is what screen readers tell, `x_label` and `y_label` name
/// the axes. The element is empty text if there is nothing to show.
pub fn lines(title: &str, [x_label, y_label]: [&str; 2], lines: &[Line]) -> String {
    let points = || lines.iter().flat_map(|line| &line.points);
    let extent = |values: &mut dyn Iterator<Item = f64>| {
        values.filter(|v| v.is_finite()).fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)))
    };
    let (x_min, x_max) = extent(&mut points().map(|point| point.x));
    let (y_min, y_max) = extent(&mut points().flat_map(|point| [point.y, point.low, point.high]).filter(|y| *y > 0.0));
    if !(x_min.is_finite() && y_min.is_finite()) {
        return String::new();
    }
    // A single point needs an extent around it, and marks must not touch the edges.
    let (x_min, x_max) = if x_max > x_min { (x_min, x_max) } else { (x_min - 1.0, x_max + 1.0) };
    let (y_min, y_max) = (y_min / 1.25, y_max * 1.25);
    let x_at = |x: f64| LEFT + (x - x_min) / (x_max - x_min) * (WIDTH - LEFT - RIGHT);
    let y_at = |y: f64| {
        let share = (y.max(y_min) / y_min).ln() / (y_max / y_min).ln();
        HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    };

    let mut svg = open(WIDTH, HEIGHT, title);
    // Writing to a string does not fail.
    for y in ticks(y_min, y_max) {
        let at = y_at(y);
        let _ = write!(svg, r#"<line class="grid" x1="{LEFT}" x2="{:.1}" y1="{at:.1}" y2="{at:.1}"/>"#, WIDTH - RIGHT);
        let _ = write!(svg, r#"<text class="number" x="{:.1}" y="{:.1}">{y}</text>"#, LEFT - 7.0, at + 4.0);
    }
    let mut sizes: Vec<f64> = points().map(|point| point.x).collect();
    sizes.sort_by(f64::total_cmp);
    sizes.dedup();
    let bottom = HEIGHT - BOTTOM;
    for x in &sizes {
        let at = x_at(*x);
        let _ = write!(svg, r#"<line class="grid" x1="{at:.1}" x2="{at:.1}" y1="{TOP}" y2="{bottom:.1}"/>"#);
        let _ = write!(
            svg,
            r#"<text class="size" x="{at:.1}" y="{:.1}">2<tspan class="power" dy="-5">{x}</tspan></text>"#,
            bottom + 19.0
        );
    }
    let (middle, below) = ((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 4.0);
    let _ = write!(svg, r#"<text class="axis" x="{middle:.1}" y="{below:.1}">{}</text>"#, escape(x_label));
    let turned = format!("translate(12 {:.1}) rotate(-90)", (TOP + bottom) / 2.0);
    let _ = write!(svg, r#"<text class="axis" transform="{turned}">{}</text>"#, escape(y_label));
    for line in lines.iter().filter(|line| line.limit).chain(lines.iter().filter(|line| !line.limit)) {
        let class = line.colour;
        let mut places: Vec<(f64, f64)> = line.points.iter().map(|point| (x_at(point.x), y_at(point.y))).collect();
        if let ([(x, y)], true) = (&places[..], line.limit) {
            // A limit at one size only is a short line.
            places = vec![(x - 30.0, *y), (x + 30.0, *y)];
        }
        let path: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let kind = if line.limit { "limit" } else { "line" };
        let _ = write!(svg, r#"<polyline class="{kind} c{class}" points="{}"/>"#, path.join(" "));
        for point in line.points.iter().filter(|_| !line.limit) {
            let (x, y) = (x_at(point.x), y_at(point.y));
            let (low, high) = (y_at(point.low), y_at(point.high));
            let _ = write!(svg, r#"<g class="c{class}"><title>{}</title>"#, escape(&point.tooltip));
            let _ = write!(svg, r#"<line class="spread" x1="{x:.1}" x2="{x:.1}" y1="{low:.1}" y2="{high:.1}"/>"#);
            let _ = write!(svg, r#"<circle cx="{x:.1}" cy="{y:.1}" r="3.2"/></g>"#);
        }
    }
    svg + "</svg>"
}

/// A bar of several parts, and a mark.
///
/// ```
/// use logloss_bench::plot::{Bar, bars};
///
/// let bar = Bar { name: "cpu".into(), parts: vec![1.0, 0.5], mark: 2.0, tooltip: "1.5 ns".into() };
/// assert!(bars("Where the time goes", "ns", &[bar]).contains("<svg"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// The name at the left of the bar.
    pub name: String,
    /// The lengths of the parts, from the left: four at most, 0 or more.
    pub parts: Vec<f64>,
    /// The position of the mark, such as that of a total whose parts overlap.
    pub mark: f64,
    /// The text that is shown when the pointer is over it.
    pub tooltip: String,
}

/// The width of the names, the height of a bar, and the distance from one bar to the next.
const NAMES: f64 = 190.0;
const BAR: f64 = 18.0;
const ROW: f64 = 30.0;

/// Bars from 0 on, one below the other, as an `svg` element. `title` is what screen readers tell, `label` names the axis.
/// The element is empty text if there is nothing to show.
pub fn bars(title: &str, label: &str, bars: &[Bar]) -> String {
    let longest = bars.iter().map(|bar| bar.parts.iter().sum::<f64>().max(bar.mark)).fold(0.0, f64::max);
    if !(longest > 0.0 && longest.is_finite()) {
        return String::new();
    }
    let height = TOP + ROW * bars.len() as f64 + BOTTOM;
    let scale = (WIDTH - NAMES - RIGHT - 40.0) / longest;
    let x_at = |value: f64| NAMES + value * scale;
    let mut svg = open(WIDTH, height, title);
    let bottom = height - BOTTOM;
    // Writing to a string does not fail.
    for value in even_ticks(longest) {
        let at = x_at(value);
        let _ = write!(svg, r#"<line class="grid" x1="{at:.1}" x2="{at:.1}" y1="{TOP}" y2="{bottom:.1}"/>"#);
        let _ = write!(svg, r#"<text class="size" x="{at:.1}" y="{:.1}">{value}</text>"#, bottom + 17.0);
    }
    let _ = write!(
        svg,
        r#"<text class="axis" x="{:.1}" y="{:.1}">{}</text>"#,
        (NAMES + WIDTH - RIGHT) / 2.0,
        height - 4.0,
        escape(label)
    );
    for (row, bar) in bars.iter().enumerate() {
        let y = TOP + ROW * row as f64 + (ROW - BAR) / 2.0;
        let _ = write!(svg, r#"<g><title>{}</title>"#, escape(&bar.tooltip));
        let _ = write!(
            svg,
            r#"<text class="number" x="{:.1}" y="{:.1}">{}</text>"#,
            NAMES - 9.0,
            y + 13.0,
            escape(&bar.name)
        );
        let mut from = 0.0;
        for (part, length) in bar.parts.iter().enumerate() {
            let width = length * scale;
            let _ = write!(
                svg,
                r#"<rect class="p{part}" x="{:.1}" y="{y:.1}" width="{width:.1}" height="{BAR}"/>"#,
                x_at(from)
            );
            from += length;
        }
        let at = x_at(bar.mark);
        let (top, end) = (y - 4.0, y + BAR + 4.0);
        let _ = write!(svg, r#"<line class="mark" x1="{at:.1}" x2="{at:.1}" y1="{top:.1}" y2="{end:.1}"/></g>"#);
    }
    svg + "</svg>"
}

/// The beginning of an `svg` element.
fn open(width: f64, height: f64, title: &str) -> String {
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{}">"#,
        escape(title)
    )
}

/// Ticks of a logarithmic axis: 1, 2 and 5 times powers of ten, or powers alone where these are many.
fn ticks(min: f64, max: f64) -> Vec<f64> {
    let powers = min.log10().floor() as i32..=max.log10().ceil() as i32;
    let digits: &[f64] = if (max / min).log10() > 3.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    powers
        .flat_map(|power| digits.iter().map(move |digit| tick(*digit, power)))
        .filter(|tick| (min..=max).contains(tick))
        .collect()
}

/// Four to ten round numbers from 0 to `max`.
fn even_ticks(max: f64) -> Vec<f64> {
    let power = max.log10().floor() as i32 - 1;
    let step = [1.0, 2.0, 5.0, 10.0, 20.0].into_iter().find(|step| max / tick(*step, power) <= 8.0).unwrap_or(50.0);
    (0..).map(|k| tick(step * f64::from(k), power)).take_while(|tick| *tick <= max).collect()
}

/// The number `digit` times ten to the `power`, exactly as a reader would write it.
fn tick(digit: f64, power: i32) -> f64 {
    format!("{digit}e{power}").parse().unwrap_or(f64::NAN)
}

/// The text as XML and HTML hold it, in elements and in attributes.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // XML cannot express the other control characters.
            c if c.is_control() && !matches!(c, '\n' | '\t') => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_numbers() {
        assert_eq!(ticks(0.9, 30.0), [1.0, 2.0, 5.0, 10.0, 20.0]);
        assert_eq!(ticks(0.05, 5000.0), [0.1, 1.0, 10.0, 100.0, 1000.0]);
        assert_eq!(even_ticks(1.0), [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]);
        for max in [0.003, 0.7, 1.0, 3.3, 9.9, 12_345.0] {
            let ticks = even_ticks(max);
            assert!((4..=10).contains(&ticks.len()), "{max}: {ticks:?}");
        }
    }

    #[test]
    fn nothing_to_show() {
        assert_eq!(lines("t", ["x", "y"], &[]), "");
        assert_eq!(bars("t", "u", &[]), "");
    }

    #[test]
    fn lone_points_and_odd_names() {
        let point = |y| Point { x: 16.0, y, low: y, high: y, tooltip: "<&\">".into() };
        let line = |y| Line { name: "<".into(), colour: 0, limit: false, points: vec![point(y)] };
        let svg = lines("a < b & \"c\"", ["<x>", "<y>"], &[line(1.0), line(f64::NAN)]);
        let parsed = roxmltree::Document::parse(&svg).unwrap();
        assert_eq!(
            parsed.descendants().filter(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "circle"))).count(),
            2
        );
        let bar = Bar { name: "<b>".into(), parts: vec![1.0, 0.5], mark: 1.2, tooltip: "&".into() };
        roxmltree::Document::parse(&bars("t", "u", &[bar])).unwrap();
    }
}
