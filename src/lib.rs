//! Greenroom runs a coding agent on a repository nobody has to trust. Modules in reading order:
//! the vocabulary, the seams, the pure deciders, the adapters, and the edge.

pub mod checkpoint;
pub mod error;
pub mod event;
pub mod failpoint;
pub mod helper;
pub mod id;
pub mod judgement;
pub mod ledger;
pub mod message;
pub mod network;
pub mod planted;
pub mod score;
pub mod shell;
pub mod task;
pub mod thrift;

pub mod complexity;
pub mod model;
pub mod sandbox;
pub mod store;

pub mod agent;
pub mod context;
pub mod feedback;
pub mod snapshot;
pub mod tools;
pub mod verify;

pub mod attack;
pub mod bench;
pub mod cli;
pub mod config;
pub mod output;
