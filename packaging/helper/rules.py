"""What the privileged helper may be asked, of whose processes, and what it runs for it. Standard library only.

Everything that a client says is checked here against fixed lists and ranges; nothing of it becomes an option, a program
or a file name by itself.
"""

import os
import re
import select
import stat

FOLDERS = ("/usr/bin", "/usr/sbin", "/bin", "/sbin")
EVENTS = frozenset(
    """cycles cpu-cycles instructions ref-cycles bus-cycles branches branch-instructions branch-misses branch-loads
    branch-load-misses cache-references cache-misses stalled-cycles-frontend stalled-cycles-backend
    cpu-clock task-clock page-faults faults minor-faults major-faults context-switches cs cpu-migrations migrations
    alignment-faults emulation-faults
    L1-dcache-loads L1-dcache-load-misses L1-dcache-stores L1-dcache-store-misses L1-icache-loads L1-icache-load-misses
    LLC-loads LLC-load-misses LLC-stores LLC-store-misses dTLB-loads dTLB-load-misses dTLB-stores dTLB-store-misses
    iTLB-loads iTLB-load-misses node-loads node-load-misses""".split()  # noqa: SIM905 - as a list it takes a page
)
# A hybrid processor has two of each: "cpu_core/cycles/". After it, whose: user, kernel, how precise.
EVENT = re.compile(r"(?:cpu_(?:core|atom)/([A-Za-z0-9-]+)/[ukp]{0,5}|([A-Za-z0-9-]+)(?::[ukp]{1,5})?)")


class Refused(Exception):
    """A request that is not fulfilled, with the reason as a sentence."""


# What a request may hold.


def number(lowest, highest):
    def check(name, value):
        if type(value) is not int or not lowest <= value <= highest:
            raise Refused(f"“{name}” has to be a whole number from {lowest} to {highest}.")
        return value

    return check


def one_of(*allowed):
    def check(name, value):
        if type(value) is not str or value not in allowed:
            raise Refused(f"“{name}” has to be one of: {', '.join(allowed)}.")
        return value

    return check


def event_names(name, value):
    if type(value) is not list or not 1 <= len(value) <= 32:
        raise Refused(f"“{name}” has to be a list of 1 to 32 events.")
    for event in value:
        known = EVENT.fullmatch(event) if type(event) is str else None
        if known is None or (known[1] or known[2]) not in EVENTS:
            raise Refused(f"{event!r:.80} is not one of the events that may be counted.")
    return value


def event_groups(name, value):
    """Events, and lists of events that are counted at the same moments where the processor can ("weak" groups)."""
    if type(value) is not list or not 1 <= len(value) <= 32:
        raise Refused(f"“{name}” has to be a list of 1 to 32 events or groups of events.")
    for part in value:
        event_names(name, part if type(part) is list else [part])
    return value


def flag(name, value):
    if type(value) is not bool:
        raise Refused(f"“{name}” has to be true or false.")
    return value


def absolute_path(name, value):
    if type(value) is not str or not value.startswith("/") or len(value) > 4096:
        raise Refused(f"“{name}” has to be an absolute path.")
    return value


def symbols(name, value):
    """What the module that composes the program lets through; here only that nothing else comes to it."""
    if type(value) is not list or not 1 <= len(value) <= 64 or any(type(symbol) is not str for symbol in value):
        raise Refused(f"“{name}” has to be a list of 1 to 64 names.")
    return value


def flags(name, value):
    if type(value) is not list or len(value) > 64 or any(type(one) is not bool for one in value):
        raise Refused(f"“{name}” has to be a list of true and false.")
    return value


def numbers(lowest, highest):
    check_one = number(lowest, highest)

    def check(name, value):
        if type(value) is not list or len(value) > 64:
            raise Refused(f"“{name}” has to be a list of at most 64 numbers.")
        return [check_one(name, one) for one in value]

    return check


def recipe_name(name, value):
    if type(value) is not str or not re.fullmatch(r"[a-z][a-z0-9-]{0,40}", value):
        raise Refused(f"“{name}” has to be the name of a recipe.")
    return value


def texts(name, value):
    """What the module that composes the program lets through; here only that it is text by name, and little of it."""
    known = type(value) is dict and len(value) <= 16
    if not known or any(type(part) is not str or len(part) > 4096 for pair in value.items() for part in pair):
        raise Refused(f"“{name}” has to be at most 16 texts by name.")
    return value


COMMON = {
    "job": number(0, 1 << 31),
    "verb": one_of("perf-record", "perf-ring", "perf-stat", "strace-summary", "probe", "recipe"),
    "pid": number(1, 1 << 22),
    "start": number(0, 1 << 63),
}
FIELDS = {
    "perf-record": {
        "events": event_names,
        "frequency": number(1, 100_000),
        "call_graph": one_of("fp", "dwarf", "lbr", "none"),
        "dwarf_stack": number(8, 65528),
        "pages": number(0, 4096),
    },
    "perf-stat": {"events": event_groups, "interval_ms": number(10, 3_600_000), "per_thread": flag},
    "strace-summary": {},
    "probe": {
        "binary": absolute_path,
        "symbols": symbols,
        "recursive": flags,
        "interval_ms": number(10, 3_600_000),
        "slow_ns": numbers(0, 1 << 40),
        "slow_per_s": number(1, 100_000),
    },
    "recipe": {"recipe": recipe_name, "values": texts, "interval_ms": number(100, 60_000)},
}

# A ring of its own size, or of perf's; it is read where the client asks for a snapshot.
FIELDS["perf-ring"] = FIELDS["perf-record"]


def checked(request):
    """The request with every field checked: none may be missing, and none may be there that is not known."""
    verb = COMMON["verb"]("verb", request.get("verb"))
    fields = {**COMMON, **FIELDS[verb]}
    if set(request) != set(fields):
        odd = ", ".join(sorted(map(repr, set(request) ^ set(fields))))
        raise Refused(f"“{verb}” takes exactly: {', '.join(fields)}; wrong are {odd:.200}.")
    return {name: check(name, request[name]) for name, check in fields.items()}


# Whose process it is.


class Target:
    """A process, held by a descriptor: whatever gets its number later is not meant."""

    def __init__(self, pid, start, client):
        self.pid, self.start, self.client = pid, start, client
        try:
            self.descriptor = os.pidfd_open(pid)
        except OSError:
            raise Refused(f"There is no process {pid}.") from None
        try:
            self.check()
        except BaseException:
            self.close()
            raise

    def check(self):
        """Raises Refused unless it lives, is the one that was meant, and is the client's to look into."""
        try:
            with open(f"/proc/{self.pid}/stat", "rb") as file:
                start = int(file.read().rpartition(b")")[2].split()[19])
            with open(f"/proc/{self.pid}/status", "rb") as file:
                status = file.read().split(b"\n")
            owner = os.stat(f"/proc/{self.pid}/maps").st_uid
        except (OSError, IndexError):
            raise Refused(f"Process {self.pid} has ended.") from None
        if start != self.start or not self.lives():
            raise Refused(f"Process {self.pid} is not the one that was chosen: that one has ended.")
        if self.client == 0:
            return
        # "Uid:	1000	1000	1000	1000": real, effective, saved, file system
        uids = next(line.split()[1:] for line in status if line.startswith(b"Uid:"))
        if any(int(uid) != self.client for uid in uids):
            raise Refused(f"Process {self.pid} does not belong to the user who asks.")
        # The kernel gives /proc/PID/maps to root where its own user may not look into it: setuid, setcap, prctl.
        if owner != self.client:
            raise Refused(f"Process {self.pid} may not be looked into: it hides its memory, or has capabilities.")

    def lives(self):
        waiting = select.poll()
        waiting.register(self.descriptor, select.POLLIN)
        return not waiting.poll(0)

    def close(self):
        os.close(self.descriptor)


def probed_file(target, binary):
    """A descriptor of the file `binary` as the target runs it, or will: then it has to be the client's own file."""
    descriptor, inode = mapped_file(target, binary) or own_file(target, binary)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Refused(f"{binary!r:.300} is not a file.")
        if target.client != 0:
            # The probe sits in every process that maps the file, costs it time, and on a return can even end it.
            for pid in filter(str.isdecimal, os.listdir("/proc")):
                if owner_of(pid) not in (None, target.client) and maps_inode(pid, inode):
                    raise Refused(
                        f"Process {pid} of another user runs {binary!r:.300} too: it would be probed with it."
                    )
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def mapped_file(target, binary):
    """Through the mapping itself: no name is looked up, so that no symbolic link can lead elsewhere."""
    for line in maps_of(target.pid):
        # "55ddadb91000-55ddadb92000 r-xp 00001000 fe:00 10051953   /usr/bin/x"
        cells = line.split(None, 5)
        if len(cells) == 6 and "x" in cells[1] and cells[5].removesuffix(" (deleted)") == binary:
            start, end = (int(address, 16) for address in cells[0].split("-"))
            path = f"/proc/{target.pid}/map_files/{start:x}-{end:x}"
            try:
                return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), cells[3:5]
            except OSError as problem:
                raise Refused(f"{binary!r:.300} cannot be read: {problem.strerror}.") from None
    return None


def own_file(target, binary):
    """Of a program that is started stopped: it has not executed `binary` yet. Opened with the user's rights alone."""
    refusal = f"Process {target.pid} does not run {binary!r:.300}, and that is no file of the user's own."
    if target.client == 0 or "\0" in binary:
        raise Refused(refusal)
    with open(f"/proc/{target.pid}/status", encoding="utf-8", errors="replace") as file:
        ids = {name: value.split() for name, _, value in (line.partition(":") for line in file)}
    groups = os.getgroups()
    os.setgroups([int(group) for group in ids["Groups"]])
    os.setegid(int(ids["Gid"][1]))
    os.seteuid(target.client)
    try:
        descriptor = os.open(binary, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        raise Refused(refusal) from None
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)
    status = os.fstat(descriptor)
    if status.st_uid != target.client:
        os.close(descriptor)
        raise Refused(refusal)
    return descriptor, [f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}", str(status.st_ino)]


def maps_of(pid):
    try:
        with open(f"/proc/{pid}/maps", encoding="utf-8", errors="surrogateescape") as file:
            return file.read().split("\n")
    except OSError:
        return []


def maps_inode(pid, inode):
    return any(line.split(None, 5)[3:5] == inode for line in maps_of(pid))


def owner_of(pid):
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None


# What is run.


def tool(name):
    """The absolute path of a tool that nobody but root can have changed."""
    for folder in FOLDERS:
        path = os.path.realpath(os.path.join(folder, name))
        if os.path.isfile(path) and os.access(path, os.X_OK) and guarded(path):
            return path
    raise Refused(f"{name} is not installed in {' or '.join(FOLDERS[:2])}.")


def guarded(path):
    """Whether the file and every folder above belong to root and can be changed by root alone."""
    while True:
        status = os.lstat(path)
        sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
        if status.st_uid != 0 or (status.st_mode & 0o022 and not sticky):
            return False
        if path == "/":
            return True
        path = os.path.dirname(path)


def perf_ring(request, file):
    """`file` is a path in a folder that is root's alone: perf gives what it dumps names that begin with it."""
    return [*perf_samples(request), "--overwrite", "--switch-output=signal", "-o", file]


def size_of(path):
    return os.path.getsize(path) if os.path.exists(path) else 0


def dumped(folder):
    """The path of a snapshot that perf has completed: "ring.2026112521355433"; None where there is none."""
    names = sorted(name for name in os.listdir(folder) if re.fullmatch(r"ring\.[0-9]+", name))
    return f"{folder}/{names[0]}" if names else None


def perf_record(request, file):
    """`file` is the descriptor that the result goes to."""
    return [*perf_samples(request), "-o", f"/proc/self/fd/{file}"]


def perf_samples(request):
    graph = request["call_graph"]
    argv = [tool("perf"), "record", "-N", "-k", "CLOCK_MONOTONIC", "-F", str(request["frequency"])]
    argv += ["-e", ",".join(request["events"])]
    if graph != "none":
        argv += ["--call-graph", f"dwarf,{request['dwarf_stack'] // 8 * 8}" if graph == "dwarf" else graph]
    if request["pages"]:
        argv += ["-m", str(1 << request["pages"].bit_length() - 1)]
    return [*argv, "-p", str(request["pid"])]


def perf_stat(request, pipe):
    parts = (part if type(part) is str else "{" + ",".join(part) + "}:W" for part in request["events"])
    argv = [tool("perf"), "stat", "-j", "-I", str(request["interval_ms"]), "-e", ",".join(parts)]
    argv += ["--per-thread"] if request["per_thread"] else []
    return [*argv, "--log-fd", str(pipe), "-p", str(request["pid"])]


def strace_summary(request, pipe):
    return [tool("strace"), "-f", "-c", "-w", "-o", f"/proc/self/fd/{pipe}", "-p", str(request["pid"])]


def probe(request, binary, composer):
    """`binary` is the descriptor of the probed file: bpftrace and the kernel reach that inode and no other."""
    try:
        program = composer.compose(
            f"/proc/self/fd/{binary}",
            tuple(request["symbols"]),
            request["pid"],
            request["interval_ms"],
            recursive=tuple(request["recursive"]),
            machine=os.uname().machine,
            slow_ns=tuple(request["slow_ns"]),
            slow_per_s=request["slow_per_s"],
        )
    except ValueError as problem:
        raise Refused(f"The probe is refused: {problem}") from None
    return [tool("bpftrace"), "-f", "json", "-B", "none", "-e", program]


def recipe(request, target, composer, folder, given):
    """The helper's own copy of the recipe, filled in. What it opens is put to `given`."""
    try:
        found = composer.read(request["recipe"], recipe_text(folder, request["recipe"]))
        if found.machine_wide and target.client != 0:
            raise Refused(f"“{found.title}” sees what other users' programs do: it runs for root alone.")
        values = composer.values_of(found, request["values"])
        for parameter in found.parameters:
            if parameter.kind == "file":
                given.append(probed_file(target, values[parameter.name]))
                values[parameter.name] = f"/proc/self/fd/{given[-1]}"
        program = composer.compose(
            found, values, pid=target.pid, machine=os.uname().machine, live_ms=request["interval_ms"]
        )
    except ValueError as problem:
        raise Refused(f"The recipe is refused: {problem}.") from None
    return [tool("bpftrace"), "-f", "json", "-B", "line", "-e", program]


def recipe_text(folder, name):
    """Installed, in a checkout, in a wheel. Where the helper is root's own, the recipe has to be as well."""
    for place in ("recipes", "../../resources/tailflame_resources/bpftrace", "../../tailflame_resources/bpftrace"):
        path = f"{folder}/{place}/{name}.bt"
        if os.path.isfile(path):
            status = os.lstat(path)
            if os.lstat(folder).st_uid == 0 and (status.st_uid != 0 or status.st_mode & 0o022):
                raise Refused(f"{path} does not belong to root alone.")
            with open(path, encoding="utf-8") as file:
                return file.read()
    raise Refused(f"There is no recipe {name!r:.80} here.")
