//! A real Apache Kafka: one broker in KRaft mode, without ZooKeeper, plaintext on loopback.

use super::server::{Server, StartError, free_address, with_retries};
use super::{kafka_wire, require, started};
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

/// Any 16 bytes in base64 do as the id of a cluster that lives as long as a test.
const CLUSTER_ID: &str = "ZmVlZHB1bHNlLXRlc3RzMQ";

/// Milliseconds after which a killed broker's registration ends, for which its restart waits.
const SESSION: u32 = 3000;

/// A running broker. Topics are not made on first use, so that a wrong name is seen.
#[derive(Debug)]
pub struct Kafka {
    server: Server,
    broker: SocketAddr,
}

impl Kafka {
    /// Starts a broker with an empty log; None where Kafka or Java is not on this machine.
    ///
    /// # Panics
    /// When the broker does not start, with the end of its log.
    #[must_use]
    pub fn start() -> Option<Self> {
        let libs = require("kafka")?;
        Some(started(with_retries(|| Self::try_start(&libs))))
    }

    fn try_start(libs: &Path) -> Result<Self, StartError> {
        let mut server = Server::new("kafka")?;
        let broker = free_address()?;
        let config = server.folder().join("server.properties");
        fs::write(&config, properties(broker, free_address()?, server.folder()))?;
        let java = |heap: &str, main: &str| -> Vec<String> {
            let class_path = format!("{}/*", libs.display());
            // Quick to compile rather than quick for long: a test broker lives for seconds.
            let words = ["java", heap, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"];
            words.into_iter().chain([class_path.as_str(), main]).map(str::to_owned).collect()
        };
        let file = config.display().to_string();
        let mut format = java("-Xmx128m", "kafka.tools.StorageTool");
        format.extend(["format", "-t", CLUSTER_ID, "-c", &file].map(str::to_owned));
        prepare(&server, &format)?;
        let mut words = java("-Xmx512m", "kafka.Kafka");
        words.push(file);
        server.set_command(words);
        let mut kafka = Self { server, broker };
        kafka.try_restart()?;
        Ok(kafka)
    }

    fn try_restart(&mut self) -> Result<(), StartError> {
        let broker = self.broker;
        self.server.start(|| kafka_wire::brokers(broker).is_ok_and(|count| count >= 1))
    }

    /// The value for `bootstrap.servers`.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        self.broker.to_string()
    }

    /// Makes a topic.
    ///
    /// # Panics
    /// When the broker refuses.
    #[expect(clippy::panic, reason = "a topic that cannot be made is a failed test")]
    pub fn create_topic(&self, name: &str, partitions: i32) {
        if let Err(e) = kafka_wire::create_topic(self.broker, name, partitions) {
            panic!("cannot make the topic {name}: {e}\n{}", self.server.log_tail());
        }
    }

    /// Kills the broker, as a crash would; what it stored stays.
    pub fn stop(&mut self) {
        self.server.stop();
    }

    /// Starts it again on the same port with what it stored.
    ///
    /// # Panics
    /// When it does not start, with the end of its log.
    pub fn restart(&mut self) {
        started(self.try_restart());
    }

    /// The process id of the broker while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.server.pid()
    }
}

/// Runs a program to its end, with its output in the server's log.
fn prepare(server: &Server, words: &[String]) -> Result<(), StartError> {
    let (program, arguments) = words.split_first().expect("a program was given");
    let log = File::options().create(true).append(true).open(server.log())?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(server.folder()).stdin(Stdio::null());
    let status = command.stdout(log.try_clone()?).stderr(log).status()?;
    if status.success() {
        return Ok(());
    }
    Err(StartError::new(format!("kafka's storage: {status}\n{}", server.log_tail())))
}

fn properties(broker: SocketAddr, controller: SocketAddr, folder: &Path) -> String {
    let data = folder.join("data");
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.voters=1@{controller}\n\
         listeners=PLAINTEXT://{broker},CONTROLLER://{controller}\n\
         advertised.listeners=PLAINTEXT://{broker}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         controller.listener.names=CONTROLLER\n\
         inter.broker.listener.name=PLAINTEXT\n\
         log.dirs={}\n\
         auto.create.topics.enable=false\n\
         offsets.topic.num.partitions=1\n\
         offsets.topic.replication.factor=1\n\
         transaction.state.log.num.partitions=1\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\n\
         broker.session.timeout.ms={SESSION}\n\
         broker.heartbeat.interval.ms={}\n\
         log.cleaner.enable=false\n",
        data.display(),
        SESSION / 6,
    )
}
