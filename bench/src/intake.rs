//! One kept connection to the HTTP intake: posts JSON, wants 200.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

pub(crate) struct Intake {
    stream: BufReader<TcpStream>,
}

impl Intake {
    /// `address` is host and port.
    pub(crate) fn connect(address: &str) -> Result<Intake, String> {
        let stream = TcpStream::connect(address).map_err(|e| format!("connect to {address}: {e}"))?;
        stream.set_nodelay(true).map_err(|e| e.to_string())?;
        Ok(Intake { stream: BufReader::new(stream) })
    }

    pub(crate) fn post(&mut self, path: &str, body: &str) -> Result<String, String> {
        let text = self.exchange(path, body).map_err(|e| format!("POST {path}: {e}"))?;
        let (status, answer) = text;
        let is_whole = status == 200 && !answer.contains("\"errors\"");
        if is_whole { Ok(answer) } else { Err(format!("POST {path}: {status} {answer:.500}")) }
    }

    fn exchange(&mut self, path: &str, body: &str) -> std::io::Result<(u16, String)> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut request = head.into_bytes();
        request.extend_from_slice(body.as_bytes());
        self.stream.get_mut().write_all(&request)?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
        let mut length = 0;
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let header = line.trim().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer)?;
        Ok((status, String::from_utf8_lossy(&answer).into_owned()))
    }
}

/// The body of a call with many of these.
pub(crate) fn batch(calls: impl Iterator<Item = String>) -> String {
    let mut body = String::from("{\"batch\":[");
    for (at, call) in calls.enumerate() {
        if at > 0 {
            body.push(',');
        }
        body.push_str(&call);
    }
    body.push_str("]}");
    body
}
