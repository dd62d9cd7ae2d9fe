//! The branch that a run is on as a trajectory of the Agent Trajectory Interchange Format (ATIF), version 1.4:
//! <https://github.com/laude-institute/harbor/blob/main/docs/rfcs/0001-trajectory-format.md>

use serde_json::{Value, json};

use crate::agent::{RunState, history};
use crate::event::Event;
use crate::message::{Block, ModelResponse};
use crate::store::Record;

pub(super) fn trajectory(state: &RunState, records: &[Record]) -> Value {
    let branch = history::branch(records.iter().map(|record| &record.event));
    let time = |event: &Event| {
        let record = records.iter().find(|record| std::ptr::eq(&record.event, event))?;
        Some(jiff::Timestamp::from_millisecond(record.at_ms).ok()?.to_string())
    };
    let task = state.task.instruction.clone().unwrap_or_else(|| "Make the checks pass.".into());
    let mut steps: Vec<Value> = Vec::new();
    let mut version = "";
    for event in branch {
        match event {
            Event::RunStarted { greenroom, .. } => {
                version = greenroom;
                steps.push(json!({"step_id": 1, "timestamp": time(event), "source": "user", "message": task}));
            }
            Event::ModelResponded { .. } | Event::CandidatesRan { .. } => {
                let Some((response, cost_usd)) = answered(event) else { continue };
                let calls: Vec<Value> = response
                    .tool_uses()
                    .map(|call| json!({"tool_call_id": call.id, "function_name": call.name, "arguments": call.input}))
                    .collect();
                let thinking: Vec<&str> = response
                    .content
                    .iter()
                    .filter_map(|block| match block {
                        Block::Thinking { thinking, .. } => Some(thinking.as_str()),
                        _ => None,
                    })
                    .collect();
                let mut step = json!({
                    "step_id": steps.len() + 1,
                    "timestamp": time(event),
                    "source": "agent",
                    "model_name": state.model,
                    "message": response.text(),
                    "metrics": {
                        "prompt_tokens": response.usage.input_tokens,
                        "completion_tokens": response.usage.output_tokens,
                        "cached_tokens": response.usage.cache_read_tokens,
                        "cost_usd": cost_usd,
                    },
                });
                if !calls.is_empty() {
                    step["tool_calls"] = Value::Array(calls);
                    step["observation"] = json!({"results": []});
                }
                if !thinking.is_empty() {
                    step["reasoning_content"] = thinking.join("\n").into();
                }
                steps.push(step);
            }
            Event::ToolCallFinished { result, .. } => {
                let Some(step) = steps.last_mut() else { continue };
                let answered = step["observation"]["results"].as_array().map_or(0, Vec::len);
                let id = step["tool_calls"][answered]["tool_call_id"].clone();
                if let Some(results) = step["observation"]["results"].as_array_mut() {
                    results.push(json!({"source_call_id": id, "content": result.content}));
                }
            }
            _ => {}
        }
    }
    json!({
        "schema_version": "ATIF-v1.4",
        "session_id": state.run,
        "agent": {"name": "greenroom", "version": version, "model_name": state.model},
        "final_metrics": {
            "total_prompt_tokens": state.input_tokens,
            "total_completion_tokens": state.output_tokens,
            "total_cost_usd": state.cost_known.then_some(state.cost_usd),
            "total_steps": steps.len(),
        },
        "steps": steps,
    })
}

/// What the agent said, and its price; of several proposals, the one that was taken.
fn answered(event: &Event) -> Option<(&ModelResponse, Option<f64>)> {
    match event {
        Event::ModelResponded { response, cost_usd, .. } => Some((response, *cost_usd)),
        Event::CandidatesRan { response, candidates, winner, .. } => {
            Some((response, candidates.get(*winner as usize).and_then(|candidate| candidate.cost_usd)))
        }
        _ => None,
    }
}
