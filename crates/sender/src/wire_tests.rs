//! The wire against far ends that behave, misbehave and break: real sockets on loopback, each with a script.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use campanile_core::attempt::{Answer, Outcome, Phase};
use campanile_core::limits;
use campanile_core::network::Policy;
use campanile_core::webhook::Request;
use campanile_core::webhook_draft::Method;
use campanile_core::webhook_headers::AttemptHead;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use crate::outgoing::{Outgoing, outgoing};
use crate::wire::{Wire, WireConfig};

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);
/// As long as a test can afford to wait for a time-out.
const SHORT: Duration = Duration::from_millis(150);
const OK: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

fn wire_with(policy: Policy, roots: RootCertStore, connect_timeout: Duration) -> Wire {
    Wire::new(WireConfig { policy, connect_timeout, idle_max: 64, roots: Some(roots) }).unwrap()
}

fn wire() -> Wire {
    wire_with(Policy { dev: true, ..Policy::default() }, RootCertStore::empty(), LONG)
}

fn to(url: &str) -> Outgoing {
    let request = Request {
        method: Method::Post,
        url: url.to_owned(),
        headers: vec![("x-own".to_owned(), "yes".to_owned())],
        content_type: Some("application/json".to_owned()),
        authorization: None,
        body: br#"{"a":1}"#.to_vec(),
    };
    let at = "2026-11-24T08:00:00Z".parse().unwrap();
    let head = AttemptHead { send_id: "s1", campaign_id: "c", number: 2, at, version: "9.9" };
    outgoing(&request, &head, &[]).unwrap()
}

/// A far end that does `script` with every connection; answers its address and how many came.
async fn far_end<F, R>(script: F) -> (SocketAddr, Arc<AtomicUsize>)
where
    F: Fn(TcpStream) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let came = Arc::new(AtomicUsize::new(0));
    let counter = came.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(script(stream));
        }
    });
    (address, came)
}

/// Reads one request; false at the end of the connection.
async fn read_request(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(head + &String::from_utf8(body).unwrap())
}

/// Answers every request with `answer`, and keeps the connection.
async fn answering(answer: impl Into<Vec<u8>>) -> (SocketAddr, Arc<AtomicUsize>) {
    let answer: Vec<u8> = answer.into();
    far_end(move |stream| {
        let answer = answer.clone();
        async move {
            let mut stream = BufReader::new(stream);
            while read_request(&mut stream).await.is_some() {
                if stream.get_mut().write_all(&answer).await.is_err() {
                    return;
                }
            }
        }
    })
    .await
}

/// The outcome of one exchange with a far end that answers with `answer` and then closes.
async fn outcome_of(answer: impl Into<Vec<u8>>) -> Outcome {
    let answer: Vec<u8> = answer.into();
    let (address, _) = far_end(move |stream| {
        let answer = answer.clone();
        async move {
            let mut stream = BufReader::new(stream);
            read_request(&mut stream).await;
            let _ = stream.get_mut().write_all(&answer).await;
            let _ = stream.get_mut().shutdown().await;
        }
    })
    .await;
    wire().exchange(to(&format!("http://{address}/")), LONG).await
}

#[tokio::test]
async fn a_request_arrives_as_it_was_rendered() {
    let (heard, mut hearing) = mpsc::channel(1);
    let (address, _) = far_end(move |stream| {
        let heard = heard.clone();
        async move {
            let mut stream = BufReader::new(stream);
            let request = read_request(&mut stream).await.unwrap();
            let _ = stream.get_mut().write_all(OK).await;
            let _ = heard.send(request).await;
        }
    })
    .await;
    let outcome = wire().exchange(to(&format!("http://{address}/a%20b/c?q=%26")), LONG).await;
    assert_eq!(outcome, Outcome::Answered(Answer { status: 204, ..Answer::default() }));
    let request = hearing.recv().await.unwrap();
    assert!(request.starts_with("POST /a%20b/c?q=%26 HTTP/1.1\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\n{\"a\":1}"), "{request}");
    for header in [
        format!("host: {address}"),
        "content-type: application/json".to_owned(),
        "content-length: 7".to_owned(),
        "user-agent: campanile/9.9".to_owned(),
        "webhook-id: s1".to_owned(),
        "webhook-timestamp: 1795507200".to_owned(),
        "campanile-campaign: c".to_owned(),
        "campanile-attempt: 2".to_owned(),
        "x-own: yes".to_owned(),
    ] {
        assert_eq!(request.matches(&format!("\r\n{header}\r\n")).count(), 1, "{header} in {request}");
    }
}

#[tokio::test]
async fn the_answer_of_a_failed_attempt_is_kept_and_that_of_a_success_is_not() {
    for status in [200, 302, 404, 410, 429, 503] {
        let head = "retry-after: 7\r\ncontent-type: text/plain\r\nlocation: /other\r\ncontent-length: 4";
        let (address, came) = answering(format!("HTTP/1.1 {status} X\r\n{head}\r\n\r\nsays")).await;
        let outcome = wire().exchange(to(&format!("http://{address}/")), LONG).await;
        let expected = Answer {
            status,
            retry_after: Some("7".to_owned()),
            content_type: Some("text/plain".to_owned()),
            body: if status == 200 { String::new() } else { "says".to_owned() },
        };
        assert_eq!(outcome, Outcome::Answered(expected));
        assert_eq!(came.load(Ordering::SeqCst), 1, "{status} is not followed anywhere");
    }
}

#[tokio::test]
async fn what_is_kept_of_an_answer_is_bounded_text() {
    let body = [b"x".as_slice(), &[0xff; 5_000]].concat();
    let head = format!("HTTP/1.1 500 X\r\ncontent-length: {}\r\n\r\n", body.len());
    let outcome = outcome_of([head.as_bytes(), &body].concat()).await;
    let Outcome::Answered(answer) = outcome else { panic!("{outcome:?}") };
    assert!(answer.body.starts_with("x\u{fffd}\u{fffd}"));
    assert!(answer.body.len() <= limits::RESPONSE_KEPT_BYTES_MAX);
}

#[tokio::test]
async fn requests_one_after_the_other_share_a_connection() {
    let (address, came) = answering(OK).await;
    let wire = wire();
    for _ in 0..20 {
        let outcome = wire.exchange(to(&format!("http://{address}/")), LONG).await;
        assert_eq!(outcome.status(), 204, "{outcome:?}");
    }
    assert_eq!(came.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_connection_that_was_closed_in_the_meantime_is_replaced() {
    for answer in
        ["HTTP/1.1 200 X\r\nconnection: close\r\n\r\n", "HTTP/1.1 200 X\r\ncontent-length: 0\r\n\r\n"]
    {
        let (address, came) = far_end(move |stream| async move {
            let mut stream = BufReader::new(stream);
            read_request(&mut stream).await;
            let _ = stream.get_mut().write_all(answer.as_bytes()).await;
            let _ = stream.get_mut().shutdown().await;
        })
        .await;
        let wire = wire();
        for count in 1..=5 {
            let outcome = wire.exchange(to(&format!("http://{address}/")), LONG).await;
            assert_eq!(outcome.status(), 200, "{outcome:?}");
            assert_eq!(came.load(Ordering::SeqCst), count);
            // The end of the connection is on its way.
            let closed = async {
                while wire.idle() > 0 {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(LONG, closed).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_far_end_that_says_nothing_times_out() {
    let (address, _) = far_end(|stream| async move {
        let mut stream = BufReader::new(stream);
        while read_request(&mut stream).await.is_some() {}
    })
    .await;
    let outcome = wire().exchange(to(&format!("http://{address}/")), SHORT).await;
    assert_eq!(outcome, Outcome::TimedOut(Phase::Answer));
}

#[tokio::test]
async fn a_body_that_drips_does_not_outlast_the_deadline() {
    let (address, _) = far_end(|stream| async move {
        let mut stream = BufReader::new(stream);
        read_request(&mut stream).await;
        let _ = stream.get_mut().write_all(b"HTTP/1.1 200 X\r\ncontent-length: 1000\r\n\r\n").await;
        while stream.get_mut().write_all(b".").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let outcome = wire().exchange(to(&format!("http://{address}/")), SHORT).await;
    assert_eq!(outcome, Outcome::TimedOut(Phase::Body));
}

#[tokio::test]
async fn a_flood_of_interim_answers_does_not_outlast_the_deadline_and_is_cut_off() {
    let (cut, mut is_cut) = mpsc::channel(1);
    let (address, _) = far_end(move |stream| {
        let cut = cut.clone();
        async move {
            let mut stream = BufReader::new(stream);
            read_request(&mut stream).await;
            while stream.get_mut().write_all(&b"HTTP/1.1 103 X\r\n\r\n".repeat(100)).await.is_ok() {}
            let _ = cut.send(()).await;
        }
    })
    .await;
    let outcome = wire().exchange(to(&format!("http://{address}/")), SHORT).await;
    assert_eq!(outcome, Outcome::TimedOut(Phase::Answer));
    tokio::time::timeout(LONG, is_cut.recv()).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_endless_body_is_read_to_the_bound_and_the_connection_closed() {
    let (cut, mut is_cut) = mpsc::channel(1);
    let (address, _) = far_end(move |stream| {
        let cut = cut.clone();
        async move {
            let mut stream = BufReader::new(stream);
            read_request(&mut stream).await;
            let _ = stream.get_mut().write_all(b"HTTP/1.1 500 X\r\n\r\n").await;
            while stream.get_mut().write_all(&[b'z'; 4096]).await.is_ok() {}
            let _ = cut.send(()).await;
        }
    })
    .await;
    let outcome = wire().exchange(to(&format!("http://{address}/")), LONG).await;
    let Outcome::Answered(answer) = outcome else { panic!("{outcome:?}") };
    assert_eq!((answer.status, answer.body.len()), (500, limits::RESPONSE_KEPT_BYTES_MAX));
    tokio::time::timeout(LONG, is_cut.recv()).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_broken_and_one_that_is_not_http_says_so() {
    let header = "x: 0123456789abcdef\r\n";
    let huge = format!("HTTP/1.1 200 X\r\nx: {}\r\n\r\n", "y".repeat(limits::RESPONSE_HEADER_BYTES_MAX));
    let many = format!("HTTP/1.1 200 X\r\n{}\r\n", header.repeat(1000));
    for (answer, class) in [
        ("", "broken"),
        ("HTTP/1.1 200", "broken"),
        ("HTTP/1.1 200 X\r\ncontent-length: 9\r\n\r\nabc", "broken"),
        ("HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabc", "broken"),
        ("garbage\r\n\r\n", "protocol"),
        ("HTTP/1.1 999999 X\r\n\r\n", "protocol"),
        ("HTTP/1.1 200 X\r\nno colon\r\n\r\n", "protocol"),
        ("HTTP/1.1 200 X\r\ncontent-length: many\r\n\r\n", "protocol"),
        ("\x15\x03\x01\x00\x02\x02\x46", "protocol"),
        (huge.as_str(), "protocol"),
        (many.as_str(), "protocol"),
    ] {
        let outcome = outcome_of(answer).await;
        let start: String = answer.chars().take(60).collect();
        assert_eq!(outcome.class(), class, "{start:?}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_connection_refused_or_reset_says_so() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let outcome = wire().exchange(to(&format!("http://{address}/")), LONG).await;
    assert_eq!(outcome.class(), "connect", "{outcome:?}");

    let (address, came) = far_end(|stream| async move { drop(stream) }).await;
    let outcome = wire().exchange(to(&format!("http://{address}/")), LONG).await;
    assert_eq!(outcome.class(), "broken", "{outcome:?}");
    assert_eq!(came.load(Ordering::SeqCst), 1, "it may have arrived, so it is not sent again");
}

#[tokio::test]
async fn a_name_that_does_not_exist_says_so() {
    let outcome = wire().exchange(to("http://nowhere.invalid/"), LONG).await;
    assert_eq!(outcome.class(), "dns", "{outcome:?}");
}

#[tokio::test]
async fn a_forbidden_address_is_never_dialed_also_not_behind_a_name() {
    let (address, came) = answering(OK).await;
    let wire = wire_with(Policy::default(), RootCertStore::empty(), LONG);
    for url in [format!("http://{address}/"), format!("http://localhost:{}/", address.port())] {
        let outcome = wire.exchange(to(&url), LONG).await;
        assert_eq!(outcome.class(), "forbidden", "{outcome:?}");
    }
    assert_eq!(came.load(Ordering::SeqCst), 0);
}

/// A certificate for `localhost`, and the roots that trust it.
fn certificate(alpn: &[&str]) -> (TlsAcceptor, RootCertStore) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
    (TlsAcceptor::from(Arc::new(config)), roots)
}

/// Speaks TLS, and HTTP/2 where that is agreed on.
async fn secure_far_end(alpn: &[&str]) -> (String, Arc<AtomicUsize>, RootCertStore) {
    let (acceptor, roots) = certificate(alpn);
    let (address, came) = far_end(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let service = service_fn(|request: http::Request<hyper::body::Incoming>| async move {
                let said = format!("{:?} {}", request.version(), request.uri().path());
                // Only a pause lets requests overlap.
                tokio::time::sleep(Duration::from_millis(2)).await;
                let status = if request.headers().contains_key("webhook-id") { 418 } else { 400 };
                Ok::<_, std::convert::Infallible>(
                    http::Response::builder().status(status).body(Full::<bytes::Bytes>::from(said)).unwrap(),
                )
            });
            let io = TokioIo::new(stream);
            if is_http2 {
                let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                let _ = builder.serve_connection(io, service).await;
            } else {
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
            }
        }
    })
    .await;
    (format!("https://localhost:{}/p", address.port()), came, roots)
}

fn secure_wire(roots: RootCertStore) -> Wire {
    wire_with(Policy { dev: true, ..Policy::default() }, roots, LONG)
}

fn said(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Answered(answer) => &answer.body,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn many_requests_share_one_http2_connection() {
    let (url, came, roots) = secure_far_end(&["h2", "http/1.1"]).await;
    let wire = secure_wire(roots);
    let exchanges = (0..50).map(|_| wire.exchange(to(&url), LONG));
    for outcome in futures_util::future::join_all(exchanges).await {
        assert_eq!(said(&outcome), "HTTP/2.0 /p");
    }
    assert_eq!(came.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn http1_over_tls_is_spoken_side_by_side_and_reused() {
    let (url, came, roots) = secure_far_end(&["http/1.1"]).await;
    let wire = secure_wire(roots);
    for _ in 0..5 {
        let exchanges = (0..10).map(|_| wire.exchange(to(&url), LONG));
        for outcome in futures_util::future::join_all(exchanges).await {
            assert_eq!(said(&outcome), "HTTP/1.1 /p");
        }
    }
    let connections = came.load(Ordering::SeqCst);
    assert!((2..=10).contains(&connections), "{connections}");
}

#[tokio::test]
async fn a_certificate_nobody_vouches_for_is_refused() {
    let (url, _, _) = secure_far_end(&["h2"]).await;
    let outcome = secure_wire(RootCertStore::empty()).exchange(to(&url), LONG).await;
    assert_eq!(outcome.class(), "certificate", "{outcome:?}");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let (url, _, roots) = secure_far_end(&["h2"]).await;
    let url = url.replace("localhost", "127.0.0.1");
    let outcome = secure_wire(roots).exchange(to(&url), LONG).await;
    assert_eq!(outcome.class(), "certificate", "{outcome:?}");
}

#[tokio::test]
async fn a_far_end_without_tls_fails_the_handshake_and_a_silent_one_times_out_connecting() {
    let (address, _) = far_end(|mut stream| async move {
        let mut hello = [0; 64];
        let _ = stream.read(&mut hello).await;
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    })
    .await;
    let outcome = wire().exchange(to(&format!("https://{address}/")), LONG).await;
    assert_eq!(outcome.class(), "tls", "{outcome:?}");

    let (address, _) = far_end(|mut stream| async move {
        let mut hello = [0; 64];
        while matches!(stream.read(&mut hello).await, Ok(1..)) {}
    })
    .await;
    let impatient = wire_with(Policy { dev: true, ..Policy::default() }, RootCertStore::empty(), SHORT);
    let outcome = impatient.exchange(to(&format!("https://{address}/")), LONG).await;
    assert_eq!(outcome, Outcome::TimedOut(Phase::Connect));
}
