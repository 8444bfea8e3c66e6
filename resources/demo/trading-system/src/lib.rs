//! A small order path with the faults that a profiler should find.
//!
//! One order takes the way that it takes in a trading system: a market data tick updates the reference price, then the
//! order is validated, checked for risk and executed against a book. Every size is bounded and every input comes from a
//! seeded generator, so that two recordings of the same binary look alike and what differs is what was switched on.

pub mod churn;
pub mod engine;
pub mod execution;
pub mod flow;
pub mod latency;
pub mod market_data;
pub mod metrics;
pub mod options;
pub mod order_book;
pub mod profiling;
pub mod risk;
pub mod validation;

/// The traded instruments, numbered from zero.
pub const INSTRUMENTS: usize = 64;
/// The trading accounts, numbered from zero.
pub const ACCOUNTS: usize = 64;
/// The price, in ticks, around which everything is quoted.
pub const REFERENCE_PRICE: i64 = 100_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Buy,
    Sell,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Matches what it can; the rest goes into the book.
    Limit,
    /// Takes a resting order out of the book.
    Cancel { resting_id: u64 },
}

/// An order as it arrives from a client.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    pub id: u64,
    pub account: u32,
    pub instrument: u16,
    pub side: Side,
    pub kind: Kind,
    /// In ticks.
    pub price: i64,
    pub quantity: u32,
    /// The client's own reference, upper-case letters and digits.
    pub reference: [u8; 24],
    /// CRC-32 of the other fields, see [`validation::checksum`].
    pub checksum: u32,
}

/// Why an order went no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reject {
    BadField,
    BadReference,
    BadChecksum,
    PriceCollar,
    Exposure,
    Margin,
    Velocity,
}
