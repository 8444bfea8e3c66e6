//! Benchmarks of the order path.
//!
//! `cargo bench` compares with the run before; `cargo bench -- --save-baseline main` and `--baseline main` with a named
//! one. `cargo bench -- --profile-time 5` profiles instead, with `pprof`, and leaves a flame graph for each benchmark
//! in target/criterion/*/*/profile/. `TRADING_REGRESS=15 cargo bench` puts in a regression to find.

use std::hint::black_box;

use clap::Parser;
use criterion::{Criterion, criterion_group, criterion_main};
use pprof::criterion::{Output, PProfProfiler};
use trading_system::engine::Engine;
use trading_system::execution::Execution;
use trading_system::flow::OrderFlow;
use trading_system::latency::Laps;
use trading_system::market_data::MarketData;
use trading_system::options::Options;
use trading_system::risk::Risk;
use trading_system::{Kind, Order, REFERENCE_PRICE, validation};

fn options() -> Options {
    let regress = std::env::var("TRADING_REGRESS").unwrap_or_else(|_| "0".to_owned());
    Options::parse_from(["order_path", "--regress", &regress])
}

fn warm_engine() -> Engine {
    let mut engine = Engine::new(&options(), 1);
    engine.warm_up();
    engine
}

/// Orders to go round in: making them is not what is measured.
struct Supply {
    orders: Vec<Order>,
    next: usize,
}

impl Supply {
    fn new(change: impl FnMut(&mut Order)) -> Self {
        let mut flow = OrderFlow::new(1);
        let mut orders: Vec<Order> = std::iter::repeat_with(|| flow.next_order()).take(4096).collect();
        orders.iter_mut().for_each(change);
        Self { orders, next: 0 }
    }

    fn next_order(&mut self) -> &Order {
        self.next = (self.next + 1) % self.orders.len();
        &self.orders[self.next]
    }
}

/// Each stage by itself, on the orders that it gets in a run.
fn stages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stages");
    let price = REFERENCE_PRICE as f64;
    let mut supply = Supply::new(|_| ());

    let mut market_data = MarketData::new(1, false);
    let tick = OrderFlow::new(1).next_tick();
    group.bench_function("on_market_data", |bencher| {
        bencher.iter(|| market_data.on_market_data(black_box(&tick)));
    });
    group.bench_function("validate_order", |bencher| {
        bencher.iter(|| validation::validate_order(black_box(supply.next_order()), price, 0.01));
    });
    let mut risk = Risk::new(options().regress);
    group.bench_function("check_risk", |bencher| {
        bencher.iter(|| risk.check_risk(black_box(supply.next_order()), false));
    });
    let mut execution = Execution::new();
    group.bench_function("execute_order", |bencher| {
        bencher.iter(|| execution.execute_order(black_box(supply.next_order())));
    });
    group.finish();
}

/// What guards the latency: the whole way of an order, and two kinds of it. The thresholds are wider than criterion's
/// own: on a shared machine those call changes where there are none.
fn latency_regression(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("latency_regression");
    group.significance_level(0.01).noise_threshold(0.03);

    let mut engine = warm_engine();
    group.bench_function("market_data_and_order", |bencher| {
        bencher.iter(|| black_box(engine.turn(|| Laps::start(false))));
    });
    let limit = |order: &mut Order| {
        order.kind = Kind::Limit;
        order.checksum = validation::checksum(order);
    };
    let rejected = |order: &mut Order| order.checksum = !validation::checksum(order);
    for (name, mut supply) in [("limit_order", Supply::new(limit)), ("rejected_order", Supply::new(rejected))] {
        let mut engine = warm_engine();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let order = black_box(supply.next_order());
                engine.process_order(order, REFERENCE_PRICE as f64, false, &mut Laps::start(false))
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_profiler(PProfProfiler::new(997, Output::Flamegraph(None)));
    targets = stages, latency_regression
}
criterion_main!(benches);
