//! The market data loop: binary ticks in, reference prices out.

use crate::{INSTRUMENTS, REFERENCE_PRICE};

pub const TICK_BYTES: usize = 64;
const WINDOW: usize = 128;
/// The collar of the strictest instrument; no other is wider than twice that.
const NARROWEST_COLLAR: f64 = 0.01;
/// Links from one instrument's entry to the fields that an order needs.
const LOOKUP_STEPS: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick {
    pub instrument: u16,
    pub sequence: u64,
    pub price: i64,
    pub quantity: u32,
}

/// The last trades of one instrument and what follows from them.
struct Instrument {
    prices: [f64; WINDOW],
    quantities: [f64; WINDOW],
    cursor: usize,
    vwap: f64,
    ema: f64,
}

/// One link of the reference data: a permutation, walked link by link, each a cache line of its own.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Link {
    next: u32,
    payload: u32,
}

pub struct MarketData {
    instruments: Vec<Instrument>,
    reference_data: Vec<Link>,
    position: u32,
    pub bad_ticks: u64,
}

impl MarketData {
    /// The reference data takes 8 KiB, or 64 MiB if it is to miss the caches; the walk is the same.
    pub fn new(seed: u64, cache_hostile: bool) -> Self {
        let links = if cache_hostile { 1 << 20 } else { 1 << 7 };
        let price = REFERENCE_PRICE as f64;
        let instrument =
            || Instrument { prices: [price; WINDOW], quantities: [1.0; WINDOW], cursor: 0, vwap: price, ema: price };
        Self {
            instruments: std::iter::repeat_with(instrument).take(INSTRUMENTS).collect(),
            reference_data: shuffled_cycle(links, seed),
            position: 0,
            bad_ticks: 0,
        }
    }

    /// Takes one message off the wire and returns the reference price of its instrument, in ticks.
    #[inline(never)]
    pub fn on_market_data(&mut self, message: &[u8; TICK_BYTES]) -> f64 {
        let Some(tick) = decode_tick(message) else {
            self.bad_ticks += 1;
            return REFERENCE_PRICE as f64;
        };
        let instrument = &mut self.instruments[usize::from(tick.instrument) % INSTRUMENTS];
        update_vwap(instrument, &tick);
        update_ema(instrument, &tick);
        (instrument.vwap + instrument.ema) / 2.0
    }

    /// How far an order may be from the reference price, as a part of it, found by following the reference data. Cheap
    /// while that stays in the cache; `--cache-hostile` makes each step a miss.
    #[inline(never)]
    pub fn look_up_collar(&mut self) -> f64 {
        let mut position = self.position;
        let mut payload = 0;
        for _ in 0..LOOKUP_STEPS {
            let link = self.reference_data[position as usize];
            payload ^= link.payload;
            position = link.next;
        }
        self.position = position;
        NARROWEST_COLLAR * (1.0 + f64::from(payload) / 255.0)
    }
}

/// One cycle through all links in random order (Sattolo), so that no prefetcher guesses the next.
fn shuffled_cycle(links: usize, seed: u64) -> Vec<Link> {
    let mut random = crate::flow::Random::new(seed);
    let mut next: Vec<u32> = (0..links as u32).collect();
    for place in (1..links).rev() {
        next.swap(place, random.below(place as u64) as usize);
    }
    next.into_iter().map(|next| Link { next, payload: next.wrapping_mul(0x9E37_79B9) >> 24 }).collect()
}

/// Volume-weighted average price over the window, summed anew so that no rounding error piles up.
#[inline(never)]
fn update_vwap(instrument: &mut Instrument, tick: &Tick) {
    instrument.prices[instrument.cursor] = tick.price as f64;
    instrument.quantities[instrument.cursor] = f64::from(tick.quantity);
    instrument.cursor = (instrument.cursor + 1) % WINDOW;
    let (mut turnover, mut volume) = (0.0, 0.0);
    for (price, quantity) in instrument.prices.iter().zip(&instrument.quantities) {
        turnover += price * quantity;
        volume += quantity;
    }
    instrument.vwap = turnover / volume;
}

#[inline(always)]
fn update_ema(instrument: &mut Instrument, tick: &Tick) {
    const WEIGHT: f64 = 0.05;
    instrument.ema += WEIGHT * (tick.price as f64 - instrument.ema);
}

pub fn encode_tick(tick: &Tick) -> [u8; TICK_BYTES] {
    let mut message = [0x20; TICK_BYTES];
    message[0..2].copy_from_slice(&tick.instrument.to_be_bytes());
    message[2..10].copy_from_slice(&tick.sequence.to_be_bytes());
    message[10..18].copy_from_slice(&tick.price.to_be_bytes());
    message[18..22].copy_from_slice(&tick.quantity.to_be_bytes());
    let sum = fletcher(&message[..TICK_BYTES - 4]);
    message[TICK_BYTES - 4..].copy_from_slice(&sum.to_be_bytes());
    message
}

/// The tick, or nothing if its checksum is wrong.
#[inline(never)]
pub fn decode_tick(message: &[u8; TICK_BYTES]) -> Option<Tick> {
    let sum = u32::from_be_bytes(message[TICK_BYTES - 4..].try_into().ok()?);
    if fletcher(&message[..TICK_BYTES - 4]) != sum {
        return None;
    }
    Some(Tick {
        instrument: u16::from_be_bytes(message[0..2].try_into().ok()?),
        sequence: u64::from_be_bytes(message[2..10].try_into().ok()?),
        price: i64::from_be_bytes(message[10..18].try_into().ok()?),
        quantity: u32::from_be_bytes(message[18..22].try_into().ok()?),
    })
}

#[inline(always)]
fn fletcher(bytes: &[u8]) -> u32 {
    let (mut low, mut high) = (0u32, 0u32);
    for byte in bytes {
        low = low.wrapping_add(u32::from(*byte));
        high = high.wrapping_add(low);
    }
    (high << 16) | (low & 0xFFFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_survives_the_wire_and_a_flipped_bit_does_not() {
        let tick = Tick { instrument: 7, sequence: 99, price: 100_003, quantity: 12 };
        let mut message = encode_tick(&tick);
        assert_eq!(decode_tick(&message), Some(tick));
        message[12] ^= 4;
        assert_eq!(decode_tick(&message), None);
    }

    #[test]
    fn the_reference_data_is_one_cycle() {
        let links = shuffled_cycle(128, 3);
        let mut position = 0;
        let mut steps = 0;
        loop {
            position = links[position].next as usize;
            steps += 1;
            if position == 0 {
                break;
            }
        }
        assert_eq!(steps, 128);
    }
}
