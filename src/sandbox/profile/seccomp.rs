//! Which system calls a sandbox may make: everything that is not named here is refused.
//!
//! What Docker's own profile allows without capabilities was the start; it lost what a build never needs and what has
//! been a way out of containers. Only the machine's native architecture passes, so that no 32-bit entry point into the
//! kernel stays open beside the filtered one.

use serde_json::{Value, json};

/// The profile as the engine takes it: the JSON itself, not a path.
pub(super) fn profile() -> String {
    let mut rules = Vec::new();
    for group in ALLOWED {
        rules.push(json!({ "names": group.names(), "action": "SCMP_ACT_ALLOW", "comment": group.reason }));
    }
    for (family, reason) in SOCKET_FAMILIES {
        rules.push(allow_when("socket", json!([equals(0, *family)]), reason));
    }
    rules.push(allow_when(
        "socket",
        json!([equals(0, 16), equals(2, 0)]),
        "netlink for routes alone: language runtimes list the interfaces with it",
    ));
    for persona in PERSONALITIES {
        rules.push(allow_when("personality", json!([equals(0, *persona)]), "ordinary Linux, or asking what is set"));
    }
    rules.push(allow_when(
        "clone",
        json!([{ "index": 0, "op": "SCMP_CMP_MASKED_EQ", "value": NAMESPACE_FLAGS, "valueTwo": 0 }]),
        "threads and processes, but no new namespace: inside one a process would hold every capability",
    ));
    for group in ABSENT {
        rules.push(json!({
            "names": group.names(), "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS, "comment": group.reason
        }));
    }
    json!({ "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": EPERM, "syscalls": rules }).to_string()
}

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

/// CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET.
const NAMESPACE_FLAGS: u64 = 0x7e02_0000;

const SOCKET_FAMILIES: &[(u64, &str)] = &[
    (1, "unix sockets between processes of the sandbox"),
    (2, "IPv4 over loopback: test servers"),
    (10, "IPv6 over loopback: test servers"),
];

/// PER_LINUX, PER_LINUX32 with and without UNAME26, UNAME26, and the query.
const PERSONALITIES: &[u64] = &[0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff];

struct Group {
    reason: &'static str,
    /// Separated by spaces.
    names: &'static str,
}

impl Group {
    fn names(&self) -> Vec<&'static str> {
        self.names.split_whitespace().collect()
    }
}

const ALLOWED: &[Group] = &[
    Group {
        reason: "files and directories, as far as their permissions go",
        names: "access chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 \
            fadvise64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync flock fstat \
            fstatfs fsync ftruncate futimesat getcwd getdents getdents64 ioctl lchown link linkat lseek lstat \
            mkdir mkdirat newfstatat open openat openat2 readahead readlink readlinkat rename renameat renameat2 \
            rmdir stat statfs statx symlink symlinkat sync syncfs sync_file_range truncate umask unlink unlinkat \
            utime utimensat utimes",
    },
    Group { reason: "FIFOs; devices need a capability that nobody here has", names: "mknod mknodat" },
    Group {
        reason: "extended attributes: archivers and package managers copy them",
        names: "fgetxattr flistxattr fremovexattr fsetxattr getxattr lgetxattr listxattr llistxattr lremovexattr \
            lsetxattr removexattr setxattr",
    },
    Group {
        reason: "reading, writing and waiting for either",
        names: "epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 \
            inotify_add_watch inotify_init inotify_init1 inotify_rm_watch pipe pipe2 poll ppoll pread64 preadv \
            preadv2 pselect6 pwrite64 pwritev pwritev2 read readv select sendfile signalfd signalfd4 splice tee \
            timerfd_create timerfd_gettime timerfd_settime write writev",
    },
    Group {
        reason: "kernel asynchronous I/O of the old kind, which databases under test use",
        names: "io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit",
    },
    Group {
        reason: "memory: allocators, compilers, just-in-time compilers and garbage collectors",
        names: "brk cachestat madvise map_shadow_stack membarrier memfd_create mincore mlock mlock2 mlockall mmap \
            mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect",
    },
    Group {
        reason: "processes and threads; `clone` has a rule of its own",
        names: "arch_prctl execve execveat exit exit_group fork futex futex_requeue futex_wait futex_waitv \
            futex_wake get_robust_list getpgid getpgrp getpid getppid getrusage getsid gettid pidfd_open prctl \
            restart_syscall rseq set_robust_list set_tid_address setpgid setsid times vfork wait4 waitid",
    },
    Group {
        reason: "signals, which the kernel confines to processes of the same user in the same sandbox",
        names: "alarm getitimer kill pause pidfd_send_signal rt_sigaction rt_sigpending rt_sigprocmask \
            rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo setitimer sigaltstack \
            tgkill tkill",
    },
    Group {
        reason: "reading clocks and sleeping; no clock can be set",
        names: "clock_getres clock_gettime clock_nanosleep gettimeofday nanosleep time timer_create timer_delete \
            timer_getoverrun timer_gettime timer_settime",
    },
    Group {
        reason: "scheduling of one's own threads",
        names: "getcpu getpriority ioprio_get ioprio_set sched_get_priority_max sched_get_priority_min \
            sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval \
            sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield setpriority",
    },
    Group {
        reason: "limits, which can only be lowered, and what the system says of itself",
        names: "getrandom getrlimit prlimit64 setrlimit sysinfo uname",
    },
    Group {
        reason: "asking who one is; PID 1 also becomes the user of the commands with these",
        names: "capget capset getegid geteuid getgid getgroups getresgid getresuid getuid setfsgid setfsuid setgid \
            setgroups setregid setresgid setresuid setreuid setuid",
    },
    Group {
        reason: "sockets once they exist; which kinds may exist is decided at `socket`",
        names: "accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg recvmsg \
            sendmmsg sendmsg sendto setsockopt shutdown socketpair",
    },
    Group {
        reason: "shared memory, semaphores and queues, in the sandbox's own IPC namespace",
        names: "mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd \
            semctl semget semop semtimedop shmat shmctl shmdt shmget",
    },
    Group {
        reason: "locking oneself in further",
        names: "landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp",
    },
];

/// Refused as if the kernel did not know them, because callers fall back to something else then.
const ABSENT: &[Group] = &[
    Group {
        reason: "its flags lie behind a pointer where no filter sees them; libc falls back to `clone`",
        names: "clone3",
    },
    Group {
        reason: "a second way to every system call, past this filter, and a long history of kernel exploits",
        names: "io_uring_enter io_uring_register io_uring_setup",
    },
    Group {
        reason: "kernel attack surface with no use in a build",
        names: "memfd_secret userfaultfd vmsplice process_madvise kcmp remap_file_pages",
    },
];

fn allow_when(name: &str, args: Value, reason: &str) -> Value {
    json!({ "names": [name], "action": "SCMP_ACT_ALLOW", "args": args, "comment": reason })
}

fn equals(index: u32, value: u64) -> Value {
    json!({ "index": index, "op": "SCMP_CMP_EQ", "value": value, "valueTwo": 0 })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn no_call_is_both_allowed_and_absent_and_none_is_named_twice() {
        let mut names: Vec<_> = ALLOWED.iter().chain(ABSENT).flat_map(Group::names).collect();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn what_has_led_out_of_containers_is_not_on_the_list() {
        let profile: Value = serde_json::from_str(&profile()).unwrap();
        assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO");
        let unconditional: Vec<_> = profile["syscalls"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|rule| rule["action"] == "SCMP_ACT_ALLOW" && rule["args"].is_null())
            .flat_map(|rule| rule["names"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()))
            .collect();
        for name in [
            "mount",
            "umount2",
            "unshare",
            "setns",
            "ptrace",
            "process_vm_readv",
            "bpf",
            "keyctl",
            "add_key",
            "perf_event_open",
            "open_by_handle_at",
            "kexec_load",
            "init_module",
            "pivot_root",
            "chroot",
            "socket",
            "clone",
            "clone3",
            "io_uring_setup",
            "userfaultfd",
            "pidfd_getfd",
            "personality",
            "quotactl",
            "syslog",
        ] {
            assert!(!unconditional.contains(&name), "{name}");
        }
    }
}
