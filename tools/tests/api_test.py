#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""api_test.py FAKE OPENAPI: asks the API of a made-up machine, and compares its answers with their description.

Each answer has to have a status that openapi.yaml lists, and a body that fits its schema there; and each
status of each operation has to be seen.
"""

import http.client
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import traceback

import jsonschema
import yaml
from prometheus_client.parser import text_string_to_metric_families

FAKE, DESCRIPTION = sys.argv[1], pathlib.Path(sys.argv[2])
SPEC = yaml.safe_load(DESCRIPTION.read_text())
NOBODY = 65534
SEEN = set()
GOOD = {"cpus": [0, 1]}
BODIES = {"/vm/cpus/{id}/affinity": GOOD, "/vm/snapshot": {"path": "/tmp/a saved machine"},
          "/vm/migrate": {"address": "unix:/tmp/there", "bandwidth": 2**40, "downtime_ms": 5, "throttle": True}}


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("vm", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)
        self.sock.settimeout(self.timeout)


class Machine:
    """A made-up machine that answers to UID."""

    def __init__(self, folder, uid=os.getuid()):
        self.socket = f"{folder}/{uid}"
        self.process = subprocess.Popen([FAKE, self.socket, str(uid)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.heard()

    def heard(self):
        assert self.process.stdout.readline() == "done\n", "the machine is gone"

    def be(self, word):
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        self.heard()

    def end(self):
        self.process.stdin.close()
        assert self.process.wait(30) == 0, f"it ended with {self.process.returncode}"

    def raw(self, data=b""):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self.socket)
        connection.settimeout(30)
        if data:
            connection.sendall(data)
        return connection

    def state(self):
        """All that requests could have changed."""
        vm = self.ask("GET", "/vm").json()
        statistics = self.ask("GET", "/vm/statistics").json()
        return vm["state"], vm["restarts"], statistics["module"]["runs"], statistics["module"]["mmu_tables"]

    def ask(self, method, path, body=None, **headers):
        connection = Connection(self.socket)
        connection.request(method, path, body, headers)
        answer = Answer(connection.getresponse())
        connection.close()
        answer.check(method, path)
        return answer


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self):
        return json.loads(self.body)

    def check(self, method, path):
        """Is it as it is described?"""
        pattern = pattern_of(path)
        operation = SPEC["paths"].get(pattern, {}).get(method.lower())
        if not operation:
            assert self.status in (403, 404, 405), f"{method} {path}: {self.status}"
            fits(self.json(), SPEC["components"]["schemas"]["Error"])
            return
        described = operation["responses"].get(str(self.status))
        assert described, f"{method} {path}: status {self.status} is not described"
        if "$ref" in described:
            described = SPEC["components"]["responses"][described["$ref"].split("/")[-1]]
        SEEN.add((pattern, method.lower(), str(self.status)))
        kind = (self.headers["Content-Type"] or "").split(";")[0]
        content = described.get("content", {})
        assert set(content) == ({kind} if kind else set()), f"{method} {path}: {kind}, described: {set(content)}"
        if kind == "application/json":
            fits(self.json(), content[kind]["schema"])
        elif not kind:
            assert self.body == b"", self.body


def pattern_of(path):
    parts = path.split("/")
    if parts[1:3] == ["vm", "cpus"] and len(parts) == 5 and parts[3].isdigit():
        parts[3] = "{id}"
    return "/".join(parts)


def fits(value, schema):
    jsonschema.Draft202012Validator(schema, resolver=jsonschema.RefResolver.from_schema(SPEC)).validate(value)


def operations():
    for pattern, methods in SPEC["paths"].items():
        for method in methods:
            body = BODIES.get(pattern)
            yield method.upper(), pattern.replace("{id}", "0"), json.dumps(body) if body else None


def expect(answer, status):
    assert answer.status == status, f"{answer.status}, not {status}: {answer.body}"


def patiently(ask):
    """Asks until the machine has noticed that others are gone: it turns away who is one too many."""
    while True:
        try:
            return ask()
        except (http.client.HTTPException, ConnectionError):
            time.sleep(0.01)


# Tests

def description_is_sound(machine):
    jsonschema.Draft202012Validator.check_schema(SPEC["components"]["schemas"])
    assert SPEC["openapi"].startswith("3.1")


def everything_succeeds(machine):
    for method, path, body in operations():
        answer = machine.ask(method, path, body)
        expect(answer, 200 if method == "GET" or path == "/vm/migrate" else 204)
    # The last but one lets it run.
    assert machine.state() == ("running", 1, 1, 1), machine.state()
    assert machine.ask("PUT", "/vm/migrate", json.dumps(BODIES["/vm/migrate"])).json()["sent"] == 12345
    migration = machine.ask("GET", "/vm/migration").json()
    assert (migration["phase"], migration["left_pages"]) == ("none", 77), migration
    expect(machine.ask("PUT", "/vm/resume"), 204)
    expect(machine.ask("PUT", "/vm/pause"), 204)
    assert machine.state()[0] == "paused"
    expect(machine.ask("PUT", "/vm/resume"), 204)
    assert machine.state()[0] == "running"


def numbers_are_right(machine):
    statistics = machine.ask("GET", "/vm/statistics").json()
    assert statistics["exits"] == [{"reason": "CPUID", "monitor": 1, "monitor_ns": 2**64 - 1, "module": 3},
                                   {"reason": "HLT", "monitor": 0, "monitor_ns": 0, "module": 2**64 - 1}]
    vm = machine.ask("GET", "/vm").json()
    assert vm["devices"][0]["name"] == '/tmp/a "strange"\\\nname' and vm["devices"][0]["read_only"]
    assert vm["cpus"][0]["affinity"] and not vm["cpus"][1]["affinity"] and vm["pid"] == machine.process.pid


def metrics_are_prometheus(machine):
    answer = machine.ask("GET", "/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    samples = {(sample.name, tuple(sorted(sample.labels.items()))): sample.value
               for family in text_string_to_metric_families(answer.body.decode()) for sample in family.samples}
    assert len(samples) == len([line for line in answer.body.splitlines() if not line.startswith(b"#")])
    assert samples["vmx_memory_bytes", ()] == 256 << 20
    assert samples["vmx_exits_total", (("by", "module"), ("reason", "CPUID"))] == 3
    assert samples["vmx_vcpu_seconds_total", (("state", "asleep"), ("vcpu", "0"))] == 7e-9
    assert samples["vmx_device_total", (("counter", "reads"), ("kind", "virtio-blk"),
                                        ("name", '/tmp/a "strange"\\\nname'))] == 3


def refusals_change_nothing(machine):
    before = machine.state()
    for word, status in (("deaf", 409), ("ending", 503), ("broken", 500), ("unknown", 504)):
        for method, path, body in operations():
            responses = SPEC["paths"][pattern_of(path)][method.lower()]["responses"]
            if str(status) in responses:
                machine.be(word)
                expect(machine.ask(method, path, body), status)
        machine.be("fine")
    assert machine.state() == before


def bodies_are_judged(machine):
    before = machine.state()
    for method, path, body in operations():
        expect(machine.ask(method, path, "x" * 8193), 413)
        if not body:
            expect(machine.ask(method, path, "{}"), 400)
    for body in ("", "{", "[]", "null", "7", '"cpus"', "{}", '{"cpus": 3}', '{"cpus": []}', '{"cpus": [1.5]}',
                 '{"cpus": ["1"]}', '{"cpus": [-1]}', '{"cpus": [1024]}', '{"cpus": [99999999999999999999]}',
                 '{"cpus": [0], "more": 1}', '{"cpus": [0]} {}', '{"cpus": [0x0]}', '{"cpus": [0],}',
                 '{"cpus": [[[[[[0]]]]]]}', '{"cpus": [1023]}', f'{{"cpus": [{"0, " * 1100}0]}}', "[" * 8192, b"\xff\xfe", '{"cpus": [0]}\0'):
        answer = machine.ask("PUT", "/vm/cpus/0/affinity", body)
        assert answer.status == 400, f"{body[:40]}: {answer.status}"
    expect(machine.ask("PUT", "/vm/cpus/2/affinity", json.dumps(GOOD)), 404)
    expect(machine.ask("PUT", "/vm/cpus/99999999999999999999/affinity", json.dumps(GOOD)), 404)
    for body in ("", "[]", "{}", '{"path": 3}', '{"path": ""}', '{"path": "saved"}', '{"path": "/a\\u0000b"}',
                 '{"path": "/a", "more": 1}', f'{{"path": "/{"a" * 4096}"}}', '{"path": "/another"}'):
        answer = machine.ask("PUT", "/vm/snapshot", body)
        assert answer.status == 400, f"{body[:40]}: {answer.status}"
    for body in ("", "[]", "{}", '{"address": 3}', '{"address": "a", "more": 1}', '{"address": "a", "bandwidth": -1}',
                 '{"address": "a", "downtime_ms": 4294967296}', '{"address": "a", "throttle": 1}',
                 '{"address": "unix:/tmp/there", "compress": true}', '{"address": "tcp:a:1", "tls_creds": "keys"}',
                 '{"address": "tcp:a:1", "tls_creds": "/keys", "tls_hostname": ""}', '{"address": "a\\u0000b"}'):
        answer = machine.ask("PUT", "/vm/migrate", body)
        assert answer.status == 400, f"{body[:40]}: {answer.status}"
    assert machine.state() == before
    expect(machine.ask("PUT", "/vm/cpus/1/affinity", ' {"cpus" : [ 3 ]}\n'), 204)


def paths_and_methods(machine):
    before = machine.state()
    for path in ("/", "/vm/", "/vmx", "/vm/cpus", "/vm/cpus//affinity", "/vm/cpus/x/affinity", "/vm/pause/now",
                 "/vm/../metrics", "/%00"):
        expect(machine.ask("GET", path), 404)
    for method, path, _ in operations():
        for other in ("GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "BREW"):
            if other != method:
                answer = machine.ask(other, path)
                expect(answer, 405)
                assert answer.headers["Allow"] == method
    assert machine.state() == before


def others_are_refused(machine):
    """A process of another user, if we can be one; else the machine takes us for one."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        stranger = Machine(folder, os.getuid() if os.getuid() == 0 else os.getuid() + 1)
        ours, theirs = os.pipe()
        child = os.fork()
        if not child:
            if os.getuid() == 0:
                os.setuid(NOBODY)
            try:
                seen = []
                for method, path, body in operations():
                    expect(stranger.ask(method, path, body), 403)
                    seen.append([pattern_of(path), method.lower(), "403"])
                expect(stranger.ask("GET", "/nothing"), 403)
                os.write(theirs, json.dumps(seen).encode())
            except BaseException:
                os.write(theirs, traceback.format_exc().encode())
            os._exit(0)
        os.close(theirs)
        os.waitpid(child, 0)
        with open(ours) as pipe:
            said = pipe.read()
        assert said.startswith("["), said
        SEEN.update(map(tuple, json.loads(said)))
        if os.getuid() == 0:
            assert stranger.state() == ("running", 0, 0, 0)
        stranger.end()


def clients_that_vanish(machine):
    before = machine.state()
    whole = b"PUT /vm/cpus/0/affinity HTTP/1.1\r\nHost: vm\r\nContent-Length: 13\r\n\r\n" b'{"cpus": [0]}'
    for length in range(len(whole) - 1):
        machine.raw(whole[:length]).close()
    assert patiently(machine.state) == before
    # One that is gone before its answer: what it asked for is done.
    machine.be("slow")
    client = machine.raw(b"PUT /vm/pause HTTP/1.1\r\nHost: vm\r\n\r\n")
    machine.be("wait")
    # Meanwhile others are served.
    assert machine.state()[0] == before[0]
    client.close()
    machine.be("fine")
    while machine.state()[0] != "paused":
        pass
    assert machine.state() == ("paused", *before[1:])
    expect(machine.ask("PUT", "/vm/resume"), 204)
    # One that does not read its answers.
    client = machine.raw()
    client.settimeout(0.2)
    try:
        while True:
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: vm\r\n\r\n" * 100)
    except TimeoutError:
        pass
    assert machine.state() == before
    client.close()


def answer_to(machine, data):
    """The status of what comes for DATA, 0 for a closed connection."""
    client = machine.raw()
    try:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        got = client.recv(65536)
    except (BrokenPipeError, ConnectionResetError):
        got = b""
    client.close()
    return int(got.split()[1]) if got.startswith(b"HTTP/1.1 ") else 0


def nonsense_is_refused(machine):
    before = machine.state()
    for data in (b"\r\n" * 1000, b"\0" * 100, b"GET\r\n\r\n", b"GET /vm\r\n\r\n", b"PUT /vm/pause HTTP/9.9\r\n\r\n",
                 b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"PUT /vm/pause HTTP/1.1\r\nHost: vm\r\n"
                 b"Content-Length: -1\r\n\r\n", b"PUT /vm/pause HTTP/1.1\r\nHost: vm\r\nContent-Length: x\r\n\r\n",
                 b"PUT /vm/pause HTTP/1.1\r\nHost: vm\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                 b"PUT /vm/pause HTTP/1.1\r\nX: " + b"a" * 70000 + b"\r\n\r\n"):
        status = answer_to(machine, data)
        assert status == 0 or 400 <= status < 600, f"{data[:60]}: {status}"
    chunk = b"1000\r\n" + b"x" * 4096 + b"\r\n"
    head = b"PUT /vm/cpus/0/affinity HTTP/1.1\r\nHost: vm\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert answer_to(machine, head + 3 * chunk + b"0\r\n\r\n") == 413
    assert answer_to(machine, head + 300 * chunk + b"0\r\n\r\n") == 0
    assert machine.state() == before


def connections_are_limited(machine):
    clients = [machine.raw() for _ in range(40)]
    closed = 0
    for client in clients:
        try:
            client.sendall(b"GET /vm HTTP/1.1\r\nHost: vm\r\n\r\n")
            closed += not client.recv(1)
        except (BrokenPipeError, ConnectionResetError):
            closed += 1
    assert closed == 24, f"{40 - closed} are served"
    for client in clients:
        client.close()
    patiently(machine.state)


def answers_come_at_the_end(machine):
    with tempfile.TemporaryDirectory() as folder:
        ending = Machine(folder)
        ending.be("slow")
        client = ending.raw(b"PUT /vm/pause HTTP/1.1\r\nHost: vm\r\n\r\n")
        ending.be("wait")
        ending.end()
        assert client.recv(65536).startswith(b"HTTP/1.1 204 ")
        client.close()


def connections_are_kept(machine):
    connection = Connection(machine.socket)
    for _ in range(100):
        connection.request("GET", "/vm")
        expect(Answer(connection.getresponse()), 200)
    connection.close()


def all_statuses_were_seen(machine):
    described = {(pattern, method, status) for pattern, methods in SPEC["paths"].items()
                 for method, operation in methods.items() for status in operation["responses"]}
    assert described == SEEN, f"not seen: {sorted(described - SEEN)}"


TESTS = (description_is_sound, everything_succeeds, numbers_are_right, metrics_are_prometheus,
         refusals_change_nothing, bodies_are_judged, paths_and_methods, others_are_refused, clients_that_vanish,
         nonsense_is_refused, connections_are_limited, answers_come_at_the_end, connections_are_kept,
         all_statuses_were_seen)


def main():
    good = True
    print(f"TAP version 13\n1..{len(TESTS)}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(folder)
        for number, test in enumerate(TESTS, 1):
            try:
                test(machine)
                print(f"ok {number} api.{test.__name__}", flush=True)
            except Exception:
                print("".join(f"# {line}\n" for line in traceback.format_exc().splitlines()), end="")
                print(f"not ok {number} api.{test.__name__}", flush=True)
                good = False
        machine.end()
    return 0 if good else 1


sys.exit(main())
