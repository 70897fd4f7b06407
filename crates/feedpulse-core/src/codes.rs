//! Every finding code: what it says, why it matters, what to do. `feedpulse explain` prints this.

/// How loud a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Recorded and shown; nobody is told.
    Note,
    /// Somebody should look in working hours.
    Ticket,
    /// Somebody should get up: an urgent message past its objective, or nothing delivered.
    Page,
}

impl Severity {
    /// Its name in labels and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Ticket => "ticket",
            Self::Page => "page",
        }
    }
}

/// The text of one finding code.
#[derive(Debug, PartialEq, Eq)]
pub struct CodeText {
    /// `FPnnnn`, stable.
    pub code: &'static str,
    /// A few words, for a heading.
    pub title: &'static str,
    /// The severity it starts with.
    pub severity: Severity,
    /// What was seen and by which rule.
    pub means: &'static str,
    /// What to do next.
    pub remedy: &'static str,
}

macro_rules! codes {
    ($($name:ident $code:literal $severity:ident $title:literal $means:literal $remedy:literal;)*) => {
        /// What a finding says, as a closed set.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum Code { $(#[doc = $title] $name,)* }

        impl Code {
            /// Every code, in order.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its text.
            #[must_use]
            pub const fn text(self) -> &'static CodeText {
                match self { $(Self::$name => &CodeText {
                    code: $code, title: $title, severity: Severity::$severity,
                    means: $means, remedy: $remedy,
                },)* }
            }

            /// From `FPnnnn`, in any case.
            #[must_use]
            pub fn from_code(code: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|c| c.text().code.eq_ignore_ascii_case(code))
            }
        }
    };
}

codes! {
    AckSlow "FP0101" Ticket "ACKs are slow"
        "Of the last 20 answers (of the last minute) at least 5 came and more than a fifth took longer than the waypoint's ack_time objective, or the oldest open message has waited three times as long. One connection that waits for each ACK carries at most 1 / ACK time messages a second, so a slow receiver is a lower capacity."
        "Look at the receiver's database, disk and scheduled jobs. If its queue grows as well (FP0107), tell the clients now.";
    NoAck "FP0102" Ticket "Messages get no ACK"
        "Messages were sent and ended without an answer (none within no_ack_after, or the connection was given up): three within a minute and nothing answered since, or an urgent one waits that long. The receiver's host takes the bytes, and its application does not answer; or, where the reason is half-open, its host does not take them either. A page when an urgent message waits, or when nothing was accepted for page_after (5 min; 2 min where urgent messages flow)."
        "Restart or unblock the receiving application. Nothing is accepted while this lasts; the sender will resend, so expect duplicates.";
    RejectedShare "FP0103" Ticket "Messages are refused by the receiver"
        "Of the last 20 answers (of the last minute) at least 5 were errors or rejects (AE, AR, CE, CR), and their share is over the rejected_share objective."
        "Look at the reason classes. AR: version, processing id or a receiver that is not available. AE: content; look for a mapping or master file that changed.";
    ReceiverDown "FP0104" Ticket "The receiver cannot be reached"
        "Connections to the receiver were refused or timed out, twice within ten seconds or for five seconds, and none has been accepted since. A page when nothing was accepted for page_after (5 min; 2 min where urgent messages flow)."
        "Refused: the service is down, its host lives. Unreachable: host, route, firewall or name. Other receivers behind the same prefix tell which.";
    TransitSlow "FP0105" Ticket "Messages take too long end to end"
        "Messages finished later than the feed's transit objective (first tap to last tap, one clock: ours), or the oldest unfinished one is older than that."
        "See which leg holds them: the feed's page shows each. An urgent message past its objective makes this a page.";
    Silence "FP0106" Ticket "A feed has gone silent"
        "No message of this feed, or of one of its types or facilities, was seen for longer than its stated limit, or within the grace after a time at which one is due (`expect`); or, as learned by the hour of the week in the site's time, so many messages were expected since the last one as a gap holds once a quarter. The tap itself lives. Learning takes seven days; `feedpulse learn` fills it at once."
        "Is the sender still connected? Connected and silent: a trigger or channel was switched off upstream. Not connected: the sender or its route.";
    BacklogGrowing "FP0107" Ticket "A backlog is growing"
        "Unfinished messages are above backlog_min and have grown for two minutes, by the median of all slopes between looks of fifteen seconds, so that a burst which drains is none; and at this pace the transit objective breaks within the hour, or is broken. Less than 30 minutes before a longer objective breaks it is a page."
        "Out = 0 is an outage, out > 0 is a lack of capacity. Drain time = backlog / (out - in) once it recovers.";
    ConnectionLost "FP0108" Ticket "Connections break before the ACK"
        "Five or more messages within a minute lost their connection before they were answered; or three lost it within an hour, minutes apart, and far more often than is usual here (two, where it was half-open: dead, and nobody had closed it)."
        "Look for a receiver that restarts, an idle cut by a firewall, or a load balancer's time limit.";
    DeadLetters "FP0109" Ticket "Messages are given up"
        "Records arrived on a dead-letter topic."
        "Each is a message that nobody will deliver without help. The reason classes are on the feed's page.";
    RecordLag "FP0110" Ticket "The Kafka tap is behind"
        "The oldest record that this tap has not read yet is older than a minute: what you see here is late by that much."
        "Look at the broker and at Feedpulse's own CPU.";
    Missing "FP0111" Ticket "Messages do not arrive at the next waypoint"
        "Five or more messages within five minutes were accepted and then never seen where the route says that they go, as stated, or as learned from the messages of the same feed and type before."
        "`feedpulse gaps` lists them. Look at the engine's filters, its error queue and what was deployed last.";
    PartlyDelivered "FP0112" Ticket "Messages reach some receivers and not others"
        "Five or more messages within five minutes of a fan-out reached at least one of their ends and failed or were missing at another."
        "The ends that refuse are in the feed's journeys; the others have the message already: do not send it to all again.";
    NewReason "FP0113" Ticket "Messages are refused for a reason that is new here"
        "Five refusals within an hour for a class of reasons that this link had not refused for in its last 500 answers."
        "Look at what was deployed or mapped last; the class is in the evidence. Reasons that are normal here can be stated as `expected_reasons`.";
    VolumeUnusual "FP0114" Ticket "Unusually many or few messages"
        "The last whole hour had less than a third or more than three times what this hour of the week usually has, and lies six deviations off."
        "Many: a backfill, a replay or a loop. Few: one type, trigger or facility has stopped.";
    TooQuiet "FP0115" Note "A feed is too quiet for statistics"
        "Its busiest hour of the week has fewer than two messages: its silence would be noticed after a day at best."
        "State when its messages are due (`expect`: a schedule and a grace) or a `silence` limit, or let its job send a heartbeat.";
    RetryStorm "FP0116" Ticket "Messages are sent again and again"
        "Of the sendings of the last minute at least ten, and more than a third, were repeats of the same message."
        "The sender's ACK time-out is shorter than the receiver's answer: raise the time-out, not the number of threads.";
    SourceAge "FP0117" Ticket "Messages are old when they arrive"
        "Of the last 32 messages whose age is known, a fifth (at least five) were older at their first waypoint than the feed's source_age objective; or two urgent ones within ten minutes. Only clocks that can be trusted count (see FP0504); a type's embargo is taken off."
        "The delay is before the first tap: look at the sending system's queue, its batch jobs and its interface engine.";
    DuplicateFlood "FP0118" Ticket "Messages that were accepted are sent again"
        "Of the sendings of the last minute at least twenty, and a fifth, repeat a message that this receiver had accepted: no retry, but a replay, a loop or a second sender."
        "Stop the replay or the loop: a receiver that does not drop duplicates files each of them.";
    Malformed "FP0201" Ticket "Unreadable frames"
        "Five or more frames within a minute, or eight within five, held nothing that can be read as HL7 v2; each has a defect that names its place. Over when fewer than four came in five minutes."
        "Run `feedpulse replay` on a captured file to see the defects by place.";
    NotMllp "FP0202" Note "Bytes on this connection are not MLLP"
        "Bytes flow that never start with the MLLP start block: TLS, HTTP or another protocol."
        "If it is TLS, tap it where it is terminated. The bytes are forwarded untouched.";
    FrameOpen "FP0203" Ticket "A frame was started and not closed"
        "Bytes of a message arrived but its end block (1C 0D) did not, for 10 seconds: to the receiver this looks like silence."
        "Look at the sender's framing settings.";
    UnknownFeed "FP0204" Note "A feed that no configuration names"
        "Messages of a sender and type that match no declared feed are tracked under a name made from them, at note level."
        "Declare it, or let `feedpulse init` write the declaration.";
    EncodingDamage "FP0205" Ticket "Characters are damaged"
        "Five or more messages within five minutes hold bytes that their character set does not have, at a link where that was rare."
        "Look at MSH-18 and at what was restarted or upgraded last: names and results will show wrong characters in the portal.";
    WrongProcessing "FP0206" Ticket "Test messages on a production link, or the other way round"
        "MSH-11 differs from what this link carries: twenty messages said otherwise before. Said once per sender."
        "Find out which system is connected to the wrong port before test data reaches patients.";
    SchemaDrift "FP0207" Ticket "Messages have a new version"
        "MSH-12 of this sender and type changed after at least twenty messages of another one."
        "An upgrade: compare what else changed with it. The change is kept in the timeline of incidents.";
    ShapeDrift "FP0208" Ticket "Messages have a new shape"
        "Of one sender and type, after 200 messages over seven days: a segment, field or code that was never seen is in ten messages, and in nearly all for ten minutes or (a note) in some for four hours; or less than half of a stretch of at least 32 messages have what nine of ten had at all times; or a new character set or new delimiters are in three messages. Over an hour after the last of it was told; what is gone, when it is back, at most a day."
        "Compare it with what was upgraded or mapped last, and ask whether the receiver knows it: what it does not know it drops without a word, and what is gone it shows as empty. State what comes and goes as `may_vary`.";
    UnknownPeer "FP0209" Ticket "An unknown peer has connected"
        "An address connected that is outside the link's `peers` (a ticket, at once); or, where none are stated, sent a message and never did before (a note, once). Learned are the addresses of the link's first seven days, eight at most; where three new ones came within a week, or more than eight at first, as pods do, that is said once, and nothing more until a month has passed without a new one."
        "Find out whose host it is. State `peers` at the waypoint (addresses or blocks, such as the pod network): then only others are told, and told louder.";
    UnknownApplication "FP0210" Ticket "An unknown application sends"
        "MSH-3 of a message on a declared feed was never seen on this link before (a ticket); or MSH-4 of a known application, or MSH-5 and MSH-6, was not (a note). Said once each. Learned are the first seven days and at least 100 messages, 32 pairs of names at most in each role; where three new ones came within a week that is said once, and nothing more until a month has passed without a new one."
        "A system that was connected on purpose needs nothing more than its feed's `senders`. Else find out who sends into production; FP0206 tells test messages.";
    ClockStep "FP0211" Note "A sender's clock has jumped"
        "Between neighbouring messages of a sender MSH-7 jumped by 30 s or more against our clock, and three messages in a row agree on it to 5 s: ahead (messages from the future), back (MSH-7 fell behind that of the message before, for 30 s), or by whole hours (for 5 min): a zone or daylight-saving fault. A delay is none. Said once, with size and direction; source ages are judged by the new offset at once."
        "Look at the sender's time service (NTP) and its zone. What it wrote meanwhile has wrong times of events: results may sort wrongly in the portal.";
    OutOfOrder "FP0212" Ticket "Messages arrive out of order"
        "Of the messages of the last five minutes at least five, and a twentieth, were older by MSH-7 than the one before of the same sender on the same connection (by the number in MSH-10, where MSH-7 is not to the second), and took at least four times as long to arrive; and that is four times what is usual at this link, and more than chance brings. Learned are 200 messages. Repeats do not count, nor a backlog that drains, nor what FP0501 to FP0503 say."
        "Parallel senders, a replay from an error queue, or a topic without the patient in its key: an older state of a patient may overwrite a newer one.";
    CheckFound "FP0301" Ticket "A check found something"
        "A check reported a finding. The incident says what, with the title, the explanation and the remedy that the check's author wrote, and for each of its codes how often, when first and last, and where."
        "Do what the incident's remedy says: it is the author's own. `feedpulse check inspect` lists all codes of a check with their words.";
    CheckFaulted "FP0302" Ticket "A check is faulty"
        "A WASM check trapped, ran over its time or memory, or returned an invalid finding. The message stream and the other checks are not touched; the check is retried with growing pauses and set aside after five faults in a minute."
        "The check's author can replay the message that it failed on with `feedpulse check`; until then its messages count as not checked.";
    CheckQuarantined "FP0303" Ticket "A check is quarantined"
        "A WASM check was set aside twelve times in a row, for longer each time, without one calm minute between; it runs no more. Its rows count as not checked. The message stream and the other checks are not touched."
        "Look at the causes of its faults on the page of checks; give it a version that is mended, or restart with it as it is. Either loads it again.";
    CheckKeptOut "FP0306" Ticket "A version of a check is kept out"
        "A new version of a check, or new settings of it, was found and not taken: it cannot be read (unreadable), does not compile (invalid), asks for more than is approved (not-approved), refuses its settings (settings), does not start (start), or fails its own cases (cases). The version before goes on; where there is none, that is FP0307. The class is in the evidence, the whole reason in the log, in `feedpulse checks` and at /api/v1/checks/versions."
        "Correct the file, the settings or the approval: a change is noticed at once and tried again. Where it asks for more than is approved, the reason holds the lines to add to the configuration.";
    CheckNotRunning "FP0307" Ticket "A check does not run"
        "No version of a check runs, and its messages count as skipped. The class in the evidence says why: not-approved, since the configuration no longer approves what ran; unreadable, where its registry could not be reached and it was never fetched before; or another of those of FP0306, where nothing that ran before could take over."
        "`feedpulse checks` says why, and for not-approved prints the lines to add to the check's entry in the configuration; the change is taken over at once, without a restart. If the approval was withdrawn on purpose, remove the entry and restart: that ends this. A registry is asked again every 30 s: see its address, login and proxy under `registries`.";
    CheckCacheForeign "FP0308" Note "Compiled code of a check was not ours"
        "The cache of compiled checks held a file for this check that this Feedpulse did not write, or that was changed since. It was not loaded; the check was compiled anew."
        "A disk error, a store that was copied from another machine, or somebody who can write there: the folder `compiled` in the store's folder must belong to Feedpulse's user alone.";
    LateAck "FP0401" Note "ACKs come too late"
        "An ACK named a message that had already ended unanswered: its sender has resent it or moved on."
        "Raise the sender's ACK time-out above this receiver's slow answers; more threads only add duplicates.";
    StrayAck "FP0402" Note "ACKs that name no message"
        "An ACK's MSA-2 matches no message seen here, waiting or ended."
        "A receiver that invents MSA-2, a second link that is not tapped, or a restart of the tap in mid-stream.";
    DuplicateAck "FP0403" Note "Messages are answered twice"
        "A second ACK named a message that had been answered. A commit ACK followed by its application ACK is no duplicate."
        "A sender that matches by order takes the second one for its next message: see off-by-one ACKs.";
    OffByOneAcks "FP0404" Ticket "ACKs are off by one"
        "Three or more ACKs in a row on one connection named the message before the one that waited: a sender that matches by order files each answer under the wrong message."
        "Drop the connection: it starts anew in step. Check MSA-2 in the sender; compare the refused ones with `feedpulse gaps`.";
    AckWithoutId "FP0405" Note "ACKs without a message id"
        "MSA-2 is empty. Where one message waited on the connection it is taken as its answer."
        "The receiver should copy MSH-10 to MSA-2 (HL7 v2.5.1 §2.9.2.2).";
    AckAlteredId "FP0406" Note "ACKs with an altered message id"
        "MSA-2 differs from the waiting message's MSH-10 only by case, leading zeros, blanks or length; it is taken as its answer."
        "The receiver stores the id in a field that is too short or numeric; strict senders will refuse such ACKs.";
    GarbageAck "FP0407" Ticket "Answers that are no ACKs"
        "The receiver answered with something that has no MSA segment, has an unknown MSA-1, or cannot be read. The message counts as unanswered (or as errored where MSA-2 names it)."
        "Some engines count any answer as success: check whether these messages were filed.";
    CommitOnly "FP0408" Ticket "Committed and never acknowledged by the application"
        "Five or more messages within five minutes got CA and not the application ACK that is due here: one was seen before, or the configuration declares it."
        "The receiver stored them and does not process them: look at its inbound queue.";
    NackThenAccepted "FP0409" Note "Refused, then accepted on a retry"
        "The same message was refused and later accepted: its refusal was temporary."
        "If it is frequent, look at the reason classes: locks and time-outs at the receiver.";
    Retry "FP0410" Note "Messages are sent again"
        "The same control id with the same body was seen again at one waypoint within the memory of sendings."
        "Retries after refusals and time-outs are normal; without them, the sender's ACK time-out is shorter than the receiver's answer.";
    IdReuse "FP0411" Ticket "Control ids are used again for other messages"
        "The same control id came from the same sender with another body: a counter that wrapped or was reset, or a replay after a restore. Receivers that drop duplicates lose such messages."
        "Correct the sender's counter; compare the messages with `feedpulse gaps`.";
    HeadOfLine "FP0412" Ticket "One message blocks the line"
        "The same message was refused, or broke the connection, three times in a row with nothing else of its sender accepted in between: all that is behind it waits."
        "Take it out of the sender's queue (its control id is in the gap report), then look at its reason class.";
    AckModeDiffers "FP0413" Note "The acknowledgment mode is not what MSH-15 and MSH-16 ask for"
        "This link is observed to answer otherwise than its sender's MSH-15 and MSH-16 say; Feedpulse goes by what it observes. Said once per sender."
        "State `ack_mode` at the waypoint to settle it.";
    SequenceProtocol "FP0414" Note "The sequence number protocol is in use"
        "MSH-13 is valued. A wrong number freezes such a link by design; Feedpulse does not follow the numbers. Said once per sender."
        "Nothing to do; know it when the link stands still.";
    Continuation "FP0415" Note "Messages are sent in fragments"
        "MSH-14 or a DSC segment is valued: each fragment has its own control id, and the application ACK names the first. Said once per sender."
        "Nothing to do.";
    MllpRelease2 "FP0416" Note "MLLP release 2 is in use"
        "Transport acknowledgments (one byte, ACK or NAK) come before the HL7 ACKs. They are no messages and not judged. Said once per waypoint."
        "Nothing to do.";
    BatchCount "FP0417" Ticket "A batch does not hold what its trailer says"
        "BTS-1 (or FTS-1) differs from the number of messages in the batch: some were cut off or added."
        "Compare with the sending system's own batch log.";
    AckModeHalf "FP0418" Note "Only one of MSH-15 and MSH-16 is valued"
        "Both empty is original mode, both valued is enhanced mode; one alone is neither (HL7 v2.5.1 §2.9.2). Feedpulse goes by what it observes, and takes silence for no success. Said once per sender."
        "Let the sender value both fields or none, or state `ack_mode` at the waypoint.";
    ResultRegressed "FP0501" Ticket "A result went back"
        "A result that was final (or corrected) at this waypoint came again with an earlier status: parallel senders or a replay put an old result over a new one."
        "Find out how the two were ordered upstream; the receiver now may show the older one.";
    MergeOutOfOrder "FP0502" Ticket "Patient merges came out of order"
        "A merge arrived behind an update that was made after it, or names a surviving record that was merged away before."
        "Results may be on the wrong chart: give the patients' merges to the registration team.";
    MergedAway "FP0503" Ticket "Messages for a patient who was merged away"
        "A message names a patient record that an earlier message merged into another."
        "Its sender has not heard of the merge; the receiver may have made the old record again.";
    SenderClock "FP0504" Note "A sender's clock is off"
        "The median of (seen here - MSH-7) of the last messages of this sender is negative, or a whole number of quarter hours: a fast clock, a zone or a daylight-saving fault. Its source ages are withheld, its transits are not touched."
        "Set the zone in the configuration, or the clock at the sender.";
    Failover "FP0505" Note "A feed moved to its standby"
        "Messages of the feed now pass the standby waypoint and not the one before."
        "Nothing to do if it was planned.";
    ProbeFailed "FP0601" Ticket "A probe fails"
        "Of the last three tries of a probe two failed (or as many as its `fails` says): refused, unreachable, no answer in time, an answer that it must not give. Two good ones in a row end it."
        "`feedpulse probe NAME --config FILE` tries it now and says what it sees. Messages are judged for themselves: a probe says what surrounds them.";
    CertificateExpires "FP0602" Ticket "A certificate ends soon"
        "The certificate that a server shows, or one of the chain that it sends with it, ends within 21 days (`ticket_before`). Within 3 days (`page_before`) it is a page: a ticket may lie that long over a weekend, and from that moment on every handshake fails."
        "Renew it and load it: many servers read a new file only when they are told. The probe says when the new one is shown.";
    CertificateChanged "FP0603" Note "A certificate was changed"
        "A server shows another certificate than before. It stands in the timeline of incidents as a change of the kind `certificate`."
        "Nothing to do if it was renewed on purpose; else find out who terminates TLS there.";
    MailBlocked "FP0604" Ticket "A mail address is block-listed"
        "A DNS block list that the configuration names lists an address that the portal's mail leaves from: receivers refuse or hide its mail."
        "The list's own page says why and how to be taken off. Look for a new sender behind the same address, and at bounces.";
    MailNames "FP0605" Ticket "The DNS entries of a mail address are wrong"
        "An address that the portal's mail leaves from has no PTR entry, one whose name does not lead back to it, or the SPF policy of a domain (RFC 7208) does not let it send."
        "Correct the PTR at whoever owns the address, the SPF policy at whoever keeps the domain. Large mail services refuse mail without either.";
    MailMoved "FP0606" Ticket "The address that mail leaves from has changed"
        "The name of the mail's outgoing host leads to other addresses than before. It stands in the timeline of incidents as a change of the kind `address`."
        "Add the new address to SPF policies and to receivers' allow lists, and look at its PTR and the block lists.";
    NumberBad "FP0607" Ticket "A number is over its limit"
        "A number that a probe reads (a queue, errors, deferred mail) was over its limit `over`, or under `under`, in two of three looks."
        "Look at the queue's receiver first: what cannot be delivered waits.";
    NumberGrowing "FP0608" Ticket "A number grows towards its limit"
        "By the median of all slopes between its last looks, the number will reach `breach` within the hour; in three of four looks."
        "Out = 0 is an outage of what empties it, out > 0 a lack of capacity. It is told early so that there is time.";
    PartStopped "FP0609" Ticket "A part of the engine does not run"
        "What the engine says of a channel, a port or a worker is not what the configuration expects, such as STARTED, in two of three looks."
        "Was it stopped on purpose? Else see its log, start it, and compare what waited with `feedpulse gaps`.";
    BeatMissing "FP0610" Ticket "A heartbeat did not come"
        "A job that must say each time that it ran (a backup, a batch extract) has not said so within its grace. What may have been said while Feedpulse itself was not running is not demanded."
        "See the job's own log. If it ran, see whether it reaches `/api/v1/heartbeats/NAME`.";
    BeatLong "FP0611" Ticket "A job takes too long"
        "A job said that it began, and not that it ended, for longer than `longest` (its grace, if that is not stated)."
        "It hangs, or has more to do than usual. The next one may meet it.";
    BeatFailed "FP0612" Ticket "A job failed"
        "A job said itself that it failed, and has not said since that it ended well."
        "See the job's own log.";
    GroupStopped "FP0613" Ticket "The engine has stopped reading its topic"
        "The consumer group has records to read and commits nothing new: `stopped` without a member, or for longer than the last ten commits took; `stalled` with members that go nowhere; `rewind` when a committed offset fell and was not reached again."
        "Stopped: start the consumer. Stalled: it cannot get past a record, or its receiver hangs. Rewind: messages are sent again; expect duplicates.";
    GroupBehind "FP0614" Ticket "The engine is behind its topic"
        "The record at the group's committed offset is older than `behind` (5 min), or over ten looks the group never caught up and fell further behind from each to the next."
        "It reads, and too slowly: look at its receiver's ACK time and at its number of consumers.";
    ProbeBlind "FP0615" Note "A probe cannot look"
        "Something between Feedpulse and what a probe looks at fails (its resolver, its brokers, a file): it says nothing about the thing itself, which may be well or not."
        "`feedpulse probe NAME --config FILE` says what it cannot do.";
    Blind "FP0901" Ticket "Feedpulse was blind"
        "Copies of forwarded bytes were shed, or the analysing process was away: messages of that interval are counted as unknown, never as lost. The message stream itself was not touched."
        "Give the analysing process more CPU or a larger ring; see its restarts.";
    ExportDown "FP0902" Ticket "Telemetry cannot be delivered"
        "The OTLP endpoint refuses or does not answer; what the bounded queue cannot hold is dropped and counted."
        "Check the collector. Messages, alerts and the store are not affected.";
    NotifierDown "FP0903" Page "Alerts cannot be delivered"
        "A notifier (Alertmanager, mail, chat, pager, webhook) fails; alerts are sent again with back-off until it answers."
        "Reach the on-call person by other means; check the notifier's address and its health.";
    StoreDown "FP0904" Ticket "Nothing can be recorded"
        "The store's folder cannot be written (full, read-only, damaged). Detection and alerts go on in memory; history and restart safety are lost until it recovers."
        "Free space or mount the folder again; recording resumes by itself.";
    KafkaDown "FP0905" Ticket "The Kafka tap cannot reach its brokers"
        "All brokers are down or refuse this client. Nothing is lost: reading goes on from the committed position."
        "Check the brokers, the credentials and the topic's ACLs.";
    TapDown "FP0906" Page "A tap is not working"
        "The wire process is gone or a listener could not be bound: messages may not pass, or pass unseen."
        "Look at the process that holds the listener's port.";
    NamespaceUnseen "FP0918" Note "Changes in the namespace are not seen"
        "The cluster's API does not answer, or refuses: rollouts and kills do not stand in the timelines of incidents. Nothing else needs it."
        "Compare the role with the one in docs/incidents.md; `http-403` means that a right is missing.";
    SumsDiffer "FP0990" Page "Feedpulse's own sums do not add up"
        "Messages seen differ from the sum of all outcomes and the open ones: a fault in Feedpulse."
        "Please report it with the support bundle.";
}
