# SPDX-License-Identifier: GPL-2.0
"""The commands of a container's life, and what each says."""

import json
import os
import pathlib
import signal
import subprocess

import jsonschema
from world import until

SEMVER = {"type": "string", "pattern": r"^\d+\.\d+\.\d+"}
# The runtime-spec's chapter State.
STATE = {
    "type": "object",
    "required": ["ociVersion", "id", "status", "bundle"],
    "properties": {
        "ociVersion": SEMVER, "id": {"type": "string"}, "bundle": {"type": "string", "pattern": "^/"},
        "status": {"enum": ["creating", "created", "running", "stopped", "paused"]},
        "pid": {"type": "integer", "minimum": 0},
        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}
# Its chapter Features.
FEATURES = {
    "type": "object",
    "required": ["ociVersionMin", "ociVersionMax"],
    "properties": {
        "ociVersionMin": SEMVER, "ociVersionMax": SEMVER,
        "hooks": {"type": "array", "items": {"type": "string"}},
        "mountOptions": {"type": "array", "items": {"type": "string"}},
        "linux": {"type": "object", "properties": {
            "namespaces": {"type": "array", "items": {"enum": ["cgroup", "ipc", "mount", "network", "pid", "time",
                                                               "user", "uts"]}},
            "cgroup": {"type": "object", "additionalProperties": {"type": "boolean"}}}},
    },
}


def statuses(world):
    for script, status in (("true", 0), ("exit 7", 7), ("kill -KILL $$; exit 9", 9)):
        result = world.sh(script).run()
        assert result.status == status, (script, result)


def death_by_signal(world):
    config = world.config("sh", "-c", "kill -KILL $$")
    config["linux"]["namespaces"] = [item for item in config["linux"]["namespaces"] if item["type"] != "pid"]
    result = world.container(config).run()
    assert result.status == 128 + signal.SIGKILL, result


def life(world):
    container = world.sh("trap 'exit 3' TERM; echo up; while :; do sleep 0.01; done")
    read, write = os.pipe()
    container.create(out=write)
    os.close(write)
    state = container.state()
    jsonschema.validate(state, STATE)
    assert state["status"] == "created" and state["pid"] == container.pid and state["id"] == container.id, state
    assert state["bundle"] == str(container.bundle) and state["annotations"]["of.test"] == "yes", state
    container.call("start", container.id, check=0)
    assert container.status() == "running"
    assert container.call("start", container.id).status == 1
    assert os.read(read, 3) == b"up\n"
    container.call("kill", container.id, "15", check=0)
    assert container.wait() == 3
    assert container.status() == "stopped"
    assert container.call("kill", container.id, "KILL").status == 1
    container.call("delete", container.id, check=0)
    os.close(read)


def deleted_twice(world):
    container = world.sh("true")
    container.start()
    container.wait()
    container.call("delete", container.id, check=0)
    result = container.call("delete", container.id, check=1)
    assert "does not exist" in result.err or "No such file" in result.err, result
    container.call("delete", "--force", container.id, check=0)
    assert container.call("state", container.id, check=1).err


def deleted_by_pattern(world):
    containers = [world.sh("sleep 1000") for _ in range(2)]
    for container in containers:
        container.start()
    other = world.sh("sleep 1000")
    other.start()
    names = "|".join(f"^{container.id}$" for container in containers)
    other.call("delete", "--force", "--regex", names, check=0)
    for container in containers:
        container.wait()
    assert other.status() == "running"
    other.delete()


def force_ends_what_runs(world):
    container = world.sh("while :; do sleep 1; done")
    container.start()
    assert container.call("delete", container.id).status == 1
    container.call("delete", "--force", container.id, check=0)
    assert container.wait() == 128 + signal.SIGKILL


def names_are_taken(world):
    container = world.sh("sleep 100")
    container.create()
    result = container.call("create", "--bundle", container.bundle, container.id, check=1)
    assert "exists" in result.err, result
    assert container.status() == "created"
    container.delete()


def lists(world):
    container = world.sh("sleep 100")
    container.start()
    listed = json.loads(container.call("list", "--format", "json", check=0).out)
    assert [(item["id"], item["pid"]) for item in listed] == [(container.id, container.pid)], listed
    pids = json.loads(container.call("ps", "--format", "json", container.id, check=0).out)
    assert container.pid in pids, pids
    container.delete()


def pauses(world):
    container = world.sh("while :; do echo x; sleep 0.01; done")
    read, write = os.pipe()
    container.start(out=write)
    os.close(write)
    container.call("pause", container.id, check=0)
    # The old kind of cgroup freezes one thread after the other.
    until(lambda: container.status() == "paused", "it is paused")
    container.call("resume", container.id, check=0)
    assert container.status() == "running"
    os.set_blocking(read, False)
    try:
        while os.read(read, 65536):
            pass
    except BlockingIOError:
        pass
    os.set_blocking(read, True)
    assert os.read(read, 1)
    container.delete()
    os.close(read)


def limits_reach_the_cgroup(world):
    config = world.config("sleep", "100")
    config["linux"]["resources"]["pids"] = {"limit": 100}
    container = world.container(config)
    container.start()
    cgroup = next(pathlib.Path("/sys/fs/cgroup").glob(f"pids{config['linux']['cgroupsPath']}"))
    assert (cgroup / "pids.max").read_text().strip() == "100"
    assert str(container.pid) in (cgroup / "cgroup.procs").read_text().split()
    update = json.dumps({"pids": {"limit": 90}}).encode()
    container.call("update", "--resources=-", container.id, stdin=update, check=0)
    assert (cgroup / "pids.max").read_text().strip() == "90"
    container.delete()


def vm_events(world):
    container = world.sh("sleep 100")
    assert container.call("events", "--stats", container.id).status == 1
    container.start()
    until(lambda: container.exec("true").status == 0, "it answers")
    event = json.loads(container.call("events", "--stats", container.id, check=0).out)
    assert event["type"] == "stats" and event["id"] == container.id, event
    data = event["data"]
    assert data["cpu"]["usage"]["total"] > 0 and data["pids"]["current"] > 1, event
    assert data["memory"]["usage"]["usage"] > 0, event
    assert container.call("events", "--interval", "0", container.id).status == 1
    process = subprocess.Popen(container.words("events", "--interval", "1", container.id), stdout=subprocess.PIPE)
    for _ in range(2):
        assert json.loads(process.stdout.readline())["id"] == container.id
    container.call("kill", container.id, "KILL", check=0)
    assert process.wait(60) == 0
    process.stdout.close()
    container.delete()


def hooks_in_order(world):
    notes = world.rootfs / "tmp-notes"
    notes.write_text("")
    config = world.config("true")

    def hook(name, path="/bin/sh", file=notes):
        return [{"path": path, "args": ["sh", "-c", f"echo {name} >> {file}; cat > /dev/null"]}]

    config["hooks"] = {name: hook(name) for name in ("prestart", "createRuntime", "poststart", "poststop")}
    config["hooks"]["startContainer"] = hook("startContainer", file="/tmp-notes")
    container = world.container(config)
    container.start()
    container.wait()
    container.delete()
    # poststart and startContainer may overlap: the machine starts while the first runs.
    words = notes.read_text().split()
    assert sorted(words) == sorted(config["hooks"]) and words[:2] == ["prestart", "createRuntime"] and \
        words[-1] == "poststop", words
    notes.unlink()


def bundle_is_left_alone(world):
    container = world.sh("true")
    before = (container.bundle / "config.json").read_bytes()
    container.run(check=0)
    assert (container.bundle / "config.json").read_bytes() == before
    assert not (container.bundle / "rootfs").exists()


def relative_bundle(world):
    config = world.config("cat", "/there/file")
    config["root"]["path"] = "../../rootfs"
    config["mounts"].append({"destination": "/there", "type": "bind", "source": "data", "options": ["rbind"]})
    container = world.container(config)
    (container.bundle / "data").mkdir()
    (container.bundle / "data/file").write_text("relative")
    # containerd names a folder whose parents are not there either.
    process = subprocess.run([*world.runtime, "--root", "/run/others/states", "run", "-b", container.id, container.id],
                             cwd=container.bundle.parent, capture_output=True, text=True)
    assert process.stdout == "relative", process


def help_and_version(world):
    container = world.sh("true")
    assert "spec: 1.0" in container.call("--version", check=0).out
    assert "create" in container.call("--help", check=0).out
    assert container.call("nonsense").status != 0
    container.call("state").status != 0


def vm_features(world):
    features = json.loads(world.sh("true").call("features", check=0).out)
    jsonschema.validate(features, FEATURES)
    assert "createRuntime" in features["hooks"] and "user" in features["linux"]["namespaces"]


def vm_sandbox_is_a_plain_process(world):
    config = world.config("sleep", "100")
    config["annotations"]["io.kubernetes.cri.container-type"] = "sandbox"
    # An image may say so, too: only a caller who wants it gets it.
    container = world.container(config)
    container.start()
    monitor_words(container)
    container.delete()
    container = world.container(config)
    container.options = ["--plain-sandboxes"]
    container.start()
    words = pathlib.Path(f"/proc/{container.pid}/cmdline")
    until(lambda: words.read_bytes() == b"sleep\x00100\x00", "the process runs")
    assert container.exec("echo", "in it", check=0).out == "in it\n"
    container.delete()


def vm_checkpoint_is_refused(world):
    container = world.sh("sleep 100")
    container.start()
    assert "cannot be checkpointed" in container.call("checkpoint", container.id, check=1).err
    assert "descriptors" in container.call("exec", "--preserve-fds", "1", container.id, "true", check=1).err
    assert container.status() == "running"
    container.delete()


def monitor_words(container):
    """Of the container's process, which is crun's for a moment after the start."""
    path = pathlib.Path(f"/proc/{container.pid}/cmdline")
    until(lambda: path.read_bytes().startswith(b"/machine/monitor\0run\0"), "the monitor runs")
    return path.read_bytes().split(b"\0")


def vm_monitor_is_the_process(world):
    """Nothing of the container's is in the outer root, and its root is not the monitor's."""
    container = world.sh("sleep 100")
    container.start()
    monitor_words(container)
    root = pathlib.Path(f"/proc/{container.pid}/root")
    assert not (root / "bin").exists() and (root / "share/guest/bin/sh").exists()
    until(lambda: container.exec("true").status == 0, "it answers")
    container.delete()


def vm_size_follows_limits(world):
    config = world.config("sleep", "100")
    config["linux"]["resources"].update({"memory": {"limit": 300 << 20}, "cpu": {"quota": 150000, "period": 100000}})
    container = world.container(config)
    container.start()
    words = monitor_words(container)
    assert b"--memory=%d" % (300 << 20) in words and b"--cpus=2" in words, words
    container.delete()


TESTS = (statuses, death_by_signal, life, deleted_twice, deleted_by_pattern, force_ends_what_runs, names_are_taken,
         lists, pauses, limits_reach_the_cgroup, hooks_in_order, bundle_is_left_alone, relative_bundle,
         help_and_version, vm_features, vm_events, vm_sandbox_is_a_plain_process, vm_checkpoint_is_refused,
         vm_monitor_is_the_process, vm_size_follows_limits)
