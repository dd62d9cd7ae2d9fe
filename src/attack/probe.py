# Looks at its own confinement and prints one JSON line: a list of [what was tried, whether it was refused, what happened].
# What begins with "call: " is for the system call filter to refuse, what begins with "kernel: " is about what a kernel of
# the host's shows and allows.
import ctypes, errno, json, os, platform, resource, socket, stat

found = []
def note(what, held, detail=""):
    found.append([what, bool(held), str(detail)])

def name(code):
    return errno.errorcode.get(code, str(code))

status = dict(line.rstrip("\n").split(":\t", 1) for line in open("/proc/self/status") if ":\t" in line)
libc = ctypes.CDLL(None, use_errno=True)
for field in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
    if field in status:
        note(field, int(status[field], 16) == 0, status[field])
    else:
        # A kernel that does not know this set: asking for it is an error.
        note(field, field == "CapAmb" and libc.prctl(47, 1, 0, 0, 0) == -1, "not shown")
note("no new privileges", libc.prctl(39, 0, 0, 0, 0) == 1, status.get("NoNewPrivs"))
note("call: filter", status.get("Seccomp") == "2", status.get("Seccomp"))
note("uid", "0" not in status["Uid"].split(), status["Uid"])
note("gid", "0" not in status["Gid"].split() + status["Groups"].split(), status["Gid"])

for what, act in (("become root", lambda: os.setuid(0)), ("become group root", lambda: os.setgid(0)),
                  ("join group root", lambda: os.setgroups([0])),
                  ("raise the file limit", lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 20, 1 << 20)))):
    try:
        act()
        note(what, False, "done")
    except (OSError, ValueError) as error:
        note(what, True, error)

def can_read(path):
    try:
        with open(path, "rb") as file:
            # Nothing but zeros tells nothing.
            return len(file.read(64).strip(b"\0"))
    except OSError:
        return 0
    except Exception as error:
        return repr(error)

for path in ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sched_debug", "/proc/latency_stats",
             "/proc/1/environ", "/proc/1/maps", "/proc/1/mem", "/proc/1/syscall", "/dev/kmsg", "/dev/mem", "/dev/port",
             "/proc/kpagecount", "/sys/kernel/debug/sched", "/sys/kernel/security/profiles"):
    note(("kernel: read " if path == "/proc/1/maps" else "read ") + path, can_read(path) == 0)
for folder in ("/proc/scsi", "/proc/acpi", "/sys/firmware", "/proc/1/fd", "/proc/1/root", "/proc/1/cwd", "/proc/1/map_files",
               "/sys/kernel/debug", "/sys/kernel/tracing", "/var/run/secrets", "/run/secrets"):
    try:
        inside = os.listdir(folder)
    except OSError:
        inside = []
    note(("kernel: list " if folder == "/proc/1/fd" else "list ") + folder, not inside, inside[:3])

def can_write(path):
    try:
        os.close(os.open(path, os.O_WRONLY))
        return True
    except OSError:
        return False

for path in ("/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/vm/panic_on_oom",
             "/proc/sys/fs/binfmt_misc/register", "/proc/sys/kernel/hostname", "/proc/sys/net/ipv4/ip_forward",
             "/sys/kernel/uevent_helper", "/proc/irq/default_smp_affinity", "/proc/bus/pci/devices", "/proc/mtrr",
             "/proc/1/oom_score_adj", "/etc/passwd", "/etc/ld.so.preload", "/.greenroom/supervisor"):
    note("write " + path, not can_write(path))
cgroup_files = [os.path.join(folder, file) for folder, _, files in os.walk("/sys/fs/cgroup") for file in files]
writable = [path for path in cgroup_files if can_write(path)]
note("write to a control group", not writable, writable[:3])
try:
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("-1")
    note("kernel: an out-of-memory score below PID 1's", False)
except OSError as error:
    note("kernel: an out-of-memory score below PID 1's", True, error)

root = os.statvfs("/")
note("kernel: a root shown as read-only", root.f_flag & os.ST_RDONLY, root.f_flag)
for folder in ("/", "/bin", "/etc", "/usr", "/usr/local/bin", "/lib", "/opt", "/root", "/run", "/run/lock", "/srv", "/var",
               "/var/tmp", "/var/lib", "/var/cache", "/var/log", "/.greenroom", "/home", "/dev", "/mnt", "/sys", "/proc"):
    if os.path.isdir(folder):
        try:
            path = os.path.join(folder, ".attack")
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
            os.unlink(path)
            note("create a file in " + folder, False)
        except OSError:
            note("create a file in " + folder, True)
for folder in ("/tmp", "/dev/shm"):
    flags = os.statvfs(folder).f_flag
    note("kernel: no setuid files and devices shown in " + folder, flags & os.ST_NOSUID and flags & os.ST_NODEV, flags)

known = {"console", "core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout",
         "tty", "urandom", "zero"}
note("kernel: devices", not set(os.listdir("/dev")) - known, sorted(set(os.listdir("/dev")) - known))
for kind, what in ((stat.S_IFBLK, "block"), (stat.S_IFCHR, "character")):
    try:
        os.mknod("/tmp/.device", kind | 0o600, os.makedev(8 if kind == stat.S_IFBLK else 1, 0 if kind == stat.S_IFBLK else 1))
        try:
            os.close(os.open("/tmp/.device", os.O_RDONLY))
            note("a %s device" % what, False, "made and opened")
        except OSError as error:
            note("kernel: make a %s device" % what, False, "made, and cannot be opened: " + name(error.errno))
        os.unlink("/tmp/.device")
    except OSError as error:
        note("make a %s device" % what, True, name(error.errno))

places = [line.split()[4] for line in open("/proc/self/mountinfo")]
sockets = [path for path in places + ["/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock",
           "/run/podman/podman.sock"] if path.endswith(".sock") and os.path.exists(path)]
note("engine sockets", not sockets, sockets)
hosts = [line.split()[3] + " at " + line.split()[4] for line in open("/proc/self/mountinfo")
         if line.split()[4] in ("/host", "/mnt", "/rootfs") or line.split()[3] == "/" and " ext4 " in line and line.split()[4] != "/"]
note("host folders", not hosts, hosts)

X86 = platform.machine() == "x86_64"
calls = {  # name: (x86_64, aarch64, arguments)
    "unshare(NEWUSER)": (272, 97, (0x10000000,)), "unshare(NEWNS)": (272, 97, (0x20000,)),
    "unshare(NEWNET)": (272, 97, (0x40000000,)), "setns": (308, 268, (0, 0)),
    "mount": (165, 40, (b"none", b"/tmp", b"tmpfs", 0, 0)), "umount2": (166, 39, (b"/proc", 2)),
    "pivot_root": (155, 41, (b".", b".")), "chroot": (161, 51, (b"/tmp",)),
    "fsopen": (430, 430, (b"tmpfs", 0)), "open_tree": (428, 428, (-100, b"/", 1)), "fspick": (433, 433, (-100, b"/", 0)),
    "mount_setattr": (442, 442, (-100, b"/", 0, 0, 0)), "ptrace(ATTACH 1)": (101, 117, (16, 1, 0, 0)),
    "process_vm_readv": (310, 270, (1, 0, 0, 0, 0, 0)), "pidfd_getfd": (438, 438, (0, 0, 0)), "kcmp": (312, 272, (1, 1, 0, 0, 0)),
    "bpf": (321, 280, (0, 0, 0)), "keyctl": (250, 219, (0, -3, 0)), "add_key": (248, 217, (b"user", b"a", b"b", 1, -2)),
    "request_key": (249, 218, (b"user", b"a", 0, -2)), "perf_event_open": (298, 241, (0, 0, -1, -1, 0)),
    "io_uring_setup": (425, 425, (1, 0)), "userfaultfd": (323, 282, (0,)), "open_by_handle_at": (304, 265, (0, 0, 0)),
    "init_module": (175, 105, (0, 0, 0)), "finit_module": (313, 273, (0, 0, 0)), "syslog": (103, 116, (3, 0, 0)),
    "acct": (163, 89, (0,)), "quotactl": (179, 60, (0, 0, 0, 0)), "fanotify_init": (300, 262, (0, 0)),
    "memfd_secret": (447, 447, (0,)), "personality(no randomization)": (135, 92, (0x40000,)), "clone3": (435, 435, (0, 0)),
    "sethostname": (170, 161, (b"x", 1)), "vhangup": (153, 58, ()), "kexec_load": (246, 104, (0, 0, 0, 1 << 63)),
}
if X86:
    calls.update({"iopl": (172, 0, (3,)), "ioperm": (173, 0, (0, 1, 1)), "modify_ldt": (154, 0, (0, 0, 0)), "uselib": (134, 0, (b"/",))})
for what, (x86, arm, arguments) in calls.items():
    ctypes.set_errno(0)
    result = libc.syscall(x86 if X86 else arm, *[ctypes.c_char_p(a) if isinstance(a, bytes) else ctypes.c_long(a) for a in arguments])
    code = ctypes.get_errno()
    # Any other error means that the kernel looked at the arguments: the call got through.
    note("call: " + what, result == -1 and code in (errno.EPERM, errno.ENOSYS, errno.EACCES), name(code) if result == -1 else "done")
child = os.fork()
if child == 0:
    os._exit(0 if libc.ptrace(0, 0, 0, 0) == -1 else 1)
note("call: ptrace(TRACEME)", os.waitpid(child, 0)[1] == 0)
if X86:
    # The filter must know one architecture alone: int 0x80 would reach the 32-bit table.
    child = os.fork()
    if child == 0:
        import mmap
        code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")  # mov eax, 20 (getpid); int 0x80; ret
        answer = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
        os._exit(1 if answer == os.getpid() else 0)
    ended = os.waitpid(child, 0)[1]
    note("call: 32-bit table", ended != 256, ended)

families = {"vsock": (40, socket.SOCK_STREAM, 0), "packet": (17, socket.SOCK_RAW, 768), "raw IPv4": (2, socket.SOCK_RAW, 255),
            "raw ICMP": (2, socket.SOCK_RAW, 1), "raw IPv6": (10, socket.SOCK_RAW, 58), "crypto": (38, socket.SOCK_SEQPACKET, 0),
            "key": (15, socket.SOCK_RAW, 2), "bluetooth": (31, socket.SOCK_RAW, 1), "netlink audit": (16, socket.SOCK_RAW, 9),
            "netlink netfilter": (16, socket.SOCK_RAW, 12), "TIPC": (30, socket.SOCK_SEQPACKET, 0), "XDP": (44, socket.SOCK_RAW, 0),
            "CAN": (29, socket.SOCK_RAW, 1)}
for what, (family, kind, protocol) in families.items():
    try:
        socket.socket(family, kind, protocol).close()
        note("call: socket " + what, False, "opened")
    except OSError as error:
        note("call: socket " + what, True, name(error.errno))
for signal in (9, 15, 19):
    try:
        os.kill(1, signal)
        note("signal %d to PID 1" % signal, False)
    except OSError as error:
        note("signal %d to PID 1" % signal, True, name(error.errno))
print(json.dumps(found))
