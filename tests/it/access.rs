//! Who is let in: tokens with scopes at every door, TLS on both sides, callers that dawdle.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use campanile_tests::binary::{Process, campanile};
use campanile_tests::running::Running;
use campanile_tests::target::DEADLINE;
use campanile_tests::until::until;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// What a command printed, after its exit code was as expected.
fn run(process: &Process, token: &str, arguments: &[&str], code: i32) -> String {
    let mut command = Command::new(campanile());
    command.args(["--server", &process.grpc]).args(arguments).stdin(Stdio::null());
    if !token.is_empty() {
        command.env("CAMPANILE_TOKEN", token);
    }
    let output = command.output().expect("the binary runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {out}{err}");
    if code == 0 { out } else { err }
}

/// The answer of a door that speaks HTTP, head and body, as curl gets it.
fn curl(arguments: &[&str]) -> String {
    let output = Command::new("curl").args(["-s", "-i", "-m", "20"]).args(arguments).output();
    String::from_utf8_lossy(&output.expect("curl is installed").stdout).into_owned()
}

fn new_token() -> String {
    let output = Command::new(campanile()).args(["token", "new"]).output().expect("the binary runs");
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

fn folder_with_admin() -> (tempfile::TempDir, String, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, token) = (folder.path().join("admin"), new_token());
    std::fs::write(&file, format!("{token}\n")).expect("written");
    let settings = format!("[auth]\nrequire_on_loopback = true\nadmin_token_file = {:?}\n", file.display());
    (folder, settings, token)
}

async fn tokens_open_what_their_scopes_say(running: Running, admin: &str) {
    let process = &running.processes[0];
    assert!(run(process, "", &["campaign", "list"], 1).contains("a token is needed"));
    assert!(run(process, &new_token(), &["campaign", "list"], 1).contains("not known"));
    let make = |name: &str, scope: &str, more: &[&str]| {
        let arguments = [&["token", "create", name, "--scope", scope], more].concat();
        run(process, admin, &arguments, 0).trim().to_owned()
    };
    let (reader, feeder, few) =
        (make("reader", "read", &[]), make("feeder", "ingest", &[]), make("few", "read", &["--rate", "1/d"]));
    assert!(
        run(process, admin, &["token", "create", "reader", "--scope", "read"], 1)
            .contains("there is a token")
    );
    assert_eq!(run(process, &reader, &["campaign", "list", "--json"], 0), "");
    assert!(run(process, &reader, &["secret", "list"], 1).contains("needs campaigns"));
    assert!(run(process, &reader, &["token", "list"], 1).contains("needs admin"));
    assert!(run(process, &feeder, &["campaign", "list"], 1).contains("needs read"));
    run(process, &few, &["campaign", "list"], 0);
    assert!(run(process, &few, &["campaign", "list"], 1).contains("1/d"));

    let track = format!("{}/v1/track", process.intake);
    let event = r#"{"userId":"mary","event":"seen","properties":{}}"#;
    let post = |headers: &[&str]| {
        curl(&[&["-H", "content-type: application/json", "-d", event, &track], headers].concat())
    };
    let told = post(&[]);
    assert!(told.starts_with("HTTP/1.1 401") && told.contains("www-authenticate: Bearer"), "{told}");
    assert!(post(&["-u", "key:"]).starts_with("HTTP/1.1 401"));
    assert!(post(&["-u", &format!("{reader}:")]).starts_with("HTTP/1.1 403"));
    assert!(post(&["-u", &format!("{feeder}:")]).starts_with("HTTP/1.1 200"));
    assert!(post(&["-H", &format!("authorization: Bearer {feeder}")]).starts_with("HTTP/1.1 200"));

    pages_ask_for_a_token(process, &reader);
    run(process, admin, &["token", "revoke", "reader"], 0);
    let out = until(DEADLINE, async || {
        let refused = Command::new(campanile())
            .args(["--server", &process.grpc, "campaign", "list"])
            .env("CAMPANILE_TOKEN", &reader)
            .output();
        (!refused.expect("the binary runs").status.success()).then_some(())
    })
    .await;
    assert!(out.is_some(), "the token is out");
    let page =
        curl(&["-H", &format!("cookie: campanile_session={reader}"), &format!("{}/", process.console)]);
    assert!(page.starts_with("HTTP/1.1 303") && page.contains("/login"), "{page}");
    assert!(run(process, "", &["token", "list"], 1).contains("a token is needed"));
    nothing_kept_shows_a_token(&running, &[admin, &reader, &feeder, &few]);
}

fn pages_ask_for_a_token(process: &Process, reader: &str) {
    let console = &process.console;
    let page = curl(&[&format!("{console}/campaigns/a?x=1")]);
    assert!(
        page.starts_with("HTTP/1.1 303") && page.contains("location: /login?next=%2Fcampaigns%2Fa%3Fx%3D1"),
        "{page}"
    );
    let form = "0123456789abcdef0123456789abcdef";
    let log_in = |access: &str, next: &str| {
        let fields = format!("token={form}&access={access}&next={next}");
        curl(&[
            "-H",
            &format!("cookie: campanile_token={form}"),
            "-H",
            "sec-fetch-site: same-origin",
            "-d",
            &fields,
            &format!("{console}/login"),
        ])
    };
    assert!(log_in("guess", "/").starts_with("HTTP/1.1 403"));
    assert!(log_in(&new_token(), "/").contains("not known"));
    let let_in = log_in(reader, "//evil.example");
    assert!(let_in.starts_with("HTTP/1.1 303") && let_in.contains("location: /\r"), "{let_in}");
    assert!(let_in.contains("HttpOnly; SameSite=Strict"), "{let_in}");
    let page = curl(&["-H", &format!("cookie: campanile_session={reader}"), &format!("{console}/")]);
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("Log out") && !page.contains(reader), "{page}");
    // One who may only look is told so where a page changes something.
    let fields = format!("token={form}");
    let cookies = format!("cookie: campanile_token={form}; campanile_session={reader}");
    let refused = curl(&[
        "-H",
        &cookies,
        "-H",
        "sec-fetch-site: same-origin",
        "-d",
        &fields,
        &format!("{console}/campaigns/a/pause"),
    ]);
    assert!(refused.starts_with("HTTP/1.1 403") && refused.contains("needs campaigns"), "{refused}");
}

/// In the SQLite files, or in a dump of Redis, is nothing of the guessable-by-nobody part of a token.
fn nothing_kept_shows_a_token(running: &Running, tokens: &[&str]) {
    let mut kept = Vec::new();
    if let Some(redis) = &running.redis {
        kept.push(redis.dump());
    }
    for file in std::fs::read_dir(running.folder.path()).expect("a folder").map_while(Result::ok) {
        if file.file_name() != "admin" {
            kept.push(std::fs::read(file.path()).expect("a file"));
        }
    }
    assert!(!kept.is_empty());
    for token in tokens {
        let secret = token.rsplit('_').next().expect("a last part").as_bytes();
        assert!(
            kept.iter().all(|bytes| !bytes.windows(secret.len()).any(|part| part == secret)),
            "{token} is kept"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_open_what_their_scopes_say_on_sqlite() {
    let (folder, settings, admin) = folder_with_admin();
    tokens_open_what_their_scopes_say(Running::sqlite_set(folder, &settings).await, &admin).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_open_what_their_scopes_say_on_redis() {
    let (folder, settings, admin) = folder_with_admin();
    tokens_open_what_their_scopes_say(Running::redis_set(folder, &settings).await, &admin).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_elsewhere_cannot_make_a_browser_feed_an_open_intake() {
    let running = Running::sqlite().await;
    let track = format!("{}/v1/track", running.processes[0].intake);
    let event = r#"{"userId":"mary","event":"seen","properties":{}}"#;
    for header in ["origin: https://evil.example", "sec-fetch-site: cross-site"] {
        let told = curl(&["-H", "content-type: text/plain", "-H", header, "-d", event, &track]);
        assert!(told.starts_with("HTTP/1.1 401"), "{header}: {told}");
    }
    assert!(curl(&["-d", event, &track]).starts_with("HTTP/1.1 200"));
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::File::create(&path).and_then(|mut file| file.write_all(text.as_bytes())).expect("written");
    path
}

/// An authority, and what it signed for a server at 127.0.0.1 and for a client.
fn certificates(folder: &Path) -> [PathBuf; 5] {
    let mut authority = CertificateParams::new(Vec::new()).expect("parameters");
    authority.distinguished_name.push(DnType::CommonName, "authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer =
        CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key")).expect("an authority");
    let signed = |name: &str| {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, name);
        (params.signed_by(&key, &issuer).expect("signed").pem(), key.serialize_pem())
    };
    let ((server, server_key), (client, client_key)) = (signed("127.0.0.1"), signed("client"));
    [
        write(folder, "ca.pem", &issuer.pem()),
        write(folder, "server.pem", &server),
        write(folder, "server.key", &server_key),
        write(folder, "client.pem", &client),
        write(folder, "client.key", &client_key),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_both_sides_show_who_they_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = certificates(folder.path());
    let [ca, server, server_key, client, client_key] =
        files.each_ref().map(|path| path.display().to_string());
    let settings =
        format!("[tls]\ncert_file = {server:?}\nkey_file = {server_key:?}\nclient_ca_file = {ca:?}\n");
    let config = write(folder.path(), "campanile.toml", &settings).display().to_string();
    let store = format!("sqlite:{}", folder.path().join("campanile.db").display());
    let process = Process::start("serve", &store, &["--config", &config]);
    let at = |url: &str| url.replace("http://", "https://");
    let list = |more: &[&str]| {
        let grpc = at(&process.grpc);
        let output = Command::new(campanile())
            .args(["--server", &grpc])
            .args(more)
            .args(["campaign", "list"])
            .output();
        output.expect("the binary runs").status.code()
    };
    let shown = ["--client-cert", &client, "--client-key", &client_key];
    assert_eq!(list(&[&["--ca-file", &ca], &shown[..]].concat()), Some(0));
    assert_ne!(list(&["--ca-file", &ca]), Some(0), "no certificate was shown");
    assert_ne!(list(&shown), Some(0), "the server's authority is not trusted");
    for door in [&process.console, &process.intake] {
        let url = format!("{}/", at(door));
        let answered = curl(&["--cacert", &ca, "--cert", &client, "--key", &client_key, &url]);
        assert!(answered.starts_with("HTTP/1.1 "), "{url}: {answered}");
        assert_eq!(curl(&["--cacert", &ca, &url]), "", "no certificate was shown");
        assert!(
            !curl(&[&url.replace("https", "http")]).starts_with("HTTP/1.1 200"),
            "plain HTTP on a TLS port"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_never_ends_its_request_is_cut_off() {
    let running = Running::sqlite().await;
    for door in [&running.processes[0].console, &running.processes[0].intake] {
        let mut stream = TcpStream::connect(door.replace("http://", "")).await.expect("it listens");
        tokio::io::AsyncWriteExt::write_all(
            &mut stream,
            b"POST /v1/track HTTP/1.1\r\nhost: 127.0.0.1\r\nx-slow:",
        )
        .await
        .expect("written");
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "the connection is closed");
    }
}
