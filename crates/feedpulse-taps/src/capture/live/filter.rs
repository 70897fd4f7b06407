//! The kernel's filter, in classic BPF (bpf(4), linux/filter.h): TCP from or to some ports, over IPv4 and
//! IPv6, beneath one VLAN tag more than the kernel takes off by itself. It runs before a packet is copied,
//! so that everything else in the pod costs a few nanoseconds.
//!
//! It sees a packet without its link layer. Let through beside these: later parts of a fragmented TCP
//! datagram and IPv6 packets with extension headers, which have no ports to look at; they are counted.

/// Most ports.
pub(crate) const PORTS_MAX: usize = 512;
/// Most interfaces.
pub(crate) const INTERFACES_MAX: usize = 64;

/// One instruction (`struct sock_filter`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Instruction {
    pub(super) code: u16,
    pub(super) yes: u8,
    pub(super) no: u8,
    pub(super) k: u32,
}

/// Operations that are used.
mod op {
    pub(super) const LOAD: u16 = 0x20;
    pub(super) const LOAD_HALF: u16 = 0x28;
    pub(super) const LOAD_BYTE: u16 = 0x30;
    /// At X and an offset.
    pub(super) const LOAD_HALF_X: u16 = 0x48;
    /// X = four times the low half of a byte: the length of an IPv4 header.
    pub(super) const X_HEADER: u16 = 0xB1;
    pub(super) const X_SET: u16 = 0x01;
    pub(super) const X_FROM_A: u16 = 0x07;
    pub(super) const A_FROM_X: u16 = 0x87;
    pub(super) const ADD: u16 = 0x04;
    pub(super) const AND: u16 = 0x54;
    pub(super) const JUMP: u16 = 0x05;
    pub(super) const IF_EQUAL: u16 = 0x15;
    pub(super) const IF_BITS: u16 = 0x45;
    pub(super) const RETURN: u16 = 0x06;
}

/// Where the kernel shows what is not in the packet (`SKF_AD_*`).
mod aside {
    const BASE: u32 = libc::SKF_AD_OFF.cast_unsigned();
    pub(super) const PROTOCOL: u32 = BASE + libc::SKF_AD_PROTOCOL.cast_unsigned();
    pub(super) const PACKET_TYPE: u32 = BASE + libc::SKF_AD_PKTTYPE.cast_unsigned();
    pub(super) const INTERFACE: u32 = BASE + libc::SKF_AD_IFINDEX.cast_unsigned();
}

const IPV4: u32 = 0x0800;
const IPV6: u32 = 0x86DD;
const VLANS: [u32; 2] = [0x8100, 0x88A8];
const TCP: u32 = 6;
/// IPv6 headers that may stand before TCP: hop by hop, routing, fragment, destination (RFC 8200 §4).
const EXTENSIONS: [u32; 4] = [0, 43, 44, 60];
/// The loopback interface has this number in each network namespace.
const LOOPBACK: u32 = 1;
/// Lets the whole packet through.
const ALL: u32 = 0x4_0000;
const NONE: u32 = 0;

/// Places that are jumped to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Label {
    Network,
    Tagged,
    Ipv4 { at: u32 },
    Ipv6 { at: u32 },
    Version,
    Ports,
}

#[derive(Default)]
struct Program {
    code: Vec<Instruction>,
    labels: Vec<(Label, usize)>,
    jumps: Vec<(usize, Label)>,
}

impl Program {
    fn put(&mut self, code: u16, k: u32) {
        self.code.push(Instruction { code, yes: 0, no: 0, k });
    }

    fn here(&mut self, label: Label) {
        self.labels.push((label, self.code.len()));
    }

    fn go(&mut self, label: Label) {
        self.jumps.push((self.code.len(), label));
        self.put(op::JUMP, 0);
    }

    /// Does the next instruction only if A is this.
    fn only_if(&mut self, value: u32) {
        self.code.push(Instruction { code: op::IF_EQUAL, yes: 0, no: 1, k: value });
    }

    fn go_if(&mut self, value: u32, label: Label) {
        self.only_if(value);
        self.go(label);
    }

    fn end_if(&mut self, value: u32, verdict: u32) {
        self.only_if(value);
        self.put(op::RETURN, verdict);
    }

    fn finish(mut self) -> Vec<Instruction> {
        for (from, label) in &self.jumps {
            let target = self.labels.iter().find(|(l, _)| l == label).map_or(0, |(_, at)| *at);
            let over = target.saturating_sub(from + 1);
            if let Some(jump) = self.code.get_mut(*from) {
                jump.k = u32::try_from(over).unwrap_or(0);
            }
        }
        self.code
    }

    fn ipv4(&mut self, at: u32) {
        self.here(Label::Ipv4 { at });
        self.put(op::LOAD_BYTE, at + 9);
        self.code.push(Instruction { code: op::IF_EQUAL, yes: 1, no: 0, k: TCP });
        self.put(op::RETURN, NONE);
        self.put(op::LOAD_HALF, at + 6);
        // A later part of a datagram.
        self.code.push(Instruction { code: op::IF_BITS, yes: 0, no: 1, k: 0x1FFF });
        self.put(op::RETURN, ALL);
        self.put(op::X_HEADER, at);
        self.put(op::A_FROM_X, 0);
        self.put(op::ADD, at);
        self.put(op::X_FROM_A, 0);
        self.go(Label::Ports);
    }

    fn ipv6(&mut self, at: u32) {
        self.here(Label::Ipv6 { at });
        self.put(op::X_SET, at + 40);
        self.put(op::LOAD_BYTE, at + 6);
        self.go_if(TCP, Label::Ports);
        for extension in EXTENSIONS {
            self.end_if(extension, ALL);
        }
        self.put(op::RETURN, NONE);
    }
}

/// Lets TCP from or to these ports through, of these interfaces by number (empty: of all, but what the
/// loopback interface sends, since it also receives it).
pub(super) fn program(ports: &[u16], interfaces: &[u32]) -> Vec<Instruction> {
    let mut program = Program::default();
    program.put(op::LOAD, aside::INTERFACE);
    for number in interfaces {
        program.go_if(*number, Label::Network);
    }
    if !interfaces.is_empty() {
        program.put(op::RETURN, NONE);
    }
    program.here(Label::Network);
    program.code.push(Instruction { code: op::IF_EQUAL, yes: 0, no: 3, k: LOOPBACK });
    program.put(op::LOAD, aside::PACKET_TYPE);
    program.end_if(u32::from(libc::PACKET_OUTGOING), NONE);
    program.put(op::LOAD, aside::PROTOCOL);
    program.go_if(IPV4, Label::Ipv4 { at: 0 });
    program.go_if(IPV6, Label::Ipv6 { at: 0 });
    for vlan in VLANS {
        program.go_if(vlan, Label::Tagged);
    }
    program.put(op::RETURN, NONE);
    // On the way out the tag stands before what is seen here; on the way in it is what is seen first.
    program.here(Label::Tagged);
    program.put(op::LOAD, aside::PACKET_TYPE);
    program.go_if(u32::from(libc::PACKET_OUTGOING), Label::Version);
    program.put(op::LOAD_HALF, 2);
    program.go_if(IPV4, Label::Ipv4 { at: 4 });
    program.go_if(IPV6, Label::Ipv6 { at: 4 });
    program.put(op::RETURN, NONE);
    program.here(Label::Version);
    program.put(op::LOAD_BYTE, 0);
    program.put(op::AND, 0xF0);
    program.go_if(0x40, Label::Ipv4 { at: 0 });
    program.go_if(0x60, Label::Ipv6 { at: 0 });
    program.put(op::RETURN, NONE);
    for at in [0, 4] {
        program.ipv4(at);
        program.ipv6(at);
    }
    program.here(Label::Ports);
    for end in [0, 2] {
        program.put(op::LOAD_HALF_X, end);
        for port in ports {
            program.end_if(u32::from(*port), ALL);
        }
    }
    program.put(op::RETURN, NONE);
    program.finish()
}
