//! Real places pass, and nothing that a guest could make up.

use super::Places;

/// A component with one core module that has this data at address 1024.
fn component(data: &[u8]) -> Vec<u8> {
    let data: String = data.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let text = format!("(component (core module (memory 1) (data (i32.const 1024) \"{data}\")))");
    wat::parse_str(&text).unwrap()
}

/// Pointer, length, line and column, little-endian.
fn location(pointer: u32, length: u32, line: u32, column: u32) -> Vec<u8> {
    [pointer, length, line, column].iter().flat_map(|n| n.to_le_bytes()).collect()
}

#[test]
fn places_in_the_modules_own_data_pass() {
    let data = [b"src/lib.rsx".as_slice(), &[0; 5], &location(1024, 10, 20, 5)].concat();
    let places = Places::of(&component(&data));
    assert!(places.holds("panicked at src/lib.rs:20:5"));
    let zero = [b"src/lib.rs\0x".as_slice(), &[0; 4], &location(1024, 11, 7, 9)].concat();
    assert!(Places::of(&component(&zero)).holds("panicked at src/lib.rs:7:9"));
    for made_up in [
        "panicked at src/lib.rs:1234567:5",
        "panicked at src/lib.rs:21:5",
        "panicked at lib.rs:20:5",
        "panicked at DOE_JANE.rs:20:5",
        "panicked at src/lib.rs:20:5: the name is DOE",
        "DOE",
    ] {
        assert!(!places.holds(made_up), "{made_up}");
    }
}

#[test]
fn what_is_no_place_is_none() {
    for words in [
        location(1024, 10, 0, 5),
        location(1024, 10, 20, 5_000),
        location(1024, 9, 20, 5),
        location(9_999_999, 10, 20, 5),
        location(u32::MAX, u32::MAX, 20, 5),
    ] {
        let data = [b"src/lib.rsx".as_slice(), &[0; 5], &words].concat();
        assert!(Places::of(&component(&data)).0.is_empty(), "{words:?}");
    }
    for bytes in [&b""[..], b"\0asm\x0d\0\x01\0", b"MSH|"] {
        assert!(Places::of(bytes).0.is_empty());
    }
}

#[test]
fn a_choice_among_too_many_is_no_place() {
    let many = |n: u32| {
        let all = (1..=n).flat_map(|line| location(1024, 10, line, 1));
        [b"src/lib.rsx".as_slice(), &[0; 5]].concat().into_iter().chain(all).collect::<Vec<u8>>()
    };
    assert_eq!(Places::of(&component(&many(2048))).0.len(), 2048);
    assert!(Places::of(&component(&many(2049))).0.is_empty());
}
