package check

import "strconv"

// About is what a row is about, @about. What each kind of row gives is in sdk/wit/README.md.
type About string

// The kinds of rows.
const (
	// AboutMessage is a message that is not an ACK.
	AboutMessage About = "message"
	// AboutAck is an ACK; HL7 paths are read from it.
	AboutAck About = "ack"
	// AboutOutcome is what became of a message.
	AboutOutcome About = "outcome"
	// AboutConnection is something that happened to a connection.
	AboutConnection About = "connection"
)

// Outcome is how a message ended, @outcome.
type Outcome string

// The outcomes.
const (
	// Accepted is AA, or the silence that its sender asked to mean success.
	Accepted Outcome = "accepted"
	// Committed is CA and nothing more was due; or stored by a broker.
	Committed Outcome = "committed"
	// Filed means that a receipt says that the user can see it.
	Filed Outcome = "filed"
	// Errored is AE or CE, or a dead letter.
	Errored Outcome = "errored"
	// Rejected is AR or CR.
	Rejected Outcome = "rejected"
	// NoAck means that there was no ACK in time.
	NoAck Outcome = "no_ack"
	// ConnectionLost means that the connection ended before the ACK.
	ConnectionLost Outcome = "connection_lost"
	// Refused means that the receiver could not be reached with it.
	Refused Outcome = "refused"
	// Unknown means that nobody can say.
	Unknown Outcome = "unknown"
	// PartlyDelivered means that some ends of its route have it, others do not.
	PartlyDelivered Outcome = "partly_delivered"
	// Filtered means that it was not sent on, as stated or as learned for its type.
	Filtered Outcome = "filtered"
	// Expired means that nothing more was seen of it, and its route says that it should have been.
	Expired Outcome = "expired"
)

// IsWell says whether nobody needs to look at it.
func (o Outcome) IsWell() bool {
	return o == Accepted || o == Committed || o == Filed || o == Filtered
}

// AckCode is MSA-1, @ack-code (HL7 table 0008).
type AckCode string

// The codes of ACKs.
const (
	// AA is an application accept.
	AA AckCode = "AA"
	// AE is an application error.
	AE AckCode = "AE"
	// AR is an application reject.
	AR AckCode = "AR"
	// CA is a commit accept.
	CA AckCode = "CA"
	// CE is a commit error.
	CE AckCode = "CE"
	// CR is a commit reject.
	CR AckCode = "CR"
	// OtherCode is something else, or empty.
	OtherCode AckCode = "other"
)

// Reason is why a message was refused, @reason.
type Reason string

// The reasons.
const (
	// ReasonStructure is a segment sequence, a required field.
	ReasonStructure Reason = "structure"
	// ReasonUnsupported is a type, event, processing id or version.
	ReasonUnsupported Reason = "unsupported"
	// ReasonUnknownKey is a patient, visit or order that was not found.
	ReasonUnknownKey Reason = "unknown_key"
	// ReasonDuplicateKey means that it exists already.
	ReasonDuplicateKey Reason = "duplicate_key"
	// ReasonLocked means that a record is locked.
	ReasonLocked Reason = "locked"
	// ReasonInternal is an internal error, database, disk, time-out.
	ReasonInternal Reason = "internal"
	// ReasonUnavailable means that the receiver says that it is not available.
	ReasonUnavailable Reason = "unavailable"
	// ReasonOther is one that no rule knows.
	ReasonOther Reason = "other"
)

// Event is what happened to a connection, @event.
type Event string

// The events.
const (
	// Opened means that the sender connected and the receiver answered.
	Opened Event = "opened"
	// Closed means that it ended in order.
	Closed Event = "closed"
	// RefusedConnection means that the receiver's host answered and refused.
	RefusedConnection Event = "refused"
	// Unreachable is timed out, no route, no name.
	Unreachable Event = "unreachable"
	// Reset means that it ended by a reset; @by says whose.
	Reset Event = "reset"
	// HalfOpen means that one side takes nothing more and says nothing; @by says which.
	HalfOpen Event = "half_open"
	// TimedOut means that such a connection was given up; @by says which side was gone.
	TimedOut Event = "timed_out"
	// Idle is nothing in either direction for a while.
	Idle Event = "idle"
	// FrameOpen means that bytes came, but no frame was closed for a while.
	FrameOpen Event = "frame_open"
	// NotMllp means that what flows is not MLLP.
	NotMllp Event = "not_mllp"
)

// About reads @about; empty where it is not declared for rows of this kind.
//
//	if row.At("@about").About() == check.AboutAck && row.At("@ack-code").AckCode() == check.AE { … }
func (f Field) About() About { return About(f.text) }

// Outcome reads @outcome; empty where rows of this kind do not give it. A host that is newer may say a
// word that is not among the constants, here as below.
func (f Field) Outcome() Outcome { return Outcome(f.text) }

// AckCode reads @ack-code; empty where there was no ACK.
func (f Field) AckCode() AckCode { return AckCode(f.text) }

// Reason reads @reason; empty where none was given.
func (f Field) Reason() Reason { return Reason(f.text) }

// Event reads @event; empty where rows of this kind do not give it.
func (f Field) Event() Event { return Event(f.text) }

// Count reads @ack-ms, @elapsed-ms, @received-ms, @tries and @bytes: whole numbers. False when it is none.
func (f Field) Count() (uint64, bool) {
	n, err := strconv.ParseUint(f.text, 10, 64)
	return n, err == nil
}
