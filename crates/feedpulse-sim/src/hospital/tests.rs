//! Tests of the whole hospital over real loopback sockets, with short times and waits for events.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::engine::AckMode;
use crate::hl7::AckCode;
use crate::truth::{Counts, RelayState};

/// The hospital of the demo with short times and 150 messages a second from each sender.
fn quick(seed: u64) -> HospitalConfig {
    let ms = Duration::from_millis;
    let mut config = HospitalConfig::demo(seed, 1_767_225_600_000_000);
    for sender in &mut config.senders {
        sender.rate_per_s = 150.0;
        sender.redial = ms(5);
        sender.redial_max = ms(20);
        sender.reject_pause = ms(5);
    }
    // Long, so that a busy machine makes no time-out; tests of time-outs set their own.
    config.engine.ack_timeout = ms(30_000);
    config.engine.reconnect_pause = ms(5);
    config.engine.reject_pause = ms(5);
    config.portal = PortalConfig { service_min: ms(0), service_max: ms(1) };
    config
}

async fn direct(config: HospitalConfig) -> Hospital {
    let hospital = Hospital::start(config).await.unwrap();
    hospital.connect(&hospital.direct()).unwrap();
    hospital
}

/// Back to normal, everything delivered, stopped; what must hold after any trouble.
async fn recover(hospital: Hospital) -> (Truth, Counts) {
    hospital.control().set_portal(PortalMode::Normal);
    assert!(hospital.drain(Duration::from_secs(60)).await, "not drained");
    let truth = hospital.stop().await;
    let counts = truth.ledger.counts();
    assert_eq!(truth.ledger.contradictions(), Vec::<String>::new());
    assert_eq!(counts.sent, counts.sender_accepted);
    assert_eq!(counts.engine_queued, 0);
    let fates = counts.engine_accepted + counts.engine_errored + counts.engine_not_stored;
    assert_eq!(counts.engine_received, fates);
    for hop in [Hop::SenderToEngine, Hop::EngineToPortal] {
        assert!(truth.identity(hop).holds(), "{hop:?}: {:?}", truth.identity(hop));
    }
    (truth, counts)
}

#[tokio::test]
async fn in_calm_every_message_is_accepted_once_and_both_ends_agree() {
    let mut config = quick(1);
    config.senders[0].variety = true;
    let hospital = direct(config).await;
    hospital.wait_for(|ledger| ledger.portal.len() >= 100).await;
    let (truth, counts) = recover(hospital).await;
    assert!(counts.sent >= 100);
    for count in [counts.engine_received, counts.engine_accepted, counts.portal_accepted] {
        assert_eq!(count, counts.sent);
    }
    assert_eq!((counts.resent, counts.engine_resent, counts.engine_duplicates), (0, 0, 0));
    assert_eq!((truth.ledger.stray_answers, truth.ledger.events_skipped), (0, 0));
    for hop in [Hop::SenderToEngine, Hop::EngineToPortal] {
        let identity = truth.identity(hop);
        assert_eq!((identity.dialled, identity.accepted, identity.exact), (2, 2, 2));
        let (written, read) = truth.bytes(hop);
        assert!(written == read && written > 20_000);
    }
    // The engine rewrites control ids, keeps the order of a route, and waits for nobody's clock.
    let engine = &truth.ledger.engine;
    assert!(engine.iter().all(|r| r.forwarded_id.starts_with('N') && r.attempts == 1));
    assert!(engine.iter().all(|r| r.first_forwarded_us.unwrap() >= r.received_us));
    let sent: Vec<&str> =
        truth.ledger.sent.iter().filter(|r| r.sender == "LAB").map(|r| &*r.control_id).collect();
    let got: Vec<&str> =
        engine.iter().filter(|r| r.route == "LAB").map(|r| &*r.received_id).collect();
    assert_eq!(sent, got);
}

#[tokio::test]
async fn nobody_dials_before_connect_and_a_refused_port_stays_ours() {
    let hospital = Hospital::start(quick(2)).await.unwrap();
    let control = hospital.control();
    control.set_portal(PortalMode::Refuse);
    while TcpStream::connect(hospital.portal_addr()).await.is_ok() {
        tokio::task::yield_now().await;
    }
    hospital.connect(&hospital.direct()).unwrap();
    hospital.wait_for(|ledger| ledger.counts().engine_queued >= 30).await;
    assert!(hospital.truth().ledger.portal.is_empty());
    let (truth, counts) = recover(hospital).await;
    assert_eq!(counts.portal_accepted, counts.sent);
    assert_eq!(truth.ledger.engine[0].attempts, 1);
}

#[tokio::test]
async fn refusal_resets_open_connections_and_loses_nothing() {
    let hospital = direct(quick(3)).await;
    hospital.wait_for(|ledger| ledger.portal.len() >= 20).await;
    let reached = hospital.truth().ledger.counts().portal_accepted as usize;
    hospital.control().set_portal(PortalMode::Refuse);
    hospital.wait_for(|ledger| ledger.counts().engine_queued >= 40).await;
    let (truth, counts) = recover(hospital).await;
    assert!(counts.portal_accepted as usize >= reached + 40);
    assert!(truth.identity(Hop::EngineToPortal).dialled >= 4);
    assert_eq!(truth.identity(Hop::SenderToEngine).dialled, 2);
}

#[tokio::test]
async fn a_hang_makes_the_engine_resend_the_same_message() {
    let mut config = quick(4);
    config.engine.ack_timeout = Duration::from_millis(40);
    let hospital = direct(config).await;
    hospital.wait_for(|ledger| ledger.portal.len() >= 10).await;
    hospital.control().set_portal(PortalMode::Hang);
    hospital.wait_for(|ledger| ledger.counts().engine_resent >= 4).await;
    let (truth, counts) = recover(hospital).await;
    assert!(counts.portal_unanswered >= 4);
    let resent = truth.ledger.engine.iter().find(|r| r.attempts > 1).unwrap();
    let same: Vec<_> =
        truth.ledger.portal.iter().filter(|r| r.control_id == resent.forwarded_id).collect();
    assert!(same.len() >= 2 && same[0].mode == "hang" && same[0].answer.is_none());
    assert_eq!(resent.state, RelayState::Accepted);
}

#[tokio::test]
async fn resets_in_mid_message_cut_frames_and_lose_nothing() {
    let hospital = direct(quick(5)).await;
    hospital.wait_for(|ledger| ledger.portal.len() >= 10).await;
    hospital.control().set_portal(PortalMode::Reset);
    hospital.wait_for(|ledger| ledger.counts().engine_resent >= 6).await;
    let (truth, _) = recover(hospital).await;
    let cut = truth.ends.iter().filter(|e| e.hop == Hop::EngineToPortal && !e.dialled);
    assert!(cut.filter(|e| (1..=32).contains(&e.read.len())).count() >= 2);
}

#[tokio::test]
async fn errors_go_to_the_error_list_and_rejects_are_tried_again() {
    for (code, share) in [(AckCode::Ae, 1.0), (AckCode::Ar, 1.0), (AckCode::Ar, 0.5)] {
        let hospital = direct(quick(6)).await;
        let (error, text) = ("207".to_owned(), "down".to_owned());
        hospital.control().set_portal(PortalMode::Nack { share, code, error, text });
        hospital
            .wait_for(|ledger| {
                let counts = ledger.counts();
                counts.portal_errored + counts.portal_rejected >= 10
            })
            .await;
        let (truth, counts) = recover(hospital).await;
        if code == AckCode::Ae {
            assert_eq!(counts.engine_errored, counts.portal_errored);
            assert!(counts.engine_errored >= 10 && counts.engine_resent == 0);
        } else {
            assert_eq!((counts.engine_errored, counts.engine_accepted), (0, counts.sent));
            assert_eq!(counts.engine_resent, counts.portal_rejected);
            assert_eq!(truth.identity(Hop::EngineToPortal).dialled, 2);
        }
    }
}

#[tokio::test]
async fn a_slow_portal_builds_a_backlog_that_drains() {
    let hospital = direct(quick(7)).await;
    let delay = Duration::from_millis(60);
    hospital.control().set_portal(PortalMode::Slow { delay });
    hospital.wait_for(|ledger| ledger.counts().engine_queued >= 20).await;
    let (truth, counts) = recover(hospital).await;
    assert_eq!(counts.portal_accepted, counts.sent);
    let slow = truth.ledger.portal.iter().filter(|r| r.mode == "slow");
    assert!(slow.map(|r| r.answer.unwrap().at_us - r.received_us).all(|us| us >= 60_000));
}

#[tokio::test]
async fn a_paused_sender_is_silent_and_a_regression_is_sent_in_order() {
    let hospital = direct(quick(8)).await;
    let control = hospital.control();
    control.pause("EHR").unwrap();
    hospital.wait_for(|ledger| ledger.sent.iter().any(|r| r.sender == "LAB")).await;
    let from_ehr = |ledger: &Ledger| ledger.sent.iter().filter(|r| r.sender == "EHR").count();
    let before = from_ehr(&hospital.truth().ledger);
    assert!(control.regress("LAB").unwrap() && control.is_paused("EHR").unwrap());
    hospital.wait_for(|ledger| ledger.regressions.len() == 1 && ledger.portal.len() >= 40).await;
    // One more may have been under way when the pause came.
    assert!(from_ehr(&hospital.truth().ledger) <= before + 1);
    control.resume("EHR").unwrap();
    hospital.wait_for(|ledger| from_ehr(ledger) >= before + 5).await;
    assert!(control.pause("XYZ").unwrap_err().to_string().contains("XYZ"));
    let (truth, _) = recover(hospital).await;
    let regression = &truth.ledger.regressions[0];
    let at = |id: &str| truth.ledger.engine.iter().position(|r| r.received_id == id).unwrap();
    assert!(at(&regression.final_id) < at(&regression.preliminary_id));
    let fillers = truth.ledger.sent.iter().filter_map(|r| r.order_filler.as_deref());
    assert_eq!(fillers.filter(|f| *f == regression.order_filler).count(), 2);
}

#[tokio::test]
async fn enhanced_mode_commits_first_and_answers_later() {
    for mode in [AckMode::Commit, AckMode::CommitThenApplication] {
        let mut config = quick(9);
        config.engine.ack_mode = mode;
        config.engine.shared_port = true;
        config.engine.source = Some(("HUB".to_owned(), "H".to_owned()));
        let hospital = direct(config).await;
        let addrs: Vec<_> = hospital.engine_addrs().values().collect();
        assert_eq!(addrs[0], addrs[1]);
        let both = mode == AckMode::CommitThenApplication;
        hospital
            .wait_for(|ledger| {
                ledger.portal.len() >= 40
                    && (!both || ledger.sent.iter().any(|r| r.application.is_some()))
            })
            .await;
        let (truth, _) = recover(hospital).await;
        assert!(truth.ledger.sent.iter().all(|r| r.answer.unwrap().code == AckCode::Ca));
        let later: Vec<_> = truth.ledger.sent.iter().filter_map(|r| r.application).collect();
        assert_eq!(later.is_empty(), !both);
        assert!(later.iter().all(|answer| answer.code == AckCode::Aa));
        assert_eq!(truth.ledger.stray_answers, 0);
    }
}

#[tokio::test]
async fn a_full_queue_is_answered_with_a_reject_and_the_sender_tries_again() {
    let mut config = quick(10);
    config.engine.queue_limit = 3;
    let hospital = direct(config).await;
    hospital.control().set_portal(PortalMode::Refuse);
    hospital.wait_for(|ledger| ledger.counts().engine_not_stored >= 5).await;
    let (truth, counts) = recover(hospital).await;
    assert!(counts.resent >= 5);
    assert_eq!(counts.engine_accepted, counts.sent);
    let told = truth.ledger.engine.iter().filter(|r| r.state == RelayState::NotStored);
    assert!(told.filter_map(|r| r.answer).all(|answer| answer.code == AckCode::Ar));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_troubles_in_a_row_on_two_threads_lose_nothing() {
    let mut config = quick(13);
    config.engine.ack_timeout = Duration::from_millis(40);
    let hospital = direct(config).await;
    let nack = |code| PortalMode::Nack {
        share: 0.5,
        code,
        error: "207".to_owned(),
        text: "down".to_owned(),
    };
    for mode in [
        PortalMode::Slow { delay: Duration::from_millis(5) },
        nack(AckCode::Ae),
        nack(AckCode::Ar),
        PortalMode::Hang,
        PortalMode::Refuse,
        PortalMode::Reset,
    ] {
        let trouble = |ledger: &Ledger| {
            let counts = ledger.counts();
            let answers = counts.portal_errored + counts.portal_rejected;
            answers + counts.engine_resent + counts.engine_queued + counts.portal_unanswered
        };
        let before = hospital.truth().ledger.engine.len();
        hospital.control().set_portal(mode);
        hospital.wait_for(|l| l.engine.len() >= before + 20 && trouble(l) >= 5).await;
        hospital.control().set_portal(PortalMode::Normal);
    }
    recover(hospital).await;
}

#[tokio::test]
async fn a_stop_in_the_middle_of_any_trouble_ends_and_the_truth_stands() {
    for mode in [
        PortalMode::Normal,
        PortalMode::Slow { delay: Duration::from_secs(20) },
        PortalMode::Hang,
        PortalMode::Refuse,
        PortalMode::Reset,
    ] {
        let mut config = quick(14);
        config.grace = Duration::from_millis(20);
        let hospital = direct(config).await;
        hospital.wait_for(|ledger| ledger.portal.len() >= 10).await;
        hospital.control().set_portal(mode.clone());
        let before = hospital.truth().ledger.engine.len();
        hospital.wait_for(|ledger| ledger.engine.len() >= before + 20).await;
        let control = hospital.control();
        let truth = hospital.stop().await;
        assert!(truth.identical(), "{mode:?}");
        assert_eq!(truth.ledger.contradictions(), Vec::<String>::new(), "{mode:?}");
        assert!(truth.ends.iter().all(|end| end.closed_us.is_some()));
        // A control that outlives its hospital does no harm.
        control.set_portal(PortalMode::Normal);
        assert!(!control.regress("LAB").unwrap());
    }
}

/// A proxy for one connection after another that can change one byte of what the dialler sends.
async fn proxy(to: SocketAddr, spoil: bool) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut pairs = JoinSet::new();
        loop {
            let (near, _) = listener.accept().await.unwrap();
            let far = TcpStream::connect(to).await.unwrap();
            pairs.spawn(async move {
                let ((mut near_read, mut near_write), (mut far_read, mut far_write)) =
                    (near.into_split(), far.into_split());
                let there = async {
                    let mut buffer = [0; 700];
                    let mut total = 0;
                    while let Ok(n) = near_read.read(&mut buffer).await {
                        // Byte 5,000 of the stream is patient data, so every actor goes on as before.
                        if spoil && (total..total + n).contains(&5_000) {
                            buffer[5_000 - total] ^= 1;
                        }
                        total += n;
                        if n == 0 || far_write.write_all(&buffer[..n]).await.is_err() {
                            break;
                        }
                    }
                    far_write.shutdown().await
                };
                let back = async {
                    let copied = tokio::io::copy(&mut far_read, &mut near_write).await;
                    copied.and(near_write.shutdown().await)
                };
                let _ends = tokio::join!(there, back);
            });
        }
    });
    (addr, tasks)
}

#[tokio::test]
async fn identity_holds_through_an_honest_proxy_and_fails_through_a_spoiling_one() {
    for spoil in [false, true] {
        let hospital = Hospital::start(quick(11)).await.unwrap();
        let mut routes = hospital.direct();
        let (addr, _tasks) = proxy(hospital.portal_addr(), spoil).await;
        routes.to_portal = addr;
        hospital.connect(&routes).unwrap();
        hospital.wait_for(|ledger| ledger.counts().engine_accepted >= 60).await;
        assert!(hospital.drain(Duration::from_secs(60)).await);
        let truth = hospital.stop().await;
        assert!(truth.identity(Hop::SenderToEngine).holds());
        assert_eq!(truth.identity(Hop::EngineToPortal).holds(), !spoil);
        assert_eq!(truth.identical(), !spoil);
        let (written, read) = truth.bytes(Hop::EngineToPortal);
        assert_eq!(written, read);
    }
}

#[tokio::test]
async fn bytes_that_are_no_hl7_and_unknown_applications_are_not_stored() {
    let hospital = Hospital::start(quick(12)).await.unwrap();
    let mut stream = TcpStream::connect(hospital.engine_addrs()["LAB"]).await.unwrap();
    stream.write_all(b"\x0bhello\x1c\r\x0bMSH|^~\\&|NOBODY|X||||\rPID|1\x1c\r").await.unwrap();
    hospital.wait_for(|l| l.engine.len() == 2 && l.engine[1].answer.is_some()).await;
    let truth = hospital.stop().await;
    assert!(truth.ledger.engine.iter().all(|r| r.state == RelayState::NotStored));
    assert_eq!(truth.ledger.engine[0].answer, None);
    assert_eq!(truth.ledger.engine[1].answer.unwrap().code, AckCode::Ar);
}

#[tokio::test]
async fn unusable_settings_are_refused_with_a_reason() {
    let with = |change: &dyn Fn(&mut HospitalConfig)| {
        let mut config = quick(0);
        change(&mut config);
        config
    };
    for (config, reason) in [
        (with(&|c| c.senders.clear()), "1 to 1,000"),
        (with(&|c| c.senders[1].name = "EHR".to_owned()), "name of its own"),
        (with(&|c| c.senders[1].app = "EHR".to_owned()), "MSH-3"),
        (with(&|c| c.senders[1].id_prefix = "EHR".to_owned()), "collide"),
        (with(&|c| c.senders[1].kinds = vec![(Kind::AdtA01, 0)]), "weight"),
        (with(&|c| c.senders[0].rate_per_s = f64::NAN), "rate_per_s"),
        (with(&|c| c.engine.queue_limit = 0), "queue_limit"),
        (with(&|c| c.canaries = vec!["a b".to_owned()]), "canary 0"),
    ] {
        let error = Hospital::start(config).await.unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
    let hospital = Hospital::start(quick(0)).await.unwrap();
    let mut routes = hospital.direct();
    routes.to_engine.insert("XYZ".to_owned(), routes.to_portal);
    assert!(hospital.connect(&routes).is_err());
}
