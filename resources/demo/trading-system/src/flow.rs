//! The seeded source of orders and ticks. The same seed gives the same orders, on every machine.

use crate::{ACCOUNTS, INSTRUMENTS, Kind, Order, REFERENCE_PRICE, Side, market_data, validation};

/// xorshift64*: small, fast, and good enough to choose orders with.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        // A zero state would stay zero; the multiplication spreads small seeds over all bits.
        Self((seed ^ 0x9E37_79B9_7F4A_7C15).wrapping_mul(0xBF58_476D_1CE4_E5B9) | 1)
    }

    #[inline(always)]
    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `bound`, which must fit in 32 bits.
    #[inline(always)]
    pub fn below(&mut self, bound: u64) -> u64 {
        ((self.bits() >> 32) * bound) >> 32
    }
}

/// Makes the orders and ticks of one engine.
pub struct OrderFlow {
    random: Random,
    next_id: u64,
    mid: i64,
}

impl OrderFlow {
    pub fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), next_id: 1, mid: REFERENCE_PRICE }
    }

    /// The next order: 60 of 100 rest in the book, 25 cross the spread, 15 cancel. One in 128 has a broken checksum.
    #[inline(never)]
    pub fn next_order(&mut self) -> Order {
        let id = self.next_id;
        self.next_id += 1;
        let side = if self.random.bits() >> 63 == 0 { Side::Buy } else { Side::Sell };
        let choice = self.random.below(100);
        let kind = match choice {
            0..85 => Kind::Limit,
            _ => Kind::Cancel { resting_id: id.saturating_sub(1 + self.random.below(256)) },
        };
        // A crossing order reaches into the other side; a resting one stays behind the mid price on its own.
        let away = if choice < 60 { 1 + self.random.below(24) as i64 } else { -(self.random.below(6) as i64) };
        let price = if side == Side::Buy { self.mid - away } else { self.mid + away };
        let mut order = Order {
            id,
            account: self.random.below(ACCOUNTS as u64) as u32,
            instrument: self.random.below(INSTRUMENTS as u64) as u16,
            side,
            kind,
            price,
            quantity: 50 + self.random.below(100) as u32,
            reference: self.next_reference(),
            checksum: 0,
        };
        order.checksum = validation::checksum(&order);
        if self.random.below(128) == 0 {
            order.checksum ^= 1;
        }
        order
    }

    #[inline(always)]
    fn next_reference(&mut self) -> [u8; 24] {
        const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
        let mut reference = [0; 24];
        for half in reference.chunks_exact_mut(12) {
            let bits = self.random.bits();
            for (place, letter) in half.iter_mut().enumerate() {
                *letter = LETTERS[(bits >> (5 * place)) as usize & 31];
            }
        }
        reference
    }

    /// The next market data message, as bytes off the wire. The mid price walks, but never far from its reference.
    #[inline(never)]
    pub fn next_tick(&mut self) -> [u8; market_data::TICK_BYTES] {
        let pull = (REFERENCE_PRICE - self.mid).signum();
        let step = self.random.below(5) as i64 - 2;
        self.mid = (self.mid + step + pull).clamp(REFERENCE_PRICE - 32, REFERENCE_PRICE + 32);
        let tick = market_data::Tick {
            instrument: self.random.below(INSTRUMENTS as u64) as u16,
            sequence: self.next_id,
            price: self.mid,
            quantity: 1 + self.random.below(500) as u32,
        };
        market_data::encode_tick(&tick)
    }
}
