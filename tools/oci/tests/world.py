# SPDX-License-Identifier: GPL-2.0
"""A world for containers: private namespaces, a root with busybox, bundles, and the runtime as engines call it."""

import copy
import fcntl
import json
import os
import pathlib
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios
import time

BUSYBOX = "/bin/busybox"
APPLETS = ("cat", "chmod", "dd", "echo", "env", "false", "grep", "head", "id", "kill", "ls", "mkdir", "mount", "nc",
           "ps", "pwd", "readlink", "sh", "sleep", "stat", "stty", "touch", "true", "tty", "umount", "wc", "yes")
PATIENCE = int(os.environ.get("PATIENCE", 30))
CAPABILITIES = ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_DAC_OVERRIDE", "CAP_SETUID", "CAP_SETGID"]
NAMESPACES = ("pid", "network", "ipc", "uts", "mount")
MOUNTS = [
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
    {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
     "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
    {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid"]},
]


def enter():
    """Starts this program again, as process 1 of namespaces that end with it."""
    if os.environ.get("OCI_TEST_WORLD"):
        return
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--net", "--ipc", "--uts", "--mount-proc",
               "--propagation", "private", sys.executable, *sys.argv]
    os.execvpe(command[0], command, dict(os.environ, OCI_TEST_WORLD="1"))


def why_not():
    """Why there can be no world here, or None."""
    if os.geteuid():
        return "containers need root"
    if not shutil.which("crun"):
        return "crun is not installed: make deps"
    attempt = subprocess.run(["unshare", "--mount", "--pid", "--fork", "--net", "--mount-proc", "true"],
                             capture_output=True, text=True)
    return f"no private namespaces: {attempt.stderr.strip()}" if attempt.returncode else None


def until(condition, what):
    """Waits for what another process does, which tells nobody."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"in vain: {what}"
        time.sleep(0.005)


def processes():
    """(process ID, its words) of all that live."""
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if words:
            yield int(path.parent.name), words


class World:
    def __init__(self, runtime):
        """RUNTIME: the words that call it."""
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
        # crun refuses a mix of both kinds, and makes folders where the second one is not.
        if os.path.exists("/sys/fs/cgroup/unified"):
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/sys/fs/cgroup/unified"], check=True)
        subprocess.run(["ip", "link", "set", "lo", "up"], stderr=subprocess.DEVNULL)
        self.runtime = runtime
        self.root = pathlib.Path("/run/states")
        self.cgroup = f"/vmxoci-test-{os.getppid()}-{time.time_ns()}"
        self.count = 0
        self.rootfs = pathlib.Path("/run/test/rootfs")
        self.make_rootfs()

    def make_rootfs(self):
        for name in ("bin", "dev", "etc", "proc", "sys", "tmp", "run"):
            (self.rootfs / name).mkdir(parents=True)
        shutil.copy(BUSYBOX, self.rootfs / "bin/busybox")
        for name in APPLETS:
            (self.rootfs / "bin" / name).symlink_to("busybox")
        (self.rootfs / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home:/bin/sh\n")
        (self.rootfs / "etc/not-executable").write_text("text\n")

    def config(self, *words):
        return copy.deepcopy({
            "ociVersion": "1.0.2",
            "process": {
                "terminal": False, "user": {"uid": 0, "gid": 0}, "args": list(words), "env": ["PATH=/bin", "WORD=here"],
                "cwd": "/", "noNewPrivileges": True,
                "capabilities": {name: CAPABILITIES for name in ("bounding", "effective", "permitted")},
                "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 512, "soft": 256}],
            },
            "root": {"path": str(self.rootfs), "readonly": False},
            "hostname": "inside",
            "mounts": MOUNTS,
            "annotations": {"of.test": "yes"},
            "linux": {
                "namespaces": [{"type": name} for name in NAMESPACES],
                "maskedPaths": ["/proc/kcore", "/proc/keys"], "readonlyPaths": ["/proc/sys"],
                "cgroupsPath": f"{self.cgroup}/{self.count}",
                "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            },
        })

    def container(self, config):
        self.count += 1
        return Container(self, f"c{self.count}", config)

    def sh(self, script):
        """A container that runs SCRIPT."""
        return self.container(self.config("sh", "-c", script))

    def left(self):
        """What containers left behind: [] if they are all deleted."""
        found = [str(path) for path in self.root.rglob("*") if path.name != ".vmx"]
        found += [line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
                  if " /run/states" in line or " /run/test/" in line]
        found += [str(path.parent) for path in pathlib.Path("/sys/fs/cgroup").glob(f"*{self.cgroup}/*/cgroup.procs")
                  if path.parts[4] != "unified"]
        found += [words for pid, words in processes() if pid != os.getpid()]
        return found

    def end(self):
        for path in pathlib.Path("/sys/fs/cgroup").glob(f"*{self.cgroup}/cgroup.procs"):
            if path.parts[4] != "unified":
                path.parent.rmdir()


class Result:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def __repr__(self):
        return f"status {self.status}, output {self.out[-2000:]!r}, error {self.err[-2000:]!r}"


def status_of(wait_status):
    code = os.waitstatus_to_exitcode(wait_status)
    return code if code >= 0 else 128 - code


class Container:
    def __init__(self, world, name, config):
        self.world, self.id = world, name
        self.bundle = pathlib.Path("/run/test/bundles") / name
        self.bundle.mkdir(parents=True)
        self.set(config)
        self.log = self.bundle / "log"
        self.pid_file = self.bundle / "pid"
        self.pid = 0
        self.options = []

    def set(self, config):
        (self.bundle / "config.json").write_text(json.dumps(config))

    def words(self, *words):
        return [*self.world.runtime, *self.options, "--root", str(self.world.root), "--log", str(self.log),
                "--log-format", "json", *map(str, words)]

    def call(self, *words, stdin=b"", check=None):
        """A command; CHECK: the status that it has to have."""
        process = subprocess.run(self.words(*words), input=stdin, capture_output=True, timeout=PATIENCE * 2)
        result = Result(process.returncode, process.stdout.decode(errors="replace"),
                        process.stderr.decode(errors="replace"))
        assert check is None or check == result.status, f"{words}: {result}"
        return result

    def run(self, stdin=b"", check=None):
        return self.call("run", "--bundle", self.bundle, self.id, stdin=stdin, check=check)

    def out(self):
        """What it prints when it runs to a good end."""
        return self.run(check=0).out

    def create(self, *words, stdin=subprocess.DEVNULL, out=subprocess.DEVNULL):
        """As conmon does it: this process becomes the parent of the container's."""
        subprocess.run(self.words("create", "--bundle", self.bundle, "--pid-file", self.pid_file, *words, self.id),
                       stdin=stdin, stdout=out, stderr=out, check=True, timeout=PATIENCE)
        self.pid = int(self.pid_file.read_text())

    def start(self, *words, **streams):
        self.create(*words, **streams)
        self.call("start", self.id, check=0)

    def wait(self):
        """The status of its process, which this one is the parent of, and then forgets."""
        ended = {}

        def reap():
            # Those of its namespace have to be reaped before it.
            ended.update([os.waitpid(-1, os.WNOHANG)])
            return self.pid in ended

        until(reap, f"{self.id} ends")
        pid, self.pid = self.pid, 0
        return status_of(ended[pid])

    def state(self):
        return json.loads(self.call("state", self.id, check=0).out)

    def status(self):
        return self.state()["status"]

    def exec(self, *words, stdin=b"", check=None):
        return self.call("exec", self.id, *words, stdin=stdin, check=check)

    def delete(self):
        self.call("delete", "--force", self.id, check=0)
        if self.pid:
            self.wait()

    def messages(self):
        return [json.loads(line) for line in self.log.read_text().splitlines()]


class Terminal:
    """The socket that gets a terminal, and the terminal."""

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self.socket.listen()
        self.fd = -1
        self.heard = b""

    def take(self):
        self.socket.settimeout(PATIENCE)
        connection = self.socket.accept()[0]
        _, fds, _, _ = socket.recv_fds(connection, 4096, 1)
        self.fd = fds[0]

    def hear(self, words):
        """Waits until the terminal has said WORDS."""
        end = time.monotonic() + PATIENCE
        while words not in self.heard:
            ready = select.select([self.fd], [], [], max(0, end - time.monotonic()))[0]
            assert ready, f"{words!r} does not come after {self.heard!r}"
            try:
                self.heard += os.read(self.fd, 4096)
            except OSError as error:
                raise AssertionError(f"{words!r} does not come after {self.heard!r}: {error}") from error

    def type(self, words):
        os.write(self.fd, words)

    def size(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)
        self.socket.close()


def dead(pid):
    """Ended, though its parent may not have asked."""
    try:
        return " Z " in pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][:4]
    except OSError:
        return True


def kill(pid):
    os.kill(pid, signal.SIGKILL)

