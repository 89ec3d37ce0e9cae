//! One kind of chart as plain SVG: a few named places along the bottom, a line for each series, and
//! a whisker from the least to the most at each point. Readable on light and on dark pages.

use std::fmt::Write;

use crate::ratio::Spread;

pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) note: String,
    /// What stands along the bottom.
    pub(crate) x_label: String,
    pub(crate) places: Vec<String>,
    pub(crate) y_label: String,
    pub(crate) logarithmic: bool,
    pub(crate) series: Vec<Series>,
    /// A level to reach or to keep below, and what it is.
    pub(crate) level: Option<(f64, String)>,
}

pub(crate) struct Series {
    pub(crate) name: String,
    /// A point for each place that was measured.
    pub(crate) points: Vec<Option<Spread>>,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 28.0;
const TOP: f64 = 112.0;
const BOTTOM: f64 = 62.0;

/// Between series at one place, so that whiskers stand beside each other.
const BESIDE: f64 = 9.0;

const STYLE: &str = "\
svg{font:13px system-ui,-apple-system,'Segoe UI',sans-serif}\
.page{fill:#ffffff}.ink{fill:#1c1e21}.soft{fill:#5b6168}\
.grid{stroke:#e2e5e9}.axis{stroke:#8b929a}.level{stroke:#8b929a;stroke-dasharray:5 4}\
.line{fill:none;stroke-width:2}.whisker{fill:none;stroke-width:1.4;opacity:.65}\
.s0 .line,.s0 .whisker{stroke:#1f66c1}.s0 .dot{fill:#1f66c1}\
.s1 .line,.s1 .whisker{stroke:#c4560f}.s1 .dot{fill:#c4560f}\
.s2 .line,.s2 .whisker{stroke:#0b7f66}.s2 .dot{fill:#0b7f66}\
.s3 .line,.s3 .whisker{stroke:#8a4bb8}.s3 .dot{fill:#8a4bb8}\
@media (prefers-color-scheme:dark){\
.page{fill:#14171a}.ink{fill:#eceff2}.soft{fill:#a3abb4}\
.grid{stroke:#2b3036}.axis{stroke:#757d86}.level{stroke:#757d86}\
.s0 .line,.s0 .whisker{stroke:#6aa9f7}.s0 .dot{fill:#6aa9f7}\
.s1 .line,.s1 .whisker{stroke:#f0955a}.s1 .dot{fill:#f0955a}\
.s2 .line,.s2 .whisker{stroke:#4cc9a8}.s2 .dot{fill:#4cc9a8}\
.s3 .line,.s3 .whisker{stroke:#c795ea}.s3 .dot{fill:#c795ea}}";

impl Chart {
    pub(crate) fn svg(&self) -> String {
        let scale = Scale::of(self);
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\">\n<title>{title}</title>\n\
             <style>{STYLE}</style>\n\
             <rect class=\"page\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"6\"/>\n\
             <text class=\"ink\" x=\"20\" y=\"30\" font-size=\"16\" font-weight=\"600\">{title}</text>\n\
             <text class=\"soft\" x=\"20\" y=\"50\" font-size=\"12\">{note}</text>\n",
            title = escaped(&self.title),
            note = escaped(&self.note),
        );
        self.axes(&mut out, &scale);
        self.legend(&mut out);
        for number in 0..self.series.len() {
            self.draw_series(&mut out, &scale, number);
        }
        out.push_str("</svg>\n");
        out
    }

    fn axes(&self, out: &mut String, scale: &Scale) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for tick in scale.ticks() {
            let y = scale.y(tick);
            put(
                out,
                format_args!(
                    "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"soft\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
                    LEFT - 8.0,
                    y + 4.5,
                    short(tick),
                ),
            );
        }
        if let Some((level, name)) = &self.level {
            let y = scale.y(*level);
            put(
                out,
                format_args!(
                    "<line class=\"level\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"soft\" x=\"{right}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
                    y - 6.0,
                    escaped(name),
                ),
            );
        }
        put(
            out,
            format_args!(
                "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{bottom}\" y2=\"{bottom}\"/>\n"
            ),
        );
        for (number, place) in self.places.iter().enumerate() {
            put(
                out,
                format_args!(
                    "<text class=\"soft\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n",
                    self.x(number),
                    bottom + 20.0,
                    escaped(place),
                ),
            );
        }
        put(
            out,
            format_args!(
                "<text class=\"soft\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n\
             <text class=\"soft\" x=\"{LEFT}\" y=\"{:.1}\">{}</text>\n",
                f64::midpoint(LEFT, right),
                HEIGHT - 16.0,
                escaped(&self.x_label),
                TOP - 10.0,
                escaped(&self.y_label),
            ),
        );
    }

    fn legend(&self, out: &mut String) {
        let mut x = WIDTH - RIGHT;
        for (number, series) in self.series.iter().enumerate().rev() {
            // Near enough for a label of ordinary letters.
            x -= 7.2 * series.name.chars().count() as f64;
            put(
                out,
                format_args!(
                    "<g class=\"s{number}\"><line class=\"line\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"72\" y2=\"72\"/>\
                 <circle class=\"dot\" cx=\"{:.1}\" cy=\"72\" r=\"4\"/></g>\
                 <text class=\"ink\" x=\"{x:.1}\" y=\"76.5\">{}</text>\n",
                    x - 26.0,
                    x - 6.0,
                    x - 16.0,
                    escaped(&series.name),
                ),
            );
            x -= 44.0;
        }
    }

    fn draw_series(&self, out: &mut String, scale: &Scale, number: usize) {
        let middle = (self.series.len() as f64 - 1.0) / 2.0;
        let aside = (number as f64 - middle) * BESIDE;
        let points: Vec<(f64, Spread)> = self.series[number]
            .points
            .iter()
            .enumerate()
            .filter_map(|(place, point)| Some((self.x(place) + aside, (*point)?)))
            .collect();
        let line: Vec<String> = points
            .iter()
            .map(|(x, at)| format!("{x:.1},{:.1}", scale.y(at.median)))
            .collect();
        put(
            out,
            format_args!(
                "<g class=\"s{number}\"><polyline class=\"line\" points=\"{}\"/>\n",
                line.join(" ")
            ),
        );
        for (x, at) in points {
            let [low, high, y] = [at.min, at.max, at.median].map(|value| scale.y(value));
            put(
                out,
                format_args!(
                    "<path class=\"whisker\" d=\"M{x:.1} {low:.1}V{high:.1}M{l:.1} {low:.1}H{r:.1}\
                 M{l:.1} {high:.1}H{r:.1}\"/><circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\">\
                 <title>{}</title></circle>\n",
                    at.show(2),
                    l = x - 3.5,
                    r = x + 3.5,
                ),
            );
        }
        out.push_str("</g>\n");
    }

    fn x(&self, place: usize) -> f64 {
        let each = (WIDTH - LEFT - RIGHT) / self.places.len().max(1) as f64;
        LEFT + each * (place as f64 + 0.5)
    }
}

/// From values to heights.
struct Scale {
    least: f64,
    most: f64,
    logarithmic: bool,
}

impl Scale {
    fn of(chart: &Chart) -> Self {
        let points = chart.series.iter().flat_map(|series| &series.points);
        let spreads = points.flatten().flat_map(|at| [at.min, at.max]);
        let all = spreads.chain(chart.level.as_ref().map(|level| level.0));
        let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
        for value in all.filter(|value| value.is_finite() && *value > 0.0) {
            (least, most) = (least.min(value), most.max(value));
        }
        if most <= 0.0 {
            (least, most) = (1.0, 10.0);
        }
        let logarithmic = chart.logarithmic;
        if logarithmic {
            least = 10_f64.powf(least.log10().floor());
            most = 10_f64.powf(most.log10().ceil()).max(least * 10.0);
        } else {
            least = 0.0;
            let step = step(most);
            most = (most / step).ceil() * step;
        }
        Self {
            least,
            most,
            logarithmic,
        }
    }

    fn y(&self, value: f64) -> f64 {
        let share = if self.logarithmic {
            (value.max(self.least) / self.least).ln() / (self.most / self.least).ln()
        } else {
            value / self.most
        };
        HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)
    }

    fn ticks(&self) -> Vec<f64> {
        if self.logarithmic {
            let decades = (self.most / self.least).log10().round() as i32;
            return (0..=decades)
                .map(|decade| self.least * 10_f64.powi(decade))
                .collect();
        }
        let step = step(self.most);
        let count = (self.most / step).round() as u32;
        (0..=count).map(|tick| f64::from(tick) * step).collect()
    }
}

/// 1, 2 or 5 times a power of ten, four to eight of which reach the most.
fn step(most: f64) -> f64 {
    let power = 10_f64.powf((most / 5.0).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|times| times * power);
    let fits = |step: &f64| most / step <= 7.0;
    steps.into_iter().find(fits).unwrap_or(10.0 * power)
}

fn short(value: f64) -> String {
    if value >= 1_000_000.0 {
        format!("{} M", value / 1_000_000.0)
    } else if value >= 1_000.0 {
        format!("{} k", value / 1_000.0)
    } else {
        // Sums of tenths do not come out even.
        format!("{}", (value * 1e6).round() / 1e6)
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(logarithmic: bool) -> Chart {
        let point = |value: f64| Some(Spread::of([value * 0.9, value, value * 1.1]));
        Chart {
            title: "Reads & <writes>".to_owned(),
            note: String::new(),
            x_label: "connections".to_owned(),
            places: vec!["1".to_owned(), "16".to_owned()],
            y_label: "requests/s".to_owned(),
            logarithmic,
            series: vec![
                Series {
                    name: "one".to_owned(),
                    points: vec![point(1_000.0), point(20_000.0)],
                },
                Series {
                    name: "other".to_owned(),
                    points: vec![point(300.0), None],
                },
            ],
            level: Some((5_000.0, "aim".to_owned())),
        }
    }

    #[test]
    fn every_point_is_inside_and_higher_is_more() {
        for logarithmic in [false, true] {
            let chart = chart(logarithmic);
            let scale = Scale::of(&chart);
            let heights = [270.0, 1_000.0, 5_000.0, 22_000.0].map(|value| scale.y(value));
            assert!(heights.is_sorted_by(|a, b| a > b), "{heights:?}");
            let inside = (TOP - 0.01)..=(HEIGHT - BOTTOM);
            assert!(heights.iter().all(|y| inside.contains(y)), "{heights:?}");
            let ticks = scale.ticks();
            assert!((3..=9).contains(&ticks.len()), "{ticks:?}");
            assert!(ticks.is_sorted());
        }
    }

    #[test]
    fn one_dot_for_each_point_and_no_bare_markup() {
        let svg = chart(false).svg();
        // Three points and two entries of the legend.
        assert_eq!(svg.matches("<circle").count(), 3 + 2);
        assert!(svg.contains("Reads &amp; &lt;writes>"));
        assert!(svg.ends_with("</svg>\n"));
    }

    #[test]
    fn steps_are_round() {
        for (most, expect) in [(47_000.0, 10_000.0), (1.2, 0.2), (9.0, 2.0), (35.0, 5.0)] {
            let step = step(most);
            assert!((step - expect).abs() < 1e-9, "{most}: {step}");
        }
    }
}
