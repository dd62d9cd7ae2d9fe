//! `greenroom images`: the toolchain images of this machine's container engine.

use std::sync::Mutex;

use clap::{Args, Subcommand};

use super::interrupt::Interrupt;
use super::{Context, Format, FormatArgs, engine};
use crate::error::{Error, ExitCode, Result};
use crate::output::human::Progress;
use crate::output::human::style::{BOLD, DIM, GREEN, RESET};
use crate::sandbox::{ImageKind, ListedImage, TOOLCHAINS};

/// List, build and remove the images that sandboxes start from
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  greenroom images list
  greenroom images build python rust
  greenroom images remove java")]
pub struct ImagesArgs {
    #[command(subcommand)]
    command: ImagesCommand,
}

#[derive(Debug, Subcommand)]
enum ImagesCommand {
    /// What there is, and what is built on first use
    List {
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Build toolchains now, also where they exist; without a name all of them
    Build {
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
    /// Remove a toolchain's image and what was prepared from it
    Remove {
        #[arg(value_name = "NAME")]
        name: String,
    },
}

pub async fn run(args: ImagesArgs, context: &mut Context) -> Result<ExitCode> {
    match args.command {
        ImagesCommand::List { format } => list(format.format(), context).await?,
        ImagesCommand::Build { names } => build(names, context).await?,
        ImagesCommand::Remove { name } => remove(&name, context).await?,
    }
    Ok(ExitCode::Success)
}

async fn list(format: Format, context: &mut Context) -> Result<()> {
    let connected = engine::connect().await?;
    for image in connected.images().list().await? {
        match format {
            Format::Json => context.printer.json(&image)?,
            Format::Human => context.printer.result(&render(&image))?,
        }
    }
    Ok(())
}

async fn build(names: Vec<String>, context: &mut Context) -> Result<()> {
    if let Some(unknown) = names.iter().find(|name| TOOLCHAINS.iter().all(|toolchain| toolchain.name != name.as_str()))
    {
        let known: Vec<&str> = TOOLCHAINS.iter().map(|toolchain| toolchain.name).collect();
        return Err(Error::usage(format!("no toolchain `{unknown}`")).hint(format!("there are {}", known.join(", "))));
    }
    let all = || TOOLCHAINS.iter().map(|toolchain| toolchain.name.to_owned()).collect();
    let names: Vec<String> = if names.is_empty() { all() } else { names };
    let interrupt = Interrupt::listen()?;
    let connected = interrupt.or_stop(engine::connect()).await?;
    for name in names {
        let built = {
            let progress = Mutex::new((Progress::new(&context.printer), &mut context.printer));
            let tell = |line: &str| engine::tell(&progress, line);
            let images = connected.images();
            let work = async { images.build(&name, &tell).await.map_err(Error::from) };
            interrupt.or_stop(work).await?
        };
        context.printer.result(&format!("{GREEN}✓{RESET} {} {DIM}{}{RESET}", built.name, built.digest))?;
    }
    Ok(())
}

async fn remove(name: &str, context: &mut Context) -> Result<()> {
    let connected = engine::connect().await?;
    let removed = connected.images().remove(name).await?;
    if removed.is_empty() {
        return context.printer.note(&format!("there is no image `{name}`; nothing was removed"));
    }
    for image in removed {
        context.printer.result(&format!("removed {image}"))?;
    }
    Ok(())
}

fn render(image: &ListedImage) -> String {
    let kind = match image.kind {
        ImageKind::Toolchain => "toolchain",
        ImageKind::Base => "base",
        ImageKind::Prepared => "prepared",
    };
    let state = match (image.bytes, &image.digest) {
        (Some(bytes), _) => format!("{} MiB", bytes >> 20),
        (None, Some(_)) => "built".into(),
        (None, None) => "on first use".into(),
    };
    format!("{BOLD}{:<12}{RESET} {kind:<10} {state:>12}  {}", image.name, image.description)
}
