//! Ends processes when the one that started them dies, however it dies: a shell that waits at a pipe, which closes with its writer.
//!
//! A started process gets a process group of its own, so that Ctrl-C reaches the developer command alone and everything is ended in
//! order: the last one started first, a Redis after those that write to it.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};

/// Told one process id a line, or `done`. Each process has ten seconds to end before the next is told to.
const SCRIPT: &str = r#"trap '' INT TERM HUP
pids=
while read -r word; do
  [ "$word" = done ] && exit 0
  pids="$word $pids"
done
for pid in $pids; do
  kill -TERM "$pid" 2>/dev/null
  looks=0
  while kill -0 "$pid" 2>/dev/null && [ $looks -lt 100 ]; do sleep 0.1; looks=$((looks + 1)); done
done"#;

pub(crate) struct Watchdog {
    shell: Child,
    tell: Option<ChildStdin>,
}

impl Watchdog {
    pub(crate) fn start() -> Result<Watchdog, String> {
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut shell = command.process_group(0).spawn().map_err(|e| format!("start sh: {e}"))?;
        let tell = shell.stdin.take();
        Ok(Watchdog { shell, tell })
    }

    /// Starts a process that ends when this one does.
    pub(crate) fn spawn(&mut self, command: &mut Command) -> Result<Child, String> {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.process_group(0).spawn().map_err(|e| format!("start {name}: {e}"))?;
        if let Some(tell) = &mut self.tell {
            writeln!(tell, "{}", child.id()).map_err(|e| format!("watch {name}: {e}"))?;
        }
        Ok(child)
    }
}

/// Everything was ended and waited for: the ids may belong to others now.
impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Some(mut tell) = self.tell.take() {
            let _ = writeln!(tell, "done");
        }
        let _ = self.shell.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn what_was_started_ends_when_its_starter_dies() {
        let mut watchdog = Watchdog::start().unwrap();
        let mut sleeps: Vec<Child> =
            (0..2).map(|_| watchdog.spawn(Command::new("sleep").arg("1000")).unwrap()).collect();
        // What the system does with a dead writer's pipe.
        drop(watchdog.tell.take());
        for child in sleeps.iter_mut().rev() {
            assert_eq!(child.wait().unwrap().signal(), Some(15));
        }
    }

    #[test]
    fn what_was_ended_already_is_left_alone() {
        let mut watchdog = Watchdog::start().unwrap();
        let mut child = watchdog.spawn(Command::new("sleep").arg("1000")).unwrap();
        drop(watchdog);
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
