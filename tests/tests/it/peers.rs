//! Who connects: from the wire's record to the incident that names the address.

use feedpulse_tests::product::{Product, Setup, Waypoint};
use std::net::{TcpListener, TcpStream};

#[test]
fn an_address_outside_the_stated_ones_is_told_and_survives_a_restart() {
    let receiver = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = receiver.local_addr().unwrap();
    let waypoint = |name, peers: &str| Waypoint {
        settings: format!("peers: {peers}"),
        ..Waypoint::new(name, to)
    };
    let mut product = Product::start(&Setup::new(vec![
        waypoint("lab-in", "[127.0.0.0/8]"),
        waypoint("engine-in", "[10.0.0.0/8, \"2001:db8::/32\"]"),
    ]));
    let _known = TcpStream::connect(product.listener(0)).unwrap();
    let _stranger = TcpStream::connect(product.listener(1)).unwrap();
    let told = product.wait("FP0209", |p| p.incident("FP0209"));
    assert_eq!(told["severity"], "ticket", "{told:#}");
    assert_eq!(told["findings"][0]["detail"], "127.0.0.1", "{told:#}");
    assert!(told["subject"].as_str().unwrap_or_default().contains("engine-in"), "{told:#}");
    // What was recorded is read again.
    product.kill9();
    product.start_run();
    let again = product.wait("FP0209", |p| p.incident("FP0209"));
    assert_eq!(again["id"], told["id"]);
    let all = product.incidents();
    let named = |name: &str| all.iter().filter(|i| i.to_string().contains(name)).count();
    assert_eq!((named("engine-in"), named("lab-in")), (1, 0), "{all:#?}");
    assert!(product.stop().success(), "{}", product.said());
}
