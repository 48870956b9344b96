//! Files of folders, as clients get them.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    time::{Duration, SystemTime},
};

use catalog_api::RouteSpec;
use gateway::{FileRoute, route::Target};
use serde_json::json;
use tempfile::TempDir;

use crate::harness::{Connection, Message, Rig, request};

/// A route to a folder under `/f/`.
pub(crate) fn route(folder: &Path) -> FileRoute {
    let spec: RouteSpec = serde_json::from_value(json!({"path_prefix": "/f/"})).unwrap();
    FileRoute {
        name: "f".into(),
        spec,
        target: Target::Files(folder.into()),
    }
}

/// A gateway that serves a folder under `/f/`.
async fn serving(folder: &Path) -> Rig {
    let routes = vec![route(folder)];
    Rig::configured(|config| config.file_routes = routes).await
}

fn file(folder: &Path, name: &str, content: impl AsRef<[u8]>) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

async fn get(rig: &Rig, target: &str, headers: &[(&str, &str)]) -> Message {
    rig.send("GET", target, headers, "").await
}

#[tokio::test]
async fn a_file_comes_with_its_type_and_validators() {
    let folder = TempDir::new().unwrap();
    file(folder.path(), "a b/page.html", "<p>hello</p>");
    file(folder.path(), "a b/index.html", "index");
    file(folder.path(), "app.3f2a9c1b.js", "x");
    file(folder.path(), "empty.bin", "");
    let rig = serving(folder.path()).await;
    let page = get(&rig, "/f/a%20b/page.html?v=1", &[]).await;
    assert_eq!((page.status(), page.text().as_str()), (200, "<p>hello</p>"));
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("content-length", "12"),
        ("cache-control", "no-cache"),
        ("accept-ranges", "bytes"),
        ("vary", "accept-encoding"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(page.header(name), Some(value));
    }
    assert!(
        page.header("etag").unwrap().starts_with('"') && page.header("last-modified").is_some()
    );
    let hashed = get(&rig, "/f/app.3f2a9c1b.js", &[]).await;
    assert_eq!(
        hashed.header("cache-control"),
        Some("public, max-age=31536000, immutable")
    );
    let empty = get(&rig, "/f/empty.bin", &[]).await;
    assert_eq!(
        (empty.status(), empty.header("content-length")),
        (200, Some("0"))
    );
    // A folder is its page, under the name with a slash.
    assert_eq!(get(&rig, "/f/a%20b/", &[]).await.text(), "index");
    let moved = get(&rig, "/f/a%20b", &[]).await;
    assert_eq!(
        (moved.status(), moved.header("location")),
        (308, Some("/f/a%20b/"))
    );
    assert_eq!(get(&rig, "/f", &[]).await.header("location"), Some("/f/"));
    // Nothing is listed.
    for missing in ["/f/", "/f/none", "/f/empty.bin/", "/f/empty.bin/x"] {
        let answer = get(&rig, missing, &[]).await;
        assert_eq!(
            (answer.status(), answer.header("content-type")),
            (404, Some("application/problem+json")),
            "{missing}"
        );
    }
    let mut connection = Connection::open(rig.address()).await.unwrap();
    connection
        .send(request("HEAD", "/f/a%20b/page.html", &[], ""))
        .await
        .unwrap();
    let head = connection.response_head().await.unwrap();
    assert_eq!(
        (head.status(), head.header("content-length")),
        (200, Some("12"))
    );
    // The connection goes on where it is.
    connection
        .send(request("GET", "/f/app.3f2a9c1b.js", &[], ""))
        .await
        .unwrap();
    assert_eq!(connection.response().await.unwrap().text(), "x");
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = rig.send(method, "/f/empty.bin", &[], "").await;
        assert_eq!(
            (answer.status(), answer.header("allow")),
            (405, Some("GET, HEAD")),
            "{method}"
        );
    }
}

#[tokio::test]
async fn preconditions_are_evaluated_in_their_order() {
    let folder = TempDir::new().unwrap();
    file(folder.path(), "a.txt", "0123456789");
    let rig = serving(folder.path()).await;
    let first = get(&rig, "/f/a.txt", &[]).await;
    let (etag, modified) = (
        first.header("etag").unwrap(),
        first.header("last-modified").unwrap(),
    );
    let (weak, listed) = (format!("W/{etag}"), format!("\"x\", {etag}"));
    let (past, future) = (
        "Wed, 21 Oct 2015 07:28:00 GMT",
        "Wed, 21 Oct 2065 07:28:00 GMT",
    );
    for (fields, expected) in [
        (vec![("if-none-match", etag)], 304),
        (vec![("if-none-match", &weak)], 304),
        (vec![("if-none-match", &listed)], 304),
        (vec![("if-none-match", "*")], 304),
        (vec![("if-none-match", "\"x\"")], 200),
        (vec![("if-modified-since", modified)], 304),
        (vec![("if-modified-since", past)], 200),
        (vec![("if-modified-since", "yesterday")], 200),
        (
            vec![("if-none-match", "\"x\""), ("if-modified-since", future)],
            200,
        ),
        (vec![("if-match", etag)], 200),
        (vec![("if-match", "*")], 200),
        (vec![("if-match", &weak)], 412),
        (vec![("if-match", "\"x\"")], 412),
        (vec![("if-match", "\"x\""), ("if-none-match", etag)], 412),
        (vec![("if-unmodified-since", past)], 412),
        (vec![("if-unmodified-since", future)], 200),
        (vec![("if-match", etag), ("if-unmodified-since", past)], 200),
        (vec![("range", "bytes=2-4")], 206),
        (vec![("range", "bytes=2-4"), ("if-none-match", etag)], 304),
        (vec![("range", "bytes=2-4"), ("if-range", etag)], 206),
        (vec![("range", "bytes=2-4"), ("if-range", modified)], 206),
        (vec![("range", "bytes=2-4"), ("if-range", &weak)], 200),
        (vec![("range", "bytes=2-4"), ("if-range", "\"x\"")], 200),
        (vec![("range", "bytes=2-4"), ("if-range", past)], 200),
        (vec![("range", "bytes=20-")], 416),
        (vec![("range", "bytes=1-2,4-5")], 200),
    ] {
        let answer = get(&rig, "/f/a.txt", &fields).await;
        assert_eq!(answer.status(), expected, "{fields:?}");
        let (body, range) = match expected {
            200 => ("0123456789", None),
            206 => ("234", Some("bytes 2-4/10")),
            416 => ("", Some("bytes */10")),
            _ => ("", None),
        };
        assert_eq!(
            (answer.text().as_str(), answer.header("content-range")),
            (body, range),
            "{fields:?}"
        );
    }
}

#[tokio::test]
async fn the_encoding_is_the_clients_choice() {
    let folder = TempDir::new().unwrap();
    let text = "all work and no play ".repeat(500);
    file(folder.path(), "a.txt", &text);
    file(folder.path(), "b.js", &text);
    file(folder.path(), "b.js.br", "precompressed");
    file(folder.path(), "b.js.gz", "also");
    file(folder.path(), "c.css", "new");
    file(folder.path(), "c.css.br", "of something older");
    let older = SystemTime::now() - Duration::from_secs(3600);
    fs::File::options()
        .write(true)
        .open(folder.path().join("c.css.br"))
        .unwrap()
        .set_modified(older)
        .unwrap();
    file(folder.path(), "d.png", &text);
    file(folder.path(), "tiny.txt", "x");
    let rig = serving(folder.path()).await;
    let mut tags = std::collections::BTreeSet::new();
    for (target, accepted, expected) in [
        ("/f/a.txt", "gzip, br, zstd", Some("br")),
        ("/f/a.txt", "gzip;q=0.9, br;q=0.1", Some("gzip")),
        ("/f/a.txt", "zstd", Some("zstd")),
        ("/f/a.txt", "br;q=0", None),
        ("/f/a.txt", "deflate", None),
        ("/f/b.js", "gzip, br", Some("br")),
        ("/f/b.js", "gzip", Some("gzip")),
        ("/f/c.css", "br", None),
        ("/f/d.png", "br, gzip", None),
        ("/f/tiny.txt", "br, gzip", None),
    ] {
        for _ in 0..2 {
            let answer = get(&rig, target, &[("accept-encoding", accepted)]).await;
            assert_eq!(
                (answer.status(), answer.header("content-encoding")),
                (200, expected),
                "{target} {accepted}"
            );
            let body = match (target, expected) {
                ("/f/b.js", Some("br")) => b"precompressed".to_vec(),
                ("/f/b.js", _) => b"also".to_vec(),
                ("/f/c.css", _) => b"new".to_vec(),
                ("/f/tiny.txt", _) => b"x".to_vec(),
                (_, encoding) => {
                    assert_eq!(encoding.is_some(), answer.body.len() < text.len() / 10);
                    decode(encoding, &answer.body);
                    tags.insert(answer.header("etag").unwrap().to_owned());
                    continue;
                }
            };
            assert_eq!(answer.body, body, "{target} {accepted}");
        }
    }
    // One for each encoding of the text, and the picture's.
    assert_eq!(tags.len(), 5);
    let part = get(
        &rig,
        "/f/a.txt",
        &[("accept-encoding", "br"), ("range", "bytes=0-2")],
    )
    .await;
    assert_eq!(
        (part.header("content-encoding"), part.text().as_str()),
        (None, "all")
    );
    // A file that changes is compressed anew.
    file(folder.path(), "a.txt", text.to_uppercase());
    let changed = get(&rig, "/f/a.txt", &[("accept-encoding", "gzip")]).await;
    assert!(!tags.contains(changed.header("etag").unwrap()));
}

fn decode(encoding: Option<&str>, body: &[u8]) {
    let expected = "all work and no play ".repeat(500).into_bytes();
    let read = |mut reader: Box<dyn std::io::Read + '_>| {
        let mut plain = Vec::new();
        reader.read_to_end(&mut plain).unwrap();
        plain
    };
    let plain = match encoding {
        Some("gzip") => read(Box::new(flate2::read::GzDecoder::new(body))),
        Some("br") => read(Box::new(brotli::Decompressor::new(body, 4096))),
        Some("zstd") => zstd::decode_all(body).unwrap(),
        _ => body.to_vec(),
    };
    assert_eq!(plain, expected);
}

#[tokio::test]
async fn no_path_leads_out_of_the_folder() {
    let outside = TempDir::new().unwrap();
    let folder = outside.path().join("public");
    file(outside.path(), "secret", "secret");
    file(outside.path(), "public-too/secret", "secret");
    file(&folder, "in/file", "inside");
    file(&folder, ".env", "secret");
    file(&folder, ".git/config", "secret");
    file(&folder, ".well-known/x", "inside");
    symlink("in/file", folder.join("good")).unwrap();
    symlink("../secret", folder.join("up")).unwrap();
    symlink(outside.path().join("secret"), folder.join("absolute")).unwrap();
    symlink("..", folder.join("parent")).unwrap();
    symlink("/proc/self/root", folder.join("magic")).unwrap();
    let rig = serving(&folder).await;
    for inside in [
        "/f/in/file",
        "/f/good",
        "/f/.well-known/x",
        "/f/x/../in/file",
        "/f/%69n/file",
    ] {
        assert_eq!(get(&rig, inside, &[]).await.text(), "inside", "{inside}");
    }
    let target = format!("/f/magic{}/secret", outside.path().display());
    for way in [
        "/f/../secret",
        "/f/%2e%2e/secret",
        "/f/..%2fsecret",
        "/f/..%5csecret",
        "/f/..\\secret",
        "/f/in/..%2f..%2fsecret",
        "/f/up",
        "/f/absolute",
        "/f/parent/secret",
        "/f/parent/public-too/secret",
        target.as_str(),
        "/f/.env",
        "/f/%2eenv",
        "/f/.git/config",
        "/f/in/file%00.txt",
        "/f//etc/passwd",
        "/f/..%c0%afsecret",
        "/f/%252e%252e/secret",
        "/f/....//secret",
    ] {
        let answer = get(&rig, way, &[]).await;
        assert!(
            matches!(answer.status(), 400 | 404),
            "{way}: {}",
            answer.status()
        );
        assert!(
            !answer.text().contains("secret\n") && answer.text() != "secret",
            "{way}"
        );
    }
}

#[tokio::test]
async fn large_files_are_streamed_and_folders_may_come_and_go() {
    let outside = TempDir::new().unwrap();
    let folder = outside.path().join("later");
    let rig = serving(&folder).await;
    let missing = get(&rig, "/f/x", &[]).await;
    assert_eq!(missing.status(), 404);
    assert!(
        missing.text().contains("GATEWAY_STATIC_DIR"),
        "{}",
        missing.text()
    );
    let content: Vec<u8> = (0..3_000_001u32).map(|byte| byte as u8).collect();
    file(&folder, "large.bin", &content);
    assert!(get(&rig, "/f/large.bin", &[]).await.body == content);
    let part = get(&rig, "/f/large.bin", &[("range", "bytes=100000-2999999")]).await;
    assert!(part.body == content[100_000..3_000_000]);
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(get(&rig, "/f/large.bin", &[]).await.status(), 404);
}
