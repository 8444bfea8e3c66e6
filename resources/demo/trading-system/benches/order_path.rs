//! Benchmarks of the order path.
//!
//! `cargo bench` compares with the run before; `cargo bench -- --save-baseline main` and `--baseline main` with a named
//! one. `cargo bench -- --profile-time 5` profiles instead, with `pprof`, and leaves a flame graph for each benchmark
//! in target/criterion/*/*/profile/. `TRADING_REGRESS=15 cargo bench` puts in a regression to find.

use std::hint::black_box;
use std::time::Duration;

use clap::Parser;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
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

/// Each stage by itself, on the orders that it gets in a run.
fn stages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stages");
    let price = REFERENCE_PRICE as f64;
    let mut flow = OrderFlow::new(1);

    let mut market_data = MarketData::new(1, false);
    group.bench_function("on_market_data", |bencher| {
        bencher.iter_batched_ref(
            || flow.next_tick(),
            |tick| black_box(market_data.on_market_data(tick)),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("validate_order", |bencher| {
        bencher.iter_batched_ref(
            || flow.next_order(),
            |order| black_box(validation::validate_order(order, price, 0.01)),
            BatchSize::SmallInput,
        );
    });
    let mut risk = Risk::new(options().regress);
    group.bench_function("check_risk", |bencher| {
        bencher.iter_batched_ref(
            || flow.next_order(),
            |order| black_box(risk.check_risk(order, false)),
            BatchSize::SmallInput,
        );
    });
    let mut execution = Execution::new();
    group.bench_function("execute_order", |bencher| {
        bencher.iter_batched_ref(
            || flow.next_order(),
            |order| black_box(execution.execute_order(order)),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

/// What guards the latency: the whole way of an order, and two kinds of it by themselves. The thresholds are wider than
/// criterion's own: on a shared machine those call changes where there are none.
fn latency_regression(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("latency_regression");
    group.significance_level(0.01).noise_threshold(0.03).measurement_time(Duration::from_secs(8));

    let mut engine = warm_engine();
    group.bench_function("market_data_and_order", |bencher| {
        bencher.iter(|| black_box(engine.turn(|| Laps::start(false))));
    });
    let (kinds, price) = (["rejected", "resting"], REFERENCE_PRICE as f64);
    for kind in kinds {
        let mut engine = warm_engine();
        let mut flow = OrderFlow::new(2);
        group.bench_function(kind, |bencher| {
            bencher.iter_batched_ref(
                || order(kind, &mut flow),
                |order| black_box(engine.process_order(order, price, false, &mut Laps::start(false))),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn order(kind: &str, flow: &mut OrderFlow) -> Order {
    let mut order = Order { kind: Kind::Limit, price: REFERENCE_PRICE, ..flow.next_order() };
    order.checksum = validation::checksum(&order);
    if kind == "rejected" {
        order.checksum ^= 1;
    }
    order
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_profiler(PProfProfiler::new(997, Output::Flamegraph(None)));
    targets = stages, latency_regression
}
criterion_main!(benches);
