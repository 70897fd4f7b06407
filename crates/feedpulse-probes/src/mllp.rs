//! A receiver of HL7: a connection, or a stated test message and the code of its ACK. Only where the
//! configuration allows it, since many receivers take one connection only.

use crate::config::{self, ConfigError};
use crate::dns::Names;
use crate::probe::Look;
use crate::reach::{Place, Reach};
use feedpulse_core::label::Label;
use feedpulse_http::class;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// MLLP's blocks (HL7 MLLP release 1).
const START: u8 = 0x0b;
const END: &[u8] = &[0x1c, b'\r'];
/// Most bytes of an ACK.
const ACK_MAX: usize = 64 * 1024;

#[derive(Debug)]
pub(crate) struct Mllp {
    place: Place,
    reach: Reach,
    message: Option<Vec<u8>>,
    accept: Vec<String>,
}

impl Mllp {
    pub(crate) fn new(config: &config::Mllp, names: Names) -> Result<Self, ConfigError> {
        Ok(Self {
            place: Place::parse(&config.address)?,
            reach: Reach::new(names, None)?,
            message: config.message.clone(),
            accept: config.accept.clone(),
        })
    }

    pub(crate) async fn look(&self, look: &mut Look) {
        let stream = match self.reach.connect(&self.place).await {
            Ok(stream) => stream,
            Err(class) => return look.fails(class),
        };
        look.note("connected".to_owned());
        let Some(message) = &self.message else { return look.works() };
        match exchange(stream, message).await {
            Ok(code) => {
                look.note(format!("answered {code}"));
                match self.accept.contains(&code) {
                    true => look.works(),
                    false => look.fails(Label::from(format!("ack {code}").as_str())),
                }
            }
            Err(class) => look.fails(class),
        }
    }
}

/// Sends the message and reads MSA-1 of what comes back.
async fn exchange(mut stream: TcpStream, message: &[u8]) -> Result<String, Label> {
    let failed = |error: std::io::Error| class(&error);
    let framed = [&[START], message, END].concat();
    stream.write_all(&framed).await.map_err(failed)?;
    let mut answer = Vec::new();
    while !answer.windows(END.len()).any(|two| two == END) {
        let read = stream.read_buf(&mut answer).await.map_err(failed)?;
        if read == 0 {
            return Err(Label::from(if answer.is_empty() { "closed" } else { "ack broken off" }));
        }
        if answer.len() > ACK_MAX {
            return Err(Label::from("ack too long"));
        }
    }
    code(&answer).ok_or(Label::from("no ack"))
}

/// MSA-1, whatever the field separator is.
fn code(answer: &[u8]) -> Option<String> {
    let mut segments = answer.split(|b| matches!(b, b'\r' | b'\n' | &START));
    let msa = segments.find(|segment| segment.starts_with(b"MSA") && segment.len() > 4)?;
    let separator = *msa.get(3)?;
    let code = msa.get(4..)?.split(|b| *b == separator || *b == 0x1c).next()?;
    let known = [b"AA", b"AE", b"AR", b"CA", b"CE", b"CR"].contains(&code.try_into().ok()?);
    known.then(|| String::from_utf8_lossy(code).into_owned())
}

#[cfg(test)]
mod tests {
    use super::code;

    #[test]
    fn the_code_of_an_ack_is_found() {
        for (answer, expected) in [
            (&b"\x0bMSH|^~\\&|X\rMSA|AA|1\r\x1c\r"[..], Some("AA")),
            (b"\x0bMSH#^~\\&#X\rMSA#CE\x1c\r", Some("CE")),
            (b"\x0bMSH|^~\\&|X\r\x1c\r", None),
            (b"\x0bMSH|^~\\&|X\rMSA|OK|1\r\x1c\r", None),
            (b"\x0bHTTP/1.1 400\x1c\r", None),
        ] {
            assert_eq!(code(answer).as_deref(), expected);
        }
    }
}
