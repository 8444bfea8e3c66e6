//! A price-time book over a fixed range of ticks. It allocates nothing once it is made, and it never grows: an order
//! expires when 2048 later ones have come.

use crate::{Order, REFERENCE_PRICE, Side};

const LEVELS: usize = 1024;
const NONE: u32 = u32::MAX;
const CAPACITY: usize = 2048;
/// How many levels of each side are published.
const DEPTH_LEVELS: usize = 4;

#[derive(Clone, Copy, Debug)]
struct Resting {
    id: u64,
    quantity: u32,
    level: u16,
    side: Side,
    live: bool,
    previous: u32,
    next: u32,
}

/// The orders at one price, in the order of their arrival.
#[derive(Clone, Copy, Debug)]
struct Level {
    first: u32,
    last: u32,
}

/// One match of an incoming order with a resting one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fill {
    pub resting_id: u64,
    pub price: i64,
    pub quantity: u32,
}

/// All orders at one price together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DepthLevel {
    pub price: i64,
    pub quantity: u64,
}

/// The best levels of both sides, best first; what is missing has no quantity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    pub bids: [DepthLevel; DEPTH_LEVELS],
    pub asks: [DepthLevel; DEPTH_LEVELS],
}

pub struct OrderBook {
    bids: Vec<Level>,
    asks: Vec<Level>,
    best_bid: usize,
    best_ask: usize,
    /// An order's slot is its id modulo the capacity.
    orders: Vec<Resting>,
    depth: usize,
}

impl Default for OrderBook {
    fn default() -> Self {
        Self::new()
    }
}

impl OrderBook {
    pub fn new() -> Self {
        let empty = Level { first: NONE, last: NONE };
        let vacant = Resting { id: 0, quantity: 0, level: 0, side: Side::Buy, live: false, previous: NONE, next: NONE };
        Self {
            bids: vec![empty; LEVELS],
            asks: vec![empty; LEVELS],
            best_bid: 0,
            best_ask: LEVELS - 1,
            orders: vec![vacant; CAPACITY],
            depth: 0,
        }
    }

    /// How many orders rest in the book.
    pub fn depth(&self) -> usize {
        self.depth
    }

    pub fn best_bid(&self) -> Option<i64> {
        (self.bids[self.best_bid].first != NONE).then(|| price_of(self.best_bid))
    }

    pub fn best_ask(&self) -> Option<i64> {
        (self.asks[self.best_ask].first != NONE).then(|| price_of(self.best_ask))
    }

    /// Matches an order against the other side, best price first, oldest first. Fills go to `fills`; returns what is
    /// left of the quantity.
    #[inline(never)]
    pub fn match_order(&mut self, order: &Order, fills: &mut Vec<Fill>) -> u32 {
        let limit = level_of(order.price);
        let mut left = order.quantity;
        while left > 0 {
            let level = match order.side {
                Side::Buy if self.best_ask <= limit => self.best_ask,
                Side::Sell if self.best_bid >= limit => self.best_bid,
                _ => break,
            };
            let slot = match order.side {
                Side::Buy => self.asks[level].first,
                Side::Sell => self.bids[level].first,
            };
            if slot == NONE {
                break;
            }
            let resting = &mut self.orders[slot as usize];
            let quantity = left.min(resting.quantity);
            resting.quantity -= quantity;
            left -= quantity;
            fills.push(Fill { resting_id: resting.id, price: price_of(level), quantity });
            if resting.quantity == 0 {
                self.remove(slot);
            }
        }
        left
    }

    /// Puts an order at the end of its level; the order that had its slot expires.
    #[inline(never)]
    pub fn insert(&mut self, order: &Order, quantity: u32) {
        let slot = slot_of(order.id);
        if self.orders[slot as usize].live {
            self.remove(slot);
        }
        let level = level_of(order.price);
        let queue = match order.side {
            Side::Buy => &mut self.bids[level],
            Side::Sell => &mut self.asks[level],
        };
        let previous = queue.last;
        queue.last = slot;
        if previous == NONE {
            queue.first = slot;
        } else {
            self.orders[previous as usize].next = slot;
        }
        self.orders[slot as usize] =
            Resting { id: order.id, quantity, level: level as u16, side: order.side, live: true, previous, next: NONE };
        match order.side {
            Side::Buy => self.best_bid = self.best_bid.max(level),
            Side::Sell => self.best_ask = self.best_ask.min(level),
        }
        self.depth += 1;
    }

    /// Takes out one resting order. False if it is gone already.
    #[inline(never)]
    pub fn cancel(&mut self, id: u64) -> bool {
        let slot = slot_of(id);
        let resting = &self.orders[slot as usize];
        let found = resting.live && resting.id == id;
        if found {
            self.remove(slot);
        }
        found
    }

    /// Sums up the best levels, order by order. A book in earnest would keep the sums instead: here is something to win.
    #[inline(never)]
    pub fn publish_depth(&self, depth: &mut Depth) {
        for step in 0..DEPTH_LEVELS {
            let bid = self.best_bid.saturating_sub(step);
            depth.bids[step] = DepthLevel { price: price_of(bid), quantity: self.level_quantity(&self.bids[bid]) };
            let ask = (self.best_ask + step).min(LEVELS - 1);
            depth.asks[step] = DepthLevel { price: price_of(ask), quantity: self.level_quantity(&self.asks[ask]) };
        }
    }

    #[inline(always)]
    fn level_quantity(&self, level: &Level) -> u64 {
        let (mut slot, mut quantity) = (level.first, 0);
        while slot != NONE {
            let resting = &self.orders[slot as usize];
            quantity += u64::from(resting.quantity);
            slot = resting.next;
        }
        quantity
    }

    #[inline(always)]
    fn remove(&mut self, slot: u32) {
        let Resting { level, side, previous, next, .. } = self.orders[slot as usize];
        let levels = if side == Side::Buy { &mut self.bids } else { &mut self.asks };
        let entry = &mut levels[usize::from(level)];
        if previous == NONE {
            entry.first = next;
        } else {
            self.orders[previous as usize].next = next;
        }
        if next == NONE {
            entry.last = previous;
        } else {
            self.orders[next as usize].previous = previous;
        }
        let emptied = entry.first == NONE;
        self.orders[slot as usize].live = false;
        self.depth -= 1;
        if emptied {
            self.move_best(usize::from(level), side);
        }
    }

    /// The next level with orders in it, after the best one ran empty.
    #[inline(always)]
    fn move_best(&mut self, level: usize, side: Side) {
        if side == Side::Buy && level == self.best_bid {
            while self.best_bid > 0 && self.bids[self.best_bid].first == NONE {
                self.best_bid -= 1;
            }
        } else if side == Side::Sell && level == self.best_ask {
            while self.best_ask < LEVELS - 1 && self.asks[self.best_ask].first == NONE {
                self.best_ask += 1;
            }
        }
    }
}

#[inline(always)]
fn slot_of(id: u64) -> u32 {
    (id % CAPACITY as u64) as u32
}

#[inline(always)]
fn level_of(price: i64) -> usize {
    (price - REFERENCE_PRICE + LEVELS as i64 / 2).clamp(0, LEVELS as i64 - 1) as usize
}

#[inline(always)]
fn price_of(level: usize) -> i64 {
    level as i64 + REFERENCE_PRICE - LEVELS as i64 / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    fn order(id: u64, side: Side, price: i64, quantity: u32) -> Order {
        Order {
            id,
            account: 1,
            instrument: 1,
            side,
            kind: Kind::Limit,
            price: REFERENCE_PRICE + price,
            quantity,
            reference: [b'A'; 24],
            checksum: 0,
        }
    }

    #[test]
    fn best_price_first_then_oldest_first() {
        let mut book = OrderBook::new();
        book.insert(&order(1, Side::Sell, 2, 10), 10);
        book.insert(&order(2, Side::Sell, 1, 10), 10);
        book.insert(&order(3, Side::Sell, 1, 10), 10);
        let mut fills = Vec::new();
        let left = book.match_order(&order(4, Side::Buy, 2, 25), &mut fills);
        assert_eq!(left, 0);
        let seen: Vec<_> = fills.iter().map(|f| (f.resting_id, f.price - REFERENCE_PRICE, f.quantity)).collect();
        assert_eq!(seen, [(2, 1, 10), (3, 1, 10), (1, 2, 5)]);
        assert_eq!(book.depth(), 1);
        assert_eq!(book.best_ask(), Some(REFERENCE_PRICE + 2));
    }

    #[test]
    fn a_limit_is_never_crossed() {
        let mut book = OrderBook::new();
        book.insert(&order(1, Side::Buy, -1, 10), 10);
        let mut fills = Vec::new();
        assert_eq!(book.match_order(&order(2, Side::Sell, 0, 7), &mut fills), 7);
        assert!(fills.is_empty());
        assert_eq!(book.match_order(&order(3, Side::Sell, -1, 7), &mut fills), 0);
        assert_eq!(fills.len(), 1);
        assert_eq!(book.best_bid(), Some(REFERENCE_PRICE - 1));
    }

    #[test]
    fn cancel_takes_out_one_order_once() {
        let mut book = OrderBook::new();
        book.insert(&order(5, Side::Buy, -1, 10), 10);
        book.insert(&order(6, Side::Buy, -2, 10), 10);
        assert!(book.cancel(5));
        assert!(!book.cancel(5));
        assert_eq!(book.depth(), 1);
        assert_eq!(book.best_bid(), Some(REFERENCE_PRICE - 2));
    }

    #[test]
    fn published_depth_adds_up_each_level() {
        let mut book = OrderBook::new();
        for (id, side, price, quantity) in
            [(1, Side::Buy, -1, 10), (2, Side::Buy, -1, 5), (3, Side::Buy, -2, 7), (4, Side::Sell, 1, 3)]
        {
            book.insert(&order(id, side, price, quantity), quantity);
        }
        let mut depth = Depth::default();
        book.publish_depth(&mut depth);
        assert_eq!(depth.bids[0], DepthLevel { price: REFERENCE_PRICE - 1, quantity: 15 });
        assert_eq!(depth.bids[1], DepthLevel { price: REFERENCE_PRICE - 2, quantity: 7 });
        assert_eq!((depth.asks[0].quantity, depth.asks[1].quantity), (3, 0));
    }

    #[test]
    fn the_book_stays_within_its_capacity() {
        let mut book = OrderBook::new();
        for id in 1..20_000 {
            book.insert(&order(id, Side::Buy, -(id as i64 % 50), 10), 10);
            assert!(book.depth() <= CAPACITY);
        }
        assert_eq!(book.depth(), CAPACITY);
    }
}
