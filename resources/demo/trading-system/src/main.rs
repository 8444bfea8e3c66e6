use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use clap::Parser;
use trading_system::engine::Engine;
use trading_system::latency::{Hlog, LatencyTracker, write_report};
use trading_system::metrics::{self, Exported};
use trading_system::options::Options;
use trading_system::profiling::ContinuousProfiler;

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const INTERVAL: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("trading-system: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let (signal, stop) = channel();
    // A signal only ends the run early: the report is printed and the logs are closed as always. Nobody listens once the
    // run is over, and then a signal has come too late to matter.
    ctrlc::set_handler(move || signal.send(()).unwrap_or(()))
        .map_err(|error| format!("cannot handle signals: {error}"))?;
    if let Some(path) = &options.log {
        start_log(path).map_err(|error| format!("cannot write the log {}: {error}", path.display()))?;
    }
    if options.metrics_port != 0 {
        metrics::serve(options.metrics_port)
            .map_err(|error| format!("cannot serve metrics on port {}: {error}", options.metrics_port))?;
    }
    let mut hlog = match &options.hlog {
        Some(path) => Some(
            Hlog::create(path)
                .map_err(|error| format!("cannot write the histogram log {}: {error}", path.display()))?,
        ),
        None => None,
    };
    let mut engines: Vec<Engine> =
        (0..u64::from(options.threads)).map(|engine| Engine::new(options, options.seed + engine)).collect();
    engines.iter_mut().for_each(Engine::warm_up);

    let profiler = if options.profile_every > 0.0 {
        let period = Duration::from_secs_f64(options.profile_every);
        let profiler = ContinuousProfiler::start(period, &options.profile_dir)
            .map_err(|error| format!("cannot write profiles to {}: {error}", options.profile_dir.display()))?;
        Some(profiler)
    } else {
        None
    };
    let log = match &mut hlog {
        Some(hlog) => {
            Some(hlog.begin(SystemTime::now()).map_err(|error| format!("cannot write the histogram log: {error}"))?)
        }
        None => None,
    };
    let started = Instant::now();
    let mut tracker = LatencyTracker::new(engines.len(), started, log);
    let signalled = work(options, &mut engines, &mut tracker, &stop)?;
    let elapsed = started.elapsed();
    if let Some(profiler) = profiler {
        let written = profiler.finish().map_err(|error| format!("the profiler failed: {error}"))?;
        eprintln!("{written} profiles in {}", options.profile_dir.display());
    }
    match print_report(options, &tracker, elapsed, signalled) {
        // Whoever read our output has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.map_err(|error| format!("cannot print the report: {error}")),
    }
}

/// Runs the engines until the time is over or a signal comes, and closes an interval each second. True if it was a signal.
fn work(
    options: &Options,
    engines: &mut [Engine],
    tracker: &mut LatencyTracker<'_>,
    stop: &Receiver<()>,
) -> Result<bool, String> {
    let stopping = &AtomicBool::new(false);
    let exported = Exported::new();
    let started = Instant::now();
    let deadline = options.duration().map(|duration| started + duration);
    thread::scope(|scope| {
        // Also when something fails: the scope ends only after its threads.
        let _stop_on_exit = StopOnDrop(stopping);
        let mut threads = Vec::new();
        for (index, engine) in engines.iter_mut().enumerate() {
            let recorder = tracker.recorder(index);
            let thread = thread::Builder::new()
                .name(format!("engine-{index}"))
                .spawn_scoped(scope, move || engine.run(options, &recorder, stopping))
                .map_err(|error| format!("cannot start engine-{index}: {error}"))?;
            threads.push(thread);
        }
        let mut tick = started + INTERVAL;
        loop {
            let next = deadline.map_or(tick, |deadline| deadline.min(tick));
            let signalled = stop.recv_timeout(next.saturating_duration_since(Instant::now())).is_ok();
            let over = signalled || deadline.is_some_and(|deadline| Instant::now() >= deadline);
            if over {
                stopping.store(true, Ordering::Relaxed);
                for thread in threads.drain(..) {
                    thread.join().map_err(|_| "an engine panicked".to_owned())?;
                }
            }
            let interval = tracker.close_interval().map_err(|error| format!("cannot write the log: {error}"))?;
            exported.update(interval);
            if over {
                return Ok(signalled);
            }
            tick += INTERVAL;
        }
    })
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn start_log(path: &Path) -> io::Result<()> {
    let lines = tracing_subscriber::fmt().json().with_thread_names(true);
    if path == Path::new("-") {
        lines.with_writer(io::stdout).init();
    } else {
        lines.with_writer(Mutex::new(File::create(path)?)).init();
    }
    Ok(())
}

fn print_report(options: &Options, tracker: &LatencyTracker<'_>, elapsed: Duration, signalled: bool) -> io::Result<()> {
    let to_stderr = options.log.as_deref() == Some(Path::new("-"));
    let mut out: Box<dyn Write> = if to_stderr { Box::new(io::stderr().lock()) } else { Box::new(io::stdout().lock()) };
    let totals = tracker.all().totals;
    let seconds = elapsed.as_secs_f64();
    let end = if signalled { ", stopped by a signal" } else { "" };
    writeln!(
        out,
        "{} orders in {seconds:.3} s ({:.0} per second), threads {}, seed {}{end}",
        totals.orders,
        totals.orders as f64 / seconds,
        options.threads,
        options.seed
    )?;
    writeln!(
        out,
        "rejected {}, fills {}, cancels {}, slow {}, leaked {} bytes\n",
        totals.rejected, totals.fills, totals.cancels, totals.slow, totals.leaked_bytes
    )?;
    write_report(tracker.all(), &mut out)?;
    out.flush()
}
