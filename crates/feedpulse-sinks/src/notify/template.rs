//! The body of a webhook: a minijinja template over the facts of one notice, proven at start to make
//! JSON even when texts hold quotes and line breaks.

use crate::config::ConfigError;
use crate::notify;
use crate::notify::notices::{self, Notice};
use crate::notify::text::{self, Style};
use crate::rfc3339;
use feedpulse_codec::Why;
use feedpulse_core::codes::{Code, Severity};
use feedpulse_core::effect::{IncidentChange, IncidentFinding, IncidentState, Story};
use feedpulse_core::finding::{Evidence, Subject};
use feedpulse_core::label::Label;
use feedpulse_core::plan::FeedId;
use feedpulse_core::said::{CheckCode, CheckCodes, CodeWords, Line, TEXT_MAX};
use feedpulse_core::time::Timestamp;
use minijinja::value::{Kwargs, Serde};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value, filters};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The body when no template is configured: every fact of the notice as one JSON object.
pub const DEFAULT_BODY: &str = "{{ notice|tojson }}";

/// Largest template and largest body in bytes.
const SIZE_MAX: usize = 256 * 1024;
/// The template's name in errors.
const NAME: &str = "template";

/// Why a notice could not be rendered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RenderError {
    #[error("{0}")]
    Template(#[from] Error),
    #[error("the result is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the result is longer than 256 KiB")]
    Size,
}

/// What a template may use: each field by its name, and all of them as `notice`.
#[derive(Clone, Debug, Serialize)]
struct Facts<'a> {
    /// Same text for the same notice, also after a restart.
    key: String,
    /// The incident's number.
    id: u64,
    /// `open`, `escalated`, `update`, `repeat` or `resolved`.
    event: &'static str,
    /// `open` or `resolved`.
    state: &'static str,
    /// `FP0104`.
    code: &'static str,
    title: String,
    /// `note`, `ticket` or `page`.
    severity: &'static str,
    /// `waypoint portal-in`.
    subject: &'a str,
    /// `waypoint`, `feed`, `check` or `part`.
    subject_kind: &'static str,
    /// `portal-in`.
    subject_name: String,
    summary: String,
    means: &'a str,
    remedy: &'a str,
    /// RFC 3339.
    since: String,
    /// RFC 3339, or null.
    resolved_at: Option<String>,
    urgent: u32,
    claimed_by: &'a str,
    site: &'a str,
    /// Whether it is a drill; then title, summary and text begin with `DRILL: `.
    drill: bool,
    /// Everything in words, some lines.
    text: String,
    /// Address, or empty.
    runbook: String,
    /// Address, or empty.
    link: String,
    /// What else is known: `affected`, `waiting`, `forecast`, `cause`, `against`, `earlier`,
    /// `flapping`, `overran`, `changed`; only what is known is there.
    facts: BTreeMap<&'static str, String>,
    findings: Vec<FindingFacts<'a>>,
    /// What a check found, by its own codes, at most 16; empty where the incident is about no check.
    check_codes: Vec<CheckCodeFacts<'a>>,
    /// Findings of further codes of it.
    other_codes: u32,
}

/// One of a check's own codes, in its author's words.
#[derive(Clone, Debug, Serialize)]
struct CheckCodeFacts<'a> {
    /// `result-status-regression/order-status-regressed`.
    code: &'a str,
    title: &'a str,
    /// Empty where the check's words are not known; so are `remedy` and `by`.
    explanation: &'a str,
    remedy: &'a str,
    /// The check's own name and version.
    by: &'a str,
    severity: &'static str,
    times: u32,
    /// RFC 3339.
    first: String,
    /// RFC 3339.
    last: String,
    /// Where the last one was found: a waypoint, and an HL7 path or nothing.
    waypoint: &'a str,
    at: &'a str,
    attrs: BTreeMap<&'a str, &'a str>,
}

#[derive(Clone, Debug, Serialize)]
struct FindingFacts<'a> {
    code: &'static str,
    title: &'static str,
    severity: &'static str,
    since: String,
    cleared_at: Option<String>,
    detail: &'a str,
    times: u32,
    evidence: BTreeMap<&'static str, f64>,
}

/// A checked template.
pub(crate) struct Body {
    environment: Environment<'static>,
    style: Arc<Style>,
}

impl Body {
    /// Compiles a template and tries it on sample notices with hostile texts.
    pub(crate) fn new(place: &str, source: &str, style: &Arc<Style>) -> Result<Self, ConfigError> {
        let fail = |what: String| ConfigError::Template { place: place.to_owned(), what };
        if source.len() > SIZE_MAX {
            return Err(fail("the template is longer than 256 KiB".to_owned()));
        }
        let mut environment = Environment::new();
        // Texts go through tojson, as the errors below tell; silent escaping would quote twice.
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_recursion_limit(64);
        environment.add_filter("tojson", tojson);
        environment
            .add_template_owned(NAME, source.to_owned())
            .map_err(|error| fail(explain(&RenderError::Template(error))))?;
        let body = Self { environment, style: Arc::clone(style) };
        for notice in samples() {
            body.render(&notice, notice.began).map_err(|error| fail(explain(&error)))?;
        }
        Ok(body)
    }

    /// The notice's key.
    pub(crate) fn key(&self, notice: &Notice) -> String {
        notice.key(&self.style.site)
    }

    /// The body of one notice; always JSON.
    pub(crate) fn render(&self, notice: &Notice, now: Timestamp) -> Result<String, RenderError> {
        let facts = self.facts(notice, now);
        let all = Value::from(Serde(&facts));
        let context = minijinja::context! { notice => all.clone(), ..all };
        let body = self.environment.get_template(NAME)?.render(context)?;
        if body.len() > SIZE_MAX {
            return Err(RenderError::Size);
        }
        serde_json::from_str::<serde::de::IgnoredAny>(&body)?;
        Ok(body)
    }

    fn facts<'a>(&'a self, notice: &'a Notice, now: Timestamp) -> Facts<'a> {
        let change: &IncidentChange = &notice.change;
        let (style, code, mark) = (&self.style, change.code.text(), text::mark(change));
        let (subject_kind, subject_name) = notify::subject_label(change);
        Facts {
            key: notice.key(&style.site),
            id: change.id,
            event: notices::name(notice.why),
            state: change.state.name(),
            code: code.code,
            title: format!("{mark}{}", change.title()),
            severity: change.severity.name(),
            subject: &change.subject_name,
            subject_kind,
            subject_name,
            summary: format!("{mark}{}", change.summary),
            means: change.means(),
            remedy: change.remedy(),
            since: rfc3339::format(change.since),
            resolved_at: change.resolved_at.map(rfc3339::format),
            urgent: change.urgent,
            claimed_by: change.claimed_by.as_str(),
            site: &style.site,
            drill: change.story.drill,
            text: style.text(notice, now).plain(),
            runbook: notify::runbook(&style.runbook_base, change),
            link: notify::page(&style.page_base, change),
            facts: change.facts().into_iter().collect(),
            findings: change.findings.iter().take(50).map(finding).collect(),
            check_codes: change.story.check_codes.codes.iter().map(check_code).collect(),
            other_codes: change.story.check_codes.others,
        }
    }
}

/// As the built-in filter, but a name that does not exist is an error, not `null`.
fn tojson(value: &Value, indent: Option<Value>, options: Kwargs) -> Result<Value, Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    filters::tojson(value, indent, options)
}

fn finding(finding: &IncidentFinding) -> FindingFacts<'_> {
    let text = finding.code.text();
    FindingFacts {
        code: text.code,
        title: text.title,
        severity: finding.severity.name(),
        since: rfc3339::format(finding.since),
        cleared_at: finding.cleared_at.map(rfc3339::format),
        detail: finding.detail.as_str(),
        times: finding.times,
        evidence: finding.evidence.iter().map(|e| (e.name, e.value)).collect(),
    }
}

fn check_code(said: &CheckCode) -> CheckCodeFacts<'_> {
    let words = said.words.as_deref();
    CheckCodeFacts {
        code: said.name(),
        title: said.title(),
        explanation: words.map_or("", |w| w.explanation.as_str()),
        remedy: words.map_or("", |w| w.remedy.as_str()),
        by: words.map_or("", |w| w.by.as_str()),
        severity: said.severity.name(),
        times: said.times,
        first: rfc3339::format(said.first),
        last: rfc3339::format(said.last),
        waypoint: said.waypoint.as_str(),
        at: said.place.as_str(),
        attrs: said.attrs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
    }
}

/// Where, what, and what to do.
fn explain(error: &RenderError) -> String {
    match error {
        RenderError::Template(error) => {
            let line = error.line().map_or_else(String::new, |line| format!("line {line}: "));
            let hint = if error.kind() == ErrorKind::UndefinedError {
                "; the names are those of `{{ notice|tojson }}`"
            } else {
                ""
            };
            let detail = error.detail().map_or_else(String::new, |detail| format!(": {detail}"));
            format!("{line}{}{detail}{hint}", error.kind())
        }
        RenderError::Json(error) => format!(
            "with a sample incident the body is not JSON (line {}, column {} of the body); write \
             texts as {{{{ summary|tojson }}}} without quotes around them",
            error.line(),
            error.column()
        ),
        RenderError::Size => error.to_string(),
    }
}

/// What a check said, in words that break what is hand-made.
fn sample_codes(hostile: &str, at: Timestamp) -> CheckCodes {
    let line = Line::new(hostile, TEXT_MAX);
    let words = CodeWords {
        name: line.clone(),
        by: line.clone(),
        title: line.clone(),
        explanation: line.clone(),
        remedy: line.clone(),
    };
    let code = CheckCode {
        code: Label::from(hostile),
        words: Some(Arc::new(words)),
        severity: Severity::Ticket,
        times: 2,
        first: at,
        last: at,
        waypoint: line.clone(),
        place: line.clone(),
        attrs: vec![(line.clone(), line)],
    };
    CheckCodes { codes: vec![code], others: 1 }
}

/// Notices whose texts hold all that breaks hand-made JSON: one open, one resolved.
fn samples() -> [Notice; 2] {
    let hostile = "\"quoted\" back\\slash\nline\ttab {brace} ünï";
    let since = Timestamp::from_secs(1_790_000_000);
    let open = IncidentChange {
        id: 7,
        subject: Subject::Feed(FeedId(0)),
        subject_name: format!("feed {hostile}"),
        state: IncidentState::Open,
        severity: Severity::Page,
        code: Code::ReceiverDown,
        summary: hostile.to_owned(),
        since,
        resolved_at: None,
        findings: vec![IncidentFinding {
            code: Code::ReceiverDown,
            severity: Severity::Page,
            since,
            cleared_at: None,
            evidence: vec![Evidence { name: "refused_total", value: 2.5 }],
            detail: Label::from("\"refused\""),
            times: 3,
        }],
        urgent: 2,
        claimed_by: Label::from("\"night shift\""),
        muted_until: None,
        story: Story { check_codes: sample_codes(hostile, since), ..Story::default() },
    };
    let resolved = IncidentChange {
        state: IncidentState::Resolved,
        resolved_at: Some(since),
        findings: Vec::new(),
        claimed_by: Label::EMPTY,
        ..open.clone()
    };
    [Notice::new(Why::Open, Arc::new(open)), Notice::new(Why::Over, Arc::new(resolved))]
}
