//! Resolving where effects go: telemetry, notifiers, routes, the heartbeat.

use super::access::headers;
use super::raw::RawSecret;
use super::raw_access::Reach;
use super::raw_sinks::{
    RawAlertRoute, RawMail, RawPath, RawProtocol, RawScope, RawSecurity, RawSeverity, RawUrl,
    Telling,
};
use super::resolve::Resolver;
use feedpulse_core::calendar::Calendar;
use feedpulse_core::codes::{Code, Severity};
use feedpulse_core::effect::Scope;
use feedpulse_sinks::Secret;
use feedpulse_sinks::config::{
    AlertmanagerConfig, Chat, ControlIds, DeadManConfig, Escalation, Mail, NotifierConfig,
    OtlpConfig, Protocol, RouteConfig, Security, SinksConfig, Speech, Target,
};
use feedpulse_sinks::notify::webhook::Method;
use std::time::Duration;

impl Resolver<'_> {
    pub(super) fn sinks(&mut self, calendar: &Calendar) -> SinksConfig {
        let raw = self.raw;
        let mut sinks = SinksConfig {
            site: raw.site.clone().unwrap_or_default(),
            runbook_base: self.base("alerts/runbook_base", raw.alerts.runbook_base.as_ref()),
            page_base: self.base("alerts/page_base", raw.alerts.page_base.as_ref()),
            calendar: calendar.clone(),
            otlp: self.otlp(),
            ..SinksConfig::default()
        };
        self.alertmanager(&mut sinks);
        sinks.notifiers = self.notifiers();
        sinks.dead_man = self.dead_man();
        sinks.routes = self.alert_routes(&sinks);
        let names = sinks.names();
        if raw.alerts.path == RawPath::Prometheus && !names.is_empty() {
            let hint = "remove the notifiers, whose alerts Prometheus sends, or set `path: direct`";
            let what = format!("with `path: prometheus` no notifier is used: {}", names.join(", "));
            self.wrong("alerts/path", what, hint);
        }
        self.works(&sinks);
        sinks
    }

    /// Whatever else cannot work, as the sinks themselves see it; once what is plainer is right.
    fn works(&mut self, sinks: &SinksConfig) {
        if !self.is_right() {
            return;
        }
        for error in feedpulse_sinks::check(sinks) {
            let place = error.place().split(':').next().unwrap_or_default().to_owned();
            let path = self.path_of(&place);
            self.wrong(&path, error.to_string(), "");
        }
    }

    /// Where a part of the sinks is in the file.
    fn path_of(&self, place: &str) -> String {
        let raw = self.raw;
        let names: [(&str, Vec<&String>); 5] = [
            ("webhooks", raw.webhooks.iter().map(|w| &w.name).collect()),
            ("slack", raw.slack.iter().map(|c| &c.name).collect()),
            ("teams", raw.teams.iter().map(|c| &c.name).collect()),
            ("pagerduty", raw.pagerduty.iter().map(|p| &p.name).collect()),
            ("email", raw.email.iter().map(|m| &m.name).collect()),
        ];
        for (list, names) in names {
            if let Some(n) = names.iter().position(|name| *name == place) {
                return format!("{list}/{n}");
            }
        }
        match place.split_once(' ') {
            Some(("route", number)) => {
                let number = number.parse::<usize>().unwrap_or(1).saturating_sub(1);
                format!("alerts/routes/{number}")
            }
            _ if place.starts_with("alertmanager") => "alertmanager".to_owned(),
            _ if place == "dead-man" => "dead_man".to_owned(),
            _ if place == "routes" => "alerts/routes".to_owned(),
            _ => place.to_owned(),
        }
    }

    /// An address to which something is appended.
    fn base(&mut self, path: &str, base: Option<&String>) -> String {
        let Some(base) = base else { return String::new() };
        if !base.starts_with("http://") && !base.starts_with("https://") {
            self.wrong(path, "not a URL with http:// or https://", "such as https://pulse.example");
        }
        base.clone()
    }

    fn target(
        &mut self,
        path: &str,
        url: &str,
        reach: Reach<'_>,
        timeout: Option<&String>,
    ) -> Target {
        if !url.starts_with("http://") && !url.starts_with("https://") {
            self.wrong(path, "not a URL with http:// or https://", "such as http://collector:4317");
        }
        // The other settings are beside the address.
        let beside = path.rsplit_once('/').map_or(path, |(beside, _)| beside);
        self.beside(beside, url, reach, timeout)
    }

    fn beside(
        &mut self,
        path: &str,
        url: &str,
        reach: Reach<'_>,
        timeout: Option<&String>,
    ) -> Target {
        let mut target = Target::new(url);
        target.timeout = self.time(&format!("{path}/timeout"), timeout, target.timeout);
        target.access = self.reached(path, reach);
        target
    }

    /// The text of an address, wherever it is.
    fn url(&mut self, path: &str, url: &RawUrl) -> String {
        match url {
            RawUrl::Text(text) => text.clone(),
            // A secret that is missing is said; a second sentence about it would only confuse.
            RawUrl::Secret(secret) => {
                self.secret(path, secret).unwrap_or_else(|| "http://missing".to_owned())
            }
        }
    }

    fn otlp(&mut self) -> Option<OtlpConfig> {
        let otlp = self.raw.otlp.as_ref()?;
        let mut target =
            self.target("otlp/endpoint", &otlp.endpoint, otlp.reach(), otlp.timeout.as_ref());
        target.access.headers = headers(&otlp.headers);
        let mut config = OtlpConfig::new(target);
        config.protocol = match otlp.protocol {
            RawProtocol::Grpc => Protocol::Grpc,
            RawProtocol::Http => Protocol::HttpProtobuf,
        };
        config.sample_per_minute = otlp.healthy_per_minute.unwrap_or(config.sample_per_minute);
        let every = otlp.metrics_every.as_ref();
        config.metrics_interval = self.time("otlp/metrics_every", every, config.metrics_interval);
        if otlp.clear_control_ids {
            config.control_ids = ControlIds::Clear;
        }
        Some(config)
    }

    fn alertmanager(&mut self, sinks: &mut SinksConfig) {
        let Some(am) = &self.raw.alertmanager else { return };
        let mut replicas = Vec::new();
        for (n, url) in am.urls.iter().enumerate() {
            let path = format!("alertmanager/urls/{n}");
            if !url.starts_with("http://") && !url.starts_with("https://") {
                let hint = "such as http://alertmanager:9093";
                self.wrong(&path, "not a URL with http:// or https://", hint);
            }
            replicas.push(self.beside("alertmanager", url, am.reach(), am.timeout.as_ref()));
        }
        let mut config = AlertmanagerConfig::new(replicas);
        let every = am.resend_every.as_ref();
        config.resend = self.time("alertmanager/resend_every", every, config.resend);
        config.min_severity = am.min_severity.map_or(config.min_severity, severity);
        config.labels = am.labels.clone().into_iter().collect();
        sinks.alertmanagers.push(config);
    }

    fn notifiers(&mut self) -> Vec<NotifierConfig> {
        let raw = self.raw;
        let mut all = Vec::new();
        for (n, hook) in raw.webhooks.iter().enumerate() {
            let (method, template) = (Method::Post, hook.template.clone());
            let speech = Speech::Webhook { method, template };
            all.push(self.posted(&format!("webhooks/{n}"), hook.telling(), &hook.url, speech));
        }
        let chats = [("slack", &raw.slack, Chat::Slack), ("teams", &raw.teams, Chat::Teams)];
        for (list, chats, chat) in chats {
            for (n, raw) in chats.iter().enumerate() {
                let path = format!("{list}/{n}");
                all.push(self.posted(&path, raw.telling(), &raw.url, Speech::Chat(chat)));
            }
        }
        for (n, pager) in raw.pagerduty.iter().enumerate() {
            let path = format!("pagerduty/{n}");
            let key = self.secret(&format!("{path}/routing_key"), &pager.routing_key);
            let speech = Speech::Pager { routing_key: Secret::new(key.unwrap_or_default()) };
            let events = RawUrl::Text(NotifierConfig::EVENTS.to_owned());
            let url = pager.url.as_ref().unwrap_or(&events);
            all.push(self.posted(&path, pager.telling(), url, speech));
        }
        for (n, mail) in raw.email.iter().enumerate() {
            all.push(self.mailed(&format!("email/{n}"), mail));
        }
        all
    }

    /// A notifier that is posted to.
    fn posted(
        &mut self,
        path: &str,
        raw: Telling<'_>,
        url: &RawUrl,
        speech: Speech,
    ) -> NotifierConfig {
        let place = format!("{path}/url");
        let url = self.url(&place, url);
        let target = self.target(&place, &url, raw.reach, raw.timeout);
        self.telling(path, raw, target, speech)
    }

    fn telling(
        &mut self,
        path: &str,
        raw: Telling<'_>,
        target: Target,
        speech: Speech,
    ) -> NotifierConfig {
        let mut config = NotifierConfig::new(raw.name, target, speech);
        let every = raw.repeat_every;
        config.repeat = self.time(&format!("{path}/repeat_every"), every, config.repeat);
        config.min_severity = raw.min_severity.map_or(config.min_severity, severity);
        config
    }

    fn mailed(&mut self, path: &str, raw: &RawMail) -> NotifierConfig {
        if raw.token.is_some() {
            let hint = "use `user` and `password`";
            self.wrong(&format!("{path}/token"), "mail servers take no token", hint);
        }
        let port = raw.server.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        if port.is_none() {
            let hint = "such as smtp.example.org:587";
            self.wrong(&format!("{path}/server"), "not a host and port", hint);
        }
        let telling = raw.telling();
        let reach = Reach { token: None, ..telling.reach };
        let target = self.beside(path, &raw.server, reach, telling.timeout);
        let mail = Mail {
            security: match raw.security {
                RawSecurity::StartTls => Security::StartTls,
                RawSecurity::Tls => Security::Tls,
                RawSecurity::None => Security::None,
            },
            user: self.login(path, raw.user.as_ref(), raw.password.as_ref()),
            from: raw.from.clone(),
            to: raw.to.clone(),
        };
        self.telling(path, telling, target, Speech::Mail(mail))
    }

    fn login(
        &mut self,
        path: &str,
        user: Option<&String>,
        password: Option<&RawSecret>,
    ) -> Option<(String, Secret)> {
        if user.is_some() != password.is_some() {
            self.wrong(path, "`user` and `password` go together", "give both, or none");
        }
        let password = self.secret(&format!("{path}/password"), password?)?;
        Some((user?.clone(), Secret::new(password)))
    }

    fn dead_man(&mut self) -> Option<DeadManConfig> {
        let raw = self.raw.dead_man.as_ref()?;
        let url = self.url("dead_man/url", &raw.url);
        let mut config = DeadManConfig::new(self.target(
            "dead_man/url",
            &url,
            raw.reach(),
            raw.timeout.as_ref(),
        ));
        config.every = self.time("dead_man/every", raw.every.as_ref(), config.every);
        Some(config)
    }

    fn alert_routes(&mut self, sinks: &SinksConfig) -> Vec<RouteConfig> {
        let known: Vec<String> = sinks.names().into_iter().map(str::to_owned).collect();
        let routes = self.raw.alerts.routes.iter().enumerate();
        routes
            .map(|(n, route)| self.alert_route(&format!("alerts/routes/{n}"), route, &known))
            .collect()
    }

    fn alert_route(
        &mut self,
        path: &str,
        raw: &RawAlertRoute,
        notifiers: &[String],
    ) -> RouteConfig {
        for (i, name) in raw.notifiers.iter().enumerate() {
            self.find(&format!("{path}/notifiers/{i}"), "notifier", name, notifiers);
        }
        let mut waypoints = raw.waypoints.clone();
        for (i, name) in raw.waypoints.iter().enumerate() {
            self.waypoint(&format!("{path}/waypoints/{i}"), name);
        }
        for (i, system) in raw.systems.iter().enumerate() {
            let of = self.raw.waypoints.iter().filter(|w| self.system(w) == *system);
            let of: Vec<String> = of.map(|w| w.name.clone()).collect();
            if of.is_empty() {
                let hint = "a waypoint's `system`, or the host that its listener forwards to";
                let what = format!("no waypoint is of a system called {system:?}");
                self.wrong(&format!("{path}/systems/{i}"), what, hint);
            }
            waypoints.extend(of);
        }
        let is_code = |text: &str| Code::ALL.iter().any(|code| code.text().code.starts_with(text));
        for (i, code) in raw.codes.iter().enumerate() {
            if code.is_empty() || !is_code(code) {
                let what = format!("no code begins with {code:?}");
                self.wrong(&format!("{path}/codes/{i}"), what, "such as FP0104 or FP01");
            }
        }
        let minute = Duration::from_secs(60);
        let updates = raw.updates.as_ref();
        let wait = raw.wait.as_ref();
        let escalate = raw.escalate.as_ref().map(|escalate| {
            for (i, name) in escalate.to.iter().enumerate() {
                self.find(&format!("{path}/escalate/to/{i}"), "notifier", name, notifiers);
            }
            let after = self.time(&format!("{path}/escalate/after"), Some(&escalate.after), minute);
            Escalation { after, to: escalate.to.clone() }
        });
        RouteConfig {
            feeds: raw.feeds.clone(),
            waypoints,
            scopes: raw.scopes.iter().map(|s| scope(*s).name().to_owned()).collect(),
            severities: raw.severities.iter().map(|s| severity(*s)).collect(),
            codes: raw.codes.clone(),
            notifiers: raw.notifiers.clone(),
            updates: updates.map(|_| self.time(&format!("{path}/updates"), updates, minute)),
            wait: self.time(&format!("{path}/wait"), wait, Duration::ZERO),
            escalate,
            goes_on: raw.goes_on,
        }
    }
}

pub(super) const fn severity(raw: RawSeverity) -> Severity {
    match raw {
        RawSeverity::Ticket => Severity::Ticket,
        RawSeverity::Page => Severity::Page,
    }
}

const fn scope(raw: RawScope) -> Scope {
    match raw {
        RawScope::Own => Scope::Own,
        RawScope::Feed => Scope::Feed,
        RawScope::Feeds => Scope::Feeds,
        RawScope::Link => Scope::Link,
        RawScope::System => Scope::System,
        RawScope::Everything => Scope::Everything,
    }
}

#[cfg(test)]
mod tests {
    use crate::config::load;
    use std::time::Duration;

    const BASE: &str = "\
waypoints: [{name: portal-in, system: portal}, {name: engine-in}]
files: [{watch: /x, waypoint: portal-in}]
webhooks: [{name: hook, url: \"http://h/1\"}]
";

    fn problems(more: &str) -> Vec<String> {
        let found = load(&format!("{BASE}{more}")).err().unwrap_or_default();
        found.iter().map(|p| p.to_string().replace("\\n    ", " | ")).collect()
    }

    #[test]
    fn every_kind_of_notifier_and_route_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "https://hooks.example/T0/s3cret\n").unwrap();
        let secret = secret.display();
        let text = format!(
            "{BASE}slack: [{{name: chat, url: {{file: {secret}}}, proxy: \"http://proxy:3128\"}}]\n\
             teams: [{{name: teams, url: {{file: {secret}}}, timeout: 5s, \
             proxy: {{url: \"http://p:1\", user: u, password: {{file: {secret}}}}}}}]\n\
             pagerduty: [{{name: pager, routing_key: {{file: {secret}}}, min_severity: ticket}}]\n\
             email: [{{name: mail, server: \"smtp.example.org:465\", security: tls, user: u, \
             password: {{file: {secret}}}, from: \"F <f@example.org>\", to: [\"a@example.org\"]}}]\n\
             dead_man: {{url: \"https://m.example/ping/1\", every: 30s}}\n\
             alerts:\n  page_base: https://pulse.example\n  runbook_base: https://docs.example\n  \
             routes:\n    - {{systems: [portal], severities: [page], scopes: [link], codes: [FP01], \
             notifiers: [pager, chat], updates: 30m, wait: 2m, \
             escalate: {{after: 15m, to: [mail]}}, continue: true}}\n    - {{notifiers: [hook]}}\n"
        );
        let sinks = load(&text).unwrap_or_else(|p| panic!("{p:#?}")).sinks;
        assert_eq!(sinks.names(), ["hook", "chat", "teams", "pager", "mail"]);
        assert!(sinks.notifiers[1..3].iter().all(|chat| chat.target.access.proxy.is_some()));
        assert_eq!(sinks.notifiers[2].target.timeout, Duration::from_secs(5));
        assert_eq!(sinks.dead_man.unwrap().every, Duration::from_secs(30));
        assert_eq!(sinks.page_base, "https://pulse.example");
        let route = &sinks.routes[0];
        assert_eq!(route.waypoints, ["portal-in"]);
        assert_eq!((route.scopes[0].as_str(), route.goes_on), ("link", true));
        assert_eq!(route.updates, Some(Duration::from_secs(1_800)));
        assert_eq!(route.escalate.as_ref().unwrap().after, Duration::from_secs(900));
    }

    #[test]
    fn what_cannot_work_is_said_with_a_hint() {
        for (more, parts) in [
            (
                "alerts: {routes: [{notifiers: [hok], updates: often, codes: [FP77], systems: [x]}]}\n",
                [
                    "did you mean \"hook\"?",
                    "updates: not a time",
                    "no code begins with \"FP77\"",
                    "no waypoint is of a system called \"x\"",
                ]
                .as_slice(),
            ),
            (
                "alerts: {routes: [{notifiers: [], escalate: {after: 1h, to: [boss]}}]}\n",
                &["no notifier is called \"boss\""],
            ),
            ("alerts: {path: prometheus}\n", &["no notifier is used: hook", "path: direct"]),
            ("alerts: {path: both}\n", &["not one of the known words"]),
            (
                "pagerduty: [{name: p, routing_key: {env: FEEDPULSE_NO_SUCH_VARIABLE}}]\n",
                &["the environment variable FEEDPULSE_NO_SUCH_VARIABLE is not set"],
            ),
            (
                "email: [{name: m, server: smtp, user: u, from: a@b.c, to: []}]\n",
                &["not a host and port", "`user` and `password` go together"],
            ),
            ("dead_man: {url: \"ftp://x\"}\n", &["not a URL with http:// or https://"]),
            (
                "alerts:\n  routes:\n    - {notifiers: [hook], wait: 5h}\ndead_man: {url: \"http://x\", every: 1s}\n\
                 slack: [{name: Chat Room, url: \"http://x\"}]\n",
                &[
                    "6:7: alerts/routes #1: route 1: wait is 18000s, allowed is 0 to 1 h",
                    "dead_man: dead-man: every is 1s, allowed is 10 s to 1 h",
                    "\"Chat Room\" must have 1 to 24 lower-case letters",
                ],
            ),
            (
                "email: [{name: m, server: \"smtp:25\", from: nobody, to: [\"a@b.example\"]}]\n",
                &["email #1: m: \"nobody\" is not a mail address"],
            ),
            ("slack: [{name: s, url: 7}]\n", &["slack #1/url"]),
        ] {
            let found = problems(more);
            for part in parts {
                assert!(found.iter().any(|p| p.contains(part)), "{part}: {found:#?}");
            }
            assert!(found.iter().all(|p| p.starts_with(|c: char| c.is_ascii_digit())), "{found:?}");
        }
        assert!(problems("").is_empty());
    }

    #[test]
    fn prometheus_alone_keeps_the_heartbeat() {
        let text = BASE.replace("webhooks: [{name: hook, url: \"http://h/1\"}]\n", "");
        let more = "alerts: {path: prometheus}\ndead_man: {url: \"http://m/1\"}\n";
        let sinks = load(&format!("{text}{more}")).unwrap_or_else(|p| panic!("{p:#?}")).sinks;
        assert!(sinks.dead_man.is_some() && sinks.names().is_empty());
    }
}
