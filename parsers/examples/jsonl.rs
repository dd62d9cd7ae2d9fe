//! Reads outputs as JSON Lines on stdin and writes their reports: `{"id", "tool"?, "command"?, "exit_code"?, "output"}`
//! to `{"id", "report"}`.

use std::io::{BufRead, Write};

use greenroom_parsers::{Exit, Report, ToolOutput, parse};

#[derive(serde::Deserialize)]
struct Case {
    id: serde_json::Value,
    tool: Option<String>,
    command: Option<String>,
    exit_code: Option<i32>,
    output: String,
}

#[derive(serde::Serialize)]
struct Answer {
    id: serde_json::Value,
    report: Report,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        let case: Case = serde_json::from_str(&line?)?;
        let report = parse(&ToolOutput {
            text: case.output.as_bytes(),
            tool: case.tool.as_deref(),
            command: case.command.as_deref(),
            exit: case.exit_code.map(Exit::Code),
        });
        serde_json::to_writer(&mut out, &Answer { id: case.id, report })?;
        out.write_all(b"\n")?;
    }
    Ok(())
}
