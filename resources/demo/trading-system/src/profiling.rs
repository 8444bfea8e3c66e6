//! The ContinuousProfiler: the process samples itself with `pprof` and leaves a flame graph every so many seconds.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pprof::{ProfilerGuard, ProfilerGuardBuilder};

/// Samples per second of CPU time. Prime, so that it does not fall into step with the work.
const FREQUENCY: i32 = 199;

pub struct ContinuousProfiler {
    stop: Sender<()>,
    thread: JoinHandle<io::Result<u32>>,
}

impl ContinuousProfiler {
    /// Starts the thread. It writes `profile_<ms since 1970>.svg` into `folder` at the end of each period.
    pub fn start(period: Duration, folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let (stop, stopped) = channel();
        let folder = folder.to_path_buf();
        let thread =
            Builder::new().name("profiler".to_owned()).spawn(move || write_profiles(period, &folder, &stopped))?;
        Ok(Self { stop, thread })
    }

    /// Ends the running period early, writes it, and returns how many profiles there are.
    pub fn finish(self) -> io::Result<u32> {
        drop(self.stop);
        self.thread.join().map_err(|_| io::Error::other("the profiler thread panicked"))?
    }
}

fn write_profiles(period: Duration, folder: &Path, stopped: &Receiver<()>) -> io::Result<u32> {
    let mut written = 0;
    loop {
        let guard = ProfilerGuardBuilder::default().frequency(FREQUENCY).build().map_err(io::Error::other)?;
        let last = stopped.recv_timeout(period) != Err(RecvTimeoutError::Timeout);
        written += u32::from(write_profile(&guard, folder)?);
        if last {
            return Ok(written);
        }
    }
}

/// Writes one flame graph; a period without a single sample leaves no file.
fn write_profile(guard: &ProfilerGuard<'_>, folder: &Path) -> io::Result<bool> {
    let report = guard.report().build().map_err(io::Error::other)?;
    if report.data.is_empty() {
        return Ok(false);
    }
    let file = BufWriter::new(File::create(next_path(folder))?);
    report.flamegraph(file).map_err(io::Error::other)?;
    Ok(true)
}

fn next_path(folder: &Path) -> PathBuf {
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    folder.join(format!("profile_{millis}.svg"))
}
