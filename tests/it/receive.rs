//! `campanile receive`: answers as told, knows who signed, shows what came and how to send it again.

use std::process::Command;

use campanile_proto::v1 as wire;
use campanile_tests::binary::{Process, campanile, command};
use campanile_tests::receiver::Receiver;
use campanile_tests::running::{Running, event};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SECRET: &str = "whsec_Y2FtcGFuaWxlLXJlY2VpdmVyLXRlc3Qtc2VjcmV0";
const OTHER: &str = "whsec_YW5vdGhlciBzZWNyZXQgYWx0b2dldGhlcg==";

/// The status it answers a bare POST with.
async fn post(receiver: &Receiver, body: &str) -> u16 {
    let address = receiver.url.replace("http://", "");
    let mut stream = TcpStream::connect(&address).await.expect("it listens");
    let length = body.len();
    let request = format!(
        "POST /hook?a=1 HTTP/1.1\r\nhost: {address}\r\ncontent-length: {length}\r\ncontent-type: application/json\r\nx-it: it's\r\nconnection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
}

#[tokio::test(flavor = "multi_thread")]
async fn it_answers_with_the_told_status_as_often_as_told() {
    let receiver = Receiver::start(&["--status", "503", "--for", "2"], &[], "");
    for (body, expected) in [("1", 503), ("2", 503), ("3", 204), ("4", 204)] {
        assert_eq!(post(&receiver, body).await, expected);
        assert_eq!(receiver.line(), format!("{expected} - POST /hook?a=1 (attempt -) {body}"));
    }
    assert!(receiver.said[1].starts_with("next: campanile campaign new triggered --url http://127.0.0.1:"));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_waits_as_told_before_it_answers() {
    let receiver = Receiver::start(&["--delay", "300ms"], &[], "");
    let answered = post(&receiver, "{}");
    let early = tokio::time::timeout(std::time::Duration::from_millis(100), answered).await;
    assert!(early.is_err(), "it answered at once");
    assert_eq!(post(&receiver, "{}").await, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_repeated_by_the_command_it_prints() {
    let receiver = Receiver::start(&["--curl", "--body"], &[], "");
    post(&receiver, "{\"name\":\"O'Neil $HOME `x`\"}").await;
    let (line, body, curl) = (receiver.line(), receiver.line(), receiver.line());
    assert_eq!(line, "204 - POST /hook?a=1 (attempt -)");
    assert_eq!(body, "{\"name\":\"O'Neil $HOME `x`\"}");
    // What a shell makes of it, without curl.
    let shell = format!("curl() {{ printf '%s\\n' \"$@\"; }}\n{curl}");
    let read = Command::new("sh").args(["-c", &shell]).output().expect("a shell");
    let words = String::from_utf8_lossy(&read.stdout).into_owned();
    let words: Vec<&str> = words.lines().collect();
    assert_eq!(words[..3], ["-X", "POST", &format!("{}/hook?a=1", receiver.url)], "{curl}");
    assert!(words.contains(&"x-it: it's") && words.ends_with(&["--data-raw", &body]), "{words:?}");
}

/// A campaign that signs, to this receiver.
async fn signs(running: &Running, url: &str) {
    let secret = wire::PutSecretRequest {
        name: "signing".to_owned(),
        values: vec![SECRET.to_owned()],
        hosts: vec!["127.0.0.1".to_owned()],
        ..Default::default()
    };
    running.api.secrets.clone().put_secret(secret).await.expect("it is stored");
    let file = format!(
        "id: signs\ndelivery: {{triggered: seen}}\nwebhook: {{url: \"{url}/signed\", signing_secret: signing, data: {{a: \"{{{{ user_id }}}}\"}}}}\n"
    );
    running.activate(&file).await;
    running.track(vec![event("mary", "seen", "{}")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_knows_a_right_signature_from_a_wrong_one_and_from_none() {
    for (flags, variables, input, expected) in [
        (&["--secret"][..], &[][..], SECRET, "signed"),
        (&["--secret-env", "MY_SECRET"], &[("MY_SECRET", SECRET)], "", "signed"),
        (&["--secret"], &[], OTHER, "signature wrong"),
    ] {
        let receiver = Receiver::start(flags, variables, input);
        let running = Running::sqlite().await;
        signs(&running, &receiver.url).await;
        let line = receiver.line();
        assert_eq!(line, format!("204 signs POST /signed (attempt 1, {expected}) {{\"a\":\"mary\"}}"));
        post(&receiver, "{}").await;
        assert!(receiver.line().contains("(attempt -, not signed)"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_it_is_trusted_by_who_reads_the_file_it_prints() {
    let receiver = Receiver::start(&["--tls"], &[], "");
    assert!(receiver.url.starts_with("https://127.0.0.1:"), "{}", receiver.url);
    let next = receiver.said.last().expect("the next command");
    let ca =
        next.strip_prefix("next: SSL_CERT_FILE=").and_then(|rest| rest.split(' ').next()).expect("a file");
    let folder = tempfile::tempdir().expect("a folder");
    let store = format!("sqlite:{}", folder.path().join("campanile.db").display());
    let process = Process::start_with("serve", &store, &["--dev"], &[("SSL_CERT_FILE", ca)]);
    let file = folder.path().join("tls.yaml");
    let text = format!(
        "id: tls\ndelivery: {{triggered: seen}}\nwebhook: {{url: \"{}/tls\", data: {{a: b}}}}\n",
        receiver.url
    );
    std::fs::write(&file, text).expect("written");
    let file = file.display().to_string();
    assert!(command(&process, &["campaign", "apply", "-f", &file, "--activate"]).status.success());
    assert!(command(&process, &["track", "mary", "seen"]).status.success());
    assert_eq!(receiver.line(), "204 tls POST /tls (attempt 1) {\"a\":\"b\"}");
}

#[test]
fn what_it_cannot_do_it_says_at_once() {
    let check = |arguments: &[&str], code: i32, said: &str| {
        let output = Command::new(campanile()).arg("receive").args(arguments).output().expect("it runs");
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.code() == Some(code) && text.contains(said), "{arguments:?}: {text}");
    };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    check(&["--listen", &address], 1, "choose another with --listen 127.0.0.1:PORT");
    check(&["--secret-env", "NO_SUCH_SECRET"], 2, "export NO_SUCH_SECRET=whsec_");
    check(&["--secret-file", "/nowhere/at/all"], 2, "/nowhere/at/all");
    check(&["--for", "2"], 2, "--status");
}
