//! Axes, lines and bars as SVG.

use super::{escaped, time};
use std::fmt::Write;

/// Width of every plot, narrow enough that its text stays readable on a phone.
pub const WIDTH: f64 = 440.0;

/// Where the area of the data begins.
pub const LEFT: f64 = 70.0;
/// Where it ends.
pub const RIGHT: f64 = WIDTH - 14.0;
/// Its upper end.
pub const TOP: f64 = 12.0;
/// Its lower end, in a plot of usual height.
pub const BOTTOM: f64 = 218.0;
/// The usual height.
pub const HEIGHT: f64 = 258.0;

const _: () = assert!(LEFT < RIGHT && RIGHT < WIDTH);

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
    pub fn only_decades(self) -> Scale {
        Scale {
            decades: true,
            ..self
        }
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

/// An axis, and how its values are written.
pub type Axis<'a> = (Scale, &'a dyn Fn(f64) -> String);

/// A plot being drawn.
pub struct Plot {
    svg: String,
    /// The horizontal axis.
    pub x: Scale,
    /// The vertical axis.
    pub y: Scale,
}

impl Plot {
    /// Grid, axes and their labels. `about` is for readers who do not see it; `name` is that of the
    /// horizontal axis.
    pub fn new(about: &str, name: &str, x: Axis<'_>, y: Axis<'_>, height: f64) -> Plot {
        let ((x, show_x), (y, show_y)) = (x, y);
        let mut plot = Plot::empty(about, height, x, y);
        for value in y.ticks() {
            let at = y.at(value);
            plot.path(&[(LEFT, at), (RIGHT, at)], "grid");
            plot.text((LEFT - 6.0, at + 4.0), &show_y(value), "tick end");
        }
        // Labels that would cover one another are left out, the grid's line is not.
        let mut free = f64::MIN;
        for value in x.ticks() {
            let (at, label) = (x.at(value), show_x(value));
            plot.path(&[(at, TOP), (at, y.from)], "grid");
            let half = label.chars().count() as f64 * 3.6;
            if at - half > free && at + half < WIDTH {
                plot.text((at, y.from + 16.0), &label, "tick middle");
                free = at + half + 6.0;
            }
        }
        plot.path(&[(LEFT, TOP), (LEFT, y.from), (RIGHT, y.from)], "axis");
        plot.text(((LEFT + RIGHT) / 2.0, y.from + 32.0), name, "name middle");
        plot
    }

    fn empty(about: &str, height: f64, x: Scale, y: Scale) -> Plot {
        let about = escaped(about);
        let svg =
            format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{about}\">\n");
        Plot { svg, x, y }
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
        let places = values.iter().map(|(x, y)| (self.x.at(*x), self.y.at(*y)));
        self.path(&places.collect::<Vec<_>>(), class);
    }

    /// A dot at a value, with words for a reader who points at it.
    pub fn dot(&mut self, (x, y): (f64, f64), radius: f64, class: &str, words: &str) {
        let (x, y, words) = (self.x.at(x), self.y.at(y), escaped(words));
        let _ = writeln!(
            self.svg,
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\">\
             <title>{words}</title></circle>"
        );
    }

    /// Words at a place in pixels.
    pub fn text(&mut self, (x, y): (f64, f64), words: &str, class: &str) {
        let words = escaped(words);
        let _ = writeln!(
            self.svg,
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{words}</text>"
        );
    }

    /// A bar from its corner, in pixels.
    pub fn bar(&mut self, (x, y): (f64, f64), (w, h): (f64, f64), class: &str, words: &str) {
        let (w, h, words) = (w.max(0.0), h.max(0.0), escaped(words));
        let _ = writeln!(
            self.svg,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" height=\"{h:.1}\">\
             <title>{words}</title></rect>"
        );
    }

    /// The whole drawing.
    pub fn end(self) -> String {
        self.svg + "</svg>\n"
    }
}

/// One bar of a horizontal bar chart.
pub struct HorizontalBar {
    /// The words above it.
    pub name: String,
    /// In nanoseconds.
    pub value: f64,
    /// The smallest and the largest of what the value is the middle of.
    pub range: Option<(f64, f64)>,
    /// A class of colour.
    pub class: &'static str,
    /// What follows its figure.
    pub note: String,
}

/// Horizontal bars, each under its name, on an axis of time: names are long, and a phone is narrow.
pub fn horizontal_bars(about: &str, bars: &[HorizontalBar], is_log: bool) -> String {
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
    let mut plot = Plot::empty(about, height, scale, scale);
    let mut free = f64::MIN;
    for value in scale.ticks() {
        let (x, label) = (scale.at(value), time(value));
        let (svg, foot) = (&mut plot.svg, height - 18.0);
        let _ = writeln!(
            svg,
            "<path class=\"grid\" d=\"M{x:.1} 0L{x:.1} {foot:.1}\"/>"
        );
        // As above: no label on another.
        let half = label.chars().count() as f64 * 3.6;
        let middle = x.max(half);
        if middle - half > free {
            plot.text((middle, height - 5.0), &label, "tick middle");
            free = middle + half + 6.0;
        }
    }
    for (at, one) in bars.iter().enumerate() {
        let top = at as f64 * LINE;
        plot.text((2.0, top + 14.0), &one.name, "label");
        let mut end = scale.at(one.value).max(1.5);
        let words = format!("{}: {}", one.name, time(one.value));
        plot.bar((0.0, top + 18.0), (end, 13.0), one.class, &words);
        if let Some((least, most)) = one.range {
            let (from, to, y) = (scale.at(least), scale.at(most), top + 24.5);
            let (above, below) = (y - 4.0, y + 4.0);
            let _ = writeln!(
                plot.svg,
                "<path class=\"range\" d=\"M{from:.1} {y}L{to:.1} {y}M{from:.1} {above:.1}\
                 L{from:.1} {below:.1}M{to:.1} {above:.1}L{to:.1} {below:.1}\"/>"
            );
            end = end.max(to);
        }
        let note = format!("{} {}", time(one.value), one.note);
        plot.text((end + 6.0, top + 29.0), note.trim(), "label");
    }
    plot.end()
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
            &[][..],
            &[0.0],
            &[f64::NAN],
            &[5.0, 5.0],
            &[1e-9, 1e9],
            &[f64::MAX],
            &[1e-320, f64::MAX],
        ] {
            let ticks = Scale::log(values.iter().copied(), 0.0, 100.0).ticks();
            assert!(!ticks.is_empty() && ticks.len() < 25, "{values:?}");
        }
        for high in [0.0, 0.3, 7.0, 1e6] {
            let ticks = Scale::linear(high, 0.0, 100.0).ticks();
            assert!((3..=8).contains(&ticks.len()), "{high}: {ticks:?}");
        }
    }
}
