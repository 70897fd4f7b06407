package check

import (
	"strings"
	"time"
)

// Timestamp is an HL7 time stamp (HL7 v2.5.1 §2.A.22 DTM), as precise as it was sent.
type Timestamp struct {
	// Precision is the smallest part that was sent: year, month, day, hour, minute or second.
	Precision string
	// OffsetMinutes is the zone in minutes east of UTC; HasOffset is false when none was sent.
	OffsetMinutes int
	HasOffset     bool
	// LocalMs is what a clock on the sender's wall showed, in milliseconds as if it were UTC.
	LocalMs int64
}

var precisions = [...]string{4: "year", 6: "month", 8: "day", 10: "hour", 12: "minute", 14: "second"}

// ParseTimestamp reads `YYYY[MM[DD[HH[MM[SS[.S[S[S[S]]]]]]]]][+/-ZZZZ]`; false when it is no time stamp,
// or no day of the calendar.
func ParseTimestamp(text string) (Timestamp, bool) {
	text, _, _ = strings.Cut(text, "^")
	text = strings.TrimRight(text, " ")
	var stamp Timestamp
	if at := strings.IndexAny(text, "+-"); at >= 0 {
		zone := text[at:]
		if len(zone) != 5 || !digits(zone[1:]) {
			return stamp, false
		}
		minutes := whole(zone[1:3])*60 + whole(zone[3:])
		if whole(zone[3:]) > 59 || minutes > 14*60 {
			return stamp, false
		}
		if zone[0] == '-' {
			minutes = -minutes
		}
		stamp.OffsetMinutes, stamp.HasOffset, text = minutes, true, text[:at]
	}
	text, fraction, hasFraction := strings.Cut(text, ".")
	if len(text) >= len(precisions) || len(text) < 4 || precisions[len(text)] == "" || !digits(text) ||
		hasFraction && (len(text) != 14 || len(fraction) < 1 || len(fraction) > 4 || !digits(fraction)) {
		return stamp, false
	}
	stamp.Precision = precisions[len(text)]
	full := text + "00000101000000"[len(text):]
	year, month, day := whole(full[:4]), whole(full[4:6]), whole(full[6:8])
	hour, minute, second := whole(full[8:10]), whole(full[10:12]), whole(full[12:14])
	date := time.Date(year, time.Month(month), day, hour, minute, 0, 0, time.UTC)
	if int(date.Month()) != month || date.Day() != day || hour > 23 || minute > 59 || second > 60 {
		return stamp, false
	}
	stamp.LocalMs = date.UnixMilli() + int64(second)*1000 + int64(whole((fraction + "000")[:3]))
	return stamp, true
}

// UTCMs is milliseconds since 1970; a time without a zone is taken to be so many minutes east of UTC.
func (t Timestamp) UTCMs(assumedOffsetMinutes int) int64 {
	if t.HasOffset {
		assumedOffsetMinutes = t.OffsetMinutes
	}
	return t.LocalMs - int64(assumedOffsetMinutes)*60_000
}

func digits(text string) bool { return strings.Trim(text, "0123456789") == "" }

// whole is the value of digits.
func whole(text string) (n int) {
	for _, c := range []byte(text) {
		n = n*10 + int(c-'0')
	}
	return n
}
