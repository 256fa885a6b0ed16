//! A command as a person runs it: on a terminal of its own, with colours, progress and Ctrl-C.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use pty_process::Size;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Child;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::target::DEADLINE;

const CTRL_C: u8 = 3;

pub struct Terminal {
    child: Child,
    typing: pty_process::OwnedWritePty,
    said: Arc<Mutex<String>>,
    news: watch::Receiver<()>,
    reading: JoinHandle<()>,
}

impl Terminal {
    /// Runs a line in a shell, in a folder, with these variables.
    pub fn run(line: &str, folder: &Path, variables: &[(String, String)]) -> Terminal {
        let (pty, other_end) = pty_process::open().expect("a terminal");
        pty.resize(Size::new(40, 160)).expect("it has a size");
        let command = pty_process::Command::new("sh")
            .args(["-c", &format!("exec {line}")])
            .current_dir(folder)
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .kill_on_drop(true);
        let child = command.spawn(other_end).expect("it starts");
        let (mut reader, typing) = pty.into_split();
        let (tell, news) = watch::channel(());
        let said = Arc::new(Mutex::new(String::new()));
        let heard = said.clone();
        let reading = tokio::spawn(async move {
            let mut bytes = [0; 4096];
            // The terminal of a process that ended answers with an error, which is its end.
            while let Ok(n @ 1..) = reader.read(&mut bytes).await {
                let text = String::from_utf8_lossy(&bytes[..n]).into_owned();
                heard.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
                let _ = tell.send(());
            }
        });
        Terminal { child, typing, said, news, reading }
    }

    /// Everything on it so far, colours and all.
    pub fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it shows this, whatever its colours.
    pub async fn shows(&mut self, part: &str) -> String {
        let looking = async {
            while !without_colours(&self.said()).contains(part) {
                if self.news.changed().await.is_err() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(DEADLINE, looking).await;
        let said = self.said();
        assert!(without_colours(&said).contains(part), "it does not show {part:?}: {said}");
        said
    }

    pub async fn ctrl_c(&mut self) {
        self.typing.write_all(&[CTRL_C]).await.expect("it takes a key");
    }

    /// Waits for its end; its exit code and all it said.
    pub async fn ended(mut self) -> (Option<i32>, String) {
        let ended = tokio::time::timeout(DEADLINE, self.child.wait()).await;
        let Ok(status) = ended else { panic!("it does not end: {}", self.said()) };
        let _ = tokio::time::timeout(DEADLINE, &mut self.reading).await;
        (status.expect("it was waited for").code(), self.said())
    }
}

/// Without what colours and moves.
pub fn without_colours(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\u{1b}') {
        plain.push_str(&rest[..at]);
        let sequence = &rest[at + 1..];
        let end = sequence.find(|c: char| c.is_ascii_alphabetic()).map_or(sequence.len(), |end| end + 1);
        rest = &sequence[end..];
    }
    plain.push_str(rest);
    plain.replace('\r', "")
}
