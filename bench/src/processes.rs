//! Processes under measurement: started, watched through /proc, stopped by their own process id.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What /proc counts CPU time in, on every Linux: 100 a second.
const TICKS_PER_SEC: f64 = 100.0;
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    name: String,
}

impl Process {
    pub(crate) fn start(name: &str, command: &mut Command) -> Result<Process, String> {
        let child = command.stdin(Stdio::null()).spawn().map_err(|e| format!("start {name}: {e}"))?;
        Ok(Process { child, name: name.to_owned() })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Seconds of CPU so far, in user and kernel.
    pub(crate) fn cpu(&self) -> f64 {
        cpu_of(&self.pid().to_string())
    }

    /// The most memory it ever held, in MiB.
    pub(crate) fn peak_mib(&self) -> f64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or(0.0) / 1024.0
    }

    /// SIGTERM, and waits. `Err` if it did not end well.
    pub(crate) fn stop(mut self) -> Result<(), String> {
        let _ = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status();
        let name = self.name.clone();
        let ended = until(&format!("{name} ends"), || self.child.try_wait().ok().flatten())?;
        if ended.success() { Ok(()) } else { Err(format!("{name} ended with {ended}")) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `pid` may be `self`.
pub(crate) fn cpu_of(pid: &str) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name, in brackets, may hold spaces.
    let rest = text.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let field = |at: usize| rest.split(' ').nth(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    (field(11) + field(12)) / TICKS_PER_SEC
}

/// Asks again until there is an answer.
pub(crate) fn until<T>(what: &str, ask: impl FnMut() -> Option<T>) -> Result<T, String> {
    until_within(DEADLINE, what, ask)
}

pub(crate) fn until_within<T>(
    within: Duration,
    what: &str,
    mut ask: impl FnMut() -> Option<T>,
) -> Result<T, String> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        if Instant::now() > deadline {
            return Err(format!("gave up after {} s: {what}", within.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
