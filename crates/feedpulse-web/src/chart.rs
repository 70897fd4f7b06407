//! Small graphs as inline SVG, drawn on the server: the last hour of a feed, or less where intervals are short. Colours are the light
//! palette; the style sheet swaps each for its dark partner by attribute, so one drawing serves both.

use crate::text::clock;
use charts_rs::{
    Align, BarChart, Box as Edges, ChartBase, Color, LegendCategory, LineChart, Series, YAxisConfig,
};
use feedpulse_core::effect::Rollup;
use feedpulse_core::sighting::Outcome;
use feedpulse_core::time::Timestamp;

/// Minutes on the time axis.
const MINUTES: usize = 60;
/// Intervals on it when they are shorter than a minute (the demo's are five seconds).
const SHORT: usize = 30;
/// Text and lines of the axes. `style.css` knows every colour of this file.
const INK: &str = "#4A5562";
const GRID: &str = "#D5DBE1";
/// First line (messages, lag, arrived), second (backlog), faults, unanswered, unknown.
const BLUE: &str = "#1F5FA8";
const VIOLET: &str = "#7A3E9D";
const RED: &str = "#B3261E";
const AMBER: &str = "#B26A00";
const GREY: &str = "#7B8794";

/// One interval per slot up to that of `now`; one that nobody counted stays empty.
struct Slots<'a> {
    labels: Vec<String>,
    minutes: Vec<Option<&'a Rollup>>,
}

/// The interval's width in seconds: the smallest step between two of them, a minute if unknown.
fn width(history: &[Rollup]) -> i64 {
    let steps = history.windows(2).filter_map(|two| match two {
        [before, after] => Some(after.minute.as_secs() - before.minute.as_secs()),
        _ => None,
    });
    steps.filter(|step| *step > 0).min().unwrap_or(60).min(60)
}

fn slots(history: &[Rollup], now: Timestamp) -> Slots<'_> {
    let width = width(history);
    let count = if width < 60 { SHORT } else { MINUTES };
    let last = now.as_secs().div_euclid(width);
    let mut slots = Slots { labels: Vec::new(), minutes: vec![None; count] };
    let first = last + 1 - i64::try_from(count).unwrap_or(60);
    for number in first..=last {
        let at = Timestamp::from_secs(number * width);
        let seconds = at.as_secs().rem_euclid(60);
        let label = if width < 60 { format!("{}:{seconds:02}", clock(at)) } else { clock(at) };
        slots.labels.push(label);
    }
    for rollup in history {
        let index = usize::try_from(rollup.minute.as_secs().div_euclid(width) - first);
        if let Some(slot) = index.ok().and_then(|i| slots.minutes.get_mut(i)) {
            *slot = Some(rollup);
        }
    }
    slots
}

impl Slots<'_> {
    #[expect(clippy::cast_possible_truncation, reason = "pixels need no more than f32 holds")]
    fn series(&self, name: &str, value: impl Fn(&Rollup) -> f64) -> Series {
        let data = self.minutes.iter().map(|m| m.map(|r| value(r) as f32)).collect();
        Series::new_nullable(name.to_owned(), data)
    }
}

/// Sum of the outcomes that `which` names.
fn sum(rollup: &Rollup, which: impl Fn(Outcome) -> bool) -> f64 {
    let all = Outcome::ALL.iter().zip(rollup.outcomes);
    all.filter(|(outcome, _)| which(**outcome)).map(|(_, n)| f64::from(n)).sum()
}

const fn is_refused(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Errored | Outcome::Rejected)
}

const fn is_unanswered(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::NoAck | Outcome::ConnectionLost | Outcome::Refused)
}

/// Overview: messages a minute, and those that failed (refused or unanswered). None without history.
pub(crate) fn small(history: &[Rollup], now: Timestamp) -> Option<String> {
    if history.is_empty() {
        return None;
    }
    let slots = slots(history, now);
    let series = vec![
        slots.series("messages", |r| f64::from(r.seen)),
        slots.series("failed", |r| sum(r, |o| is_refused(o) || is_unanswered(o))),
    ];
    let mut chart = LineChart::new(series, slots.labels.clone());
    chart.y_axis_configs = vec![axis(INK, 2, 34.0)];
    dress(&mut chart.base, 300.0, 84.0, &[BLUE, RED]);
    chart.legend.show = Some(false);
    chart.x_axis.font.size = 11.0;
    chart.svg().ok()
}

/// Detail: lag in its best unit on the left axis, backlog on the right.
pub(crate) fn lag(history: &[Rollup], now: Timestamp) -> Option<String> {
    if history.is_empty() {
        return None;
    }
    let slots = slots(history, now);
    let longest = history.iter().map(|r| r.lag).max().unwrap_or(0);
    let (unit, divisor) = match longest {
        0..300_000_000 => ("s", 1e6),
        300_000_000..18_000_000_000 => ("min", 6e7),
        _ => ("h", 3.6e9),
    };
    let mut backlog = slots.series("Backlog (messages)", |r| f64::from(r.backlog));
    backlog.y_axis_index = 1;
    backlog.stroke_dash_array = Some("4,3".to_owned());
    let name = format!("Lag ({unit})");
    let lag = slots.series(&name, |r| crate::api::seconds(r.lag) * 1e6 / divisor);
    let mut chart = LineChart::new(vec![lag, backlog], slots.labels.clone());
    chart.y_axis_configs = vec![axis(BLUE, 4, 48.0), axis(VIOLET, 4, 48.0)];
    dress(&mut chart.base, 1100.0, 220.0, &[BLUE, VIOLET]);
    chart.svg().ok()
}

/// Detail: sendings that ended each minute, stacked by what became of them.
pub(crate) fn outcomes(history: &[Rollup], now: Timestamp) -> Option<String> {
    if history.is_empty() {
        return None;
    }
    let slots = slots(history, now);
    let mut series = vec![
        slots.series("Arrived", |r| sum(r, Outcome::is_success)),
        slots.series("Errored or rejected", |r| sum(r, is_refused)),
        slots.series("No answer", |r| sum(r, is_unanswered)),
        slots.series("Unknown", |r| sum(r, |o| o == Outcome::Unknown)),
    ];
    for one in &mut series {
        one.stack = Some("ended".to_owned());
    }
    let mut chart = BarChart::new(series, slots.labels.clone());
    chart.y_axis_configs = vec![axis(INK, 4, 48.0)];
    dress(&mut chart.base, 1100.0, 220.0, &[BLUE, RED, AMBER, GREY]);
    chart.svg().ok()
}

fn colour(hex: &str) -> Color {
    Color::parse(hex).unwrap_or_default()
}

fn axis(hex: &str, steps: usize, width: f32) -> YAxisConfig {
    let mut axis =
        YAxisConfig { split_number: steps, width: Some(width), ..YAxisConfig::default() };
    axis.font.color = colour(hex);
    axis.font.size = 12.0;
    axis.stroke_color = Color::transparent();
    axis.name_gap = 6.0;
    axis
}

fn dress(base: &mut ChartBase, width: f32, height: f32, colours: &[&str]) {
    (base.width, base.height) = (width, height);
    base.margin = Edges { left: 2.0, top: 6.0, right: 12.0, bottom: 2.0 };
    base.background_color = Color::transparent();
    base.compact = true;
    base.font_family = "Segoe UI,Arial,sans-serif".to_owned();
    base.x_axis.font.color = colour(INK);
    base.x_axis.font.size = 12.0;
    base.x_axis.stroke_color = colour(GRID);
    base.x_axis.name_gap = 4.0;
    base.grid.stroke_color = colour(GRID);
    base.legend.font.color = colour(INK);
    base.legend.font.size = 12.0;
    base.legend.align = Align::Left;
    base.legend.category = LegendCategory::Rect;
    base.legend.margin = Some(Edges { left: 30.0, bottom: 10.0, ..Edges::default() });
    base.series.colors = colours.iter().map(|c| colour(c)).collect();
    base.series.symbol = Some(charts_rs::Symbol::None);
    base.series.smooth = false;
    base.series.fill = false;
    base.series.stroke_width = 1.6;
}
