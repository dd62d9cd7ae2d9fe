//! A pull reader for the XML that tools write: tags, attributes and text, entities resolved. What is broken ends it early.

use std::borrow::Cow;

use crate::sink::{Evidence, Sink};
use crate::window::Lines;

pub(super) struct Xml<'a> {
    rest: &'a str,
}

pub(super) enum Event<'a> {
    Start(Tag<'a>),
    End(&'a str),
    Text(Cow<'a, str>),
}

#[derive(Clone, Copy)]
pub(super) struct Tag<'a> {
    pub(super) name: &'a str,
    attributes: &'a str,
    /// `<name/>`: no end tag follows.
    pub(super) empty: bool,
}

impl<'a> Xml<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text }
    }
}

impl<'a> Iterator for Xml<'a> {
    type Item = Event<'a>;

    fn next(&mut self) -> Option<Event<'a>> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            if !self.rest.starts_with('<') {
                let end = self.rest.find('<').unwrap_or(self.rest.len());
                let (text, rest) = self.rest.split_at(end);
                self.rest = rest;
                return Some(Event::Text(unescape(text)));
            }
            if let Some(rest) = self.rest.strip_prefix("<![CDATA[") {
                let (text, rest) = rest.split_once("]]>").unwrap_or((rest, ""));
                self.rest = rest;
                return Some(Event::Text(Cow::Borrowed(text)));
            }
            if let Some(rest) = self.rest.strip_prefix("<!--") {
                self.rest = rest.split_once("-->")?.1;
                continue;
            }
            let end = tag_end(self.rest)?;
            let inner = &self.rest[1..end];
            self.rest = &self.rest[end + 1..];
            if inner.starts_with(['?', '!']) {
                continue;
            }
            if let Some(name) = inner.strip_prefix('/') {
                return Some(Event::End(local(name.trim())));
            }
            let empty = inner.ends_with('/');
            let inner = inner.strip_suffix('/').unwrap_or(inner);
            let (name, attributes) = inner.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((inner, ""));
            return Some(Event::Start(Tag { name: local(name), attributes, empty }));
        }
    }
}

/// Where the tag that `text` starts with has its `>`; one in quotes is not it. `None` if another tag starts first.
fn tag_end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 1;
    loop {
        let found = at + memchr::memchr3(b'>', b'"', b'\'', bytes.get(at..)?)?;
        if memchr::memchr(b'<', &bytes[at..found]).is_some() && bytes.get(1) != Some(&b'!') {
            return None;
        }
        match bytes[found] {
            b'>' => return Some(found),
            quote => at = found + 2 + memchr::memchr(quote, &bytes[found + 1..])?,
        }
    }
}

/// The name without its namespace prefix.
fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

impl<'a> Tag<'a> {
    pub(super) fn get(&self, wanted: &str) -> Option<Cow<'a, str>> {
        self.raw().find(|(name, _)| *name == wanted).map(|(_, value)| unescape(value))
    }

    /// Names and values of all attributes.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> + use<'a> {
        self.raw().map(|(name, value)| (name, unescape(value)))
    }

    fn raw(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let mut rest = self.attributes;
        std::iter::from_fn(move || {
            let (name, after) = rest.split_once('=')?;
            let after = after.trim_start();
            let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''))?;
            let (value, more) = after[1..].split_once(quote)?;
            rest = more;
            Some((name.trim(), value))
        })
    }

    /// Whether the attributes are names and quoted values and nothing else, each name once.
    pub(super) fn is_whole(&self) -> bool {
        let mut rest = self.attributes.trim();
        let mut names: Vec<&str> = Vec::new();
        while !rest.is_empty() {
            let Some((name, after)) = rest.split_once('=') else { return false };
            let after = after.trim_start();
            let Some(quote) = after.chars().next().filter(|c| matches!(c, '"' | '\'')) else { return false };
            let Some((value, more)) = after[1..].split_once(quote) else { return false };
            let name = name.trim_end();
            let breaks_name = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '/');
            let runs_on = !more.is_empty() && !more.starts_with(char::is_whitespace);
            if name.is_empty() || name.contains(breaks_name) || names.contains(&name) || value.contains('<') || runs_on
            {
                return false;
            }
            names.push(name);
            rest = more.trim_start();
        }
        true
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.trim().parse().ok()
    }

    /// A line or column: 0 is how many tools write "none".
    pub(super) fn position(&self, name: &str) -> Option<u32> {
        self.get(name)?.trim().parse().ok().filter(|number| *number > 0)
    }
}

/// Whether nothing is missing that the syntax would miss: each element is closed in its turn, names are names, attributes
/// are whole, and `fits` agrees to each tag and text in the element it stands in.
pub(super) fn is_sound<'a>(text: &'a str, mut fits: impl FnMut(&Event<'a>, &'a str) -> bool) -> bool {
    let mut open: Vec<&str> = Vec::new();
    let (mut xml, mut elements) = (Xml::new(text), 0usize);
    for event in xml.by_ref() {
        if !fits(&event, open.last().copied().unwrap_or("")) {
            return false;
        }
        match event {
            Event::Start(tag) => {
                elements += 1;
                if !is_name(tag.name) || !tag.is_whole() {
                    return false;
                }
                if !tag.empty {
                    open.push(tag.name);
                }
            }
            Event::End(name) => {
                if open.pop() != Some(name) {
                    return false;
                }
            }
            Event::Text(_) => {}
        }
    }
    elements > 0 && open.is_empty() && xml.rest.is_empty()
}

/// An end of a report on a line of no document: its beginning was lost, or runs into another report's.
pub(super) fn tell_lost_end(lines: Lines<'_>, ends: &[&str], sink: &mut Sink) {
    let line = lines.first().trim_start();
    if ends.iter().any(|end| line.starts_with(end)) {
        sink.evidence(Evidence::BreaksOff);
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

fn unescape(text: &str) -> Cow<'_, str> {
    let Some(first) = text.find('&') else { return Cow::Borrowed(text) };
    let mut out = String::with_capacity(text.len());
    out.push_str(&text[..first]);
    let mut rest = &text[first..];
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        match entity(rest) {
            Some((c, length)) => {
                out.push(c);
                rest = &rest[length..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn entity(text: &str) -> Option<(char, usize)> {
    const ENTITY_BYTES_MAX: usize = 10;
    let end = text.bytes().take(ENTITY_BYTES_MAX).position(|b| b == b';')?;
    let name = &text[1..end];
    let c = match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)?
        }
    };
    Some((c, end + 1))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn tags_attributes_text_and_entities() {
        let text = "<?xml version='1.0'?><!-- <no> --><a:b x='1>2' y = \"&lt;&#65;&#x42;&nope;\"><c/>t&amp;<![CDATA[<d>]]></a:b>";
        let mut events = Xml::new(text);
        let Some(Event::Start(tag)) = events.next() else { panic!("a start tag") };
        assert_eq!((tag.name, tag.empty), ("b", false));
        assert_eq!(tag.get("x").unwrap(), "1>2");
        assert_eq!(tag.get("y").unwrap(), "<AB&nope;");
        assert!(matches!(events.next(), Some(Event::Start(Tag { name: "c", empty: true, .. }))));
        assert!(matches!(events.next(), Some(Event::Text(text)) if text == "t&"));
        assert!(matches!(events.next(), Some(Event::Text(text)) if text == "<d>"));
        assert!(matches!(events.next(), Some(Event::End("b"))));
        assert!(events.next().is_none());
    }

    #[test]
    fn attributes_that_lost_a_part_are_told() {
        let whole =
            |text| Xml::new(text).next().is_some_and(|event| matches!(event, Event::Start(tag) if tag.is_whole()));
        assert!(whole("<a x='1' y = \"2\">"));
        assert!(whole("<a/>"));
        assert!(!whole("<a versi\" message=\"x\"/>"));
        assert!(!whole("<a x=\"1\" tis\" y=\"2\">"));
        assert!(!whole("<a x=\"1\" y=\"2\" x=\"3\">"));
        assert!(!whole("<a x=\"1\"y=\"2\">"));
    }

    #[test]
    fn a_sound_document_closes_what_it_opens() {
        let sound = |text| is_sound(text, |_, _| true);
        assert!(sound("<?xml version=\"1.0\"?>\n<a>\n<n:b x='1'/> t </a>\n"));
        assert!(!sound("<a><b></a>"));
        assert!(!sound("<a></a></b>"));
        assert!(!sound("<a><b=\"1\" c=\"2\"/></a>"));
        assert!(!sound("<a><!-- </a>"));
        assert!(!sound(""));
    }

    #[test]
    fn a_tag_that_another_one_interrupts_ends_the_document() {
        assert!(Xml::new("<testsuites tests=\"2\" skip<property value=\"error\"/>").next().is_none());
    }
}
