//! One engine: takes orders from its flow and sends each through all the stages, in a thread of its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::churn::{self, Leak};
use crate::execution::{Execution, Outcome};
use crate::flow::{OrderFlow, Random};
use crate::latency::{Laps, Recorder, Stage};
use crate::market_data::MarketData;
use crate::metrics::StageMetrics;
use crate::options::Options;
use crate::risk::Risk;
use crate::{Order, Reject, measure, validation};

/// Market data messages for each order: there is always more market than business.
const TICKS_PER_ORDER: u32 = 4;
/// Orders before the clock starts: the book, the positions and the caches are as they will stay.
const WARM_UP: u32 = 50_000;

pub struct Engine {
    flow: OrderFlow,
    market_data: MarketData,
    risk: Risk,
    execution: Execution,
    /// Chooses the slow orders. Not a counter: that could fall into step with `--time-every` or `--log-every`.
    choice: Random,
    slow_path: u32,
    churn: u32,
}

/// What one turn of the loop did.
pub struct Turn {
    pub order: Order,
    pub slow: bool,
    pub outcome: Result<Outcome, Reject>,
}

impl Engine {
    pub fn new(options: &Options, seed: u64) -> Self {
        Self {
            flow: OrderFlow::new(seed),
            market_data: MarketData::new(seed, options.cache_hostile),
            risk: Risk::new(options.regress),
            execution: Execution::new(),
            choice: Random::new(!seed),
            slow_path: options.slow_path,
            churn: options.churn,
        }
    }

    /// Some market data messages and one order.
    #[inline(always)]
    pub fn turn(&mut self, laps: impl FnOnce() -> Laps) -> (Turn, Laps) {
        let mut reference_price = 0.0;
        for _ in 0..TICKS_PER_ORDER {
            let message = self.flow.next_tick();
            reference_price = self.market_data.on_market_data(&message);
        }
        let order = self.flow.next_order();
        let slow = self.slow_path > 0 && self.choice.below(u64::from(self.slow_path)) == 0;
        let mut laps = laps();
        let outcome = self.process_order(&order, reference_price, slow, &mut laps);
        (Turn { order, slow, outcome }, laps)
    }

    /// The order path: validation, risk check, execution.
    #[inline(never)]
    pub fn process_order(
        &mut self,
        order: &Order,
        reference_price: f64,
        slow: bool,
        laps: &mut Laps,
    ) -> Result<Outcome, Reject> {
        measure!(laps, Validation, {
            let collar = self.market_data.look_up_collar();
            validation::validate_order(order, reference_price, collar)
        })?;
        measure!(laps, RiskCheck, self.risk.check_risk(order, slow))?;
        measure!(laps, Execution, Ok(self.execute(order)))
    }

    #[inline(always)]
    fn execute(&mut self, order: &Order) -> Outcome {
        let outcome = self.execution.execute_order(order);
        if outcome.filled_quantity > 0 {
            self.risk.apply_fill(order, outcome.filled_quantity);
        }
        if self.churn > 0 {
            churn::rebuild_quotes(self.churn, order.price);
        }
        outcome
    }

    pub fn warm_up(&mut self) {
        let slow_path = std::mem::take(&mut self.slow_path);
        for _ in 0..WARM_UP {
            self.turn(|| Laps::start(false));
        }
        self.slow_path = slow_path;
    }

    /// Works until `stopping` is set.
    #[inline(never)]
    pub fn run(&mut self, options: &Options, recorder: &Recorder, stopping: &AtomicBool) {
        let started = Instant::now();
        let share = f64::from(options.threads);
        let mut pace = (options.rate > 0.0).then(|| Pace::new(started, Duration::from_secs_f64(share / options.rate)));
        let mut leak = Leak::new(options.leak / share, started);
        let mut metrics = (options.metrics_port != 0).then(StageMetrics::new);
        let logging = options.log.is_some();
        let mut orders = 0u64;
        while !stopping.load(Ordering::Relaxed) {
            if let Some(pace) = &mut pace
                && !pace.wait(stopping)
            {
                break;
            }
            orders += 1;
            let logged = logging && orders.is_multiple_of(options.log_every);
            let timed = logged || orders.is_multiple_of(options.time_every);
            let (turn, laps) = self.turn(|| Laps::start(timed));
            let leaked = laps.ended().map_or(0, |ended| leak.keep_up(ended));
            {
                let mut interval = recorder.lock();
                interval.record(&laps);
                interval.book_depth = self.execution.book().depth() as u64;
                let totals = &mut interval.totals;
                totals.orders += 1;
                totals.slow += u64::from(turn.slow);
                totals.leaked_bytes += leaked;
                match turn.outcome {
                    Ok(outcome) => {
                        totals.fills += u64::from(outcome.fills);
                        totals.cancels += u64::from(outcome.cancelled);
                    }
                    Err(_) => totals.rejected += 1,
                }
            }
            if let Some(metrics) = &mut metrics {
                metrics.record(&laps);
            }
            if logged {
                log_order(&turn, &laps);
            }
        }
    }
}

/// One JSON line. A stage that the order did not reach is left out.
#[inline(never)]
fn log_order(turn: &Turn, laps: &Laps) {
    tracing::info!(
        target: "trading_system::orders",
        order_id = turn.order.id,
        account = turn.order.account,
        slow = turn.slow,
        reject = turn.outcome.err().map(tracing::field::debug),
        validation_us = laps.micros(Stage::Validation),
        risk_check_us = laps.micros(Stage::RiskCheck),
        execution_us = laps.micros(Stage::Execution),
        total_us = laps.micros(Stage::Total),
        "order processed"
    );
}

/// Spaces the orders evenly. After a stall it catches up, so that the rate holds over the run.
struct Pace {
    next: Instant,
    period: Duration,
}

impl Pace {
    fn new(started: Instant, period: Duration) -> Self {
        Self { next: started, period }
    }

    /// Sleeps until the next order is due; false if the engine was stopped meanwhile.
    #[inline(never)]
    fn wait(&mut self, stopping: &AtomicBool) -> bool {
        /// No sleep is longer, so that a slow pace does not delay the end.
        const LONGEST: Duration = Duration::from_millis(50);
        self.next += self.period;
        loop {
            let left = self.next.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            thread::sleep(left.min(LONGEST));
            if stopping.load(Ordering::Relaxed) {
                return false;
            }
        }
    }
}
