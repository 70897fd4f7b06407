//! Values that tell nothing of anybody, since HL7 itself lists them: the tables of the fields that may
//! stay. A value that stands in such a field and is not in its table is replaced, whatever it looks like.
//!
//! HL7 v2.5.1 appendix A, with what later versions (to v2.9) and the usual user-defined suggestions
//! add. Entries are parted by `|`.

/// 0001 administrative sex.
pub(super) const SEX: &str = "A|F|M|N|O|U|X";
/// 0002 marital status.
pub(super) const MARITAL: &str = "A|B|C|D|E|G|I|M|N|O|P|R|S|T|U|W";
/// 0004 patient class.
pub(super) const CLASS: &str = "B|C|E|I|N|O|P|R|U";
/// 0005 race.
pub(super) const RACE: &str = "1002-5|2028-9|2054-5|2076-8|2106-3|2131-1";
/// 0007 admission type.
pub(super) const ADMISSION: &str = "1|2|3|4|5|9|A|C|E|L|N|R|U";
/// 0008 acknowledgment code.
pub(super) const ACK: &str = "AA|AE|AR|CA|CE|CR";
/// 0009 ambulatory status.
pub(super) const AMBULATORY: &str = "A0|A1|A2|A3|A4|A5|A6|A7|A8|A9|B1|B2|B3|B4|B5|B6";
/// 0017 transaction type.
pub(super) const TRANSACTION: &str = "AJ|CD|CG|CO|PY";
/// 0023 admit source.
pub(super) const ADMIT_SOURCE: &str = "1|2|3|4|5|6|7|8|9|A|B|C|D|E|F";
/// 0038 order status.
pub(super) const ORDER_STATUS: &str = "A|CA|CM|DC|ER|HD|IP|RP|SC";
/// 0052 diagnosis type.
pub(super) const DIAGNOSIS: &str = "A|F|W";
/// 0062 event reason, 0112 discharge disposition.
pub(super) const TWO_DIGITS: &str = "01|02|03|04|05|06|07|08|09|10|11|12|13|14|15|16|17|18|19|20|21|30|40|41|42|43|50|51|61|62|63|64|65|66";
/// 0063 relationship.
pub(super) const RELATIONSHIP: &str = "ASC|BRO|CGV|CHD|DEP|DOM|EMC|EME|EMR|EXF|FCH|FND|FTH|GCH|GRD|GRP|MGR|MTH|NCH|NON|OAD|OTH|OWN|PAR|SCH|SEL|SIB|SIS|SPO|TRA|UNK|WRD";
/// 0065 specimen action code.
pub(super) const SPECIMEN_ACTION: &str = "A|G|L|O|P|R|S";
/// 0069 hospital service.
pub(super) const SERVICE: &str = "CAR|MED|PUL|SUR|URO";
/// 0074 diagnostic service section.
pub(super) const SECTION: &str = "AU|BG|BLB|CG|CH|CP|CT|CTH|CUS|EC|EN|HM|ICU|IMG|IMM|LAB|MB|MCB|MYC|NMR|NMS|NRS|OSL|OT|OTH|OUS|PAR|PAT|PF|PHR|PHY|PT|RAD|RC|RT|RTH|RUS|RX|SP|SR|TX|URN|VR|VUS|XRC";
/// 0076 message type.
pub(super) const MESSAGE: &str = "ACK|ADR|ADT|BAR|BPS|BRP|BRT|BTS|CCF|CCI|CCM|CCQ|CCU|CQU|CRM|CSU|DEL|DEO|DER|DFT|DOC|DPR|DRC|DRG|DSR|EAC|EAN|EAR|EHC|ESR|ESU|INR|INU|LSR|LSU|MCF|MDM|MFD|MFK|MFN|MFQ|MFR|NMD|NMQ|NMR|OMB|OMD|OMG|OMI|OML|OMN|OMP|OMQ|OMS|OPL|OPR|OPU|ORA|ORB|ORD|ORF|ORG|ORI|ORL|ORM|ORN|ORP|ORR|ORS|ORU|ORX|OSM|OSQ|OSR|OSU|OUL|PEX|PGL|PIN|PMU|PPG|PPP|PPR|PPT|PPV|PRR|PTR|QBP|QCK|QCN|QRY|QSB|QSX|QVR|RAR|RAS|RCI|RCL|RDE|RDR|RDS|RDY|REF|RER|RGR|RGV|ROR|RPA|RPI|RPL|RPR|RQA|RQC|RQI|RQP|RQQ|RRA|RRD|RRE|RRG|RRI|RSP|RTB|SCN|SDN|SDR|SIU|SLN|SLR|SMD|SQM|SQR|SRM|SRR|SSR|SSU|STC|STI|SUR|TBR|TCR|TCU|UDM|VXQ|VXR|VXU|VXX";
/// 0078 interpretation codes.
pub(super) const FLAGS: &str = "<|>|A|AA|AC|B|D|DET|H|H>|HH|HM|HU|HX|I|IE|IND|L|L<|LL|LU|LX|MS|N|ND|NEG|NR|NS|OBX|POS|QCF|R|RR|S|SDD|SYN-R|SYN-S|TOX|U|VS|W|WR";
/// 0080 nature of abnormal testing.
pub(super) const NATURE: &str = "A|B|N|R|S|SP|ST";
/// 0085 observation result status.
pub(super) const RESULT_STATUS: &str = "A|B|C|D|F|I|N|O|P|R|S|U|V|W|X";
/// 0103 processing id.
pub(super) const PROCESSING: &str = "D|P|T";
/// 0105 source of comment.
pub(super) const COMMENT_SOURCE: &str = "L|O|P";
/// 0119 order control.
pub(super) const ORDER_CONTROL: &str = "AF|CA|CH|CN|CP|CR|DC|DE|DF|DR|FU|HD|HR|LI|MC|NA|NW|OC|OD|OE|OF|OH|OK|OP|OR|PA|PR|PY|RC|RE|RF|RL|RO|RP|RQ|RR|RU|SC|SN|SQ|SR|SS|UA|UC|UD|UF|UH|UM|UN|UR|UX|XO|XR|XX";
/// 0121 response flag.
pub(super) const RESPONSE: &str = "D|E|F|N|R";
/// 0123 result status of an order.
pub(super) const ORDER_RESULT: &str = "A|C|F|I|M|N|O|P|R|S|X|Y|Z";
/// 0124 transport arranged.
pub(super) const TRANSPORT: &str = "CART|PORT|WALK|WHLC";
/// 0125 value type.
pub(super) const VALUE_TYPE: &str = "AD|CE|CF|CK|CN|CNE|CP|CQ|CWE|CX|DR|DT|DTM|ED|EI|FT|HD|ID|IS|MA|MO|NA|NM|PN|RP|SI|SN|ST|TM|TN|TS|TX|XAD|XCN|XON|XPN|XTN";
/// 0127 allergen type.
pub(super) const ALLERGEN: &str = "AA|DA|EA|FA|LA|MA|MC|PA";
/// 0128 allergy severity.
pub(super) const SEVERITY: &str = "MI|MO|SV|U";
/// 0131 contact role.
pub(super) const CONTACT: &str = "BP|C|CP|E|EP|F|I|N|O|PR|S|U";
/// 0136 yes or no.
pub(super) const YES_NO: &str = "N|Y";
/// 0155 accept and application acknowledgment conditions.
pub(super) const CONDITION: &str = "AL|ER|NE|SU";
/// 0162 route of administration.
pub(super) const ROUTE: &str = "AP|B|DT|EP|ET|GTT|GU|IA|IB|IC|ICV|ID|IH|IHA|IM|IMR|IN|IO|IP|IS|IT|IU|IV|MM|MTH|NG|NP|NS|NT|OP|OT|OTH|PF|PO|PR|RM|SC|SD|SL|TD|TL|TP|TRA|UR|VG|VM|WND";
/// 0163 body site.
pub(super) const SITE: &str = "BE|BN|BU|CT|LA|LAC|LACF|LAF|LD|LE|LEJ|LF|LG|LH|LIJ|LLAQ|LLFA|LMFA|LN|LPC|LSC|LT|LUA|LUAQ|LUFA|LVG|LVL|NB|OD|OS|OU|PA|PERIN|RA|RAC|RACF|RAF|RD|RE|REJ|RF|RG|RH|RIJ|RLAQ|RLFA|RMFA|RN|RPC|RSC|RT|RUA|RUAQ|RUFA|RVG|RVL";
/// 0189 ethnic group.
pub(super) const ETHNIC: &str = "2135-2|2186-5|H|N|U";
/// 0190 address type.
pub(super) const ADDRESS: &str = "B|BA|BDL|BI|BIR|BL|BR|C|F|H|HP|L|M|N|O|P|PST|RH|S|SH|TM|TMP|V";
/// 0191 type of referenced data, 0834 media type.
pub(super) const MEDIA: &str = "AP|AU|Application|Audio|FT|IM|Image|Model|NS|SD|SI|TEXT|TX|Text|Video|application|audio|image|model|multipart|text|video";
/// 0200 name type.
pub(super) const NAME_TYPE: &str =
    "A|ADM|B|BAD|C|D|F|I|K|L|M|MSK|N|NAV|NB|NOUSE|P|R|REL|S|T|TEMP|U";
/// 0201 telecommunication use.
pub(super) const PHONE_USE: &str = "ASN|BPN|EMR|NET|ORN|PRN|PRS|VHN|WPN";
/// 0202 telecommunication equipment.
pub(super) const EQUIPMENT: &str = "BP|CP|FX|Internet|MD|PH|SAT|TDD|TTY|X.400";
/// 0203 identifier type.
pub(super) const IDENTIFIER: &str = "ACSN|AM|AMA|AN|ANC|AND|ANON|ANT|APRN|ASID|BA|BC|BCT|BR|BRN|BSNR|CC|CONM|CY|CZ|DC|DCFN|DDS|DEA|DFN|DI|DL|DN|DO|DP|DPM|DR|DS|EI|EN|ESN|FGN|FI|FILL|FN|GI|GL|GN|HC|IND|IRISTEM|JHN|LACSN|LANR|LI|LN|LR|MA|MB|MC|MCD|MCN|MCR|MCT|MD|MI|MR|MRT|MS|NBSNR|NCT|NE|NH|NI|NII|NIIP|NNxxx|NP|NPI|OBI|OD|PA|PC|PCN|PE|PEN|PHC|PHE|PHO|PI|PIN|PLAC|PN|PNT|PPIN|PPN|PRC|PRN|PT|QA|RI|RN|RPH|RR|RRI|RRP|SAMN|SB|SID|SL|SN|SNBSN|SNO|SP|SR|SRX|SS|STN|TAX|TN|TPR|TRL|U|UDI|UPIN|USID|VN|VP|VS|WC|WCN|WP|XV|XX";
/// 0206 segment action, 0323 action.
pub(super) const SEGMENT_ACTION: &str = "A|D|S|U|X";
/// 0207 processing mode.
pub(super) const MODE: &str = "A|I|R|T";
/// 0215 publicity, 0220 living arrangement, 0223 living dependency, 0315 living will.
pub(super) const LIVING: &str = "A|B|C|D|F|I|M|N|O|R|S|U|Y";
/// 0230 procedure functional type.
pub(super) const PROCEDURE: &str = "A|D|I|P";
/// 0270 document type.
pub(super) const DOCUMENT: &str = "AR|CD|CN|DI|DS|ED|ER|HP|OP|PC|PH|PN|PR|SP|TS";
/// 0271 to 0275 status of documents: completion, confidentiality, availability, storage.
pub(super) const DOCUMENT_STATUS: &str =
    "1|2|3|4|5|AA|AC|AR|AU|AV|CA|DI|DO|IN|IP|LA|OB|PA|PU|R|U|UN|UR|V|UW";
/// 0276 appointment reason, 0277 appointment type.
pub(super) const APPOINTMENT: &str = "CHECKUP|COMPLETE|EMERGENCY|FOLLOWUP|NORMAL|ROUTINE|TELE|WALKIN|Checkup|Complete|Emergency|Followup|Normal|Routine|Tele|Walkin";
/// 0278 filler status, 0279 allow substitution.
pub(super) const FILLER_STATUS: &str = "BLOCKED|BOOKED|CANCELLED|COMPLETE|CONFIRM|DC|DELETED|NO|NOSHOW|NOTIFY|OVERBOOK|PENDING|STARTED|WAITLIST|YES|Blocked|Booked|Cancelled|Complete|Confirm|Dc|Deleted|No|Noshow|Notify|Overbook|Pending|Started|Waitlist|Yes";
/// 0291 subtype of referenced data, 0834's usual subtypes.
pub(super) const SUBTYPE: &str = "BASIC|DICOM|FAX|GIF|HTML|JOT|JPEG|Octet-stream|PDF|PICT|PNG|PostScript|RTF|SGML|TIFF|XML|dicom|gif|html|jpeg|jpg|octet-stream|pdf|plain|png|rtf|tiff|x-hl7-cda-level-one|xml";
/// 0299 encoding.
pub(super) const ENCODING: &str = "A|Base64|BASE64|base64|Hex";
/// 0301 universal id type.
pub(super) const UNIVERSAL: &str =
    "CLIA|CLIP|DNS|EUI64|GUID|HCD|HL7|ISO|L|M|N|NPI|Random|URI|UUID|x400|x500";
/// 0322 completion status of an administration.
pub(super) const COMPLETION: &str = "CP|NA|PA|RE";
/// 0326 visit indicator.
pub(super) const VISIT: &str = "A|V";
/// 0356 alternate character set handling.
pub(super) const ALTERNATE: &str = "2.3|<null>|ISO 2022-1994";
/// 0357 message error condition.
pub(super) const ERROR: &str = "0|100|101|102|103|104|200|201|202|203|204|205|206|207";
/// 0396 coding systems, besides those for which a rule of their own stands.
pub(super) const SYSTEM: &str = "ACR|ART|C4|C5|CAS|CDCA|CDCREC|CDT|CPT|CVX|E|HCPCS|HPC|I10|I10C|I10P|I9|I9C|I9CDX|I9CP|IBT|ICD10|ICD10CM|ICD9|ISO|L|LB|LN|MVX|NDC|NIC|NPI|NUBC|RXNORM|SCT|SNM|SNM3|SNT|UB04|UCUM|UML|UMLS|UNII|UPC|USPS|W1|W2";
/// 0445 identity reliability.
pub(super) const RELIABILITY: &str = "AL|UA|UD|US";
/// 0485 and 0027 priority.
pub(super) const PRIORITY: &str = "A|C|P|PRN|R|S|STAT|T";
/// 0487 specimen type, and 0070 specimen source, the usual ones.
pub(super) const SPECIMEN: &str = "ABS|AMN|ASP|BBL|BIFL|BLD|BLDA|BLDC|BLDV|BON|BPH|BRN|BRO|BRTH|CALC|CBLD|CDM|CNL|CSF|CVM|CVX|CYST|EAR|EOS|EXG|EYE|FIB|FLT|FLU|GAST|GEN|GENV|HAR|IHG|ISLT|IVCAT|LAM|LIQ|MAR|MBLD|MEC|MILK|MLK|NAIL|NOS|NPH|ORH|PAFL|PAT|PLAS|PLB|PLC|PLR|PMN|PRT|PUS|RBC|RT|SAL|SEM|SER|SKN|SMN|SNV|SPRM|SPT|SPTC|STL|STON|SWAB|SWT|SYN|TEAR|THRB|THRT|TISG|TISS|TLGI|TLNG|TUB|TUMOR|UDT|UMED|UR|URC|URT|URTH|USUB|VITF|VOM|WBC|WBLD|WND";
/// 0516 error severity.
pub(super) const ERROR_SEVERITY: &str = "E|F|I|W";
/// 0335 repeat patterns, the usual ones; those with numbers have a rule of their own.
pub(super) const REPEAT: &str = "BID|C|D|I|M|ONCE|Once|P|PRN|QAM|QD|QHS|QID|QOD|QPM|TID|V";
/// ISO 3166-1, three letters.
pub(super) const COUNTRY: &str = "ABW|AFG|AGO|AIA|ALA|ALB|AND|ARE|ARG|ARM|ASM|ATA|ATF|ATG|AUS|AUT|AZE|BDI|BEL|BEN|BES|BFA|BGD|BGR|BHR|BHS|BIH|BLM|BLR|BLZ|BMU|BOL|BRA|BRB|BRN|BTN|BVT|BWA|CAF|CAN|CCK|CHE|CHL|CHN|CIV|CMR|COD|COG|COK|COL|COM|CPV|CRI|CUB|CUW|CXR|CYM|CYP|CZE|DEU|DJI|DMA|DNK|DOM|DZA|ECU|EGY|ERI|ESH|ESP|EST|ETH|FIN|FJI|FLK|FRA|FRO|FSM|GAB|GBR|GEO|GGY|GHA|GIB|GIN|GLP|GMB|GNB|GNQ|GRC|GRD|GRL|GTM|GUF|GUM|GUY|HKG|HMD|HND|HRV|HTI|HUN|IDN|IMN|IND|IOT|IRL|IRN|IRQ|ISL|ISR|ITA|JAM|JEY|JOR|JPN|KAZ|KEN|KGZ|KHM|KIR|KNA|KOR|KWT|LAO|LBN|LBR|LBY|LCA|LIE|LKA|LSO|LTU|LUX|LVA|MAC|MAF|MAR|MCO|MDA|MDG|MDV|MEX|MHL|MKD|MLI|MLT|MMR|MNE|MNG|MNP|MOZ|MRT|MSR|MTQ|MUS|MWI|MYS|MYT|NAM|NCL|NER|NFK|NGA|NIC|NIU|NLD|NOR|NPL|NRU|NZL|OMN|PAK|PAN|PCN|PER|PHL|PLW|PNG|POL|PRI|PRK|PRT|PRY|PSE|PYF|QAT|REU|ROU|RUS|RWA|SAU|SDN|SEN|SGP|SGS|SHN|SJM|SLB|SLE|SLV|SMR|SOM|SPM|SRB|SSD|STP|SUR|SVK|SVN|SWE|SWZ|SXM|SYC|SYR|TCA|TCD|TGO|THA|TJK|TKM|TKL|TLS|TON|TTO|TUN|TUR|TUV|TWN|TZA|UGA|UKR|UMI|URY|USA|UZB|VAT|VCT|VEN|VGB|VIR|VNM|VUT|WLF|WSM|YEM|ZAF|ZMB|ZWE|AU|CA|DE|FR|GB|US";
/// ISO 639 languages, the usual ones.
pub(super) const LANGUAGE: &str = "ARA|CHI|CZE|DAN|DEU|DUT|ENG|FIN|FRA|FRE|GER|ITA|JPN|KOR|NLD|NOR|POL|POR|RUS|SPA|SWE|UKR|VIE|ZHO|ara|deu|eng|fra|ger|ita|jpn|kor|nld|pol|por|rus|spa|vie|zho|AR|DA|DE|EN|ES|FI|FR|IT|JA|KO|NL|NO|PL|PT|RU|SV|UK|VI|ZH|de|en|es|fr|it|nl|pl|pt";
/// Units of measurement: UCUM's and those that laboratories write instead, in small letters, between
/// `/`.
pub(super) const UNIT: &str = "%|(cfu)|(iu)|/min|1.73_m2|1.73m2|10*12|10*3|10*6|10*9|10^12|10^3|10^6|10^9|10e3|10e6|24h|24hr|[iu]|[degf]|[hpf]|[in_i]|[lb_av]|[lpf]|[ph]|a|au|beats|bpm|breaths|c|cal|cells|cel|cm|cm2|cm3|cmh2o|cmm|copies|d|day|dl|deg|degc|degf|eq|f|fl|fmol|ft|g|h|hpf|hr|hz|in|index|iu|j|k|kat|kcal|kg|kpa|ku|l|lb|lbs|lpf|m|m2|m[iu]|mcg|mcl|meq|mg|min|miu|ml|mm|mm2|mm3|mm[hg]|mmhg|mmol|mo|mol|mosm|ms|mu|mv|ng|nl|nmol|oz|pa|pg|ph|pl|pmol|ratio|s|score|sec|thou|titer|u|u[iu]|ug|uiu|uk|ukat|ul|umol|units|v|wk|x10*3|x10*6|x10e3|x10e6|yr|µg|µl|µmol";
/// Names of segments (appendix A of v2.5.1, and those of later versions). Those that begin with Z are a
/// site's own.
pub(super) const SEGMENT: &str = "ABS|ACC|ADD|ADJ|AFF|AIG|AIL|AIP|AIS|AL1|APR|ARQ|ARV|AUT|BHS|BLC|BLG|BPO|BPX|BTS|BTX|CDM|CDO|CER|CM0|CM1|CM2|CNS|CON|CSP|CSR|CSS|CTD|CTI|CTR|DB1|DEV|DG1|DMI|DON|DRG|DSC|DSP|DST|ECD|ECR|EDU|EQL|EQP|EQU|ERQ|ERR|EVN|FAC|FHS|FT1|FTS|GOL|GP1|GP2|GT1|HXX|IAM|IAR|IIM|ILT|IN1|IN2|IN3|INV|IPC|IPR|ISD|ITM|IVC|IVT|LAN|LCC|LCH|LDP|LOC|LRL|MCP|MFA|MFE|MFI|MRG|MSA|MSH|NCK|NDS|NK1|NPU|NSC|NST|NTE|OBR|OBX|ODS|ODT|OH1|OH2|OH3|OH4|OM1|OM2|OM3|OM4|OM5|OM6|OM7|OMC|ORC|ORG|OVR|PAC|PCE|PCR|PD1|PDA|PDC|PEO|PES|PID|PKG|PM1|PMT|PR1|PRA|PRB|PRC|PRD|PRT|PSG|PSH|PSL|PSS|PTH|PV1|PV2|PYE|QAK|QID|QPD|QRD|QRF|QRI|RCP|RDF|RDT|REL|RF1|RFI|RGS|RMI|ROL|RQ1|RQD|RXA|RXC|RXD|RXE|RXG|RXO|RXR|RXV|SAC|SCD|SCH|SCP|SDD|SFT|SGH|SGT|SHP|SID|SLT|SPM|SPR|STF|STZ|TCC|TCD|TQ1|TQ2|TXA|UAC|UB1|UB2|URD|URS|VAR|VND|VTQ";

/// Whether a value stands in a table.
pub(super) fn holds(table: &str, value: &[u8]) -> bool {
    table.split('|').any(|entry| entry.as_bytes() == value)
}
