//! About how many different values there are, in 16 KiB: a HyperLogLog with Ertl's estimator.

/// Bits of the hash that choose a register; the relative error is about 1.04 / sqrt(2^14) = 0.8 %.
const BITS: u32 = 14;
/// Ranks a register can have: 0 to this.
const HIGHEST: usize = (64 - BITS + 1) as usize;

/// The sketch. Values are given as hashes of 64 well-mixed bits.
#[derive(Debug, Clone)]
pub(super) struct Sketch(Box<[u8]>);

impl Default for Sketch {
    fn default() -> Self {
        Self(vec![0; 1 << BITS].into_boxed_slice())
    }
}

impl Sketch {
    /// Notes a value.
    pub(super) fn add(&mut self, hash: u64) {
        let rank = ((hash << BITS).leading_zeros().min(64 - BITS) + 1) as u8;
        if let Some(register) = self.0.get_mut((hash >> (64 - BITS)) as usize) {
            *register = (*register).max(rank);
        }
    }

    /// The estimate: O. Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017), algorithm 6.
    pub(super) fn estimate(&self) -> f64 {
        let mut counts = [0_u32; HIGHEST + 1];
        for register in &self.0 {
            if let Some(count) = counts.get_mut(usize::from(*register)) {
                *count += 1;
            }
        }
        let [empty, middle @ .., full] = &counts;
        let registers = f64::from(1_u32 << BITS);
        let mut sum = registers * tau(1.0 - f64::from(*full) / registers);
        for count in middle.iter().rev() {
            sum = 0.5 * (sum + f64::from(*count));
        }
        sum += registers * sigma(f64::from(*empty) / registers);
        registers * registers / (2.0 * std::f64::consts::LN_2 * sum)
    }
}

fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z <= before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z >= before {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::statistics::tally::mixed;

    #[test]
    fn estimates_are_within_three_percent_at_every_size() {
        for count in [0_u64, 1, 10, 1000, 12_000, 40_000, 100_000, 1_000_000] {
            let mut sketch = Sketch::default();
            for value in 0..count {
                // Twice: only different values count.
                sketch.add(mixed(value));
                sketch.add(mixed(value));
            }
            let (estimate, count) = (sketch.estimate(), count as f64);
            assert!((estimate - count).abs() <= 0.03 * count + 0.5, "{estimate} for {count}");
        }
    }
}
