//! Just enough of Kafka's protocol to ask a broker whether it is up and to make topics, without a
//! client library: a topic is made in milliseconds where Kafka's own tool takes a JVM start.
//!
//! Formats: Kafka protocol guide; requests are `size, api key, version, correlation id, client id`.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(20);
const MAX_ANSWER: usize = 16 * 1024 * 1024;
const METADATA: (i16, i16) = (3, 1);
const CREATE_TOPICS: (i16, i16) = (19, 2);

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the broker's answer {what}"))
}

/// Sends one request and returns the body of its answer.
fn call(broker: SocketAddr, (api, version): (i16, i16), body: &[u8]) -> io::Result<Vec<u8>> {
    const CORRELATION: i32 = 1;
    let mut stream = TcpStream::connect_timeout(&broker, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let mut request = Vec::new();
    request.extend(api.to_be_bytes());
    request.extend(version.to_be_bytes());
    request.extend(CORRELATION.to_be_bytes());
    put_text(&mut request, "feedpulse-tests");
    request.extend(body);
    let size = i32::try_from(request.len()).expect("our requests are a few hundred bytes");
    stream.write_all(&size.to_be_bytes())?;
    stream.write_all(&request)?;
    let mut word = [0; 4];
    stream.read_exact(&mut word)?;
    let size = usize::try_from(i32::from_be_bytes(word)).map_err(|_| bad("has a negative size"))?;
    if !(4..=MAX_ANSWER).contains(&size) {
        return Err(bad("has an impossible size"));
    }
    let mut answer = vec![0; size];
    stream.read_exact(&mut answer)?;
    let body = answer.split_off(4);
    if answer == CORRELATION.to_be_bytes() { Ok(body) } else { Err(bad("is to another request")) }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    let length = i16::try_from(text.len()).expect("names in tests are short");
    out.extend(length.to_be_bytes());
    out.extend(text.as_bytes());
}

/// Reads the big-endian fields of an answer one after the other.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take(&mut self, count: usize) -> io::Result<&[u8]> {
        let (head, rest) = self.0.split_at_checked(count).ok_or_else(|| bad("is cut short"))?;
        self.0 = rest;
        Ok(head)
    }

    fn i16(&mut self) -> io::Result<i16> {
        Ok(i16::from_be_bytes(self.take(2)?.try_into().expect("two bytes were taken")))
    }

    fn i32(&mut self) -> io::Result<i32> {
        Ok(i32::from_be_bytes(self.take(4)?.try_into().expect("four bytes were taken")))
    }

    /// Text, or none for the length -1.
    fn text(&mut self) -> io::Result<Option<String>> {
        let Ok(length) = usize::try_from(self.i16()?) else { return Ok(None) };
        Ok(Some(String::from_utf8_lossy(self.take(length)?).into_owned()))
    }
}

/// How many brokers the cluster has according to this one; one that is starting knows of none.
pub(super) fn brokers(broker: SocketAddr) -> io::Result<i32> {
    // An empty list of topics asks for the brokers alone (Metadata v1).
    Reader(&call(broker, METADATA, &0_i32.to_be_bytes())?).i32()
}

/// Makes a topic of one replica and waits until its partitions have leaders.
pub(super) fn create_topic(broker: SocketAddr, name: &str, partitions: i32) -> io::Result<()> {
    let mut body = Vec::new();
    body.extend(1_i32.to_be_bytes()); // One topic.
    put_text(&mut body, name);
    body.extend(partitions.to_be_bytes());
    body.extend(1_i16.to_be_bytes()); // Replicas.
    body.extend(0_i32.to_be_bytes()); // No assignment by hand.
    body.extend(0_i32.to_be_bytes()); // No settings of its own.
    body.extend(15_000_i32.to_be_bytes()); // Milliseconds that the broker may take.
    body.push(0); // Not only a rehearsal.
    let answer = call(broker, CREATE_TOPICS, &body)?;
    let mut reader = Reader(&answer);
    reader.i32()?; // Throttle time.
    if reader.i32()? != 1 {
        return Err(bad("is not about one topic"));
    }
    reader.text()?; // Its name.
    let code = reader.i16()?;
    let message = reader.text()?.unwrap_or_default();
    if code != 0 {
        return Err(io::Error::other(format!("topic {name}: error {code} {message}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Answers one request with these bytes, of whatever sense.
    fn answering(bytes: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut size = [0; 4];
            stream.read_exact(&mut size).unwrap();
            let mut rest = vec![0; usize::try_from(i32::from_be_bytes(size)).unwrap()];
            stream.read_exact(&mut rest).unwrap();
            stream.write_all(bytes).unwrap();
        });
        address
    }

    #[test]
    fn a_refused_topic_is_an_error_with_its_code() {
        let answer = b"\0\0\0\x17\0\0\0\x01\0\0\0\0\0\0\0\x01\0\x01a\0\x24\0\x04oops";
        let e = create_topic(answering(answer), "a", 1).unwrap_err();
        assert_eq!(e.to_string(), "topic a: error 36 oops");
    }

    #[test]
    fn odd_answers_are_errors_and_none_panics() {
        assert!(brokers(answering(b"\0\0\0\x04\0\0\0\x01")).is_err());
        assert!(brokers(answering(b"\xff\xff\xff\xff")).is_err());
        assert!(brokers(answering(b"\x7f\0\0\0")).is_err());
        assert!(brokers(answering(b"\0\0\0\x08\0\0\0\x02\0\0\0\x01")).is_err());
        assert_eq!(brokers(answering(b"\0\0\0\x08\0\0\0\x01\0\0\0\x01")).unwrap(), 1);
    }
}
