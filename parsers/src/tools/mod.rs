//! The tools: one file each, one line each in [`TOOLS`].
//!
//! **How to add a tool.** Write `tools/<name>.rs` with `pub(super) const TOOL: Tool` and a type that implements
//! [`Reader`]; add the module and one line to [`TOOLS`]; record fixtures in `fixtures/output/<name>/<case>/`
//! (`output.txt`, `command`, and `exit` if it matters), write `report.json` with `UPDATE_GOLDEN=1 cargo test -p
//! greenroom-parsers --test golden`, and read it: every folder there is a test case.
//!
//! **How a tool gets to read.** A line is *offered* to a tool when one of its `anchors` (case-sensitive literals,
//! anywhere in the line) or `shapes` is in it, in table order, until one claims it: [`Reader::read`] gets a cursor
//! whose `first()` is that line, `ahead(n)` and `back(n)` its neighbours, and answers how many lines it claims from
//! there on; 0 means "not mine", and then nothing may have been added to the sink. Anchors only save time: a reader
//! checks the line itself. Choose rare ones (`error[E`, not `:`): every hit costs a call.
//!
//! **State.** There is one reader a tool and output. One that is in the middle of something (a section, a test run)
//! says so with [`Reader::is_open`] and is then offered *every* line, before all others, until it is closed; it still
//! claims only what is its own, so that a compiler error inside is read by its tool. Whatever it holds back, it adds
//! in [`Reader::finish`]: output can stop anywhere.
//!
//! **Machine formats.** A JSON document (also each line of JSON Lines) or an XML one is found by the engine whole and
//! goes to [`Reader::read_document`] of the tools one of whose `json` substrings, or whose `xml_roots`, fit.
//!
//! **Verdict.** No tool decides it. Say what was seen with [`Evidence`](crate::sink::Evidence): a test runner
//! `RunStarted` when it begins (if it says so) and `RunEnded` at its summary, with the totals it printed through
//! `sink.printed`; a linter that says "no issues" `SaysPassed`; what could not run `SaysError`. `Kind` tells whether
//! errors are a failed build (`Compiler`) or failed checks.
//!
//! **Rules.** Nothing is guessed: a field not printed is `None`. Lines and columns as printed; end columns exclusive.
//! Any text must be read in linear time and without a panic: no indexing that the line itself has not proved. Notes
//! hang on their error as `related`; a label is a related item of severity `Note`. `source` and `fingerprint` are
//! filled in by the sink. The sink's `expects("name")` settles lines that many tools print.

use crate::document::Document;
use crate::sink::Sink;
use crate::window::Lines;

mod ansible_lint;
mod bandit;
mod bats;
mod biome;
mod boost_test;
mod browser_stack;
mod buildkit;
mod busted;
mod catch2;
mod checkstyle;
mod clang_tidy;
mod code_climate;
mod columns;
mod coverage_py;
mod coverage_xml;
mod cppcheck;
mod cpplint;
mod crash;
mod ctest;
mod dart_json;
mod dotnet_stack;
mod dotnet_test;
mod drmemory;
mod duplicates;
mod edg;
mod elixir;
mod erlang;
mod esbuild;
mod eslint;
mod eslint_json;
mod exunit;
mod fatal_log;
mod flake8;
mod formatters;
mod gcc;
mod gcc_json;
mod gendarme;
mod generic;
mod ghc;
mod go_build;
mod go_cover;
mod go_panic;
mod go_test;
mod go_test_json;
mod golangci;
mod gradle;
mod gtest;
mod hadolint;
mod haskell_error;
mod hlint;
mod hspec;
mod inspect_code;
mod istanbul;
mod jasmine;
mod java_stack;
mod javac;
mod jest;
mod json_findings;
mod junit_console;
mod junit_xml;
mod kotlin;
mod lcov;
mod ld;
mod libtest;
mod libtest_json;
mod llvm_cov;
mod log_commands;
mod lua_stack;
mod make;
mod maven;
mod minitest;
mod mocha;
mod msbuild;
mod msvc;
mod mypy;
mod native_frame;
mod next;
mod nextest;
mod nix;
mod node_test;
mod npm;
mod ocaml;
mod oxlint;
mod php;
mod phpstan;
mod phpunit;
mod pip;
mod pit;
mod place;
mod plist;
mod poetry;
mod position;
mod prove;
mod psalm;
mod purescript;
mod pylint;
mod pyright;
mod pytest;
mod pytest_json;
mod python;
mod rdjson;
mod rflint;
mod rspec;
mod rubocop;
mod ruby;
mod ruff;
mod rule_tester;
mod rust_panic;
mod rustc;
mod rustc_json;
mod sanitizer;
mod sarif;
mod shell;
mod shellcheck;
mod sorbet;
mod sqlfluff;
mod stylelint;
mod swift;
mod table;
mod tap;
mod terraform;
mod tsc;
mod ty;
mod unittest;
mod uv;
mod v8_stack;
mod valgrind;
mod valgrind_xml;
mod vite;
mod vitest;
mod webpack;
mod xcelium;
mod xml;
mod xml_findings;
mod yamllint;
mod zig;

/// In the order in which a line is offered: specific formats before general ones.
pub(crate) const TOOLS: &[Tool] = &[
    rustc_json::TOOL,
    ty::TOOL,
    nextest::TOOL,
    rustc::TOOL,
    elixir::TOOL,
    libtest::TOOL,
    rust_panic::TOOL,
    npm::TOOL,
    pip::TOOL,
    uv::TOOL,
    poetry::TOOL,
    make::TOOL,
    sanitizer::TOOL,
    valgrind::TOOL,
    fatal_log::TOOL,
    ld::TOOL,
    mypy::TOOL,
    cppcheck::TOOL,
    ghc::TOOL,
    purescript::TOOL,
    clang_tidy::TOOL,
    kotlin::TOOL,
    msbuild::TOOL,
    msvc::TOOL,
    swift::TOOL,
    gcc::TOOL,
    gcc::CLANG,
    ocaml::TOOL,
    pytest::TOOL,
    pytest_json::TOOL,
    unittest::TOOL,
    python::TOOL,
    pylint::TOOL,
    pyright::TOOL,
    biome::TOOL,
    oxlint::TOOL,
    ruff::TOOL,
    flake8::TOOL,
    formatters::BLACK,
    formatters::RUFF,
    formatters::ISORT,
    formatters::PRETTIER,
    esbuild::TOOL,
    webpack::TOOL,
    vite::TOOL,
    next::TOOL,
    tsc::TOOL,
    go_test_json::TOOL,
    go_cover::TOOL,
    go_test::TOOL,
    go_panic::TOOL,
    eslint_json::TOOL,
    cpplint::TOOL,
    hlint::TOOL,
    rubocop::TOOL,
    sorbet::TOOL,
    kotlin::KTLINT,
    hadolint::TOOL,
    terraform::TOOL,
    yamllint::TOOL,
    ansible_lint::TOOL,
    stylelint::TOOL,
    eslint::TOOL,
    golangci::TOOL,
    go_build::TOOL,
    go_build::VET,
    maven::TOOL,
    java_stack::TOOL,
    bats::TOOL,
    jasmine::TOOL,
    jest::TOOL,
    vitest::TOOL,
    node_test::TOOL,
    mocha::TOOL,
    prove::TOOL,
    tap::TOOL,
    zig::TOOL,
    busted::TOOL,
    busted::LUACHECK,
    v8_stack::TOOL,
    dotnet_stack::TOOL,
    browser_stack::TOOL,
    javac::TOOL,
    junit_xml::TOOL,
    checkstyle::TOOL,
    sarif::TOOL,
    gcc_json::TOOL,
    code_climate::TOOL,
    rdjson::TOOL,
    libtest_json::TOOL,
    dart_json::TOOL,
    log_commands::TOOL,
    erlang::TOOL,
    lua_stack::TOOL,
    dotnet_test::TOOL,
    gradle::TOOL,
    junit_console::TOOL,
    boost_test::TOOL,
    gtest::TOOL,
    catch2::TOOL,
    ctest::TOOL,
    hspec::TOOL,
    exunit::TOOL,
    rspec::TOOL,
    minitest::TOOL,
    phpunit::TOOL,
    sqlfluff::TOOL,
    bandit::TOOL,
    shellcheck::TOOL,
    haskell_error::TOOL,
    php::TOOL,
    phpstan::TOOL,
    psalm::TOOL,
    coverage_py::TOOL,
    coverage_xml::TOOL,
    lcov::TOOL,
    llvm_cov::TOOL,
    istanbul::TOOL,
    shell::TOOL,
    ruby::TOOL,
    buildkit::TOOL,
    crash::TOOL,
    edg::TOOL,
    nix::TOOL,
    rflint::TOOL,
    xcelium::TOOL,
    drmemory::TOOL,
    table::TOOL,
    json_findings::TOOL,
    duplicates::TOOL,
    plist::TOOL,
    gendarme::TOOL,
    inspect_code::TOOL,
    pit::TOOL,
    valgrind_xml::TOOL,
    xml_findings::TOOL,
    // Reads what nobody else does: always the last.
    generic::TOOL,
];

/// What the engine must know about a tool.
pub(crate) struct Tool {
    /// As it stands in `Report::tools` and, unless the reader says otherwise, in `Diagnostic::source`.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Command lines that run it, flags left out: `gcc`, `cargo test`.
    pub(crate) commands: &'static [&'static str],
    pub(crate) anchors: &'static [&'static str],
    pub(crate) shapes: &'static [LineShape],
    /// Substrings one of which every JSON document of this tool contains.
    pub(crate) json: &'static [&'static str],
    pub(crate) xml_roots: &'static [&'static str],
    pub(crate) reader: fn() -> Box<dyn Reader>,
}

/// What a tool's errors mean, and what its exit status 0 proves.
#[allow(dead_code, reason = "part of the contract with tools; not every variant has its tool yet")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An error means that nothing was built. Silence and exit status 0 mean that all is well.
    Compiler,
    /// An error means that a check failed. Silence and exit status 0 mean that all is well.
    Linter,
    /// Passes only with a summary that says so.
    TestRunner,
    /// Traces and crashes.
    Runtime,
    /// Formats that many tools share.
    Generic,
}

/// Lines that no literal finds.
#[allow(dead_code, reason = "part of the contract with tools; not every variant has its tool yet")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineShape {
    /// `name.ext:12` or `name.ext(12` somewhere in the line.
    Location,
}

/// Reads one tool's output. See the module's text for the contract.
pub(crate) trait Reader: Send {
    /// Reads the block that starts at `lines.first()` and answers how many lines it took; 0 if it is not its own.
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize;

    /// Whether it is offered every line from here on.
    fn is_open(&self) -> bool {
        false
    }

    /// Reads a whole JSON or XML document; `false` if it is not its own.
    fn read_document(&mut self, _document: &Document<'_>, _sink: &mut Sink) -> bool {
        false
    }

    /// The output is over.
    fn finish(&mut self, _sink: &mut Sink) {}
}

impl Tool {
    /// For `..Tool::DEFAULT` in a tool's table entry.
    pub(crate) const DEFAULT: Self = Self {
        name: "",
        kind: Kind::Generic,
        commands: &[],
        anchors: &[],
        shapes: &[],
        json: &[],
        xml_roots: &[],
        reader: || Box::new(ReadsNothing),
    };
}

struct ReadsNothing;

impl Reader for ReadsNothing {
    fn read(&mut self, _lines: Lines<'_>, _sink: &mut Sink) -> usize {
        0
    }
}

pub(crate) fn named(name: &str) -> Option<&'static Tool> {
    TOOLS.iter().find(|tool| tool.name == name)
}

/// A set of tools by their index in [`TOOLS`], and one bit that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ToolSet([u64; 4]);

const _: () = assert!(TOOLS.len() < ToolSet::DOCUMENT_BIT, "the set has room for 255 tools");

impl ToolSet {
    pub(crate) const EMPTY: Self = Self([0; 4]);
    /// Not a tool: the line may start a JSON or XML document.
    pub(crate) const DOCUMENT_BIT: usize = 255;

    pub(crate) fn insert(&mut self, index: usize) {
        self.0[index / 64] |= 1 << (index % 64);
    }

    pub(crate) fn set(&mut self, index: usize, member: bool) {
        self.0[index / 64] &= !(1 << (index % 64));
        self.0[index / 64] |= u64::from(member) << (index % 64);
    }

    pub(crate) fn contains(self, index: usize) -> bool {
        self.0[index / 64] & (1 << (index % 64)) != 0
    }

    pub(crate) fn extend(&mut self, other: Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine |= theirs;
        }
    }

    pub(crate) fn without(mut self, other: Self) -> Self {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine &= !theirs;
        }
        self
    }

    /// Indices of tools, ascending; the document bit is left out.
    pub(crate) fn iter(self) -> impl Iterator<Item = usize> {
        (0..4)
            .flat_map(move |word| {
                let mut bits = self.0[word];
                std::iter::from_fn(move || {
                    (bits != 0).then(|| {
                        let bit = bits.trailing_zeros() as usize;
                        bits &= bits - 1;
                        word * 64 + bit
                    })
                })
            })
            .filter(|&index| index != Self::DOCUMENT_BIT)
    }
}
