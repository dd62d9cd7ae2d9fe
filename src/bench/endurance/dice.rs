//! Random numbers that are the same for the same seed on every machine.

#[derive(Debug, Clone)]
pub(in crate::bench) struct Dice(u64);

impl Dice {
    pub(in crate::bench) fn new(seed: u64) -> Self {
        Dice(seed)
    }

    /// Of things that have no order of their own: the same parts, the same dice.
    pub(in crate::bench) fn of(seed: u64, parts: &[&str]) -> Self {
        let hash = blake3::hash(parts.join("\u{0}").as_bytes());
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&hash.as_bytes()[..8]);
        Dice(seed ^ u64::from_le_bytes(bytes))
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(in crate::bench) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// From 0 up to 1.
    pub(in crate::bench) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(in crate::bench) fn chance(&mut self, share: f64) -> bool {
        self.fraction() < share
    }
}
