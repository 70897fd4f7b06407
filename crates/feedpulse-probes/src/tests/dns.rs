//! Mail addresses against a DNS server of the test: block lists, PTR, SPF, and servers that fail.

use super::{failed, found, look_with};
use crate::{Look, Mail, Tcp, What};
use core::time::Duration;
use feedpulse_core::codes::Code;
use feedpulse_core::label::Label;
use feedpulse_core::probe::{Known, Saw};
use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, MX, PTR, TXT};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::net::{TcpListener, UdpSocket};

/// What a server says of a name and a kind.
#[derive(Clone)]
enum Says {
    Records(Vec<RData>),
    Code(ResponseCode),
    /// Nothing at all.
    Silence,
}

type Zone = BTreeMap<(String, RecordType), Says>;

fn name(text: &str) -> Name {
    Name::from_ascii(format!("{}.", text.trim_end_matches('.'))).unwrap()
}

/// A zone of lines: `name kind data`.
fn zone(lines: &[&str]) -> Zone {
    let mut zone = Zone::new();
    for line in lines {
        let mut words = line.splitn(3, ' ');
        let (owner, kind, data) =
            (words.next().unwrap(), words.next().unwrap(), words.next().unwrap_or(""));
        let owner = owner.to_ascii_lowercase();
        let (kind, data) = match kind {
            "A" => (RecordType::A, RData::A(A(data.parse().unwrap()))),
            "AAAA" => (RecordType::AAAA, RData::AAAA(AAAA(data.parse().unwrap()))),
            "PTR" => (RecordType::PTR, RData::PTR(PTR(name(data)))),
            "MX" => (RecordType::MX, RData::MX(MX::new(10, name(data)))),
            "TXT" => (RecordType::TXT, RData::TXT(TXT::new(vec![data.to_owned()]))),
            "SERVFAIL" => {
                zone.insert((owner, RecordType::A), Says::Code(ResponseCode::ServFail));
                continue;
            }
            "SILENCE" => {
                zone.insert((owner, RecordType::A), Says::Silence);
                continue;
            }
            other => panic!("{other}"),
        };
        match zone.entry((owner, kind)).or_insert_with(|| Says::Records(Vec::new())) {
            Says::Records(list) => list.push(data),
            _ => panic!("{line}"),
        }
    }
    zone
}

fn answer(zone: &Zone, asked: &[u8]) -> Option<Vec<u8>> {
    let asked = Message::from_vec(asked).unwrap();
    let query = asked.queries.first().unwrap().clone();
    let owner = query.name().to_ascii().trim_end_matches('.').to_ascii_lowercase();
    let mut said = Message::response(asked.metadata.id, asked.metadata.op_code);
    said.metadata.message_type = MessageType::Response;
    said.metadata.recursion_available = true;
    said.add_query(query.clone());
    let known = zone.keys().any(|(n, _)| *n == owner);
    match zone.get(&(owner, query.query_type())) {
        Some(Says::Silence) => return None,
        Some(Says::Code(code)) => said.metadata.response_code = *code,
        Some(Says::Records(list)) => {
            for data in list {
                said.add_answer(Record::from_rdata(query.name().clone(), 60, data.clone()));
            }
        }
        None if known => {}
        None => said.metadata.response_code = ResponseCode::NXDomain,
    }
    Some(said.to_vec().unwrap())
}

/// Serves a zone over UDP; nobody answers over TCP.
async fn serve(lines: &[&str]) -> SocketAddr {
    let zone = Arc::new(zone(lines));
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = vec![0; 4_096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            if let Some(said) = answer(&zone, &buffer[..length]) {
                socket.send_to(&said, from).await.unwrap();
            }
        }
    });
    address
}

fn mail(addresses: &[&str]) -> Mail {
    Mail { addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(), ..Mail::default() }
}

async fn ask(server: SocketAddr, mail: Mail) -> Look {
    look_with(What::Mail(mail), Some(server), Duration::from_secs(6)).await
}

fn of(part: &str, class: Option<&str>) -> (String, Option<String>) {
    (Label::distinct(part).to_string(), class.map(str::to_owned))
}

#[tokio::test]
async fn block_lists_are_asked_in_their_order_and_their_errors_are_no_listings() {
    let server = serve(&[
        "7.2.0.192.bl.test A 127.0.0.2",
        "7.2.0.192.refused.test A 127.255.255.254",
        "8.2.0.192.broken.test SERVFAIL",
    ])
    .await;
    let lists = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    let probe = Mail {
        block_lists: lists(&["bl.test", "refused.test"]),
        ..mail(&["192.0.2.7", "192.0.2.9"])
    };
    let seen = ask(server, probe).await;
    assert_eq!(
        found(&seen, Code::MailBlocked),
        [
            of("192.0.2.7 bl.test", Some("listed")),
            of("192.0.2.7 refused.test", None),
            of("192.0.2.9 bl.test", None),
            of("192.0.2.9 refused.test", None),
        ]
    );
    assert_eq!(found(&seen, Code::ProbeBlind), [of("", None)]);
    // A list that fails says nothing about the address, and the others are still asked.
    let probe = Mail { block_lists: lists(&["broken.test", "bl.test"]), ..mail(&["192.0.2.8"]) };
    let seen = ask(server, probe).await;
    assert_eq!(found(&seen, Code::MailBlocked), [of("192.0.2.8 bl.test", None)]);
    assert_eq!(found(&seen, Code::ProbeBlind), [of("", Some("dns servfail"))]);
}

#[tokio::test]
async fn a_name_must_lead_back() {
    let server = serve(&[
        "1.2.0.192.in-addr.arpa PTR out.portal.test",
        "out.portal.test A 192.0.2.1",
        "2.2.0.192.in-addr.arpa PTR else.portal.test",
        "else.portal.test A 192.0.2.99",
    ])
    .await;
    let probe = Mail { ptr: true, ..mail(&["192.0.2.1", "192.0.2.2", "192.0.2.3"]) };
    let seen = ask(server, probe).await;
    assert_eq!(
        found(&seen, Code::MailNames),
        [
            of("192.0.2.1", None),
            of("192.0.2.2", Some("PTR differs")),
            of("192.0.2.3", Some("no PTR")),
        ]
    );
}

#[tokio::test]
async fn policies_are_evaluated_as_rfc_7208_says() {
    let mut lines = vec![
        "ip.test TXT v=spf1 ip4:192.0.2.0/28 ip6:2001:db8::/32 -all",
        "soft.test TXT v=spf1 ip4:198.51.100.1 ~all",
        "open.test TXT v=spf1 ip4:198.51.100.1",
        "a.test TXT v=spf1 a:out.test/24 -all",
        "out.test A 192.0.2.200",
        "mx.test TXT v=spf1 mx -all",
        "mx.test MX mail.mx.test",
        "mail.mx.test A 192.0.2.7",
        "inc.test TXT v=spf1 include:ip.test -all",
        "deep.test TXT v=spf1 include:inc.test ?all",
        "redir.test TXT v=spf1 redirect=ip.test",
        "nothing.test TXT some other text",
        "twice.test TXT v=spf1 -all",
        "twice.test TXT v=spf1 +all",
        "wrong.test TXT v=spf1 ipv4:192.0.2.7 -all",
        "gone.test TXT v=spf1 include:missing.test -all",
        "void.test TXT v=spf1 a:n1.test a:n2.test a:n3.test ip4:192.0.2.7 -all",
        "loop.test TXT v=spf1 include:loop.test -all",
        "macro.test TXT v=spf1 exists:%{ir}.ok.%{d} -all",
        "7.2.0.192.ok.macro.test A 127.0.0.1",
        "upper.test TXT V=SPF1 IP4:192.0.2.7 -ALL",
    ];
    let many =
        format!("many.test TXT v=spf1 {} ip4:192.0.2.7 -all", "a:out.test ".repeat(11).trim());
    lines.push(&many);
    let server = serve(&lines).await;
    for (domain, expected) in [
        ("ip.test", None),
        ("soft.test", Some("SPF softfail")),
        ("open.test", Some("SPF neutral")),
        ("a.test", None),
        ("mx.test", None),
        ("inc.test", None),
        ("deep.test", None),
        ("redir.test", None),
        ("nothing.test", Some("SPF none")),
        ("twice.test", Some("SPF permerror")),
        ("wrong.test", Some("SPF permerror")),
        ("gone.test", Some("SPF permerror")),
        ("void.test", Some("SPF permerror")),
        ("loop.test", Some("SPF permerror")),
        ("many.test", Some("SPF permerror")),
        ("macro.test", None),
        ("upper.test", None),
    ] {
        let probe = Mail { domains: vec![domain.to_owned()], ..mail(&["192.0.2.7"]) };
        let seen = ask(server, probe).await;
        let part = format!("192.0.2.7 {domain}");
        assert_eq!(found(&seen, Code::MailNames), [of(&part, expected)], "{domain}");
    }
    let probe =
        Mail { domains: vec!["ip.test".to_owned()], ..mail(&["2001:db8::25", "203.0.113.5"]) };
    let seen = ask(server, probe).await;
    assert_eq!(
        found(&seen, Code::MailNames),
        [of("203.0.113.5 ip.test", Some("SPF fail")), of("2001:db8::25 ip.test", None)]
    );
}

#[tokio::test]
async fn the_addresses_behind_a_name_are_followed() {
    let host = |server| async move {
        let probe = Mail { host: Some("out.portal.test".to_owned()), ..mail(&[]) };
        let seen = ask(server, probe).await;
        seen.readings.iter().find_map(|r| match r.saw {
            Saw::Known { what: Known::Address, value } => Some(value.to_string()),
            _ => None,
        })
    };
    let before = serve(&["out.portal.test A 192.0.2.1"]).await;
    assert_eq!(host(before).await.as_deref(), Some("192.0.2.1"));
    let after = serve(&["out.portal.test A 192.0.2.2", "out.portal.test A 192.0.2.1"]).await;
    assert_eq!(host(after).await.as_deref(), Some("192.0.2.1 192.0.2.2"));
    let gone = serve(&["else.test A 192.0.2.1"]).await;
    let probe = Mail { host: Some("out.portal.test".to_owned()), ..mail(&[]) };
    assert_eq!(failed(&ask(gone, probe).await).as_deref(), Some("dns"));
}

#[tokio::test]
async fn a_server_that_says_nothing_is_no_verdict() {
    let server = serve(&["7.2.0.192.bl.test SILENCE"]).await;
    let probe = Mail { block_lists: vec!["bl.test".to_owned()], ..mail(&["192.0.2.7"]) };
    let seen = look_with(What::Mail(probe), Some(server), Duration::from_millis(900)).await;
    assert_eq!(found(&seen, Code::MailBlocked), []);
    let blind = found(&seen, Code::ProbeBlind);
    assert!(
        matches!(&blind[..], [(_, Some(class))] if class.contains("timeout") || class == "dns dns"),
        "{blind:?}"
    );
}

#[tokio::test]
async fn names_of_other_probes_are_asked_there_too() {
    let open = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = open.local_addr().unwrap().port();
    let server = serve(&["portal.test A 127.0.0.1", "broken.test SERVFAIL"]).await;
    for (host, expected) in [
        ("portal.test", None),
        ("missing.test", Some("dns")),
        ("broken.test", Some("dns servfail")),
    ] {
        let tcp = Tcp { address: format!("{host}:{port}"), proxy: None };
        let seen = look_with(What::Tcp(tcp), Some(server), Duration::from_secs(6)).await;
        assert_eq!(failed(&seen).as_deref(), expected, "{host}");
    }
    let _: IpAddr = open.local_addr().unwrap().ip();
}
