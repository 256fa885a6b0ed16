//! `campanile receive` under test: started on a free port, its lines read as they come, killed when dropped.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver as Lines, channel};

use crate::binary::campanile;
use crate::target::DEADLINE;

pub struct Receiver {
    child: Child,
    /// Where it listens, such as `http://127.0.0.1:40123`.
    pub url: String,
    /// What it said before anything came.
    pub said: Vec<String>,
    lines: Lines<String>,
}

impl Receiver {
    /// With these flags, variables of the environment and standard input.
    pub fn start(flags: &[&str], variables: &[(&str, &str)], input: &str) -> Receiver {
        let mut command = Command::new(campanile());
        command.args(["receive", "--listen", "127.0.0.1:0"]).args(flags).envs(variables.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let mut stdin = child.stdin.take().expect("its input");
        stdin.write_all(input.as_bytes()).expect("it reads its input");
        drop(stdin);
        let (tell, lines) = channel();
        let out = BufReader::new(child.stdout.take().expect("its output"));
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        let (tell, remarks) = channel();
        let err = BufReader::new(child.stderr.take().expect("its remarks"));
        std::thread::spawn(move || err.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        let mut said: Vec<String> = Vec::new();
        while !said.last().is_some_and(|line| line.starts_with("next: ")) {
            said.push(remarks.recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("it listens: {said:?}")));
        }
        let url = said.iter().find_map(|line| line.strip_prefix("receiving on ")?.split(',').next());
        let url = url.expect("it says where it listens").to_owned();
        Receiver { child, url, said, lines }
    }

    /// The next line it prints.
    pub fn line(&self) -> String {
        self.lines.recv_timeout(DEADLINE).expect("it prints a line")
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // Only ever the process started here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
