//! TLS: which certificate a client gets, and that new ones come without an interruption.

use std::{path::Path, sync::Arc};

use gateway::{
    config::TlsConfig,
    tls::{Certificates, PairFiles},
};
use rustls::version::{TLS12, TLS13};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{
    Authority, Backend, Behaviour, Http2, Rig, eventually, replace, request, service,
};

async fn rig(default: PairFiles, further: Vec<PairFiles>, redirect: bool) -> Rig {
    let certificates = Certificates::load(default, further).unwrap();
    Rig::configured(|config| {
        config.tls = Some(TlsConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            certificates: Arc::clone(&certificates),
            redirect,
        });
    })
    .await
}

async fn echo(rig: &Rig) -> Backend {
    let backend = Backend::behaving("b", Behaviour::Echo).await;
    rig.put(service("hold", &[&backend])).await;
    backend
}

fn bad(path: &Path) {
    replace(
        path,
        "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n",
    );
}

#[tokio::test]
async fn both_protocols_are_agreed_on_and_the_service_learns_the_scheme() {
    let folder = TempDir::new().unwrap();
    let authority = Authority::new();
    let rig = rig(
        authority.issue(folder.path(), "a", &["a.test"]),
        vec![],
        false,
    )
    .await;
    let _backend = echo(&rig).await;
    let address = rig.gateway.tls_address().unwrap();

    let stream = authority
        .client(&["h2", "http/1.1"])
        .connect(address, "a.test")
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (status, content) = Http2::on(stream).await.get("https://a.test/hold/x").await;
    assert_eq!(status, 200);
    assert!(
        content.contains(r#"["x-forwarded-proto","https"]"#),
        "{content}"
    );

    for protocols in [&["http/1.1"][..], &[]] {
        let client = authority.client(protocols);
        let mut stream = client.connect(address, "a.test").await.unwrap();
        for _ in 0..2 {
            let text = request("GET", "/hold/x", &[("Host", "a.test")], "");
            stream.write_all(text.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(b"}") {
                assert!(stream.read_buf(&mut answer).await.unwrap() > 0);
            }
            let answer = String::from_utf8(answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            assert!(answer.contains("proto=https"), "{answer}");
        }
    }
    assert!(
        authority
            .client(&["spdy/3"])
            .connect(address, "a.test")
            .await
            .is_err()
    );
}

#[tokio::test]
async fn the_name_decides_which_certificate_is_shown() {
    let folder = TempDir::new().unwrap();
    let authority = Authority::new();
    let issue = |name: &str, hosts: &[&str]| authority.issue(folder.path(), name, hosts);
    let rig = rig(
        issue("default", &["default.test"]),
        vec![
            issue("exact", &["www.a.test"]),
            issue("wild", &["*.a.test", "a.test"]),
        ],
        false,
    )
    .await;
    let address = rig.gateway.tls_address().unwrap();
    let client = authority.client(&[]);
    let mut shown = Vec::new();
    // The client checks that the certificate is for the name.
    for host in ["default.test", "www.a.test", "x.a.test", "A.test"] {
        shown.push(client.certificate(address, host).await.unwrap());
    }
    assert_eq!(shown[2], shown[3]);
    assert_ne!(shown[1], shown[2]);
    // A wildcard is for one label; the default certificate is not for these.
    for host in ["x.y.a.test", "other.test"] {
        assert!(client.certificate(address, host).await.is_err(), "{host}");
    }
    let expiry = rig
        .metric("gateway_tls_certificate_expiry_seconds{certificate=\"www.a.test\"}")
        .await;
    // rcgen's default is the year 4096.
    assert!(expiry.unwrap() > 4e9);
}

#[tokio::test]
async fn old_versions_are_refused() {
    let folder = TempDir::new().unwrap();
    let authority = Authority::new();
    let rig = rig(
        authority.issue(folder.path(), "a", &["a.test"]),
        vec![],
        false,
    )
    .await;
    let address = rig.gateway.tls_address().unwrap();
    for version in [&TLS12, &TLS13] {
        let client = authority.client(&[]).with_version(version);
        assert!(client.connect(address, "a.test").await.is_ok());
    }
    // A hello of TLS 1.1, as recorded: rustls itself cannot speak it.
    let mut old = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut hello = vec![0x16, 3, 1, 0, 45, 1, 0, 0, 41, 3, 2];
    hello.extend_from_slice(&[7; 32]);
    hello.extend_from_slice(&[0, 0, 2, 0xc0, 0x13, 1, 0]);
    old.write_all(&hello).await.unwrap();
    let mut answer = Vec::new();
    old.read_to_end(&mut answer).await.unwrap();
    // An alert: fatal, protocol_version or handshake_failure or decode_error, and no hello of the server.
    assert_eq!(answer.first(), Some(&0x15), "{answer:?}");
    eventually("it is counted", async || {
        rig.metric("gateway_rejected_total{reason=\"tls_handshake\"}")
            .await
            >= Some(1.0)
    })
    .await;
}

#[tokio::test]
async fn a_new_certificate_is_taken_over_and_open_connections_go_on() {
    let folder = TempDir::new().unwrap();
    let authority = Authority::new();
    let files = authority.issue(folder.path(), "a", &["a.test"]);
    let rig = rig(files.clone(), vec![], false).await;
    let _backend = echo(&rig).await;
    let address = rig.gateway.tls_address().unwrap();
    let client = authority.client(&["h2"]);
    let first = client.certificate(address, "a.test").await.unwrap();
    let mut open = Http2::on(client.connect(address, "a.test").await.unwrap()).await;
    assert_eq!(open.get("https://a.test/hold/").await.0, 200);

    authority.issue(folder.path(), "a", &["a.test"]);
    eventually("the new certificate is shown", async || {
        client.certificate(address, "a.test").await.unwrap() != first
    })
    .await;
    assert_eq!(open.get("https://a.test/hold/").await.0, 200);
    assert!(!open.is_closed());
}

#[tokio::test]
async fn a_bad_certificate_is_told_and_the_old_one_goes_on() {
    let folder = TempDir::new().unwrap();
    let authority = Authority::new();
    let files = authority.issue(folder.path(), "a", &["a.test"]);
    let rig = rig(files.clone(), vec![], false).await;
    let address = rig.gateway.tls_address().unwrap();
    let client = authority.client(&[]);
    let first = client.certificate(address, "a.test").await.unwrap();
    bad(&files.cert);
    eventually("it is told", async || {
        let ready = rig.admin("/readyz?verbose").await;
        assert_eq!(ready.status(), 200);
        ready.text().contains("a.pem")
    })
    .await;
    let rejected = rig.metric("gateway_tls_certificates_rejected_total").await;
    assert!(rejected >= Some(1.0));
    assert_eq!(client.certificate(address, "a.test").await.unwrap(), first);

    // A key of somebody else is a bad pair as well.
    let other = authority.issue(folder.path(), "other", &["a.test"]);
    std::fs::rename(&other.cert, &files.cert).unwrap();
    eventually("the mismatch is told", async || {
        rig.admin("/readyz?verbose")
            .await
            .text()
            .contains("is not the one of the certificate")
    })
    .await;
    assert_eq!(client.certificate(address, "a.test").await.unwrap(), first);

    std::fs::rename(&other.key, &files.key).unwrap();
    eventually("the good pair is taken over", async || {
        client.certificate(address, "a.test").await.unwrap() != first
    })
    .await;
    eventually("nothing is told any more", async || {
        !rig.admin("/readyz?verbose").await.text().contains("a.pem")
    })
    .await;
}

#[tokio::test]
async fn requests_without_tls_are_sent_to_tls() {
    let folder = TempDir::new().unwrap();
    let authority = Authority::new();
    let rig = rig(
        authority.issue(folder.path(), "a", &["a.test"]),
        vec![],
        true,
    )
    .await;
    let backend = echo(&rig).await;
    let port = rig.gateway.tls_address().unwrap().port();
    for (host, target, expected) in [
        (
            "a.test",
            "/hold/x?q=1",
            format!("https://a.test:{port}/hold/x?q=1"),
        ),
        (
            "A.test:8080",
            "/nowhere",
            format!("https://a.test:{port}/nowhere"),
        ),
        ("[::1]:80", "/", format!("https://[::1]:{port}/")),
        (
            "a.test",
            "http://a.test/x",
            format!("https://a.test:{port}/x"),
        ),
    ] {
        let answer = rig.send("POST", target, &[("Host", host)], "").await;
        assert_eq!(answer.status(), 308, "{target}");
        assert_eq!(answer.header("location"), Some(expected.as_str()));
    }
    let nobody = rig.send("GET", "/", &[("Host", "")], "").await;
    assert_eq!(nobody.status(), 400);
    assert_eq!(backend.hits(), 0);
}
