//! `greenroom parse`: reads what a tool printed and says what it found. Starts nothing and needs no container.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use greenroom_parsers::{Exit, Live, Parser, Report};
use serde::{Deserialize, Serialize};

use super::{Context, Format, FormatArgs, follow};
use crate::error::{Error, ExitCode, Result};
use crate::output::report;

/// Read what a compiler, linter or test runner printed, and report what it found
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo test 2>&1 | greenroom parse -
  make test 2>&1 | greenroom parse --follow
  greenroom parse --command 'pytest -q' --exit-code 1 --json log.txt
  greenroom parse --jsonl outputs.jsonl")]
pub struct ParseArgs {
    /// The tool that printed it, where known (never needed: it breaks ties)
    #[arg(long, value_name = "NAME")]
    tool: Option<String>,
    /// The command that printed it
    #[arg(long, value_name = "CMD")]
    command: Option<String>,
    /// How that command ended
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    exit_code: Option<i32>,
    #[command(flatten)]
    format: FormatArgs,
    /// Print SARIF 2.1.0
    #[arg(long, conflicts_with_all = ["json", "output_format", "junit", "jsonl"])]
    sarif: bool,
    /// Print JUnit XML
    #[arg(long, conflicts_with_all = ["json", "output_format", "jsonl"])]
    junit: bool,
    /// Read many: each input line is {"id", "tool"?, "command"?, "exit_code"?, "output"}, each output line {"id", "report"}
    #[arg(long, conflicts_with_all = ["tool", "command", "exit_code"])]
    jsonl: bool,
    /// Print what is found as soon as it is read, and the verdict in the end
    #[arg(long, conflicts_with_all = ["sarif", "junit", "jsonl"])]
    follow: bool,
    /// Print the JSON Schema of the report that --json prints, and read nothing
    #[arg(long, exclusive = true)]
    schema: bool,
    /// The file with the output; `-`, or nothing where something is piped in, reads stdin
    #[arg(value_name = "FILE|-")]
    file: Option<PathBuf>,
}

/// A longer line of `--jsonl` input is refused rather than kept in memory.
const LINE_BYTES_MAX: u64 = 1 << 30;
pub(super) const PIECE_BYTES: usize = 1 << 18;
/// Up to this length the output is shown as it is where the report of it would be longer.
const RAW_BYTES_MAX: usize = 64 << 10;

pub async fn run(args: ParseArgs, context: &mut Context) -> Result<ExitCode> {
    if args.schema {
        context.printer.verbatim(greenroom_parsers::REPORT_SCHEMA.as_bytes())?;
        return Ok(ExitCode::Success);
    }
    let file = named(args.file.clone())?;
    let mut input = open(&file)?;
    if args.jsonl {
        many(&mut input, &file, context)?;
        return Ok(ExitCode::Success);
    }
    if args.follow {
        let exit = args.exit_code.map(Exit::Code);
        let live = Live::new(args.tool.as_deref(), args.command.as_deref());
        follow::follow(input, &file, live, exit, args.format.format(), context)?;
        return Ok(ExitCode::Success);
    }
    let (report, raw) = read(&mut *input, &file, &args)?;
    context.printer.github_report("Greenroom", &report, Path::new("."));
    if args.sarif {
        context.printer.json(&greenroom_parsers::to_sarif(&report))?;
    } else if args.junit {
        context.printer.verbatim(greenroom_parsers::to_junit(&report).as_bytes())?;
    } else {
        match args.format.format() {
            Format::Json => context.printer.json(&report)?,
            Format::Human => context.printer.result(&report::render_instead(&report, raw.as_deref()))?,
        }
    }
    Ok(ExitCode::Success)
}

fn named(file: Option<PathBuf>) -> Result<PathBuf> {
    match file {
        Some(file) => Ok(file),
        None if io::stdin().is_terminal() => {
            Err(Error::usage("nothing to parse")
                .hint("name a file, or pipe the output in: `make 2>&1 | greenroom parse`"))
        }
        None => Ok(PathBuf::from("-")),
    }
}

fn open(file: &PathBuf) -> Result<Box<dyn BufRead + Send>> {
    if file.as_os_str() == "-" {
        return Ok(Box::new(BufReader::with_capacity(PIECE_BYTES, io::stdin())));
    }
    let opened = File::open(file).map_err(|error| {
        Error::usage(format!("cannot open `{}`", file.display())).because(error).hint("`-` reads stdin")
    })?;
    Ok(Box::new(BufReader::with_capacity(PIECE_BYTES, opened)))
}

/// Piece by piece: a log may be larger than memory. A short one is also answered as it is.
fn read(input: &mut dyn BufRead, file: &Path, args: &ParseArgs) -> Result<(Report, Option<String>)> {
    let exit = args.exit_code.map(Exit::Code);
    let mut parser = Parser::new(args.tool.as_deref(), args.command.as_deref(), exit);
    let mut piece = vec![0; PIECE_BYTES];
    let mut raw = Some(Vec::new());
    loop {
        match input.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => {
                parser.feed(&piece[..count]);
                raw = raw.filter(|raw| raw.len() + count <= RAW_BYTES_MAX);
                raw.iter_mut().for_each(|raw| raw.extend_from_slice(&piece[..count]));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::usage(format!("cannot read `{}`", file.display())).because(error)),
        }
    }
    Ok((parser.finish(), raw.map(|raw| String::from_utf8_lossy(&raw).into_owned())))
}

#[derive(Deserialize)]
struct Request {
    id: serde_json::Value,
    tool: Option<String>,
    command: Option<String>,
    exit_code: Option<i32>,
    output: String,
}

#[derive(Serialize)]
struct Answer<'a> {
    id: &'a serde_json::Value,
    report: &'a Report,
}

/// One answer a line, written before the next line is read.
fn many(input: &mut dyn BufRead, file: &std::path::Path, context: &mut Context) -> Result<()> {
    let mut line = Vec::new();
    for number in 1u64.. {
        line.clear();
        let count = Read::take(&mut *input, LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)
            .map_err(|error| Error::usage(format!("cannot read `{}`", file.display())).because(error))?;
        if count == 0 {
            return Ok(());
        }
        if count as u64 == LINE_BYTES_MAX && !line.ends_with(b"\n") {
            return Err(Error::usage(format!("line {number} of `{}` is longer than 1 GiB", file.display())));
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let request: Request = serde_json::from_slice(&line).map_err(|error| bad_line(number, file, &error))?;
        let exit = request.exit_code.map(Exit::Code);
        let mut parser = Parser::new(request.tool.as_deref(), request.command.as_deref(), exit);
        for piece in request.output.as_bytes().chunks(PIECE_BYTES) {
            parser.feed(piece);
        }
        context.printer.json(&Answer { id: &request.id, report: &parser.finish() })?;
    }
    Ok(())
}

fn bad_line(number: u64, file: &std::path::Path, error: &serde_json::Error) -> Error {
    // serde counts lines within the line, which is always the first.
    let cause = error.to_string();
    let cause = cause.split(" at line ").next().unwrap_or_default().to_owned();
    Error::usage(format!("line {number} of `{}` is not a request", file.display()))
        .because(format!("{cause} (column {})", error.column()))
        .hint(r#"each line is {"id": …, "output": "…"}, with "tool", "command" and "exit_code" where known"#)
}
