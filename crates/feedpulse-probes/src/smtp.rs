//! A mail server's greeting: banner, EHLO, and whether STARTTLS is offered, with its certificate
//! (RFC 5321 §3.1, RFC 3207). No mail is sent.

use crate::config::{self, ConfigError};
use crate::dns::Names;
use crate::probe::Look;
use crate::reach::{Place, Reach};
use crate::tls::Inspector;
use feedpulse_core::label::Label;
use feedpulse_http::class;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Most bytes of one answer.
const ANSWER_MAX: usize = 16 * 1024;

#[derive(Debug)]
pub(crate) struct Smtp {
    place: Place,
    reach: Reach,
    helo: String,
    inspector: Option<Inspector>,
}

impl Smtp {
    pub(crate) fn new(config: &config::Smtp, names: Names) -> Result<Self, ConfigError> {
        let place = Place::parse(&config.address)?;
        if !crate::dns::is_name(&config.helo) {
            return Err(ConfigError::Name(config.helo.clone()));
        }
        let name = config.server_name.as_deref().unwrap_or(&place.host);
        let inspector =
            config.starttls.then(|| Inspector::new(name, &config.access)).transpose()?;
        let reach = Reach::new(names, config.access.proxy.as_ref())?;
        Ok(Self { place, reach, helo: config.helo.clone(), inspector })
    }

    pub(crate) async fn look(&self, look: &mut Look) {
        if let Err(class) = self.greet(look).await {
            look.fails(class);
        }
    }

    async fn greet(&self, look: &mut Look) -> Result<(), Label> {
        let mut stream = self.reach.connect(&self.place).await?;
        expect(&mut stream, 220).await?;
        let offers = say(&mut stream, &format!("EHLO {}", self.helo), 250).await?;
        let mut words = offers.lines().filter_map(|line| line.get(4..)).map(str::trim);
        let offered = words.any(|word| word.eq_ignore_ascii_case("STARTTLS"));
        look.note(format!("greeted; STARTTLS is {}offered", if offered { "" } else { "not " }));
        let Some(inspector) = &self.inspector else {
            // A server that does not wait for the answer has said all that was asked.
            let _ = say(&mut stream, "QUIT", 221).await;
            look.works();
            return Ok(());
        };
        if !offered {
            return Err(Label::from("no STARTTLS"));
        }
        say(&mut stream, "STARTTLS", 220).await?;
        inspector.inspect(stream, look).await;
        Ok(())
    }
}

async fn say(stream: &mut TcpStream, line: &str, code: u16) -> Result<String, Label> {
    let line = format!("{line}\r\n");
    stream.write_all(line.as_bytes()).await.map_err(|error| class(&error))?;
    expect(stream, code).await
}

/// `250-…`: more lines follow.
fn is_continued(line: &[u8]) -> bool {
    matches!(line, [a, b, c, b'-', ..] if [a, b, c].iter().all(|d| d.is_ascii_digit()))
}

/// Reads one answer, of several lines (`250-…`) up to the last (`250 …`).
async fn expect(stream: &mut TcpStream, code: u16) -> Result<String, Label> {
    let mut answer = Vec::new();
    loop {
        let ends = answer.ends_with(b"\n").then(|| String::from_utf8_lossy(&answer).into_owned());
        if let Some(text) = ends
            && let Some(last) = text.lines().next_back()
            && !is_continued(last.as_bytes())
        {
            return match last.get(..3).and_then(|c| c.parse::<u16>().ok()) {
                Some(said) if said == code => Ok(text),
                Some(said) => Err(Label::from(format!("smtp {said}").as_str())),
                None => Err(Label::from("no SMTP")),
            };
        }
        let read = stream.read_buf(&mut answer).await.map_err(|error| class(&error))?;
        if read == 0 {
            return Err(Label::from("closed"));
        }
        if answer.len() > ANSWER_MAX {
            return Err(Label::from("no SMTP"));
        }
    }
}
