//! A small clinic whose every message has a fate that the test has chosen: a laboratory sends results
//! to an engine, which answers them, gives them control ids of its own and sends them on to a portal.
//! Every message has a connection of its own on each hop, so that no fate touches another.
//!
//! All persons, numbers and results are made up; each message carries [`CANARIES`].

use crate::parts::wait_until;
use crate::product::PATIENCE;
use feedpulse_sim::{AckCode, Deframer, frame, make_ack, read_ack, read_header};
use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Woven into names, record numbers, visits, orders and results: patient data that goes nowhere.
pub const CANARIES: [&str; 5] =
    ["CANARYNAME8X", "CANARYRECORD8X", "CANARYVISIT8X", "CANARYORDER8X", "CANARYRESULT8X"];

/// What a receiver does with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// AA.
    Accept,
    /// A refusal, with whole ERR segments behind the MSA.
    Refuse(AckCode, &'static str),
    /// No answer, and the connection stays up.
    Silence,
    /// This answer, but not before [`Clinic::release`].
    Later(Box<Self>),
}

/// What becomes of a message: each list is used up in order of the sendings there, and what comes
/// after its end is accepted.
#[derive(Clone, Debug, Default)]
pub struct Fate {
    /// At the engine.
    pub engine: Vec<Answer>,
    /// At the portal.
    pub portal: Vec<Answer>,
    /// The engine keeps it for itself.
    pub kept_back: bool,
    /// How often the engine sends it again after a refusal.
    pub resends: u32,
}

impl Fate {
    /// It arrives, after these answers of the portal.
    #[must_use]
    pub fn at_portal(answers: impl Into<Vec<Answer>>) -> Self {
        Self { portal: answers.into(), ..Self::default() }
    }
}

/// A result of the laboratory.
#[derive(Clone, Debug)]
pub struct Lab {
    /// MSH-10.
    pub id: String,
    /// Number of the order, which is its business key: part of its canary.
    pub order: u32,
    /// OBX-8, such as `HH`.
    pub flag: &'static str,
}

impl Lab {
    /// One with normal values.
    #[must_use]
    pub fn new(id: &str, order: u32) -> Self {
        Self { id: id.to_owned(), order, flag: "N" }
    }

    /// Its filler order number (OBR-3): the accession.
    #[must_use]
    pub fn accession(&self) -> String {
        format!("{}{:05}", CANARIES[3], self.order)
    }

    /// The patient's record number (PID-3).
    #[must_use]
    pub fn record(&self) -> String {
        format!("{}{:05}", CANARIES[1], self.order)
    }

    /// The visit number (PV1-19).
    #[must_use]
    pub fn visit(&self) -> String {
        format!("{}{:05}", CANARIES[2], self.order)
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        let Self { id, flag, .. } = self;
        let (accession, record, visit) = (self.accession(), self.record(), self.visit());
        let [name, .., result] = CANARIES;
        let visits = "|".repeat(17);
        format!(
            "MSH|^~\\&|LAB|NORTH|PORTAL|NORTH|20260301120000+0000||ORU^R01^ORU_R01|{id}|P|2.5.1\r\
             PID|1||{record}^^^NORTH^MR||{name}^Ada||19700101|F\rPV1|1|O{visits}{visit}^^^NORTH\r\
             OBR|1||{accession}^LAB|K^Potassium||||||||||||||||||20260301115900+0000|||F\r\
             OBX|1|ST|K^Potassium||{result}|mmol/l|3.5-5.1|{flag}|||F\r"
        )
        .into_bytes()
    }
}

#[derive(Default)]
struct Shared {
    /// By accession.
    fates: Mutex<HashMap<String, Fate>>,
    /// What the engine called a message: by the sender's control id, in order of sendings.
    renamed: Mutex<HashMap<String, String>>,
    /// Answers that wait for [`Clinic::release`].
    held: Mutex<Vec<(TcpStream, Vec<u8>)>>,
    /// Connections whose message was never answered stay up as long as the clinic.
    silent: Mutex<Vec<TcpStream>>,
    /// Messages that the portal has got.
    arrived: Mutex<Vec<String>>,
    portal: Mutex<Option<SocketAddr>>,
    closed: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The engine and the portal, listening on loopback, and what they know.
pub struct Clinic {
    shared: Arc<Shared>,
    engine: SocketAddr,
    portal: SocketAddr,
}

impl std::fmt::Debug for Clinic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Clinic({}, {})", self.engine, self.portal)
    }
}

impl Drop for Clinic {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
        // Wakes the listeners, which then end.
        for address in [self.engine, self.portal] {
            let _ = TcpStream::connect(address);
        }
        let held = lock(&self.shared.held).drain(..).map(|(stream, _)| stream).collect::<Vec<_>>();
        for stream in lock(&self.shared.silent).drain(..).chain(held) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Clinic {
    /// Opens it.
    ///
    /// # Errors
    /// Loopback has no free port.
    pub fn open() -> io::Result<Self> {
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::open_at(anywhere, anywhere)
    }

    /// Opens it with the engine and the portal at these addresses.
    ///
    /// # Errors
    /// One of them is taken.
    pub fn open_at(engine: SocketAddr, portal: SocketAddr) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let engine = listen(&shared, engine, at_engine)?;
        let portal = listen(&shared, portal, at_portal)?;
        Ok(Self { shared, engine, portal })
    }

    /// How many messages the portal has got so far.
    #[must_use]
    pub fn has_arrived(&self) -> usize {
        lock(&self.shared.arrived).len()
    }

    /// Where the engine listens.
    #[must_use]
    pub const fn engine(&self) -> SocketAddr {
        self.engine
    }

    /// Where the portal listens.
    #[must_use]
    pub const fn portal(&self) -> SocketAddr {
        self.portal
    }

    /// Tells the engine where to send on: to the tap before the portal.
    pub fn send_on_to(&self, portal: SocketAddr) {
        *lock(&self.shared.portal) = Some(portal);
    }

    /// Chooses the fate of the messages of an order, whatever their control id.
    pub fn decide(&self, lab: &Lab, fate: Fate) {
        lock(&self.shared.fates).insert(lab.accession(), fate);
    }

    /// Sends a result to `engine` (the tap before it) and waits for the answer, if one will come.
    ///
    /// # Errors
    /// The connection cannot be made or breaks.
    pub fn send(&self, lab: &Lab, engine: SocketAddr) -> io::Result<Option<AckCode>> {
        let answered = {
            let fates = lock(&self.shared.fates);
            let next = fates.get(&lab.accession()).and_then(|fate| fate.engine.first());
            !matches!(next, Some(Answer::Silence | Answer::Later(_)))
        };
        let mut link = Link::dial(engine)?;
        link.write(&lab.message())?;
        if answered {
            return link.ack();
        }
        lock(&self.shared.silent).push(link.stream);
        Ok(None)
    }

    /// Sends all answers that were held back.
    ///
    /// # Errors
    /// A connection has broken.
    pub fn release(&self) -> io::Result<()> {
        for (mut stream, answer) in lock(&self.shared.held).drain(..) {
            stream.write_all(&answer)?;
            lock(&self.shared.silent).push(stream);
        }
        Ok(())
    }

    /// Waits until the portal has got so many messages; says how many it has.
    #[must_use]
    pub fn arrived(&self, messages: usize) -> usize {
        let all = || lock(&self.shared.arrived).len();
        let _ = wait_until(PATIENCE, || (all() >= messages).then_some(()));
        all()
    }

    /// MSH-10 that the engine gave a message; None when it was never sent on.
    #[must_use]
    pub fn renamed(&self, id: &str) -> Option<String> {
        lock(&self.shared.renamed).get(id).cloned()
    }
}

/// Sends results over one connection, each after the answer to the one before; `after` is called with
/// how many were accepted so far. Ends early where the receiver ends the connection.
///
/// # Errors
/// The connection cannot be made or breaks.
pub fn send_all(
    to: SocketAddr,
    results: impl IntoIterator<Item = Lab>,
    mut after: impl FnMut(usize),
) -> io::Result<usize> {
    let mut link = Link::dial(to)?;
    let mut accepted = 0;
    for lab in results {
        link.write(&lab.message())?;
        match link.ack()? {
            Some(AckCode::Aa) => accepted += 1,
            _ => break,
        }
        after(accepted);
    }
    Ok(accepted)
}

/// An MLLP connection that waits for each answer.
struct Link {
    stream: TcpStream,
    deframer: Deframer,
}

impl Link {
    fn dial(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { stream: TcpStream::connect(address)?, deframer: Deframer::default() })
    }

    fn write(&mut self, content: &[u8]) -> io::Result<()> {
        self.stream.write_all(&frame(content))
    }

    /// The next frame; None at the end of the connection.
    fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut buffer = [0; 4096];
        loop {
            match self.deframer.next_frame() {
                Ok(Some(content)) => return Ok(Some(content)),
                Ok(None) => {}
                Err(error) => return Err(io::Error::other(error.to_string())),
            }
            match self.stream.read(&mut buffer)? {
                0 => return Ok(None),
                read => self.deframer.push(buffer.get(..read).unwrap_or_default()),
            }
        }
    }

    fn ack(&mut self) -> io::Result<Option<AckCode>> {
        Ok(self.receive()?.and_then(|content| read_ack(&content)).and_then(|ack| ack.code))
    }
}

type Handler = fn(&Shared, Link) -> io::Result<()>;

fn listen(shared: &Arc<Shared>, at: SocketAddr, handler: Handler) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(at)?;
    let address = listener.local_addr()?;
    let shared = Arc::clone(shared);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if shared.closed.load(Ordering::Acquire) {
                return;
            }
            let shared = Arc::clone(&shared);
            let link = Link { stream, deframer: Deframer::default() };
            // A connection that breaks ends its thread; what did not arrive is missed by the test.
            std::thread::spawn(move || handler(&shared, link));
        }
    });
    Ok(address)
}

fn accession(message: &[u8]) -> String {
    let text = String::from_utf8_lossy(message);
    let obr = text.split('\r').find_map(|segment| segment.strip_prefix("OBR|1||"));
    obr.and_then(|rest| rest.split('^').next()).unwrap_or_default().to_owned()
}

/// Takes the next answer of a list.
fn next_answer(answers: &mut Vec<Answer>) -> Answer {
    if answers.is_empty() { Answer::Accept } else { answers.remove(0) }
}

/// Answers a message, or holds the answer back, or keeps the connection without one.
fn answer(shared: &Shared, link: &mut Link, message: &[u8], answer: &Answer) -> io::Result<()> {
    let Some(header) = read_header(message) else { return Ok(()) };
    let reply = |answer: &Answer| {
        let (code, errors) = match answer {
            Answer::Refuse(code, errors) => (*code, *errors),
            _ => (AckCode::Aa, ""),
        };
        let mut ack = make_ack(&header, code, &format!("K{}", header.control_id), 0);
        ack.extend_from_slice(errors.as_bytes());
        frame(&ack)
    };
    match answer {
        Answer::Silence => {
            lock(&shared.silent).push(link.stream.try_clone()?);
            Ok(())
        }
        Answer::Later(late) => {
            lock(&shared.held).push((link.stream.try_clone()?, reply(late)));
            Ok(())
        }
        now => link.stream.write_all(&reply(now)),
    }
}

fn at_engine(shared: &Shared, mut link: Link) -> io::Result<()> {
    while let Some(message) = link.receive()? {
        let order = accession(&message);
        let (now, resends, kept_back) = {
            let mut fates = lock(&shared.fates);
            let fate = fates.entry(order).or_default();
            (next_answer(&mut fate.engine), fate.resends, fate.kept_back)
        };
        answer(shared, &mut link, &message, &now)?;
        if !kept_back && !matches!(now, Answer::Refuse(..)) {
            send_on(shared, &message, resends)?;
        }
    }
    Ok(())
}

/// Sends a message on under an id of the engine's, which is the same for each try.
fn send_on(shared: &Shared, message: &[u8], resends: u32) -> io::Result<()> {
    let Some(portal) = *lock(&shared.portal) else { return Ok(()) };
    let Some(header) = read_header(message) else { return Ok(()) };
    let id = {
        let mut renamed = lock(&shared.renamed);
        let id = format!("ENG{:06}", renamed.len() + 1);
        renamed.entry(header.control_id.clone()).or_insert(id).clone()
    };
    let text = String::from_utf8_lossy(message);
    let text = text.replacen(&format!("|{}|", header.control_id), &format!("|{id}|"), 1);
    let mut link = Link::dial(portal)?;
    for _ in 0..=resends {
        link.write(text.as_bytes())?;
        match link.ack()? {
            Some(code) if !code.is_accept() => {}
            _ => break,
        }
    }
    Ok(())
}

fn at_portal(shared: &Shared, mut link: Link) -> io::Result<()> {
    while let Some(message) = link.receive()? {
        let now =
            next_answer(&mut lock(&shared.fates).entry(accession(&message)).or_default().portal);
        lock(&shared.arrived).push(accession(&message));
        answer(shared, &mut link, &message, &now)?;
    }
    Ok(())
}
