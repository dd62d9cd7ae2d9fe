//! Tokens and milliseconds a step as one HTML page: no script, nothing from elsewhere.

use std::fmt::Write;

use super::{EnduranceBench, SeedResult};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 60.0;
const COLOURS: [&str; 6] = ["#2b6cb0", "#c05621", "#2f855a", "#6b46c1", "#b83280", "#4a5568"];

pub fn page(bench: &EnduranceBench) -> String {
    let EnduranceBench { steps, window_tokens, faults, persona, note, machine, .. } = bench;
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>greenroom bench endurance</title>\
         <style>body{{font:14px sans-serif;margin:24px;max-width:1000px}}text{{font:11px sans-serif}}</style></head><body>\
         <h1>greenroom bench endurance</h1><p>{note}.</p>\
         <p>{steps} steps, window {window_tokens} tokens, faults {faults:?}, persona {persona:?}; {} build, {} CPUs, \
         load {}; seeds {}.</p>",
        machine.build,
        machine.cpus,
        machine.load.map_or("unknown".to_owned(), |load| load.to_string()),
        bench.seeds.iter().map(|seed| seed.seed.to_string()).collect::<Vec<_>>().join(", ")
    );
    chart(&mut html, "Tokens of a request, as the server counts them (simulated model)", &bench.seeds, |point| {
        point.1 as f64
    });
    chart(&mut html, "Milliseconds of harness and container a step (simulated model)", &bench.seeds, |point| point.2);
    html.push_str("</body></html>\n");
    html
}

fn chart(html: &mut String, title: &str, seeds: &[SeedResult], of: fn(&(usize, u64, f64)) -> f64) {
    let points = || seeds.iter().flat_map(|seed| &seed.plot);
    let x_max = points().map(|point| point.0).max().unwrap_or(1).max(1) as f64;
    // A single slow moment must not flatten all others.
    let mut values: Vec<f64> = points().map(of).collect();
    values.sort_by(f64::total_cmp);
    let y_max = values.get(values.len().saturating_sub(1) * 99 / 100).copied().unwrap_or(1.0).max(1.0) * 1.1;
    let _ = write!(html, "<h2>{title}</h2><svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\">", HEIGHT + 30.0);
    for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let y = HEIGHT - share * (HEIGHT - 10.0);
        let _ = write!(
            html,
            "<line x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>\
             <text x=\"0\" y=\"{:.1}\">{:.0}</text>",
            y + 4.0,
            share * y_max
        );
    }
    for (number, seed) in seeds.iter().enumerate() {
        let place = |point: &(usize, u64, f64)| {
            let x = LEFT + point.0 as f64 / x_max * (WIDTH - LEFT);
            let y = HEIGHT - (of(point) / y_max).min(1.0) * (HEIGHT - 10.0);
            format!("{x:.1},{y:.1}")
        };
        let line: Vec<String> = seed.plot.iter().map(place).collect();
        let colour = COLOURS[number % COLOURS.len()];
        let _ = write!(html, "<polyline fill=\"none\" stroke=\"{colour}\" points=\"{}\"/>", line.join(" "));
    }
    let _ = write!(html, "<text x=\"{LEFT}\" y=\"{:.0}\">model turns, 0 to {x_max:.0}</text></svg>", HEIGHT + 22.0);
}
