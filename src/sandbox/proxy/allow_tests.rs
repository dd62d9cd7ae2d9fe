//! Spellings by which lists were got around elsewhere, and the list itself.

#![allow(clippy::unwrap_used)]

use super::*;

fn list(allow: &[&str], deny: &[&str]) -> AllowList {
    let mut list = AllowList::default();
    allow.iter().for_each(|entry| list.allow(entry.parse().unwrap(), Origin::Operator));
    deny.iter().for_each(|entry| list.deny(entry.parse().unwrap()));
    list
}

fn decide(list: &AllowList, target: &str) -> Result<Reach, Refusal> {
    list.decide(&Target::parse(target, None).unwrap())
}

#[test]
fn spellings_of_one_name_are_one_name() {
    for (text, name) in [
        ("index.example", "index.example"),
        ("INDEX.Example", "index.example"),
        ("index.example.", "index.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("index。example", "index.example"),
        ("ｉndex.example", "index.example"),
    ] {
        assert_eq!(Host::parse(text).unwrap(), Host::Name(name.to_owned()), "{text}");
    }
}

#[test]
fn every_spelling_of_an_address_is_that_address() {
    for text in ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "127.0.0.1."]
    {
        assert_eq!(Host::parse(text).unwrap().to_string(), "127.0.0.1", "{text}");
    }
    for text in ["[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:7f00:1]"] {
        assert_eq!(Host::parse(text).unwrap().to_string(), "127.0.0.1", "{text}");
    }
    assert_eq!(Host::parse("[2001:DB8::1]").unwrap().to_string(), "[2001:db8::1]");
}

#[test]
fn what_is_no_host_is_refused() {
    for text in [
        "",
        ".",
        "..",
        "a..example",
        ".example",
        "index.example..",
        "index.example\0.evil.example",
        "index.example\0",
        "index.example\r\nX: y",
        "index example",
        "user@index.example",
        "user:password@index.example",
        "index.example/path",
        "index.example#",
        "index.example?",
        "index.example\\",
        "%69ndex.example",
        "index%00.example",
        "::1",
        "[::1",
        "[fe80::1%25eth0]",
        "256.1.1.1",
        "1.2.3.4.5",
        "*.example.org",
    ] {
        assert!(Host::parse(text).is_err(), "{text:?}: {:?}", Host::parse(text));
    }
    assert!(Host::parse(&"a".repeat(64)).is_err());
    assert!(Host::parse(&["a"; 130].join(".")).is_err());
}

#[test]
fn a_target_has_one_port_and_nothing_else() {
    assert_eq!(Target::parse("Index.example:8443", None).unwrap().to_string(), "index.example:8443");
    assert_eq!(Target::parse("index.example", Some(80)).unwrap().port, 80);
    assert_eq!(Target::parse("[::2]:443", None).unwrap().to_string(), "[::2]:443");
    for text in [
        "index.example",
        "index.example:",
        "index.example:0",
        "index.example:65536",
        "index.example:+443",
        "index.example:443 ",
        "index.example:443/",
        "index.example:443:443",
        "evil.example@index.example:443",
        "[::2]",
        "::2:443",
        ":443",
    ] {
        assert!(Target::parse(text, None).is_err(), "{text:?}");
    }
}

#[test]
fn an_empty_list_refuses_everything() {
    assert_eq!(decide(&AllowList::default(), "index.example:443"), Err(Refusal::NotAllowed));
}

#[test]
fn exact_entries_name_one_host_and_suffixes_what_is_below() {
    let list = list(&["index.example", "*.files.example:8443"], &[]);
    assert_eq!(decide(&list, "index.example:443"), Ok(Reach::World));
    assert_eq!(decide(&list, "index.example:80"), Ok(Reach::World));
    assert_eq!(decide(&list, "index.example:22"), Err(Refusal::Port));
    assert_eq!(decide(&list, "a.files.example:8443"), Ok(Reach::World));
    assert_eq!(decide(&list, "b.a.files.example:8443"), Ok(Reach::World));
    assert_eq!(decide(&list, "a.files.example:443"), Err(Refusal::Port));
    for stranger in
        ["files.example:8443", "evilfiles.example:8443", "a.index.example:443", "index.example.evil.example:443"]
    {
        assert_eq!(decide(&list, stranger), Err(Refusal::NotAllowed), "{stranger}");
    }
}

#[test]
fn deny_wins() {
    let list = list(&["*.files.example", "index.example:443"], &["bad.files.example", "index.example:443"]);
    assert_eq!(decide(&list, "good.files.example:443"), Ok(Reach::World));
    assert_eq!(decide(&list, "bad.files.example:443"), Err(Refusal::Denied));
    assert_eq!(decide(&list, "index.example:443"), Err(Refusal::Denied));
}

#[test]
fn only_the_operator_leads_inside_and_only_by_host_and_port() {
    let mut list = list(&["mirror.example:8080", "other.example", "*.wide.example:8080", "10.0.0.7:8080"], &[]);
    list.allow("learned.example:8080".parse().unwrap(), Origin::Learned);
    assert_eq!(decide(&list, "mirror.example:8080"), Ok(Reach::Anywhere));
    assert_eq!(decide(&list, "10.0.0.7:8080"), Ok(Reach::Anywhere));
    assert_eq!(decide(&list, "167772167:8080"), Ok(Reach::Anywhere), "the same address");
    for world in ["other.example:443", "a.wide.example:8080", "learned.example:8080"] {
        assert_eq!(decide(&list, world), Ok(Reach::World), "{world}");
    }
    assert_eq!(decide(&list, "10.0.0.8:8080"), Err(Refusal::RawAddress));
}

#[test]
fn entries_that_name_too_much_are_refused() {
    for text in ["*", "*:443", "*.", "*.com", "*.com:443", "*.1.2.3.4", "*.*.example.org", "a.*.example.org"] {
        assert!(text.parse::<Entry>().is_err(), "{text}");
    }
}

#[test]
fn equal_lists_have_equal_texts() {
    let one = list(&["a.example", "b.example:1"], &["c.example"]);
    let two = list(&["b.example:1", "A.example."], &["c.example"]);
    assert_eq!(one.canonical(), two.canonical());
    assert_ne!(one.canonical(), list(&["a.example"], &[]).canonical());
}
