//! A newcomer at the keyboard: `serve` and `receive` on terminals in a folder of their own, and commands as a document prints them.
//!
//! Nothing that is typed differs from what is printed; only the environment does, so that ports are free ones. What the examples
//! send to 127.0.0.1:9000 goes to this receiver.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::binary::campanile;
use crate::terminal::{Terminal, without_colours};

/// Where the documents say that the receiver and the intake listen.
const RECEIVER: &str = "127.0.0.1:9000";
const INTAKE: &str = "127.0.0.1:7072";

pub struct Hand {
    pub serve: Terminal,
    pub receive: Terminal,
    pub folder: TempDir,
    receiver: String,
    intake: String,
    variables: Vec<(String, String)>,
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

impl Hand {
    /// The first two terminals, with these lines typed into them.
    pub async fn start(serve: &str, receive: &str) -> Hand {
        let folder = tempfile::tempdir().expect("a folder");
        let binary = campanile();
        let beside = binary.parent().expect("target/debug").display();
        let path = ("PATH".to_owned(), format!("{beside}:/usr/local/bin:/usr/bin:/bin"));
        let free = |name: &str| (name.to_owned(), "127.0.0.1:0".to_owned());
        let listen = ["GRPC", "CONSOLE", "INTAKE", "HEALTH"];
        let mut own: Vec<(String, String)> =
            listen.iter().map(|name| free(&format!("CAMPANILE_LISTEN__{name}"))).collect();
        own.push(path.clone());
        let mut serve = Terminal::run(serve, folder.path(), &own);
        let said = without_colours(&serve.shows("in another terminal").await);
        let address = |name: &str| {
            let (_, rest) = said.split_once(&format!("{name}=")).expect("it says where it listens");
            rest.split_whitespace().next().expect("an address").to_owned()
        };
        let (grpc, intake) = (address("grpc"), address("intake"));
        let own = [free("CAMPANILE_RECEIVE_LISTEN"), path.clone()];
        let mut receive = Terminal::run(receive, folder.path(), &own);
        let said = without_colours(&receive.shows("Ctrl-C ends").await);
        let receiver = said.split("receiving on http://").nth(1).and_then(|rest| rest.split(',').next());
        let receiver = receiver.expect("it says where it listens").to_owned();
        copy(&root().join("examples"), &folder.path().join("examples"), &receiver);
        let variables = vec![path, ("CAMPANILE_SERVER".to_owned(), format!("http://{grpc}"))];
        Hand { serve, receive, folder, receiver, intake, variables }
    }

    /// A file of a document, with the receiver's own port.
    pub fn file(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text.replace(RECEIVER, &self.receiver))
            .expect("written");
    }

    /// Types a line into a terminal.
    pub fn begins(&self, line: &str) -> Terminal {
        let line = line.replace(RECEIVER, &self.receiver).replace(INTAKE, &self.intake);
        Terminal::run(&line, self.folder.path(), &self.variables)
    }

    /// The same, and waits for its end.
    pub async fn types(&self, line: &str) -> (Option<i32>, String) {
        self.begins(line).ended().await
    }

    /// The same, of a line that works.
    pub async fn succeeds(&self, line: &str) -> String {
        let (code, said) = self.types(line).await;
        assert_eq!(code, Some(0), "{line}: {said}");
        said
    }
}

/// A folder's text files; what is not text is not for people's hands.
fn copy(from: &Path, to: &Path, receiver: &str) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let to = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            if !path.ends_with("node_modules") {
                copy(&path, &to, receiver);
            }
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            std::fs::write(to, text.replace(RECEIVER, receiver)).expect("written");
        }
    }
}
