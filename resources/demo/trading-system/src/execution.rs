//! The third stage: the order meets the book, and what happened is reported.

use crate::order_book::{Depth, Fill, OrderBook};
use crate::{Kind, Order, Side};

/// What one order came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub fills: u32,
    pub filled_quantity: u32,
    pub cancelled: bool,
}

pub struct Execution {
    book: OrderBook,
    fills: Vec<Fill>,
    depth: Depth,
    report: Vec<u8>,
}

impl Default for Execution {
    fn default() -> Self {
        Self::new()
    }
}

impl Execution {
    pub fn new() -> Self {
        Self {
            book: OrderBook::new(),
            fills: Vec::with_capacity(256),
            depth: Depth::default(),
            report: Vec::with_capacity(512),
        }
    }

    pub fn book(&self) -> &OrderBook {
        &self.book
    }

    /// The last execution report, as it would go to the client.
    pub fn report(&self) -> &[u8] {
        &self.report
    }

    #[inline(never)]
    pub fn execute_order(&mut self, order: &Order) -> Outcome {
        self.fills.clear();
        let mut cancelled = false;
        match order.kind {
            Kind::Limit => {
                let left = self.book.match_order(order, &mut self.fills);
                if left > 0 {
                    self.book.insert(order, left);
                }
            }
            Kind::Cancel { resting_id } => cancelled = self.book.cancel(resting_id),
        }
        self.book.publish_depth(&mut self.depth);
        let filled_quantity = self.fills.iter().map(|fill| fill.quantity).sum();
        self.encode_report(order, filled_quantity);
        Outcome { fills: self.fills.len() as u32, filled_quantity, cancelled }
    }

    /// Writes a FIX-like execution report: tags, values, and the checksum of the bytes at the end.
    #[inline(never)]
    fn encode_report(&mut self, order: &Order, filled_quantity: u32) {
        let report = &mut self.report;
        report.clear();
        report.extend_from_slice(b"8=FIX.4.4\x0135=8\x0111=");
        report.extend_from_slice(&order.reference);
        push_field(report, b"37", order.id);
        push_field(report, b"1", u64::from(order.account));
        push_field(report, b"55", u64::from(order.instrument));
        push_field(report, b"54", if order.side == Side::Buy { 1 } else { 2 });
        push_field(report, b"38", u64::from(order.quantity));
        push_field(report, b"44", order.price.unsigned_abs());
        push_field(report, b"14", u64::from(filled_quantity));
        push_field(report, b"151", u64::from(order.quantity - filled_quantity));
        for fill in &self.fills {
            push_field(report, b"31", fill.price.unsigned_abs());
            push_field(report, b"32", u64::from(fill.quantity));
        }
        for level in self.depth.bids.iter().chain(&self.depth.asks) {
            push_field(report, b"270", level.price.unsigned_abs());
            push_field(report, b"271", level.quantity);
        }
        let sum = report.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        push_field(report, b"10", u64::from(sum));
    }
}

#[inline(always)]
fn push_field(report: &mut Vec<u8>, tag: &[u8], value: u64) {
    report.push(1);
    report.extend_from_slice(tag);
    report.push(b'=');
    push_decimal(report, value);
}

/// Plain decimal digits, one division for each: simple, and a visible part of the profile.
#[inline(never)]
fn push_decimal(report: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0u8; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    report.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::OrderFlow;

    #[test]
    fn a_report_carries_what_was_filled() {
        let mut execution = Execution::new();
        let template = OrderFlow::new(4).next_order();
        let sell = Order { id: 1, side: Side::Sell, kind: Kind::Limit, quantity: 30, ..template };
        let buy = Order { id: 2, side: Side::Buy, kind: Kind::Limit, quantity: 50, ..template };
        assert_eq!(execution.execute_order(&sell).fills, 0);
        let outcome = execution.execute_order(&buy);
        assert_eq!(outcome, Outcome { fills: 1, filled_quantity: 30, cancelled: false });
        let text = String::from_utf8_lossy(execution.report()).replace('\x01', "|");
        assert!(text.contains("|37=2|") && text.contains("|14=30|151=20|31="), "{text}");
        let cancel = Order { id: 3, kind: Kind::Cancel { resting_id: 2 }, ..template };
        assert!(execution.execute_order(&cancel).cancelled);
        assert_eq!(execution.book().depth(), 0);
    }
}
