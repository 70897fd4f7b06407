//! Tests of the load generator over real loopback sockets.

use super::*;

#[tokio::test]
async fn both_ends_agree_with_and_without_cuts() {
    for random_cuts in [false, true] {
        let server = AckServer::start().await.unwrap();
        let report = blast(server.addr(), 501, 4, 9, random_cuts).await.unwrap();
        let seen = server.ended(4).await;
        assert_eq!((report.messages, report.connections), (501, 4));
        assert_eq!((seen.messages, seen.clean, seen.broken), (501, 4, 0));
        assert_eq!((report.sent_bytes, report.sent_hash), (seen.recv_bytes, seen.recv_hash));
        assert_eq!((report.recv_bytes, report.recv_hash), (seen.sent_bytes, seen.sent_hash));
        assert!(report.p50_ns <= report.p99_ns && report.p99_ns <= report.max_ns);
        assert!(report.p50_ns > 0 && report.max_ns <= report.elapsed_ns);
        assert_eq!(server.stop().await, seen);
    }
}

#[tokio::test]
async fn the_seed_fixes_the_bytes_and_cuts_do_not_change_them() {
    let mut hashes = Vec::new();
    for (seed, cuts) in [(1, false), (1, true), (2, false)] {
        let server = AckServer::start().await.unwrap();
        hashes.push(blast(server.addr(), 100, 2, seed, cuts).await.unwrap().sent_hash);
    }
    assert_eq!(hashes[0], hashes[1]);
    assert_ne!(hashes[0], hashes[2]);
}

#[tokio::test]
async fn broken_receivers_and_bad_numbers_are_errors() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let error = blast(addr, 1, 0, 1, false).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);

    // Ends without an answer, then answers another message, then AE.
    let replies: [&[u8]; 3] = [
        b"",
        b"\x0bMSH|^~\\&|A|B\rMSA|AA|other\r\x1c\r",
        b"\x0bMSH|^~\\&|A|B\rMSA|AE|B000000000000000\r\x1c\r",
    ];
    for reply in replies {
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 65536];
            assert!(stream.read(&mut buffer).await.unwrap() > 0);
            stream.write_all(reply).await.unwrap();
            stream.shutdown().await.unwrap();
        };
        let (result, ()) = tokio::join!(blast(addr, 1, 1, 1, false), serve);
        let kind = result.unwrap_err().kind();
        if reply.is_empty() {
            assert_eq!(kind, io::ErrorKind::UnexpectedEof);
        } else {
            assert_eq!(kind, io::ErrorKind::InvalidData);
        }
    }
}

#[tokio::test]
async fn a_broken_connection_is_counted_as_such() {
    let server = AckServer::start().await.unwrap();
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    stream.write_all(b"\x0bMSH|^~\\&|A|B|C|D|||ADT|1\r\x1c\r").await.unwrap();
    let mut deframer = Deframer::default();
    let ack = answer(&mut stream, &mut deframer, &mut StreamHash::new()).await.unwrap();
    assert_eq!(read_ack(&ack).unwrap().control_id, "1");
    stream.set_zero_linger().unwrap();
    drop(stream);
    let seen = server.ended(1).await;
    assert_eq!((seen.messages, seen.clean, seen.broken), (1, 0, 1));
}
