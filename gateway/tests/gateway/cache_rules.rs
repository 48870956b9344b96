//! RFC 9111 and its neighbours, one line for each rule: what the service says, what is asked then, and whether the service hears of it.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde_json::json;

use crate::harness::{Answers, Backend, Behaviour, Message, Rig, send, steady_service, with};

/// What the second request finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finds {
    /// The answer to the first.
    Kept,
    /// An answer of the service.
    Asked,
    /// The answer to the first, after the service was asked whether it is still good.
    Validated,
}
use Finds::{Asked, Kept, Validated};

struct Rule {
    /// Where it is from.
    section: &'static str,
    status: u16,
    /// Fields of the answer, separated by `|`. `{future}` and `{past}` are dates.
    fields: &'static str,
    first: &'static str,
    second: &'static str,
    finds: Finds,
}

const fn rule(section: &'static str, fields: &'static str, finds: Finds) -> Rule {
    Rule {
        section,
        status: 200,
        fields,
        first: "",
        second: "",
        finds,
    }
}

impl Rule {
    const fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    const fn first(mut self, fields: &'static str) -> Self {
        self.first = fields;
        self
    }

    const fn second(mut self, fields: &'static str) -> Self {
        self.second = fields;
        self
    }

    const fn both(mut self, fields: &'static str) -> Self {
        self.first = fields;
        self.second = fields;
        self
    }
}

const RULES: &[Rule] = &[
    rule("9111 §5.2.2.1 max-age", "cache-control: max-age=60", Kept),
    rule("9111 §5.2.2.1 max-age=0", "cache-control: max-age=0", Asked),
    rule(
        "9111 §5.2 names have no case",
        "cache-control: MaX-aGe=60",
        Kept,
    ),
    rule(
        "9111 §5.2 both forms of a value",
        "cache-control: max-age=\"60\"",
        Kept,
    ),
    rule(
        "9111 §5.2 unknown directives are passed over",
        "cache-control: foo=\"no-store, x\", max-age=60",
        Kept,
    ),
    rule(
        "9111 §5.2 several lines are one",
        "cache-control: public|cache-control: max-age=60",
        Kept,
    ),
    rule(
        "9111 §4.2.1 a number that is none",
        "cache-control: max-age=abc",
        Asked,
    ),
    rule(
        "9111 §4.2.1 two that differ",
        "cache-control: max-age=60, max-age=0",
        Asked,
    ),
    rule(
        "9111 §1.2.2 a number too large to hold",
        "cache-control: max-age=99999999999999999999",
        Kept,
    ),
    rule(
        "9111 §5.2.2.10 s-maxage over max-age",
        "cache-control: max-age=0, s-maxage=60",
        Kept,
    ),
    rule(
        "9111 §5.2.2.10 s-maxage=0 over max-age",
        "cache-control: max-age=60, s-maxage=0",
        Asked,
    ),
    rule("9111 §5.3 Expires", "expires: {future}", Kept),
    rule("9111 §5.3 Expires in the past", "expires: {past}", Asked),
    rule("9111 §5.3 Expires that is no date", "expires: 0", Asked),
    rule(
        "9111 §5.3 max-age over Expires",
        "cache-control: max-age=60|expires: {past}",
        Kept,
    ),
    rule(
        "9111 §4.2.1 Expires is relative to Date",
        "date: {future}|expires: {future}",
        Asked,
    ),
    rule("9111 §4.2.2 no time given", "x-a: 1", Asked),
    rule(
        "9111 §4.2.2 no time given, but a validator",
        "etag: \"a\"",
        Asked,
    ),
    rule(
        "9111 §5.2.2.5 no-store",
        "cache-control: no-store, max-age=60",
        Asked,
    ),
    rule(
        "9111 §5.2.2.3 must-understand over no-store",
        "cache-control: must-understand, no-store, max-age=60",
        Kept,
    ),
    rule(
        "9111 §5.2.2.7 private",
        "cache-control: private, max-age=60",
        Asked,
    ),
    rule(
        "9111 §5.2.2.7 private for some fields",
        "cache-control: private=\"x-mine\", max-age=60|x-mine: 1",
        Kept,
    ),
    rule(
        "9111 §5.2.2.4 no-cache",
        "cache-control: no-cache, max-age=60|etag: \"a\"",
        Validated,
    ),
    rule(
        "9111 §5.2.2.4 no-cache for some fields",
        "cache-control: no-cache=\"set-cookie\", max-age=60|set-cookie: a=b",
        Kept,
    ),
    rule(
        "9111 §7.3 Set-Cookie",
        "cache-control: max-age=60|set-cookie: a=b",
        Asked,
    ),
    rule(
        "9111 §4.3.1 stale with ETag",
        "cache-control: max-age=60|age: 61|etag: \"a\"",
        Validated,
    ),
    rule(
        "9111 §4.3.1 stale with Last-Modified",
        "cache-control: max-age=60|age: 61|last-modified: {past}",
        Validated,
    ),
    rule(
        "9111 §4.2.3 Age counts",
        "cache-control: max-age=60|age: 61",
        Asked,
    ),
    rule(
        "9111 §4.2.3 Age below the lifetime",
        "cache-control: max-age=60|age: 10",
        Kept,
    ),
    rule(
        "9111 §4.2.3 an old Date counts",
        "cache-control: max-age=60|date: {past}",
        Asked,
    ),
    rule(
        "9111 §5.1 Age that is no number",
        "cache-control: max-age=60|age: x",
        Kept,
    ),
    rule(
        "9111 §5.1 of several Ages the first",
        "cache-control: max-age=60|age: 10, 100",
        Kept,
    ),
    rule(
        "9111 §3.5 Authorization",
        "cache-control: max-age=60",
        Asked,
    )
    .both("authorization: a b"),
    rule(
        "9111 §3.5 Authorization and public",
        "cache-control: public, max-age=60",
        Kept,
    )
    .both("authorization: a b"),
    rule(
        "9111 §3.5 Authorization and s-maxage",
        "cache-control: s-maxage=60",
        Kept,
    )
    .both("authorization: a b"),
    rule(
        "9111 §3.5 Authorization and must-revalidate",
        "cache-control: must-revalidate, max-age=60",
        Kept,
    )
    .both("authorization: a b"),
    rule(
        "9111 §3.5 an anonymous answer is not for the authorized",
        "cache-control: max-age=60",
        Asked,
    )
    .second("authorization: a b"),
    rule(
        "9111 §3.5 nor the other way round",
        "cache-control: public, max-age=60",
        Asked,
    )
    .first("authorization: a b"),
    rule(
        "9111 §4.1 Vary, the same",
        "cache-control: max-age=60|vary: x-a",
        Kept,
    )
    .both("x-a: 1"),
    rule(
        "9111 §4.1 Vary, another",
        "cache-control: max-age=60|vary: x-a",
        Asked,
    )
    .first("x-a: 1")
    .second("x-a: 2"),
    rule(
        "9111 §4.1 Vary, absent",
        "cache-control: max-age=60|vary: x-a",
        Asked,
    )
    .first("x-a: 1"),
    rule(
        "9111 §4.1 Vary, absent both times",
        "cache-control: max-age=60|vary: x-a",
        Kept,
    ),
    rule(
        "9111 §4.1 Vary, blanks mean nothing",
        "cache-control: max-age=60|vary: x-a",
        Kept,
    )
    .first("x-a: 1,2")
    .second("x-a: 1 , 2"),
    rule(
        "9111 §4.1 Vary: *",
        "cache-control: max-age=60|vary: *",
        Asked,
    ),
    rule(
        "9111 §4.1 Vary on what is each request's own",
        "cache-control: max-age=60|vary: x-forwarded-for",
        Asked,
    ),
    rule(
        "9111 §5.2.1.5 the first request says no-store",
        "cache-control: max-age=60",
        Asked,
    )
    .first("cache-control: no-store"),
    rule(
        "9111 §5.2.1.4 the second request says no-cache",
        "cache-control: max-age=60|etag: \"a\"",
        Validated,
    )
    .second("cache-control: no-cache"),
    rule(
        "9111 §5.4 the second request says Pragma: no-cache",
        "cache-control: max-age=60|etag: \"a\"",
        Validated,
    )
    .second("pragma: no-cache"),
    rule(
        "9111 §5.2.1.1 the second request says max-age=0",
        "cache-control: max-age=60|etag: \"a\"",
        Validated,
    )
    .second("cache-control: max-age=0"),
    rule(
        "9111 §5.2.1.1 the second request says max-age=30",
        "cache-control: max-age=60|etag: \"a\"",
        Kept,
    )
    .second("cache-control: max-age=30"),
    rule(
        "9111 §5.2.1.3 the second request says min-fresh=90",
        "cache-control: max-age=60|etag: \"a\"",
        Validated,
    )
    .second("cache-control: min-fresh=90"),
    rule(
        "9111 §5.2.1.3 the second request says min-fresh=10",
        "cache-control: max-age=60|etag: \"a\"",
        Kept,
    )
    .second("cache-control: min-fresh=10"),
    rule(
        "9111 §5.2.1.7 only-if-cached, and it is",
        "cache-control: max-age=60",
        Kept,
    )
    .second("cache-control: only-if-cached"),
    rule("9110 §15.1 301", "cache-control: max-age=60", Kept).status(301),
    rule(
        "9110 §15.1 302 with a time",
        "cache-control: max-age=60",
        Kept,
    )
    .status(302),
    rule("9110 §15.1 404", "cache-control: max-age=60", Kept).status(404),
    rule("9110 §15.1 410", "cache-control: max-age=60", Kept).status(410),
    rule(
        "9111 §3 failures are not kept",
        "cache-control: max-age=60",
        Asked,
    )
    .status(500),
    rule("9111 §3 503", "cache-control: max-age=60", Asked).status(503),
    rule(
        "9111 §3.3 parts are not kept",
        "cache-control: max-age=60|content-range: bytes 0-3/9",
        Asked,
    )
    .status(206),
    rule("9111 §3 unknown status", "cache-control: max-age=60", Asked).status(299),
    rule(
        "5861 §3 stale-while-revalidate",
        "cache-control: max-age=60, stale-while-revalidate=60|age: 61",
        Asked,
    ),
    rule(
        "9111 §3.1 fields of the connection",
        "cache-control: max-age=60|connection: x-hop|x-hop: 1",
        Kept,
    ),
];

fn answer(rule: &Rule, path: &str, request: &Message) -> String {
    let date = |offset: i64| {
        let now = SystemTime::now();
        let span = Duration::from_secs(offset.unsigned_abs());
        httpdate(if offset < 0 { now - span } else { now + span })
    };
    let fields: String = rule
        .fields
        .split('|')
        .map(|field| {
            let field = field
                .replace("{future}", &date(3600))
                .replace("{past}", &date(-3600));
            format!("{field}\r\n")
        })
        .collect();
    let validates = request.header("if-none-match") == Some("\"a\"")
        || request.header("if-modified-since").is_some();
    if validates {
        return format!("HTTP/1.1 304 Not Modified\r\n{fields}\r\n");
    }
    let length = path.len();
    format!(
        "HTTP/1.1 {} Scripted\r\n{fields}content-length: {length}\r\n\r\n{path}",
        rule.status
    )
}

fn httpdate(time: SystemTime) -> String {
    httpdate::fmt_http_date(time)
}

fn headers(fields: &'static str) -> Vec<(&'static str, &'static str)> {
    fields
        .split('|')
        .filter_map(|field| field.split_once(": "))
        .collect()
}

#[tokio::test]
async fn every_rule_is_kept() {
    let rig = Rig::start().await;
    let answer = |request: &Message| {
        let path = request.target();
        let at: usize = path.trim_start_matches('/').parse().unwrap();
        answer(&RULES[at], path, request)
    };
    let answers = Answers {
        answer: Arc::new(answer),
        permits: None,
    };
    let backend = Backend::behaving("b", Behaviour::Answers(answers)).await;
    let service = with(steady_service("c", &[&backend]), "policy/cache", json!({}));
    rig.put(service).await;
    for (at, rule) in RULES.iter().enumerate() {
        let what = format!("RFC {}: {:?}", rule.section, rule.fields);
        let path = format!("/{at}");
        let arrived = || {
            let received = backend.received();
            let of_rule = received
                .into_iter()
                .filter(|request| request.target() == path);
            of_rule.collect::<Vec<_>>()
        };
        let target = format!("/c/{at}");
        let first = send(rig.address(), "GET", &target, &headers(rule.first), "").await;
        assert_eq!(first.status(), rule.status, "{what}");
        assert_eq!(arrived().len(), 1, "{what}");
        let second = send(rig.address(), "GET", &target, &headers(rule.second), "").await;
        let found = match arrived().as_slice() {
            [_] => Kept,
            [_, second]
                if ["if-none-match", "if-modified-since"]
                    .iter()
                    .any(|name| second.header(name).is_some()) =>
            {
                Validated
            }
            [_, _] => Asked,
            other => panic!("{what}: {other:?}"),
        };
        // The window for stale answers: the object is given, and the service is asked behind it.
        if rule.section.starts_with("5861") {
            assert!(
                second
                    .header("cache-status")
                    .unwrap()
                    .contains("hit; ttl=-"),
                "{what}"
            );
            continue;
        }
        assert_eq!(
            found,
            rule.finds,
            "{what}: {:?}",
            second.header("cache-status")
        );
        assert_eq!(
            (second.status(), second.text()),
            (rule.status, path.clone()),
            "{what}"
        );
        for hidden in ["x-mine", "set-cookie", "x-hop"] {
            assert!(found == Asked || second.header(hidden).is_none(), "{what}");
        }
        if found == Kept {
            let age: u64 = second.header("age").unwrap().parse().unwrap();
            let expected = if rule.fields.contains("age: 10") {
                10..3600
            } else {
                0..3600
            };
            assert!(expected.contains(&age), "{what}: {age}");
        }
    }
}
