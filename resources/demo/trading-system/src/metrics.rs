//! The Prometheus side: counters, a gauge and the latency summaries, on a port of choice.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder};

use crate::latency::{Interval, Laps, Stage};

/// Runs an expression as one stage of an order and notes in `laps` how long it took, since the end of the stage before.
#[macro_export]
macro_rules! measure {
    ($laps:expr, $stage:ident, $work:expr) => {{
        let value = $work;
        $laps.finish($crate::latency::Stage::$stage);
        value
    }};
}

/// Serves /metrics on the loopback address. The summaries get p99.99, which the exporter leaves out by itself.
pub fn serve(port: u16) -> Result<(), BuildError> {
    PrometheusBuilder::new()
        .with_http_listener(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .set_quantiles(&[0.5, 0.9, 0.95, 0.99, 0.999, 0.9999, 1.0])?
        .upkeep_timeout(Duration::from_secs(1))
        .install()?;
    describe_counter!("trading_orders_total", "Orders that came in");
    describe_counter!("trading_rejected_orders_total", "Orders that validation or risk refused");
    describe_counter!("trading_fills_total", "Matches of an order with a resting one");
    describe_counter!("trading_slow_orders_total", "Orders that took the slow path");
    describe_gauge!("trading_book_orders", "Orders that rest in the books");
    describe_histogram!("trading_stage_seconds", "Time of one order in one stage, one order in 16");
    Ok(())
}

/// The summaries of one engine. They take one order in 16: the exporter keeps every value until it is scraped, and at
/// half a million orders a second that would cost more than the orders do. The counters are exact.
pub struct StageMetrics {
    summaries: [Histogram; 4],
    turn: u32,
}

impl StageMetrics {
    const ONE_IN: u32 = 16;

    pub fn new() -> Self {
        Self {
            summaries: Stage::ALL.map(|stage| histogram!("trading_stage_seconds", "stage" => stage.name())),
            turn: 0,
        }
    }

    #[inline(always)]
    pub fn record(&mut self, laps: &Laps) {
        self.turn = (self.turn + 1) % Self::ONE_IN;
        if self.turn == 0 {
            for stage in Stage::ALL {
                if let Some(nanos) = laps.nanos(stage) {
                    self.summaries[stage as usize].record(nanos as f64 * 1e-9);
                }
            }
        }
    }
}

impl Default for StageMetrics {
    fn default() -> Self {
        Self::new()
    }
}

/// The counters of the whole process, brought up to date once each interval.
pub struct Exported {
    orders: Counter,
    rejected: Counter,
    fills: Counter,
    slow: Counter,
    book: Gauge,
}

impl Exported {
    pub fn new() -> Self {
        Self {
            orders: counter!("trading_orders_total"),
            rejected: counter!("trading_rejected_orders_total"),
            fills: counter!("trading_fills_total"),
            slow: counter!("trading_slow_orders_total"),
            book: gauge!("trading_book_orders"),
        }
    }

    pub fn update(&self, interval: &Interval) {
        self.orders.increment(interval.totals.orders);
        self.rejected.increment(interval.totals.rejected);
        self.fills.increment(interval.totals.fills);
        self.slow.increment(interval.totals.slow);
        self.book.set(interval.book_depth as f64);
    }
}

impl Default for Exported {
    fn default() -> Self {
        Self::new()
    }
}
