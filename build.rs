//! Builds `greenroom-supervisor`, PID 1 of every sandbox, as a static binary, and hands its path to the crate as
//! `GREENROOM_SUPERVISOR`, to be embedded with `include_bytes!(env!("GREENROOM_SUPERVISOR"))`.
//!
//! It is built by the same cargo into a target directory of its own: the outer build holds the lock of the usual one.
//! What a wrapper (clippy, rust-analyzer, a coverage tool) put into the environment for the outer build is left out.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

fn main() {
    let root = PathBuf::from(var("CARGO_MANIFEST_DIR"));
    for path in ["build.rs", "Cargo.toml", "Cargo.lock", "images/supervisor/Cargo.toml", "images/supervisor/src"] {
        // A path that does not exist would make every build run this again.
        if root.join(path).exists() {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    if var("CARGO_CFG_TARGET_OS") != "linux" {
        fail(
            "greenroom builds on Linux only: the supervisor it embeds is a Linux program",
            "build it on a Linux machine or in a Linux container",
        );
    }
    let target = supervisor_target(&var("TARGET"));
    let target_dir = PathBuf::from(var("OUT_DIR")).join("supervisor");
    build(&root, &target, &target_dir);
    let binary = target_dir.join(&target).join("release/greenroom-supervisor");
    if !binary.is_file() {
        fail(&format!("cargo built no `{}`", binary.display()), "see what cargo printed above");
    }
    println!("cargo:rustc-env=GREENROOM_SUPERVISOR={}", binary.display());
}

/// musl where its standard library is installed, else glibc, which links statically too. Both run without any library of
/// the image.
fn supervisor_target(target: &str) -> String {
    let musl = target.replace("-unknown-linux-gnu", "-unknown-linux-musl");
    let answer = Command::new(var("RUSTC")).args(["--print", "target-libdir", "--target", &musl]).output();
    let installed = answer.is_ok_and(|answer| {
        let libraries = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
        let mut names = std::fs::read_dir(Path::new(&libraries)).into_iter().flatten().flatten();
        names.any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
    });
    // blake3 compiles C for speed, which for musl needs a compiler of its own.
    let compiler = || Command::new("musl-gcc").arg("--version").output().is_ok_and(|answer| answer.status.success());
    if installed && compiler() { musl } else { target.to_owned() }
}

fn build(root: &Path, target: &str, target_dir: &Path) {
    let mut cargo = Command::new(var("CARGO"));
    cargo.current_dir(root).args(["build", "--release", "-p", "greenroom-supervisor", "--bin", "greenroom-supervisor"]);
    cargo.arg("--target").arg(target).arg("--target-dir").arg(target_dir);
    // The smallest that is still fast: hashing and searching have their hot loops in code that brings its own.
    for setting in ["opt-level=\"s\"", "panic=\"abort\"", "strip=\"symbols\"", "codegen-units=1"] {
        cargo.arg("--config").arg(format!("profile.release.{setting}"));
    }
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        let prefixes = ["CARGO_FEATURE_", "CARGO_CFG_", "CARGO_PKG_", "CARGO_PROFILE_", "CLIPPY_", "LLVM_PROFILE_"];
        if prefixes.iter().any(|prefix| name.starts_with(prefix)) || OUTER.contains(&name.as_ref()) {
            cargo.env_remove(name.as_ref());
        }
    }
    cargo.env("RUSTFLAGS", "-C target-feature=+crt-static");
    match cargo.status() {
        Ok(status) if status.success() => {}
        Ok(status) => fail(
            &format!("the supervisor for `{target}` did not build ({status})"),
            "run `cargo build -p greenroom-supervisor` to see why",
        ),
        Err(error) => fail(&format!("cannot run cargo: {error}"), "check that cargo is installed"),
    }
}

const OUTER: [&str; 14] = [
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_INCREMENTAL",
    "CARGO_MAKEFLAGS",
    "DEBUG",
    "MAKEFLAGS",
    "NUM_JOBS",
    "OPT_LEVEL",
    "PROFILE",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_TARGET_DIR",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTDOC",
];

fn var(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| fail(&format!("cargo did not set {name}"), "build with cargo"))
}

fn fail(what: &str, next: &str) -> ! {
    println!("cargo:warning={what}");
    println!("cargo:warning=hint: {next}");
    exit(1)
}
