# SPDX-License-Identifier: GPL-2.0
"""What fails, what is said, and that nothing is left behind."""

import json
import os
import pathlib
import signal
import subprocess

from world import kill, until


def refused(world, change, *texts):
    """A container whose configuration CHANGE spoils: create fails with each of TEXTS, and leaves nothing."""
    config = world.config("true")
    change(config)
    container = world.container(config)
    result = container.call("create", "--bundle", container.bundle, container.id, check=1)
    message = container.messages()[-1]
    assert message["level"] == "error" and {"msg", "level", "time"} == set(message), message
    for text in texts:
        assert text in result.err and text in message["msg"], (text, result, message)
    assert not world.left(), world.left()


def programs_that_cannot_run(world):
    """podman makes exit codes of these texts."""
    (world.rootfs / "loop").symlink_to("loop")
    for word, text in (("no-such-program", "executable file `no-such-program` not found in $PATH"),
                       ("/bin/no-such-program", "No such file or directory"),
                       ("/etc/not-executable", "Permission denied"), ("/bin", "Operation not permitted"),
                       ("/bin/sh/x", "No"), ("../../bin/none", "No such file or directory")):
        refused(world, lambda config, word=word: config["process"].update(args=[word]), text)
    refused(world, lambda config: config["process"].update(args=[]), "Invalid argument")
    (world.rootfs / "loop").unlink()


def programs_behind_links_and_mounts(world):
    container = world.container(world.config("true"))
    place = container.bundle / "programs"
    place.mkdir()
    (place / "run-me").write_text("#!/bin/sh\necho found\n")
    (place / "run-me").chmod(0o755)
    (world.rootfs / "absolute").symlink_to("/there/run-me")
    (world.rootfs / "bin/relative").symlink_to("../absolute")
    for word in ("/there/run-me", "/absolute", "relative", "/there/../absolute"):
        config = world.config(word)
        config["mounts"].append({"destination": "/there", "type": "bind", "source": str(place), "options": ["bind"]})
        container = world.container(config)
        assert container.out() == "found\n", word
    for path in ("absolute", "bin/relative"):
        (world.rootfs / path).unlink()
    (world.rootfs / "there").rmdir()


def configurations_that_are_wrong(world):
    refused(world, lambda config: config["root"].update(path="/no/such/root"), "No such file or directory")
    refused(world, lambda config: config["mounts"].append(
        {"destination": "/x", "type": "bind", "source": "/no/such/source", "options": ["bind"]}),
        "No such file or directory")
    assert "Usage" in world.sh("true").call("create", "--help", check=0).out
    container = world.sh("true")
    (container.bundle / "config.json").write_text("{ \"ociVersion\": ")
    assert container.call("create", "--bundle", container.bundle, container.id).status == 1
    (container.bundle / "config.json").unlink()
    assert "config.json" in container.call("create", "--bundle", container.bundle, container.id, check=1).err
    assert container.call("create", "--bundle", "/no/bundle", container.id, check=1).err
    for name in ("", "a/b", "../up"):
        assert container.call("create", "--bundle", container.bundle, name).status != 0, name


def hook_that_fails(world):
    def change(config):
        config["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", "exit 3"]}]}
    config = world.config("true")
    change(config)
    container = world.container(config)
    result = container.call("create", "--bundle", container.bundle, container.id)
    assert result.status, result
    assert not world.left(), world.left()


def process_killed(world):
    """By somebody on this computer, as the out-of-memory killer does it."""
    container = world.sh("sleep 1000")
    container.start()
    kill(container.pid)
    assert container.wait() == 128 + signal.SIGKILL
    assert container.status() == "stopped"
    assert container.exec("true").status == 1
    assert container.call("kill", container.id, "9").status == 1
    container.call("delete", container.id, check=0)


def vm_machine_killed(world):
    """The agent of the stand-in is killed, as a guest that panics ends: the container says so, and nothing stays."""
    container = world.sh("sleep 1000")
    errors = container.bundle / "errors"
    with open(errors, "wb") as file:
        container.start(out=file)
    until(lambda: container.exec("true").status == 0, "it answers")
    agent = next(pid for pid in container_pids(container) if
                 pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"/init"))
    kill(agent)
    assert container.wait() == 128 + signal.SIGKILL
    assert "has ended before the container" in errors.read_text()
    assert container.status() == "stopped"
    container.delete()


def container_pids(container):
    return json.loads(container.call("ps", "--format", "json", container.id, check=0).out)


def vm_refusals(world):
    """What a VM cannot have is refused when the container is made."""
    def listener(config):
        config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/listener"}

    def users(config):
        config["linux"]["namespaces"].append({"type": "user", "path": "/proc/self/ns/user"})

    refused(world, listener, "listenerPath")
    refused(world, users, "user namespace by path")
    container = world.sh("true")
    result = container.call("create", "--bundle", container.bundle, "--preserve-fds", "2", container.id, check=1)
    assert "descriptors cannot go into a VM" in result.err


def vm_state_is_lost(world):
    """Without it nobody knows that there is a VM: an exec must not land beside its monitor."""
    container = world.sh("sleep 100")
    container.start()
    state = world.root / ".vmx" / container.id
    state.rename(world.root / ".vmx/away")
    assert "has lost" in container.exec("true", check=1).err
    (world.root / ".vmx/away").rename(state)
    container.delete()


def vm_create_that_was_cut_off(world):
    """The folder that a killed vmxoci left: the next create takes the name, the next delete clears it away."""
    for command in (("delete", "--force"), ("create",)):
        container = world.sh("sleep 100")
        left = world.root / ".vmx" / container.id
        (left / "root/deep/er").mkdir(parents=True)
        (left / "outer.json").write_text("half")
        if command[0] == "create":
            container.start()
            assert container.status() == "running"
        container.delete()
        assert not left.exists()


def vm_killed_while_it_creates(world):
    """At any time: whatever was there, delete --force removes it."""
    for delay in range(0, 40, 4):
        container = world.sh("sleep 100")
        process = subprocess.Popen(container.words("create", "--bundle", container.bundle, container.id),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(delay / 1000)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        # crun may still be at work; who deletes then deletes again.
        until(lambda: not delete(container) and not reap() and not world.left(), "nothing is left")


def delete(container):
    container.call("delete", "--force", container.id)


def reap():
    """Ends of orphans; False."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
    return False


def process_ends_while_others_start(world):
    """A container whose process ends at once, while it is asked for others."""
    for _ in range(5):
        container = world.sh("exit 3")
        container.start()
        result = container.exec("true")
        assert result.status in (0, 1, 126, 137, 255), result
        assert container.wait() == 3
        container.delete()


TESTS = (programs_that_cannot_run, programs_behind_links_and_mounts, configurations_that_are_wrong, hook_that_fails,
         process_killed, vm_machine_killed, vm_refusals, vm_create_that_was_cut_off,
         vm_state_is_lost, vm_killed_while_it_creates, process_ends_while_others_start)
