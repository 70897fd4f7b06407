//! Faults found while decoding. Decoding itself never fails: a malformed message is data.

/// How much of the message a defect leaves usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Nothing odd.
    Readable,
    /// Readable with oddities; every one is a [`Defect`].
    Odd,
    /// No message can be read from it; at least one [`Defect`] names the place.
    Unreadable,
}

/// One fault and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Defect {
    /// Which fault.
    pub code: DefectCode,
    /// Byte offset within the frame where it was seen.
    pub offset: u32,
}

macro_rules! defects {
    ($($name:ident $code:literal $verdict:ident $text:literal;)*) => {
        /// Stable codes of decoding faults (`HD…`), each with what it means.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum DefectCode { $(#[doc = $text] $name,)* }

        impl DefectCode {
            /// Every code, in order.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The stable code, `HDnnn`.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// What it means, one sentence.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Whether it is about characters that the receiver cannot read.
            #[must_use]
            pub const fn is_of_characters(self) -> bool {
                matches!(self, Self::NotUtf8 | Self::UndeclaredCharset)
            }

            /// What it leaves usable.
            #[must_use]
            pub const fn verdict(self) -> Verdict {
                match self { $(Self::$name => Verdict::$verdict,)* }
            }
        }
    };
}

defects! {
    Empty "HD001" Unreadable "the frame holds no bytes";
    NoHeader "HD002" Unreadable "no MSH, BHS or FHS segment where a message must start";
    HeaderShort "HD003" Unreadable "MSH ends before its delimiters (MSH-1, MSH-2)";
    TooLarge "HD004" Unreadable "the message is over the size limit of 16 MiB";
    BadDelimiters "HD005" Unreadable "MSH-1 or MSH-2 holds a letter, digit or control character, or MSH-1 stands in MSH-2 again";
    Encoding16 "HD006" Unreadable "UTF-16 or UTF-32 text, which MLLP and MSH cannot carry";
    XmlEncoded "HD007" Unreadable "XML-encoded HL7 v2, which is not read";
    JsonUnreadable "HD008" Unreadable "the JSON document is invalid or lacks the configured pointer";
    ByteOrderMark "HD101" Odd "a UTF-8 byte order mark stands before MSH";
    LeadingBytes "HD102" Odd "blanks or line ends stand before the first segment";
    FramingInside "HD103" Odd "MLLP framing characters inside the text";
    LineFeeds "HD104" Odd "segments end with LF instead of CR";
    CarriageReturnLineFeeds "HD105" Odd "segments end with CR LF instead of CR";
    MixedTerminators "HD106" Odd "segments end in more than one way";
    Msh2Length "HD107" Odd "MSH-2 has neither four nor five encoding characters";
    BlankSegment "HD108" Odd "an empty line between segments";
    BadSegmentName "HD109" Odd "a segment whose name is not three letters or digits";
    LeadingBlank "HD110" Odd "blanks before a segment name";
    ManyMessages "HD111" Odd "more than one MSH in one frame";
    Truncated "HD112" Odd "the last segment is cut short or the frame was not closed";
    NoControlId "HD113" Odd "MSH-10 is empty";
    NoType "HD114" Odd "MSH-9 is empty";
    NoVersion "HD115" Odd "MSH-12 is empty or not a known version";
    BadTime "HD116" Odd "a time that matters cannot be read";
    NotUtf8 "HD117" Odd "MSH-18 says UTF-8 and the bytes are not";
    UndeclaredCharset "HD118" Odd "bytes above 0x7F although MSH-18 declares none";
    UnknownCharset "HD119" Odd "MSH-18 names a character set that is not known";
    TooManySegments "HD120" Odd "more than 65,536 segments; the rest was not looked at";
    AckModeHalf "HD121" Odd "only one of MSH-15 and MSH-16 is valued (HL7 v2.5.1 §2.9.2)";
    AckWithoutId "HD122" Odd "MSA-2 is empty";
    AckCodeUnknown "HD123" Odd "MSA-1 is not one of AA, AE, AR, CA, CE, CR";
    BatchCount "HD124" Odd "BTS-1 or FTS-1 differs from the messages in the batch";
    BatchOpen "HD125" Odd "a batch without its BTS or FTS";
    ControlBytes "HD126" Odd "control characters inside the text";
    GapInside "HD127" Unreadable "bytes of this frame were not seen (shed or blind), so it was not read";
    FrameOverlap "HD128" Odd "a start block inside an open frame: the earlier one was cut short";
    JunkBetween "HD129" Odd "bytes between two frames that belong to neither";
    TransportAck "HD130" Odd "an MLLP release 2 commit acknowledgment (ACK or NAK byte)";
    RepeatedDelimiter "HD131" Odd "MSH-2 repeats a character other than the component separator";
}
