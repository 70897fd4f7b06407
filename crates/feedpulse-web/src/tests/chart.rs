//! Graphs are drawn for any numbers, and the style sheet knows their colours.

use super::fixture::{NOW, trouble};
use crate::chart;
use feedpulse_core::time::Timestamp;
use std::collections::BTreeSet;

#[test]
fn every_colour_has_a_dark_partner() {
    let feed = &trouble().feeds[0];
    let style = include_str!("../../assets/style.css");
    let mut colours = BTreeSet::new();
    for svg in [chart::small, chart::lag, chart::outcomes].map(|draw| draw(&feed.history, NOW)) {
        let svg = svg.unwrap();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(!svg.contains("style="), "the policy forbids inline styles: {svg}");
        for name in ["fill", "stroke"] {
            for part in svg.split(&format!("{name}=\"#")).skip(1) {
                colours.insert(format!("svg [{name}=\"#{}\"]", part.split('"').next().unwrap()));
            }
        }
    }
    assert!(colours.len() > 6, "{colours:?}");
    for colour in colours {
        assert!(style.contains(&colour), "{colour} has no dark partner in style.css");
    }
}

#[test]
fn odd_histories_draw_or_say_nothing() {
    let mut history = trouble().feeds[0].history.clone();
    assert!(chart::small(&[], NOW).is_none() && chart::lag(&[], NOW).is_none());
    history.truncate(1);
    history[0].lag = u64::MAX;
    history[0].backlog = u32::MAX;
    history[0].seen = u32::MAX;
    history[0].outcomes = [u32::MAX; 9];
    for now in [NOW, Timestamp::from_micros(i64::MAX), Timestamp::from_micros(i64::MIN)] {
        for draw in [chart::small, chart::lag, chart::outcomes] {
            let svg = draw(&history, now).unwrap();
            assert!(svg.starts_with("<svg") && !svg.contains("NaN"), "{svg}");
        }
    }
}
