//! The LatencyTracker: one histogram for each stage and engine, one interval a second, one percentile report at the end.

use std::fs::File;
use std::io::{self, LineWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriter, IntervalLogWriterBuilder, Tag};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Validation,
    RiskCheck,
    Execution,
    Total,
}

impl Stage {
    pub const ALL: [Stage; 4] = [Stage::Validation, Stage::RiskCheck, Stage::Execution, Stage::Total];

    pub fn name(self) -> &'static str {
        match self {
            Stage::Validation => "validation",
            Stage::RiskCheck => "risk_check",
            Stage::Execution => "execution",
            Stage::Total => "total",
        }
    }

    /// The total is written without a tag: that is what HdrHistogram's own tools show when no tag is asked for.
    fn tag(self) -> Option<Tag<'static>> {
        if self == Stage::Total { None } else { Tag::new(self.name()) }
    }
}

/// The stage times of one order. The stages follow on each other, so each takes one reading of the clock (some 20 ns
/// with a TSC, against about 2 us for an order: every order can be timed). Where the clock is slow, see `--time-every`.
#[derive(Debug)]
pub struct Laps {
    first: Option<Instant>,
    last: Option<Instant>,
    nanos: [u64; 4],
}

impl Laps {
    #[inline(always)]
    pub fn start(timed: bool) -> Self {
        let now = timed.then(Instant::now);
        Self { first: now, last: now, nanos: [0; 4] }
    }

    /// Ends a stage, and with it the order so far.
    #[inline(always)]
    pub fn finish(&mut self, stage: Stage) {
        if let (Some(first), Some(last)) = (self.first, self.last) {
            let now = Instant::now();
            self.nanos[stage as usize] = (now - last).as_nanos().max(1) as u64;
            self.nanos[Stage::Total as usize] = (now - first).as_nanos().max(1) as u64;
            self.last = Some(now);
        }
    }

    /// The time of one stage in ns, if the order came that far and was timed.
    #[inline(always)]
    pub fn nanos(&self, stage: Stage) -> Option<u64> {
        Some(self.nanos[stage as usize]).filter(|nanos| *nanos > 0)
    }

    pub fn micros(&self, stage: Stage) -> Option<f64> {
        self.nanos(stage).map(|nanos| nanos as f64 / 1_000.0)
    }

    /// When the last stage ended.
    #[inline(always)]
    pub fn ended(&self) -> Option<Instant> {
        self.last
    }
}

/// What engines count, besides time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub orders: u64,
    pub rejected: u64,
    pub fills: u64,
    pub cancels: u64,
    pub slow: u64,
    pub leaked_bytes: u64,
}

impl Totals {
    fn add(&mut self, other: &Totals) {
        self.orders += other.orders;
        self.rejected += other.rejected;
        self.fills += other.fills;
        self.cancels += other.cancels;
        self.slow += other.slow;
        self.leaked_bytes += other.leaked_bytes;
    }
}

/// Everything that was measured in some span of time. Values are in ns.
#[derive(Clone, Debug)]
pub struct Interval {
    pub histograms: [Histogram<u64>; 4],
    pub totals: Totals,
    /// How many orders rest in the books at its end.
    pub book_depth: u64,
}

impl Interval {
    /// 1 ns to 60 s at 3 digits: 27 thousand counters for each stage.
    fn new() -> Self {
        let histogram = || Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("the bounds are valid");
        Self { histograms: std::array::from_fn(|_| histogram()), totals: Totals::default(), book_depth: 0 }
    }

    #[inline(always)]
    pub fn record(&mut self, laps: &Laps) {
        for stage in Stage::ALL {
            if let Some(nanos) = laps.nanos(stage) {
                self.histograms[stage as usize].saturating_record(nanos);
            }
        }
    }

    fn add(&mut self, other: &Interval) {
        for (mine, theirs) in self.histograms.iter_mut().zip(&other.histograms) {
            mine.add(theirs).expect("all histograms have the same bounds");
        }
        self.totals.add(&other.totals);
        self.book_depth += other.book_depth;
    }

    fn clear(&mut self) {
        self.histograms.iter_mut().for_each(Histogram::clear);
        self.totals = Totals::default();
        self.book_depth = 0;
    }
}

/// One engine's side. The lock is its own but for one moment each second, so taking it costs two atomic instructions.
#[derive(Clone)]
pub struct Recorder(Arc<Mutex<Interval>>);

impl Recorder {
    #[inline(always)]
    pub fn lock(&self) -> MutexGuard<'_, Interval> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file behind an interval log and the encoder for it; the writer borrows both.
pub struct Hlog {
    file: LineWriter<File>,
    serializer: V2DeflateSerializer,
}

type HlogWriter<'a> = IntervalLogWriter<'a, 'a, LineWriter<File>, V2DeflateSerializer>;

impl Hlog {
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: LineWriter::new(File::create(path)?), serializer: V2DeflateSerializer::new() })
    }

    /// Writes the header. Times in the log are seconds since `started`; maxima are in ms, as the Java tools write them.
    pub fn begin(&mut self, started: SystemTime) -> io::Result<HlogWriter<'_>> {
        let mut log = IntervalLogWriterBuilder::new()
            .add_comment("[Logged with trading-system, the demo target of Tailflame; values in ns]")
            .add_comment("[Histogram log format version 1.3]")
            .with_start_time(started)
            .with_base_time(started)
            .with_max_value_divisor(1e6)
            .begin_log_with(&mut self.file, &mut self.serializer)?;
        log.write_comment("the untagged histograms are the stage \"total\"")?;
        Ok(log)
    }
}

pub struct LatencyTracker<'a> {
    recorders: Vec<Recorder>,
    log: Option<HlogWriter<'a>>,
    started: Instant,
    closed: Duration,
    /// Cleared, and given to an engine in exchange for its full one.
    spare: Interval,
    latest: Interval,
    all: Interval,
}

impl<'a> LatencyTracker<'a> {
    pub fn new(engines: usize, started: Instant, log: Option<HlogWriter<'a>>) -> Self {
        Self {
            recorders: (0..engines).map(|_| Recorder(Arc::new(Mutex::new(Interval::new())))).collect(),
            log,
            started,
            closed: Duration::ZERO,
            spare: Interval::new(),
            latest: Interval::new(),
            all: Interval::new(),
        }
    }

    pub fn recorder(&self, engine: usize) -> Recorder {
        self.recorders[engine].clone()
    }

    /// Ends the interval: collects from all engines, writes one line for each stage, and returns what was in it.
    pub fn close_interval(&mut self) -> io::Result<&Interval> {
        self.latest.clear();
        let now = self.started.elapsed();
        for recorder in &self.recorders {
            {
                let mut theirs = recorder.lock();
                self.spare.book_depth = theirs.book_depth;
                std::mem::swap(&mut *theirs, &mut self.spare);
            }
            self.latest.add(&self.spare);
            self.spare.clear();
        }
        self.all.book_depth = 0;
        self.all.add(&self.latest);
        if let Some(log) = &mut self.log {
            for stage in Stage::ALL {
                let histogram = &self.latest.histograms[stage as usize];
                log.write_histogram(histogram, self.closed, now - self.closed, stage.tag())
                    .map_err(|error| io::Error::other(error.to_string()))?;
            }
        }
        self.closed = now;
        Ok(&self.latest)
    }

    /// All closed intervals together.
    pub fn all(&self) -> &Interval {
        &self.all
    }
}

/// Writes the percentiles of all stages as a table, in us, with a fixed head and one line for each stage.
pub fn write_report(interval: &Interval, out: &mut impl Write) -> io::Result<()> {
    const PERCENTILES: [f64; 6] = [50.0, 90.0, 95.0, 99.0, 99.9, 99.99];
    writeln!(out, "latency percentiles (us)")?;
    write!(out, "{:<12}", "stage")?;
    for percentile in PERCENTILES {
        write!(out, " {:>11}", format!("p{percentile}"))?;
    }
    writeln!(out, " {:>11} {:>12}", "max", "count")?;
    for stage in Stage::ALL {
        let histogram = &interval.histograms[stage as usize];
        write!(out, "{:<12}", stage.name())?;
        for percentile in PERCENTILES {
            write!(out, " {:>11.3}", histogram.value_at_percentile(percentile) as f64 / 1_000.0)?;
        }
        writeln!(out, " {:>11.3} {:>12}", histogram.max() as f64 / 1_000.0, histogram.len())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    fn laps(nanos: [u64; 4]) -> Laps {
        Laps { first: None, last: None, nanos }
    }

    #[test]
    fn the_log_reads_back_as_it_was_recorded() {
        let path = std::env::temp_dir().join(format!("trading-system-{}.hlog", std::process::id()));
        let mut hlog = Hlog::create(&path).unwrap();
        let log = hlog.begin(SystemTime::now()).unwrap();
        let mut tracker = LatencyTracker::new(2, Instant::now(), Some(log));
        tracker.recorder(0).lock().record(&laps([100, 200, 300, 600]));
        tracker.recorder(1).lock().record(&laps([120, 0, 0, 120]));
        tracker.close_interval().unwrap();
        tracker.recorder(0).lock().record(&laps([100, 200, 90_000, 90_300]));
        tracker.close_interval().unwrap();
        assert_eq!(tracker.all().histograms[Stage::Total as usize].len(), 3);
        drop(tracker);

        let text = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let mut decoder = Deserializer::new();
        let mut seen = Vec::new();
        for entry in IntervalLogIterator::new(&text) {
            if let LogEntry::Interval(line) = entry.unwrap() {
                let payload = base64_decode(line.encoded_histogram());
                let histogram: Histogram<u64> = decoder.deserialize(&mut payload.as_slice()).unwrap();
                seen.push((line.tag().map(|tag| tag.as_str().to_owned()), histogram.len(), histogram.max()));
            }
        }
        assert_eq!(seen.len(), 8);
        assert_eq!(seen[0], (Some("validation".to_owned()), 2, 120));
        assert_eq!(seen[1], (Some("risk_check".to_owned()), 1, 200));
        assert_eq!((seen[3].0.as_deref(), seen[3].1), (None, 2));
        assert_eq!(seen[7].1, 1);
    }

    /// The crate keeps its decoder to itself, and a dependency for one test would be too much.
    fn base64_decode(text: &str) -> Vec<u8> {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let (mut bytes, mut bits, mut held) = (Vec::new(), 0u32, 0);
        for letter in text.bytes().filter(|letter| *letter != b'=') {
            let digit = alphabet.iter().position(|known| *known == letter).unwrap() as u32;
            bits = (bits << 6) | digit;
            held += 6;
            if held >= 8 {
                held -= 8;
                bytes.push((bits >> held) as u8);
            }
        }
        bytes
    }

    #[test]
    fn the_report_has_one_line_for_each_stage() {
        let mut interval = Interval::new();
        interval.record(&laps([1_000, 2_000, 3_000, 6_000]));
        let mut out = Vec::new();
        write_report(&interval, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let rows: Vec<Vec<&str>> = text.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[0], ["stage", "p50", "p90", "p95", "p99", "p99.9", "p99.99", "max", "count"]);
        assert_eq!(rows[2][..2], ["risk_check", "2.000"]);
        assert_eq!(rows[4][8], "1");
    }

    #[test]
    fn laps_of_an_untimed_order_are_empty() {
        let mut laps = Laps::start(false);
        laps.finish(Stage::Validation);
        assert_eq!(laps.nanos(Stage::Total), None);
        let mut laps = Laps::start(true);
        laps.finish(Stage::Validation);
        assert_eq!(laps.nanos(Stage::Validation), laps.nanos(Stage::Total));
        assert_eq!(laps.nanos(Stage::Execution), None);
    }
}
