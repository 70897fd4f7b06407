//! Settings that cannot work are refused with a hint, all at once; secrets are never shown.

use super::deps;
use crate::config::{
    AlertmanagerConfig, Chat, ClientCertificate, DeadManConfig, Mail, NotifierConfig, OtlpConfig,
    Protocol, ProxyConfig, RouteConfig, Security, SinksConfig, Speech, Target,
};
use crate::{Secret, build};
use core::time::Duration;

fn errors(config: &SinksConfig) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (deps, _own) = runtime.block_on(async { deps() });
    match build(config, &deps) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

fn otlp_errors(change: impl FnOnce(&mut OtlpConfig)) -> Vec<String> {
    let mut otlp = OtlpConfig::new(Target::new("http://127.0.0.1:4317"));
    change(&mut otlp);
    errors(&SinksConfig { otlp: Some(otlp), ..SinksConfig::default() })
}

fn template_error(template: &str) -> String {
    let target = Target::new("http://127.0.0.1:1/hook");
    let template = Some(template.to_owned());
    let speech = Speech::Webhook { method: crate::notify::webhook::Method::Post, template };
    let notifiers = vec![NotifierConfig::new("webhook", target, speech)];
    let all = errors(&SinksConfig { notifiers, ..SinksConfig::default() });
    all.into_iter().next().unwrap_or_default()
}

#[test]
fn addresses_that_cannot_work_are_refused_with_a_hint() {
    for (address, what) in [
        ("collector:4317", "has no scheme; put http:// or https:// before it"),
        ("", "is empty"),
        ("ftp://collector", "has another scheme"),
        ("http://me:s3cret@collector", "holds a user or password"),
        ("http://collector:4317/v1/traces", "has a path, but gRPC has none"),
        ("http://", "cannot be read"),
    ] {
        let errors = otlp_errors(|otlp| otlp.target.url = Secret::new(address));
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(
            errors[0].starts_with("otlp: the address ") && errors[0].contains(what),
            "{errors:?}"
        );
        assert!(errors[0].ends_with("write it like http://collector:4317"), "{errors:?}");
        assert!(!errors[0].contains("s3cret"));
    }
    let errors = otlp_errors(|otlp| {
        otlp.protocol = Protocol::HttpProtobuf;
        otlp.target.url = Secret::new("http://collector:4318/v1/traces");
    });
    assert!(errors[0].contains("must be the base address"), "{errors:?}");
    assert!(otlp_errors(|_| {}).is_empty());
}

#[test]
fn every_error_is_reported_at_once() {
    let mut otlp = OtlpConfig::new(Target::new("collector"));
    otlp.batch = 0;
    otlp.sample_ratio = f64::NAN;
    let mut alertmanager = AlertmanagerConfig::new(Vec::new());
    alertmanager.name = "Alert Manager".to_owned();
    alertmanager.labels =
        ["team-a", "incident"].map(|name| (name.to_owned(), "x".to_owned())).to_vec();
    let mut webhook = NotifierConfig::webhook("otlp", Target::new("http://h/1"));
    webhook.target.timeout = Duration::from_secs(90);
    let blank = Speech::Pager { routing_key: Secret::new(" ") };
    let config = SinksConfig {
        otlp: Some(otlp),
        alertmanagers: vec![alertmanager],
        notifiers: vec![
            webhook,
            NotifierConfig::new("chat", Target::new("chat.example"), Speech::Chat(Chat::Slack)),
            NotifierConfig::new("mail", Target::new("smtp"), Speech::Mail(Mail::default())),
            NotifierConfig::new("pager", Target::new("http://h"), blank),
        ],
        dead_man: Some(DeadManConfig {
            every: Duration::ZERO,
            ..DeadManConfig::new(Target::new("x"))
        }),
        site: "north wing".to_owned(),
        routes: vec![RouteConfig {
            notifiers: vec!["nobody".to_owned()],
            wait: Duration::from_secs(7_200),
            ..RouteConfig::default()
        }],
        ..SinksConfig::default()
    };
    let errors = errors(&config);
    for part in [
        "otlp: batch is 0, allowed is 1 to 8,192",
        "otlp: sample_ratio is NaN, allowed is 0 to 1",
        "otlp: the address has no scheme",
        "the name \"Alert Manager\" must have 1 to 24",
        "the name \"team-a\" is no label name",
        "the name \"incident\" is a label that Feedpulse sets itself",
        "the count of replicas is 0, allowed is 1 to 8",
        "the name \"otlp\" is used twice or reserved",
        "otlp: timeout is 90s, allowed is 100 ms to 30 s",
        "dead-man: every is 0ns, allowed is 10 s to 1 h",
        "dead-man: the address has no scheme",
        "site: the name \"north wing\"",
        "route 1: the name \"nobody\" is not that of a notifier",
        "route 1: wait is 7200s, allowed is 0 to 1 h",
        "chat: the address has no scheme",
        "mail: the address is not a host and a port",
        "pager: the name \"routing_key\" must hold the integration's key",
    ] {
        assert!(errors.iter().any(|error| error.contains(part)), "{part}: {errors:#?}");
    }
}

#[test]
fn files_and_headers_that_cannot_work_are_named() {
    let folder = std::env::temp_dir();
    let missing = folder.join("feedpulse-no-such-file.pem");
    let errors = otlp_errors(|otlp| otlp.target.access.ca_file = Some(missing.clone()));
    assert!(errors[0].contains("feedpulse-no-such-file.pem: no certificates"), "{errors:?}");
    let errors = otlp_errors(|otlp| {
        otlp.target.access.client_certificate =
            Some(ClientCertificate { certificate_file: missing.clone(), key_file: missing });
    });
    assert!(errors[0].contains("entity not found"), "{errors:?}");
    let errors = otlp_errors(|otlp| {
        otlp.target.access.headers = vec![("x-key".to_owned(), Secret::new("s3cret\n"))];
    });
    assert_eq!(errors, ["otlp: header x-key: its value has bytes that no header can carry"]);
}

#[test]
fn mail_settings_and_proxies_that_cannot_work_are_refused() {
    let mail = |change: &dyn Fn(&mut Mail, &mut Target)| {
        let mut server = Target::new("smtp.example.org:25");
        let mut mail = Mail {
            security: Security::None,
            user: None,
            from: "Feedpulse <f@example.org>".to_owned(),
            to: vec!["ana@example.org".to_owned()],
        };
        change(&mut mail, &mut server);
        let notifiers = vec![NotifierConfig::new("mail", server, Speech::Mail(mail))];
        errors(&SinksConfig { notifiers, ..SinksConfig::default() })
    };
    assert!(mail(&|_, _| {}).is_empty());
    let found = mail(&|mail, _| mail.user = Some(("f".to_owned(), Secret::new("s3cret"))));
    assert!(found[0].contains("would get a password in clear"), "{found:?}");
    assert!(!found[0].contains("s3cret"));
    let found = mail(&|mail, _| mail.to = Vec::new());
    assert!(found[0].contains("the count of recipients is 0, allowed is 1 to 50"), "{found:?}");
    let found = mail(&|mail, _| mail.from = "nobody".to_owned());
    assert!(found[0].contains("\"nobody\" is not a mail address"), "{found:?}");
    for (url, what) in [
        ("https://proxy:1", "another scheme than http"),
        ("http://u:p@proxy", "holds a user or password"),
        ("proxy", "cannot be read"),
    ] {
        let proxy = ProxyConfig { url: Secret::new(url), user: None };
        let found = mail(&|_, server| server.access.proxy = Some(proxy.clone()));
        assert!(found[0].starts_with("mail: proxy: the address"), "{found:?}");
        assert!(found[0].contains(what), "{found:?}");
    }
}

#[test]
fn templates_are_tried_before_they_are_needed() {
    assert_eq!(template_error("{{ notice|tojson }}"), "");
    let good = r#"{"text": {{ (code ~ ": " ~ summary)|tojson }}, "n": {{ urgent }},
        "over": {{ (event == "resolved")|tojson }}, "f": [{% for f in findings %}
        {{ f.code|tojson }}{% if not loop.last %},{% endif %}{% endfor %}]}"#;
    assert_eq!(template_error(good), "");
    let quoted = template_error(r#"{"text": "{{ summary }}"}"#);
    assert!(quoted.contains("not JSON (line 1, column"), "{quoted}");
    assert!(quoted.contains("write texts as {{ summary|tojson }}"), "{quoted}");
    let unknown = template_error("{\n\"text\": {{ sumary|tojson }}}");
    assert!(unknown.starts_with("webhook: line 2: undefined value"), "{unknown}");
    let broken = template_error("{{ summary|tojson }");
    assert!(broken.starts_with("webhook: line 1: syntax error"), "{broken}");
    let filter = template_error("{{ summary|to_json }}");
    assert!(filter.contains("to_json"), "{filter}");
    let resolved_only =
        template_error("{{ resolved_at|upper|tojson }}{% if resolved_at %}x{% endif %}");
    assert!(
        resolved_only.contains("not JSON"),
        "the resolved sample is tried too: {resolved_only}"
    );
}

#[test]
fn debug_output_shows_no_secret() {
    let mut target = Target::new("https://chat.example/hooks/s3cret-path");
    target.access.headers = vec![("x-key".to_owned(), Secret::new("s3cret-header"))];
    target.access.bearer = Some(Secret::new("s3cret-bearer"));
    let config = SinksConfig {
        otlp: Some(OtlpConfig::new(target.clone())),
        alertmanagers: vec![AlertmanagerConfig::new(vec![target.clone()])],
        notifiers: vec![NotifierConfig::webhook("webhook", target.clone())],
        dead_man: Some(DeadManConfig::new(target)),
        ..SinksConfig::default()
    };
    let shown = format!("{config:?}");
    assert!(!shown.contains("s3cret"), "{shown}");
    assert!(shown.contains("***") && shown.contains("x-key"), "{shown}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (deps, _own) = runtime.block_on(async { deps() });
    let mut config = config;
    // System certificates may be missing where this runs.
    let plain = |target: &mut Target| target.url = Secret::new("http://chat.example/s3cret-path");
    plain(&mut config.notifiers[0].target);
    plain(&mut config.alertmanagers[0].replicas[0]);
    plain(&mut config.dead_man.as_mut().unwrap().target);
    config.otlp.as_mut().unwrap().target.url = Secret::new("http://chat.example");
    let (sinks, tasks) = build(&config, &deps).unwrap();
    let shown = format!("{sinks:?} {tasks:?} {deps:?}");
    assert!(!shown.contains("s3cret"), "{shown}");
    let names: Vec<_> = tasks.iter().map(crate::Task::name).collect();
    let all = ["otlp-traces", "otlp-metrics", "otlp-logs", "alertmanager", "webhook", "dead-man"];
    assert_eq!(names, all);
}
