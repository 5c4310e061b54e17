//! Axes, lines and bars as SVG, written by hand: no script, nothing from a network.
//!
//! Colours are classes, so that the page's style decides them, for light, dark and paper.

use std::fmt::Write;

/// Width of every plot, narrow enough that its text stays readable on a phone.
pub const WIDTH: f64 = 440.0;

/// Text that may stand in a page.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Nanoseconds, with the unit that suits them.
pub fn time(nanos: f64) -> String {
    let digits = |value: f64| match value {
        v if v >= 99.95 => format!("{v:.0}"),
        v if v >= 9.995 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    };
    match nanos {
        n if n >= 999.5e6 => format!("{} s", digits(n / 1e9)),
        n if n >= 999.5e3 => format!("{} ms", digits(n / 1e6)),
        n if n >= 999.5 => format!("{} µs", digits(n / 1e3)),
        n => format!("{n:.0} ns"),
    }
}

/// A count, with k or M where it is large.
pub fn count(value: f64) -> String {
    match value {
        v if v >= 999.5e3 => format!("{:.2} M", v / 1e6),
        v if v >= 99.5e3 => format!("{:.0} k", v / 1e3),
        v if v >= 9_999.5 => format!("{:.1} k", v / 1e3),
        v => format!("{v:.0}"),
    }
}

/// A whole number in groups of three.
pub fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// From values to places along an axis.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    low: f64,
    high: f64,
    log: bool,
    /// Only powers of ten get a line.
    decades: bool,
    from: f64,
    to: f64,
}

impl Scale {
    /// From 0 to a little above the largest.
    pub fn linear(high: f64, from: f64, to: f64) -> Scale {
        let high = if high > 0.0 { high } else { 1.0 };
        Scale {
            low: 0.0,
            high,
            log: false,
            decades: false,
            from,
            to,
        }
    }

    /// Logarithmic, around all values above 0 that a measure can have.
    pub fn log(values: impl IntoIterator<Item = f64>, from: f64, to: f64) -> Scale {
        let fits = values
            .into_iter()
            .filter(|value| (1e-100..=1e100).contains(value));
        let (low, high) = fits.fold((f64::MAX, 0.0f64), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        let (low, high) = if high > 0.0 { (low, high) } else { (1.0, 10.0) };
        // Room at both ends, and no axis of a single value.
        let (low, high) = (low / 1.15, (high * 1.15).max(low * 2.0));
        Scale {
            low,
            high,
            log: true,
            decades: false,
            from,
            to,
        }
    }

    /// Gives lines to powers of ten alone.
    pub fn only_decades(&mut self) {
        self.decades = true;
    }

    /// The place of a value, kept within the axis.
    pub fn at(&self, value: f64) -> f64 {
        let share = match self.log {
            true => (value.max(self.low) / self.low).ln() / (self.high / self.low).ln(),
            false => (value - self.low) / (self.high - self.low),
        };
        self.from + share.clamp(0.0, 1.0) * (self.to - self.from)
    }

    /// Values that deserve a line: round ones, four to eight of them.
    pub fn ticks(&self) -> Vec<f64> {
        if !self.log {
            let step = step(self.high / 5.0);
            let count = (self.high / step).floor() as usize;
            return (0..=count).map(|at| at as f64 * step).collect();
        }
        let decades = (self.high / self.low).log10();
        let marks: &[f64] = match decades {
            _ if self.decades => &[1.0],
            d if d <= 1.0 => &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0],
            d if d <= 2.5 => &[1.0, 2.0, 5.0],
            d if d <= 4.0 => &[1.0, 3.0],
            _ => &[1.0],
        };
        let first = self.low.log10().floor() as i32;
        let last = self.high.log10().ceil() as i32;
        let all = (first..=last).flat_map(|power| marks.iter().map(move |m| m * 10f64.powi(power)));
        all.filter(|value| (self.low..=self.high).contains(value))
            .collect()
    }
}

/// The round number at or above a wanted step.
fn step(wanted: f64) -> f64 {
    let power = 10f64.powf(wanted.max(1e-12).log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0].map(|times| times * power);
    steps
        .into_iter()
        .find(|step| *step >= wanted * 0.999)
        .unwrap_or(10.0 * power)
}

/// A plot being drawn.
pub struct Plot {
    svg: String,
    pub x: Scale,
    pub y: Scale,
}

/// Where the area of the data lies.
pub const LEFT: f64 = 70.0;
pub const RIGHT: f64 = WIDTH - 14.0;
pub const TOP: f64 = 12.0;

/// Where the area of the data ends, in plots of usual height.
pub const BOTTOM: f64 = 218.0;
/// The height of such a plot.
pub const HEIGHT: f64 = 258.0;

/// A figure of the page.
pub struct Figure {
    /// The name by which tests and links find it.
    pub id: &'static str,
    pub title: String,
    /// What it shows, in a sentence.
    pub about: String,
    /// A class of colour, and what it stands for.
    pub legend: Vec<(String, String)>,
    pub svg: String,
    /// The same in figures: a head, and rows.
    pub table: (Vec<&'static str>, Vec<Vec<String>>),
}

/// What stands at an axis: its name, and how its values are written.
pub struct Axis<'a> {
    pub name: &'a str,
    pub show: &'a dyn Fn(f64) -> String,
}

impl Plot {
    /// Grid, axes and their labels. `about` is read to those who do not see it; `bottom` is where
    /// the data's area ends, and `height` that of all.
    pub fn new(
        about: &str,
        (x, y): (Scale, Scale),
        names: (Axis<'_>, Axis<'_>),
        height: f64,
    ) -> Plot {
        let mut plot = Plot {
            svg: start(about, height),
            x,
            y,
        };
        let bottom = y.from;
        let (of_x, of_y) = names;
        for value in y.ticks() {
            let at = y.at(value);
            plot.path(&[(LEFT, at), (RIGHT, at)], "grid");
            plot.text((LEFT - 6.0, at + 4.0), &(of_y.show)(value), "tick end");
        }
        // Labels that would stand on one another are left out, the grid's line is not.
        let mut free = f64::MIN;
        for value in x.ticks() {
            let (at, label) = (x.at(value), (of_x.show)(value));
            plot.path(&[(at, TOP), (at, bottom)], "grid");
            let half = label.chars().count() as f64 * 3.6;
            if at - half > free && at + half < WIDTH {
                plot.text((at, bottom + 16.0), &label, "tick middle");
                free = at + half + 6.0;
            }
        }
        plot.path(&[(LEFT, TOP), (LEFT, bottom), (RIGHT, bottom)], "axis");
        plot.text(
            ((LEFT + RIGHT) / 2.0, bottom + 32.0),
            of_x.name,
            "name middle",
        );
        plot
    }

    /// A line through places, in pixels.
    pub fn path(&mut self, places: &[(f64, f64)], class: &str) {
        let mut data = String::new();
        for (at, (x, y)) in places.iter().enumerate() {
            let _ = write!(data, "{}{x:.1} {y:.1}", if at == 0 { "M" } else { "L" });
        }
        let _ = writeln!(self.svg, "<path class=\"{class}\" d=\"{data}\"/>");
    }

    /// A line through values.
    pub fn line(&mut self, values: &[(f64, f64)], class: &str) {
        let places: Vec<_> = values
            .iter()
            .map(|(x, y)| (self.x.at(*x), self.y.at(*y)))
            .collect();
        self.path(&places, class);
    }

    /// A dot at a value, with words for who points at it.
    pub fn dot(&mut self, (x, y): (f64, f64), radius: f64, class: &str, words: &str) {
        let (x, y, words) = (self.x.at(x), self.y.at(y), escaped(words));
        let _ = writeln!(
            self.svg,
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\">\
             <title>{words}</title></circle>"
        );
    }

    /// Words at a place in pixels.
    pub fn text(&mut self, place: (f64, f64), words: &str, class: &str) {
        text(&mut self.svg, place, words, class);
    }

    /// A bar from corner to corner, in pixels.
    pub fn bar(&mut self, from: (f64, f64), size: (f64, f64), class: &str, words: &str) {
        bar(&mut self.svg, from, size, class, words);
    }

    /// The whole drawing.
    pub fn end(self) -> String {
        self.svg + "</svg>\n"
    }
}

fn start(about: &str, height: f64) -> String {
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">\n",
        escaped(about)
    )
}

fn text(svg: &mut String, (x, y): (f64, f64), words: &str, class: &str) {
    let words = escaped(words);
    let _ = writeln!(
        svg,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{words}</text>"
    );
}

fn bar(svg: &mut String, (x, y): (f64, f64), (w, h): (f64, f64), class: &str, words: &str) {
    let (w, h, words) = (w.max(0.0), h.max(0.0), escaped(words));
    let _ = writeln!(
        svg,
        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" height=\"{h:.1}\">\
         <title>{words}</title></rect>"
    );
}

/// One bar of a chart of bars that lie.
pub struct Lying {
    pub name: String,
    pub value: f64,
    /// The smallest and the largest of what the value is the middle of.
    pub range: Option<(f64, f64)>,
    pub class: &'static str,
    /// What stands behind it.
    pub note: String,
}

/// Bars that lie, each under its name, on an axis of time: names are long, and a phone is narrow.
pub fn lying(about: &str, bars: &[Lying], is_log: bool) -> String {
    const LINE: f64 = 36.0;
    let height = LINE * bars.len() as f64 + 24.0;
    let end = WIDTH - 128.0;
    let all = bars
        .iter()
        .flat_map(|bar| [bar.value, bar.range.map_or(bar.value, |range| range.1)]);
    let scale = match is_log {
        true => Scale::log(all, 0.0, end),
        false => Scale::linear(all.fold(0.0, f64::max), 0.0, end),
    };
    let mut svg = start(about, height);
    let mut free = f64::MIN;
    for value in scale.ticks() {
        let (x, label) = (scale.at(value), time(value));
        let _ = writeln!(
            svg,
            "<path class=\"grid\" d=\"M{x:.1} 0L{x:.1} {:.1}\"/>",
            height - 18.0
        );
        // As above: no label on another.
        let half = label.chars().count() as f64 * 3.6;
        let middle = x.max(half);
        if middle - half > free {
            text(&mut svg, (middle, height - 5.0), &label, "tick middle");
            free = middle + half + 6.0;
        }
    }
    for (at, one) in bars.iter().enumerate() {
        let top = at as f64 * LINE;
        text(&mut svg, (2.0, top + 14.0), &one.name, "label");
        let width = scale.at(one.value).max(1.5);
        let words = format!("{}: {}", one.name, time(one.value));
        bar(
            &mut svg,
            (0.0, top + 18.0),
            (width, 13.0),
            one.class,
            &words,
        );
        let mut behind = width;
        if let Some((least, most)) = one.range {
            let (from, to) = (scale.at(least), scale.at(most));
            let y = top + 24.5;
            let _ = writeln!(
                svg,
                "<path class=\"range\" d=\"M{from:.1} {y}L{to:.1} {y}M{from:.1} {:.1}L{from:.1} \
                 {:.1}M{to:.1} {:.1}L{to:.1} {:.1}\"/>",
                y - 4.0,
                y + 4.0,
                y - 4.0,
                y + 4.0
            );
            behind = behind.max(to);
        }
        let note = format!("{} {}", time(one.value), one.note);
        text(&mut svg, (behind + 6.0, top + 29.0), note.trim(), "label");
    }
    svg + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_places_within_the_axis_and_ticks_are_round() {
        let scale = Scale::log([10.0, 1e5], 0.0, 100.0);
        assert!(scale.at(10.0) < 5.0 && scale.at(1e5) > 95.0);
        assert_eq!((scale.at(0.0), scale.at(1e12)), (0.0, 100.0));
        assert!(scale.ticks().contains(&1000.0), "{:?}", scale.ticks());
        for values in [
            vec![],
            vec![0.0],
            vec![f64::NAN],
            vec![5.0, 5.0],
            vec![1e-9, 1e9],
            vec![f64::MAX],
            vec![1e-320, f64::MAX],
        ] {
            let scale = Scale::log(values.clone(), 0.0, 100.0);
            assert!(
                !scale.ticks().is_empty() && scale.ticks().len() < 25,
                "{values:?}"
            );
        }
        for high in [0.0, 0.3, 7.0, 1e6] {
            let ticks = Scale::linear(high, 0.0, 100.0).ticks();
            assert!((3..=8).contains(&ticks.len()), "{high}: {ticks:?}");
        }
    }

    #[test]
    fn numbers_are_short() {
        let times = [0.4, 999.0, 1_000.0, 99_949.0, 1_234_567.0, 5e9].map(time);
        assert_eq!(
            times,
            ["0 ns", "999 ns", "1.00 µs", "99.9 µs", "1.23 ms", "5.00 s"]
        );
        assert_eq!(
            [950.0, 12_345.0, 250_000.0, 2_345_000.0].map(count),
            ["950", "12.3 k", "250 k", "2.35 M"]
        );
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(grouped),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(escaped("<a \"b\" & c>"), "&lt;a &quot;b&quot; &amp; c&gt;");
    }
}
