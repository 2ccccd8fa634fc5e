# SPDX-License-Identifier: GPL-2.0
"""What a process in the container has: its streams, its terminal, its user and limits, its files."""

import json
import os
import pathlib
import signal
import subprocess

from world import Terminal, dead, kill, until

SAME = ("Uid", "Gid", "Groups", "NoNewPrivs", "Seccomp", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


def streams(world):
    data = os.urandom(300000)
    container = world.sh("cat; echo fault >&2")
    process = subprocess.run(container.words("run", "-b", container.bundle, container.id), input=data,
                             capture_output=True, timeout=60)
    assert process.stdout == data and process.stderr == b"fault\n", (len(process.stdout), process.stderr)


def slow_reader(world):
    """A megabyte waits for whoever does not read; the process waits, nothing is lost."""
    container = world.sh("dd if=/dev/zero bs=4096 count=256 2>/dev/null; echo end")
    process = subprocess.Popen(container.words("run", "-b", container.bundle, container.id), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE)
    first = os.read(process.stdout.fileno(), 1)
    rest = process.stdout.read()
    assert process.wait(60) == 0 and len(first + rest) == (1 << 20) + 4 and rest.endswith(b"end\n")


def reader_goes(world):
    """`yes | head` has to end, and `yes` with a broken pipe."""
    container = world.container(world.config("yes"))
    process = subprocess.Popen(container.words("run", "-b", container.bundle, container.id), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout.read(4) == b"y\ny\n"
    process.stdout.close()
    assert process.wait(60) in (1, 128 + signal.SIGPIPE), process.returncode


def output_is_closed(world):
    """A process that closes its output goes on; whoever reads it sees the end."""
    container = world.sh("exec >/dev/null 2>&1; sleep 1000")
    read, write = os.pipe()
    container.start(out=write)
    os.close(write)
    assert os.fdopen(read).read() == ""
    assert container.status() == "running"
    container.delete()


def vm_children_write_on(world):
    """A process ends, and its child writes for ever: what the process wrote comes, then its status."""
    container = world.sh("sleep 1000")
    container.start()
    result = container.exec("sh", "-c", "echo first; yes & exit 3", check=3)
    assert result.out.startswith("first\n"), result.out[:100]
    container.delete()


def looks(world):
    """As crun makes them: user, groups, capabilities, seccomp, limits, paths, names."""
    config = world.config("sh", "-c", "cat /proc/self/status; pwd; ulimit -n; id -G; env; "
                          "cat /proc/sys/kernel/hostname;"
                          "ls /proc/keys | wc -l; touch /proc/sys/x; mkdir /new-folder; umask")
    config["process"].update({"user": {"uid": 1000, "gid": 100, "additionalGids": [7, 8]}, "cwd": "/tmp"})
    config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}
    ours = world.container(config).run()
    crun = subprocess.run(["crun", "--root", "/run/crun-alone", "run", "--bundle",
                           str(world.container(config).bundle), "x"], capture_output=True, text=True)

    def plain(text):
        return [line for line in text.splitlines() if line.partition(":")[0] in SAME or ":" not in line]

    assert plain(ours.out) == plain(crun.stdout), (ours, crun)
    assert ours.err == crun.stderr and "Operation not supported" in ours.err, (ours, crun)


def signals_arrive(world):
    container = world.sh("trap 'echo usr; exit 4' USR1; echo up; while :; do sleep 0.01; done")
    read, write = os.pipe()
    container.start(out=write)
    os.close(write)
    output = os.fdopen(read)
    assert output.readline() == "up\n"
    container.call("kill", container.id, "SIGUSR1", check=0)
    assert output.readline() == "usr\n"
    assert container.wait() == 4
    container.delete()


def terminal(world):
    config = world.config("sh", "-c", "tty; stty size; trap 'stty size' WINCH;"
                          "while [ ! \"$word\" ]; do read word; done; echo got-$word; exit 6")
    config["process"].update({"terminal": True, "consoleSize": {"height": 11, "width": 22}})
    container = world.container(config)
    screen = Terminal(container.bundle / "console")
    container.create("--console-socket", screen.path)
    screen.take()
    container.call("start", container.id, check=0)
    screen.hear(b"/dev/pts/")
    screen.hear(b"11 22\r\n")
    screen.size(33, 44)
    screen.type(b"word\n")
    screen.hear(b"got-word\r\n")
    assert screen.heard.count(b"word") >= 2, screen.heard
    assert container.wait() == 6
    container.delete()
    screen.close()


def volumes(world):
    config = world.config("sh", "-c", "cat /volume/a; echo new > /volume/b; touch /fixed/x; cat /file; "
                          "stat -c '%u:%g %a' /volume/owned")
    container = world.container(config)
    for name in ("volume", "fixed"):
        (container.bundle / name).mkdir()
    (container.bundle / "volume/a").write_text("a\n")
    (container.bundle / "file").write_text("one file\n")
    owned = container.bundle / "volume/owned"
    owned.touch()
    os.chown(owned, 123, 456)
    owned.chmod(0o640)
    config["mounts"] += [
        {"destination": "/volume", "type": "bind", "source": str(container.bundle / "volume"), "options": ["rbind"]},
        {"destination": "/fixed", "type": "none", "source": str(container.bundle / "fixed"), "options": ["bind", "ro"]},
        {"destination": "/file", "type": "bind", "source": str(container.bundle / "file"), "options": ["bind", "ro"]},
    ]
    container.set(config)
    result = container.run()
    assert result.out == "a\none file\n123:456 640\n" and "Read-only" in result.err, result
    assert (container.bundle / "volume/b").read_text() == "new\n"
    assert not (container.bundle / "fixed/x").exists()
    for name in ("volume", "fixed", "file"):
        path = world.rootfs / name
        path.rmdir() if path.is_dir() else path.unlink()


def root_is_shared_and_may_be_fixed(world):
    container = world.sh("echo written > /written")
    container.run(check=0)
    assert (world.rootfs / "written").read_text() == "written\n"
    (world.rootfs / "written").unlink()
    config = world.config("touch", "/written")
    config["root"]["readonly"] = True
    result = world.container(config).run()
    assert result.status == 1 and "Read-only" in result.err, result


def users_may_be_mapped(world):
    config = world.config("cat", "/proc/self/uid_map")
    config["linux"]["namespaces"].append({"type": "user"})
    config["linux"]["uidMappings"] = [{"containerID": 0, "hostID": 1000, "size": 10}]
    config["linux"]["gidMappings"] = [{"containerID": 0, "hostID": 1000, "size": 10}]
    config["mounts"].append({"destination": "/sys", "type": "sysfs", "source": "sysfs",
                             "options": ["nosuid", "noexec", "nodev", "ro"]})
    assert world.container(config).out().split() == ["0", "1000", "10"]


def sysctls(world):
    config = world.config("cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start", "/proc/sys/kernel/msgmax")
    config["linux"]["sysctl"] = {"net.ipv4.ip_unprivileged_port_start": "77", "kernel.msgmax": "8888"}
    assert world.container(config).out().split() == ["77", "8888"]


def exec_by_words(world):
    container = world.sh("sleep 100")
    container.start()
    assert container.exec("sh", "-c", "echo $WORD; exit 9").out == "here\n"
    assert container.exec("sh", "-c", "exit 9").status == 9
    assert container.exec("cat", stdin=b"through").out == "through"
    result = container.call("exec", "--cwd", "/tmp", "--env", "MORE=2", "--env", "PATH=/bin", "--user", "1000:7",
                            container.id, "sh", "-c", "pwd; echo $MORE; id -u; id -g; echo fault >&2", check=0)
    assert result.out.split() == ["/tmp", "2", "1000", "7"] and result.err == "fault\n", result
    assert "not found" in container.exec("no-such-program").err
    container.delete()
    assert container.exec("true").status


def description(world, container, *words, **more):
    process = world.config(*words)["process"]
    process.update(more)
    path = container.bundle / "process.json"
    path.write_text(json.dumps(process))
    return path


def exec_by_description(world):
    """As conmon and containerd do it."""
    container = world.sh("sleep 100")
    container.start()
    pid_file = container.bundle / "exec-pid"
    process = description(world, container, "sh", "-c", "echo $SECRET; exit 5", env=["PATH=/bin", "SECRET=kept"])
    read, write = os.pipe()
    subprocess.run(container.words("exec", "--pid-file", pid_file, "--process", process, "--detach", container.id),
                   stdin=subprocess.DEVNULL, stdout=write, stderr=write, check=True, timeout=60)
    os.close(write)
    assert os.fdopen(read).read() == "kept\n"
    until(lambda: dead(int(pid_file.read_text())), "it ends")
    assert os.waitstatus_to_exitcode(os.waitpid(int(pid_file.read_text()), 0)[1]) == 5
    container.delete()


def exec_with_terminal(world):
    container = world.sh("sleep 100")
    container.start()
    pid_file = container.bundle / "exec-pid"
    process = description(world, container, "sh", "-c", "tty; read word; echo got-$word; stty size", terminal=True)
    screen = Terminal(container.bundle / "console")
    subprocess.run(container.words("exec", "--pid-file", pid_file, "--process", process, "--detach", "--console-socket",
                                   screen.path, container.id), stdin=subprocess.DEVNULL, check=True, timeout=60)
    screen.take()
    screen.hear(b"/dev/pts/")
    screen.size(5, 66)
    screen.type(b"word\n")
    screen.hear(b"got-word\r\n")
    screen.hear(b"5 66\r\n")
    os.waitpid(int(pid_file.read_text()), 0)
    container.delete()
    screen.close()


def exec_is_killed(world):
    """Whoever waits for a process goes: so does the process."""
    container = world.sh("sleep 100")
    container.start()
    process = subprocess.Popen(container.words("exec", container.id, "sh", "-c", "echo up; exec sleep 1000"),
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"up\n"
    pids = json.loads(container.call("ps", "--format", "json", container.id, check=0).out)
    client = [pid for pid in pids if b"1000\0" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes() or
              b"exec\0" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert client, pids
    kill(client[0])
    process.wait(60)
    process.stdout.close()
    until(lambda: "1000" not in container.exec("ps").out, "the process in the container ends")
    assert container.status() == "running"
    container.delete()


def many_at_once(world):
    container = world.sh("sleep 100")
    container.start()
    processes = [subprocess.Popen(container.words("exec", container.id, "sh", "-c", f"cat; echo {n}"),
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE) for n in range(8)]
    for n, process in enumerate(processes):
        assert process.communicate(b"x" * n, timeout=60)[0] == b"x" * n + b"%d\n" % n
    container.delete()


TESTS = (streams, slow_reader, reader_goes, output_is_closed, vm_children_write_on, looks, signals_arrive, terminal,
         volumes, root_is_shared_and_may_be_fixed, users_may_be_mapped, sysctls, exec_by_words, exec_by_description,
         exec_with_terminal, exec_is_killed, many_at_once)
