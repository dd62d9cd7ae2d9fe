//! Network: a running sandbox reaches nothing, and nothing of another sandbox.

use std::time::Instant;

use super::lab::Lab;
use super::set_up_proxy::set_up_proxy;
use super::{Case, Danger, Fault, Found, Group, ensure};
use crate::task::Outcome;

const fn case(id: &'static str, title: &'static str, run: super::Run) -> Case {
    Case { id, group: Group::Network, title, danger: Danger::OwnContainersOnly, run }
}

pub(super) const CASES: &[Case] = &[
    case("no-network", "TCP, UDP, ICMP, DNS, IPv6, gateways and the metadata address fail at once", |lab| {
        Box::pin(no_network(lab))
    }),
    case("set-up-proxy", "set-up reaches what the proxy allows and nothing else", |lab| Box::pin(set_up_proxy(lab))),
    case("neighbours", "two sandboxes cannot see, signal, reach or collide with each other", |lab| {
        Box::pin(neighbours(lab))
    }),
];

/// Tries every way; prints what got further than this machine's own routing table, and the slowest attempt.
const REACH: &str = "
import errno, json, socket, sys, time
# Without a route that is the same as no network; with one it would be a host that does not answer.
alone = {line.split(':')[0].strip() for line in open('/proc/net/dev').read().splitlines()[2:]} <= {'lo'}
refused = {errno.ENETUNREACH, errno.EPERM, errno.EACCES, errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT, errno.ENODEV}
if alone:
    refused.add(errno.EHOSTUNREACH)
reached, slowest = [], 0
def attempt(what, act):
    global slowest
    started = time.monotonic()
    try:
        act()
        reached.append(what + ': done')
    except socket.gaierror:
        pass
    except OSError as error:
        if error.errno not in refused:
            reached.append(what + ': ' + str(error))
    slowest = max(slowest, time.monotonic() - started)
def tcp(family, address, port):
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.settimeout(2)
        s.connect((address, port) if family == socket.AF_INET else (address, port, 0, 2))
def udp(family, address, port):
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.sendto(b'x', (address, port) if family == socket.AF_INET else (address, port, 0, 2))
def icmp():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as s:
        s.sendto(b'\\x08\\0\\0\\0\\0\\0\\0\\0', ('192.0.2.1', 0))
for address in ('192.0.2.1', '169.254.169.254', '172.17.0.1', '10.0.0.1', '192.168.0.1', '100.100.100.200', '224.0.0.1', '255.255.255.255'):
    attempt('tcp ' + address, lambda: tcp(socket.AF_INET, address, 80))
    attempt('udp ' + address, lambda: udp(socket.AF_INET, address, 53))
for address in ('2001:db8::1', 'fd00:ec2::254', 'fe80::1', 'ff02::1'):
    attempt('tcp ' + address, lambda: tcp(socket.AF_INET6, address, 80))
    attempt('udp ' + address, lambda: udp(socket.AF_INET6, address, 53))
attempt('icmp', icmp)
for name in ('example.com', 'host.docker.internal', 'gateway.docker.internal'):
    started = time.monotonic()
    try:
        reached.append('dns %s: %s' % (name, socket.gethostbyname(name)))
    except OSError:
        pass
    slowest = max(slowest, time.monotonic() - started)
def abstract():
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.connect('\\0' + sys.argv[1])
try:
    abstract()
    reached.append('abstract socket of the host')
except OSError:
    pass
routes = open('/proc/net/route').read().splitlines()[1:]
reached += ['route ' + route.split()[0] for route in routes]
print(json.dumps([reached, slowest]))
";

async fn no_network(lab: &Lab) -> Found {
    let room = lab.room().await?;
    let name = format!("greenroom-attack-{}", std::process::id());
    let listener = abstract_listener(&name)?;
    let ran = room.python(REACH, &[&name]).await?;
    drop(listener);
    let (reached, slowest): (Vec<String>, f64) =
        serde_json::from_slice(&ran.stdout).map_err(|_| Fault::Broken(ran.summary()))?;
    ensure(reached.is_empty(), || format!("reached: {}", reached.join(", ")))?;
    ensure(slowest < 1.0, || format!("an attempt took {slowest:.1} s to fail"))?;
    room.leave().await?;
    Ok(format!("27 attempts had no route or were refused, the slowest after {:.0} ms", slowest * 1000.0))
}

/// A socket of the host without a file, which only network namespaces keep apart.
fn abstract_listener(name: &str) -> Result<std::os::unix::net::UnixListener, Fault> {
    use std::os::linux::net::SocketAddrExt;
    let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
    Ok(std::os::unix::net::UnixListener::bind_addr(&address)?)
}

/// Leaves traces of every kind, then waits to be found.
const LEAVE_TRACES: &str = "
import ctypes, os, signal, socket, sys, time
mark = sys.argv[1]
open('/dev/shm/' + mark, 'w').write(mark); open('/tmp/' + mark, 'w').write(mark); open('/workspace/' + mark, 'w').write(mark)
tcp = socket.socket(); tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); tcp.bind(('0.0.0.0', 7707)); tcp.listen()
plain = socket.socket(socket.AF_UNIX); plain.bind('\\0' + mark); plain.listen()
segment = ctypes.CDLL(None).shmget(7707, 4096, 0o1666)
signal.signal(signal.SIGTERM, lambda *_: (print('signalled', flush=True), os._exit(1)))
print('ready', segment >= 0, flush=True)
time.sleep(6)
print('unharmed', flush=True)
";

const FIND_TRACES: &str = "
import ctypes, json, os, signal, socket, sys
mark, found = sys.argv[1], []
for folder in ('/dev/shm', '/tmp', '/workspace', '/home/agent'):
    if mark in os.listdir(folder):
        found.append('file in ' + folder)
for pid in filter(str.isdigit, os.listdir('/proc')):
    if int(pid) != os.getpid():
        try:
            if mark in open('/proc/%s/cmdline' % pid).read():
                found.append('process ' + pid)
        except OSError:
            pass
try:
    socket.create_connection(('127.0.0.1', 7707), 1); found.append('its port')
except OSError:
    pass
try:
    s = socket.socket(socket.AF_UNIX); s.connect('\\0' + mark); found.append('its abstract socket')
except OSError:
    pass
if ctypes.CDLL(None).shmget(7707, 4096, 0) >= 0:
    found.append('its shared memory')
for address in os.listdir('/sys/class/net'):
    if address != 'lo' and open('/sys/class/net/%s/operstate' % address).read().strip() == 'up':
        found.append('interface ' + address)
try:
    os.kill(-1, signal.SIGTERM)
except OSError:
    pass
print(json.dumps(found))
";

async fn neighbours(lab: &Lab) -> Found {
    let (one, other) = tokio::try_join!(lab.room(), lab.room())?;
    let mark = format!("mark-{}", crate::id::RunId::generate());
    let search = async {
        // The first has written its files when it has said so; a second is enough, and the search comes again below.
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        other.python(FIND_TRACES, &[&mark]).await
    };
    let (started, arguments) = (Instant::now(), [mark.as_str()]);
    let (left, searched) = tokio::join!(one.python(LEAVE_TRACES, &arguments), search);
    let (left, searched) = (left?, searched?);
    ensure(left.text() == "ready True\nunharmed\n" && left.outcome() == Outcome::Exited { code: 0 }, || {
        format!("the first was disturbed after {:?}: {}", started.elapsed(), left.summary())
    })?;
    let found: Vec<String> = serde_json::from_slice(&searched.stdout).map_err(|_| Fault::Broken(searched.summary()))?;
    ensure(found.is_empty(), || format!("the second found of the first: {}", found.join(", ")))?;
    ensure(one.sandbox.facts().container != other.sandbox.facts().container, || "one container for both".into())?;
    one.leave().await?;
    other.leave().await?;
    Ok("files, processes, ports, abstract sockets, shared memory of one are not to be found in the other; kill(-1) did not cross".into())
}
