//! Which addresses are somebody's inside: never reached because a name happens to point there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address belongs to this machine, its network or its hoster rather than to the world.
pub(super) fn is_inside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_inside_v4(address),
        IpAddr::V6(address) => is_inside_v6(address),
    }
}

fn is_inside_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        // This network, private use, loopback.
        (0 | 10 | 127, ..) => true,
        // Carrier-grade NAT, where some hosters keep their metadata service too.
        (100, 64..=127, _) => true,
        // Link-local, with the metadata service of most hosters.
        (169, 254, _) => true,
        (172, 16..=31, _) => true,
        // Protocol assignments, with another hoster's metadata service.
        (192, 0, 0) => true,
        (192, 168, _) => true,
        // Benchmarks between devices.
        (198, 18..=19, _) => true,
        // Multicast, reserved, broadcast.
        (224.., ..) => true,
        // One hoster's host agent sits on a public address.
        (168, 63, 129) => address == Ipv4Addr::new(168, 63, 129, 16),
        _ => false,
    }
}

fn is_inside_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_inside_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        // Unspecified, loopback, and addresses of version 4 in old and new clothes.
        [0, 0, 0, 0, 0, 0, 0, _] => true,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] => embedded(high, low),
        [0, 0, 0, 0, 0xffff, 0, high, low] => embedded(high, low),
        // Translated to version 4 on the way: by everybody, and by one's own network.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        [0x64, 0xff9b, 1, ..] => true,
        [0x2002, high, low, ..] => embedded(high, low),
        // Teredo hides the address it leads to.
        [0x2001, 0, ..] => true,
        // Discard, unique local, link-local, the old site-local, multicast.
        [0x100, 0, 0, 0, ..] => true,
        [first, ..] => matches!(first & 0xfe00, 0xfc00) || (0xfe80..=0xfeff).contains(&first) || first >= 0xff00,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_inside_is_told_from_the_world() {
        for inside in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.8.8.8",
            "168.63.129.16",
            "169.254.169.254",
            "172.17.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.168.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::10.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001:0:1::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(is_inside(inside.parse().unwrap()), "{inside}");
        }
        for world in ["1.1.1.1", "100.128.0.1", "168.63.129.17", "172.32.0.1", "192.0.1.1", "203.0.113.9"] {
            assert!(!is_inside(world.parse().unwrap()), "{world}");
        }
        for world in ["2606:4700::1", "64:ff9b::101:101", "2002:101:101::", "::ffff:1.1.1.1", "2001:db8::1"] {
            assert!(!is_inside(world.parse().unwrap()), "{world}");
        }
    }
}
