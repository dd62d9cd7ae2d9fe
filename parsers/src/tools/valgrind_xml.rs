//! valgrind's XML: each error with its kind, what it says, and the stack where it happened.

use super::xml::{Event, Xml};
use super::{Kind, Reader, Tool};
use crate::document::Document;
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Diagnostic, Frame, Severity, Trace};

pub(super) const TOOL: Tool = Tool {
    name: "valgrind-xml",
    kind: Kind::Linter,
    xml_roots: &["valgrindoutput"],
    reader: || Box::new(ValgrindXml),
    ..Tool::DEFAULT
};

const FRAMES_MAX: usize = 256;

struct ValgrindXml;

/// An `<error>` that is being read.
#[derive(Default)]
struct Error {
    kind: Option<String>,
    what: String,
    frames: Vec<Frame>,
    stacks: u32,
    frame: Frame,
    folder: Option<String>,
}

impl Reader for ValgrindXml {
    fn read(&mut self, _lines: Lines<'_>, _sink: &mut Sink) -> usize {
        0
    }

    fn read_document(&mut self, document: &Document<'_>, sink: &mut Sink) -> bool {
        let Some(text) = document.xml() else { return false };
        let (mut error, mut said): (Option<Error>, String) = (None, String::new());
        for event in Xml::new(text) {
            match event {
                Event::Start(tag) => {
                    said.clear();
                    if tag.name == "error" {
                        error = Some(Error::default());
                    } else if tag.name == "stack"
                        && let Some(error) = &mut error
                    {
                        error.stacks += 1;
                    }
                }
                Event::Text(text) => said.push_str(&text),
                Event::End("error") => {
                    if let Some(error) = error.take() {
                        error.tell(sink);
                    }
                }
                Event::End(name) => {
                    if let Some(error) = &mut error {
                        error.end(name, said.trim());
                    }
                    said.clear();
                }
            }
        }
        true
    }
}

impl Error {
    fn end(&mut self, name: &str, said: &str) {
        let text = || Some(said.to_owned()).filter(|text| !text.is_empty());
        match name {
            "kind" => self.kind = text(),
            // A leak's words stand in `<xwhat><text>`.
            "what" | "text" if self.what.is_empty() && self.stacks == 0 => said.clone_into(&mut self.what),
            "fn" => self.frame.function = text(),
            "dir" => self.folder = text(),
            "file" => self.frame.file = text(),
            "line" => self.frame.line = said.parse().ok(),
            "frame" => {
                let mut frame = std::mem::take(&mut self.frame);
                if let (Some(folder), Some(file)) = (self.folder.take(), &mut frame.file) {
                    *file = format!("{}/{file}", folder.trim_end_matches('/'));
                }
                // A second stack tells where the memory came from.
                if self.stacks == 1 && self.frames.len() < FRAMES_MAX {
                    self.frames.push(frame);
                }
            }
            _ => {}
        }
    }

    fn tell(self, sink: &mut Sink) {
        let own = |frame: &&Frame| {
            let file = frame.file.as_deref().unwrap_or("");
            frame.line.is_some() && !file.rsplit('/').next().unwrap_or(file).starts_with("vg_replace_")
        };
        let at = self.frames.iter().find(own).cloned().unwrap_or_default();
        sink.diagnostic(Diagnostic {
            severity: Some(Severity::Error),
            code: self.kind,
            message: self.what.clone(),
            file: at.file,
            line: at.line,
            ..Diagnostic::default()
        });
        if !self.frames.is_empty() {
            sink.trace(Trace {
                language: "native".to_owned(),
                exception: None,
                message: Some(self.what),
                frames: self.frames,
                cause: None,
            });
        }
    }
}
