//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Run for --seconds, then print the report
    Benchmark,
    /// Run until SIGINT or SIGTERM, then print the report
    Serve,
}

/// A small order path to profile: market data, validation, risk check, execution. The switches put in the faults that a
/// profiler should find: a slow tail, a regression, churn, a leak, cache misses.
#[derive(Clone, Debug, Parser)]
#[command(name = "trading-system", version, max_term_width = 110)]
pub struct Options {
    #[arg(long, value_enum, default_value = "benchmark")]
    pub mode: Mode,

    /// How long the benchmark runs
    #[arg(long, value_name = "N", default_value_t = 10.0, value_parser = positive)]
    pub seconds: f64,

    /// Orders per second over all threads; 0 is as fast as possible
    #[arg(long, value_name = "N", default_value_t = 0.0, value_parser = not_negative)]
    pub rate: f64,

    /// Engines, each with a book of its own, in threads named engine-0, engine-1 ...
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: u16,

    /// Seed of the order flow; the same seed gives the same orders
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,

    /// Take the slow path of the risk check in one call in N on average (about 100 times the normal time); 0 is never
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32), help_heading = "Faults")]
    pub slow_path: u32,

    /// Make risk::check_exposure that much slower, and nothing else; a negative number makes it faster
    #[arg(long, value_name = "PERCENT", default_value_t = 0, allow_negative_numbers = true,
          value_parser = clap::value_parser!(i32).range(-90..=10_000), help_heading = "Faults")]
    pub regress: i32,

    /// Allocate and free strings in the execution stage; a higher level makes more of them
    #[arg(long, value_name = "LEVEL", num_args = 0..=1, default_value_t = 0, default_missing_value = "1",
          value_parser = clap::value_parser!(u32).range(0..=1_000), help_heading = "Faults")]
    pub churn: u32,

    /// Leak that many bytes per second, over all threads
    #[arg(long, value_name = "BYTES", default_value_t = 0.0, value_parser = not_negative, help_heading = "Faults")]
    pub leak: f64,

    /// Let the walk over the reference data miss the caches: 64 MiB instead of 8 KiB, with the same instructions
    #[arg(long, help_heading = "Faults")]
    pub cache_hostile: bool,

    /// Write an interval log of HdrHistograms (V2, one interval a second, in ns)
    #[arg(long, value_name = "PATH", help_heading = "Instruments")]
    pub hlog: Option<PathBuf>,

    /// Write orders as JSON lines with their stage times; - is stdout, and the report then goes to stderr
    #[arg(long, value_name = "PATH", help_heading = "Instruments")]
    pub log: Option<PathBuf>,

    /// Log one order in N
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..),
          help_heading = "Instruments")]
    pub log_every: u64,

    /// Read the clock for one order in N only; for machines whose clock is slow
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..),
          help_heading = "Instruments")]
    pub time_every: u64,

    /// Serve Prometheus metrics on this port of 127.0.0.1; 0 is off
    #[arg(long, value_name = "PORT", default_value_t = 0, help_heading = "Instruments")]
    pub metrics_port: u16,

    /// Write a flame graph of the process by itself every so many seconds; 0 is off
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0, value_parser = not_negative, help_heading = "Instruments")]
    pub profile_every: f64,

    /// Where the flame graphs go
    #[arg(long, value_name = "FOLDER", default_value = ".", help_heading = "Instruments")]
    pub profile_dir: PathBuf,
}

impl Options {
    /// How long to run; nothing means until a signal comes.
    pub fn duration(&self) -> Option<Duration> {
        (self.mode == Mode::Benchmark).then(|| Duration::from_secs_f64(self.seconds))
    }
}

fn not_negative(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| format!("'{text}' is not a number"))?;
    if (0.0..=1e12).contains(&number) { Ok(number) } else { Err("it must be from 0 to 1e12".to_owned()) }
}

fn positive(text: &str) -> Result<f64, String> {
    match not_negative(text)? {
        number if number > 0.0 && number <= 1e9 => Ok(number),
        _ => Err("it must be above 0".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_switches_parse() {
        let line = ["x", "--mode", "benchmark", "--regress", "-15", "--churn", "--leak", "1e6", "--slow-path", "500"];
        let options = Options::try_parse_from(line).unwrap();
        assert_eq!((options.regress, options.churn, options.slow_path), (-15, 1, 500));
        assert_eq!(options.duration(), Some(Duration::from_secs(10)));
        assert!(Options::try_parse_from(["x", "--rate", "-1"]).is_err());
        assert!(Options::try_parse_from(["x", "--seconds", "0"]).is_err());
        assert!(Options::try_parse_from(["x", "--mode", "serve"]).unwrap().duration().is_none());
    }
}
