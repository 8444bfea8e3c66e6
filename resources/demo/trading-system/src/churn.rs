//! The memory faults that one switches on: churn and a leak. (The cache-hostile walk is in [`crate::market_data`].)

use std::fmt::Write;
use std::hint::black_box;
use std::time::Instant;

/// Allocates and frees a list of formatted quotes, `level` times eight of them, each in a buffer of its own.
#[inline(never)]
pub fn rebuild_quotes(level: u32, price: i64) -> usize {
    let mut quotes: Vec<String> = Vec::new();
    for step in 0..8 * i64::from(level) {
        let mut quote = String::new();
        // A String never fails to be written to.
        let _ = write!(quote, "{}@{}", 100 * (step % 7 + 1), price + step);
        quotes.push(quote);
    }
    black_box(&quotes).iter().map(String::len).sum()
}

/// Leaks at a steady pace, whatever the speed of the machine.
pub struct Leak {
    bytes_per_second: f64,
    started: Instant,
    leaked: u64,
}

impl Leak {
    const BLOCK: usize = 4096;

    pub fn new(bytes_per_second: f64, started: Instant) -> Self {
        Self { bytes_per_second, started, leaked: 0 }
    }

    /// Leaks what has fallen due by `now`, and returns the bytes leaked by this call.
    #[inline(always)]
    pub fn keep_up(&mut self, now: Instant) -> u64 {
        let before = self.leaked;
        if self.bytes_per_second > 0.0 {
            let due = now.saturating_duration_since(self.started).as_secs_f64() * self.bytes_per_second;
            while self.leaked + Self::BLOCK as u64 <= due as u64 {
                remember_session(Self::BLOCK);
                self.leaked += Self::BLOCK as u64;
            }
        }
        self.leaked - before
    }
}

/// The leak itself: a session record that nobody will ever free. Its pages are touched, so they count as resident.
#[inline(never)]
fn remember_session(bytes: usize) {
    let record = vec![0xA5u8; bytes].into_boxed_slice();
    std::mem::forget(black_box(record));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_leak_keeps_its_pace() {
        let started = Instant::now();
        let mut leak = Leak::new(1_000_000.0, started);
        assert_eq!(leak.keep_up(started), 0);
        let leaked = leak.keep_up(started + Duration::from_secs(2));
        assert!((1_995_000..=2_000_000).contains(&leaked), "{leaked}");
    }

    #[test]
    fn churn_grows_with_its_level() {
        assert!(rebuild_quotes(4, 100) > rebuild_quotes(1, 100));
    }
}
