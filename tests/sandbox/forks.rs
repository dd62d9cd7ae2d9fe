//! Forks: as their original was, apart from it and from each other, confined like any other sandbox.

use super::*;

/// Everything about a tree that a fork has to keep, one line an entry, and the content of what can be read.
const LOOK: &str = "cd / && find /workspace /home/agent -printf '%p %y %m %U:%G %T@ %s %n %l\\n' | sort && \
    find /workspace /home/agent -type f -readable -print0 | sort -z | xargs -0 sha256sum";

const MAKE: &str = r"
set -e
mkdir -p src/deep/er empty
seq 1 2000 >src/numbers
ln src/numbers src/deep/same
ln -s ../numbers src/deep/link
ln -s /nowhere dangling
mkfifo pipe
printf secret >locked && chmod 000 locked
printf '#!/bin/sh\n' >run && chmod 4755 run
truncate -s 3G sparse && printf end | dd of=sparse bs=1 seek=2000000000 conv=notrunc status=none
for i in $(seq 1 300); do echo $i >src/deep/er/f$i; done
chmod 500 empty
touch -d 2001-02-03T04:05:06.123456789Z src/numbers src/deep src
mkdir ~/.cache && echo kept >~/.cache/x
";

struct Fork {
    sandbox: Box<dyn Sandbox>,
}

impl Fork {
    async fn sh(&self, token: u64, command: &str) -> (Outcome, String) {
        let mut output = Output::default();
        let request = ExecRequest::shell(CallToken(token), command, Duration::from_secs(60));
        let ended = self.sandbox.exec(&request, &mut output).await.unwrap();
        output.stdout.extend_from_slice(&output.stderr);
        (ended.outcome, String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

async fn fork(house: &House, limits: ResourceLimits, count: usize) -> Result<Vec<Fork>, SandboxError> {
    let engine = engine().await.unwrap();
    let image = house.image.image.clone();
    let spec = SandboxSpec { run: house.run.clone(), image, limits, env: house.image.env.clone(), data: None };
    let forks = DockerLauncher::new(engine, "tests").fork(&spec, house.sandbox.as_ref(), count).await?;
    Ok(forks.into_iter().map(|sandbox| Fork { sandbox }).collect())
}

#[tokio::test]
async fn five_forks_begin_equal_and_go_their_own_ways() {
    let Some(house) = House::open().await else { return };
    house.say(MAKE).await;
    let original = house.say(LOOK).await;
    // Fewer files than were copied: what came with the fork is not held against its first command.
    let forks = fork(&house, ResourceLimits { disk_inodes: 100, ..LIMITS }, 5).await.unwrap();
    for (number, fork) in forks.iter().enumerate() {
        assert_eq!(fork.sh(1, LOOK).await, (exited(0), original.clone()));
        assert_eq!(fork.sandbox.facts().hardening, house.sandbox.facts().hardening);
        let change = format!(
            "echo {number} >mine && python3 -c 'import os; os.rename(\"src/deep\", \"moved\")' && \
             echo {number} >>moved/same && rm -rf moved/er && du -k sparse | cut -f1"
        );
        let (outcome, said) = fork.sh(2, &change).await;
        assert!(outcome == exited(0) && said.trim().parse::<u64>().unwrap() < 1024, "{said}");
        let (_, said) =
            fork.sh(3, "for d in / /etc /usr /var /data /.greenroom; do touch $d/x 2>/dev/null && echo $d; done").await;
        assert_eq!(said, "");
    }
    for (number, fork) in forks.iter().enumerate() {
        let expected = format!("{number}\n{number}\n{number}\n");
        assert_eq!(fork.sh(4, "cat mine; tail -n 1 moved/same; tail -n 1 src/numbers").await, (exited(0), expected));
    }
    assert_eq!(house.say(LOOK).await, original, "the original is as it was");
    let mut volumes = Vec::new();
    for fork in &forks {
        let container = fork.sandbox.facts().container.clone();
        let seen = house.docker.inspect_container(&container, None::<InspectContainerOptions>).await.unwrap();
        volumes.extend(seen.mounts.unwrap().into_iter().filter_map(|mount| mount.name));
        fork.sandbox.stop().await.unwrap();
    }
    assert!(volumes.len() >= 10, "workspace and home of five: {volumes:?}");
    house.close().await;
    let docker = Docker::connect_with_defaults().unwrap();
    let left = volume_names(&docker).await;
    assert!(!volumes.iter().any(|name| left.contains(name)));
}

#[tokio::test]
async fn what_cannot_be_copied_leaves_no_fork_behind() {
    let Some(house) = House::open().await else { return };
    house.say("p=.; for i in $(seq 1 600); do p=$p/d; mkdir $p; done").await;
    let error = fork(&house, LIMITS, 2).await.err().unwrap().to_string();
    assert!(error.contains("deeper than 512 folders"), "{error}");
    assert_eq!(containers(&house.docker, &house.run).await, 1, "the original alone");
    let error = fork(&house, LIMITS, greenroom::sandbox::FORKS_MAX + 1).await.err().unwrap().to_string();
    assert!(error.contains("16 is the most"), "{error}");
    house.sandbox.stop().await.unwrap();
    assert!(fork(&house, LIMITS, 1).await.is_err());
    house.close().await;
}
