"""Conversations with a broker: frames and the answers to them, as JSON. The codec is `verdict wire`.

A conversation is a list of steps on one connection:
  {"api", "version", "request": {...}, "answer": {...} | "none" | "closed"}
  {"frame": hex, "api", "version", "answer": ...}    bytes that no encoder makes; api and version say how to read
      the answer
  {"await": topic} / {"await_gone": topic}           until the broker serves the topic, or has forgotten it
  {"id_of": topic}                                   binds the topic's id
  {"until_ready": step}                              until its answer is none of NOT_YET
  {"await_feature": name, "level": 2}                until the broker knows that this level is finalized
  {..., "as": "b"}                                   on a connection of its own, one a name
  {..., "as": "b", "later": True} ... {"answer_to": "b"}    the answer is taken by a step of its own
  {..., "retry": [51]}                               again until no error code or state in the answer is among these
In a stage of several brokers ("@brokers"), also
  {..., "to": 2}                                     asked of that broker, not of 1
  {"await_leader": topic, "leader", "isr", "at": [1, 2, 3]}    until these brokers know it and the leader serves
  {"stop": 2} / {"start": 2}                         in order, and until it has ended / serves

Values that each cluster draws for itself are bound, not masked: the first topic id that a conversation sees is
`$topicId1` from then on, in requests, answers and messages, and two names never mean one value.
"""

import base64
import json
import pathlib
import re
import select
import socket
import struct
import subprocess
import time

from batches import CONTROL, TRANSACTIONAL, batch

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT / "tests/data/interop"
CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg"
ZERO_ID = "AAAAAAAAAAAAAAAAAAAAAA"
APIS = """
    Produce Fetch ListOffsets Metadata ApiVersions CreateTopics DeleteTopics InitProducerId OffsetForLeaderEpoch
    DescribeConfigs UpdateFeatures DescribeCluster FindCoordinator JoinGroup SyncGroup Heartbeat LeaveGroup OffsetCommit
    OffsetFetch OffsetDelete DeleteGroups DescribeGroups ListGroups AddPartitionsToTxn AddOffsetsToTxn EndTxn
    TxnOffsetCommit WriteTxnMarkers DescribeProducers ListTransactions DescribeTransactions ConsumerGroupHeartbeat
    ConsumerGroupDescribe
""".split()
MESSAGES = {name: json.loads((ROOT / f"protocol/wire/messages/{name}Request.json").read_text()) for name in APIS}
KEYS = {name: message["key"] for name, message in MESSAGES.items()}
FLEXIBLE = {
    name: 99 if message["flexible"] == "none" else int(message["flexible"].rstrip("+"))
    for name, message in MESSAGES.items()
}

# ---- what is not compared: the whole list, each with its reason ----

# Drawn by each cluster: bound to a name at first sight, and compared with the name from then on.
BOUND = {"topicId", "sessionId", "port"}
# The ids that coordinators give to members: what stands before the UUID is part of the name, and so compared.
MEMBER_ID = re.compile(r"(.*)-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Those of members of consumer groups that bring none.
DRAWN_ID = re.compile(r"[A-Za-z0-9_-]{22}")
# A clock's reading: any time of the last hour.
CLOCKS = {"logAppendTimeMs", "transactionStartTimeMs", "lastTimestamp"}
# The number of records in a cluster's metadata log: any number >= 0.
COUNTS = {"finalizedFeaturesEpoch"}
# Lists in the order of a Java hash map, and DeleteTopics' answers, which Kafka shuffles: compared as sorted by this
# key.
UNORDERED = {
    ("DescribeConfigs", "configs"): "name",
    ("CreateTopics", "configs"): "name",
    ("DescribeConfigs", "results"): "resourceName",
    ("DeleteTopics", "responses"): "name",
    ("ListOffsets", "partitions"): "partitionIndex",
    ("Produce", "responses"): "name",
    ("Produce", "partitionResponses"): "index",
    ("Metadata", "partitions"): "partitionIndex",
    ("ApiVersions", "supportedFeatures"): "name",
    ("ApiVersions", "finalizedFeatures"): "name",
    ("JoinGroup", "members"): "metadata",
    ("DescribeGroups", "members"): ("memberMetadata", "memberAssignment"),
    ("DescribeGroups", "groups"): "groupId",
    ("ListGroups", "groups"): "groupId",
    ("DeleteGroups", "results"): "groupId",
    ("OffsetFetch", "groups"): "groupId",
    **{(api, "topics"): "name" for api in ("OffsetCommit", "OffsetFetch", "OffsetDelete", "TxnOffsetCommit")},
    **{
        (api, "partitions"): "partitionIndex"
        for api in ("OffsetCommit", "OffsetFetch", "OffsetDelete", "TxnOffsetCommit")
    },
    ("ListTransactions", "transactionStates"): "transactionalId",
    ("ListTransactions", "unknownStateFilters"): None,
    ("DescribeProducers", "activeProducers"): ("lastSequence", "currentTxnStartOffset"),
    ("DescribeTransactions", "topics"): "topic",
    ("DescribeTransactions", "partitions"): None,
    ("DescribeTransactions", "transactionStates"): "transactionalId",
    ("AddPartitionsToTxn", "resultsByTopicV3AndBelow"): "name",
    ("AddPartitionsToTxn", "topicResults"): "name",
    ("AddPartitionsToTxn", "resultsByPartition"): "partitionIndex",
    ("AddPartitionsToTxn", "resultsByTransaction"): "transactionalId",
    ("ConsumerGroupHeartbeat", "topicPartitions"): "partitions",
    ("ConsumerGroupHeartbeat", "partitions"): None,
    ("ConsumerGroupDescribe", "groups"): "groupId",
    ("ConsumerGroupDescribe", "members"): "memberId",
    ("ConsumerGroupDescribe", "topicPartitions"): "topicName",
    ("ConsumerGroupDescribe", "partitions"): None,
    ("ConsumerGroupDescribe", "subscribedTopicNames"): None,
    ("WriteTxnMarkers", "topics"): "name",
    ("WriteTxnMarkers", "partitions"): "partitionIndex",
}
# The broker's clock within a sentence.
CLOCK_SENTENCE = re.compile(r"(timestamp should be within) \[-?\d+, -?\d+\]")
# ApiVersions names what a broker serves: of Kafka's answer only the APIs and features that we serve are kept.
SERVED_FEATURES = {"group.version", "metadata.version", "transaction.version"}
# COORDINATOR_LOAD_IN_PROGRESS and COORDINATOR_NOT_AVAILABLE: clients ask again.
NOT_YET = {14, 15}
# Prose of Kafka's own manual: whether there is one is compared, not its words.
PROSE = {"documentation"}


class Fault(Exception):
    pass


class Codec:
    def __init__(self, program):
        self.process = subprocess.Popen(
            [program, "wire"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def convert(self, line):
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer.startswith("{"):
            raise Fault(f"verdict wire: {answer.strip()}: {json.dumps(line)[:300]}")
        return json.loads(answer)

    def encode(self, name, version, value):
        return bytes.fromhex(self.convert({"name": name, "version": version, "value": value})["hex"])

    def decode(self, name, version, body):
        return self.convert({"name": name, "version": version, "hex": body.hex()})["value"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class Connection:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.next_id = 1

    def send(self, frame):
        self.socket.sendall(struct.pack(">i", len(frame)) + frame)

    def take(self, size):
        data = b""
        while len(data) < size:
            try:
                more = self.socket.recv(size - len(data))
            except ConnectionError:
                more = b""
            if not more:
                return None
            data += more
        return data

    def receive(self):
        """The next frame, or None at the end of the connection."""
        head = self.take(4)
        return head and self.take(struct.unpack(">i", head)[0])

    def silent(self, seconds):
        return not select.select([self.socket], [], [], seconds)[0]

    def close(self):
        self.socket.close()


def request_header(api, version, correlation, client="verdict", key=None):
    flexible = version >= FLEXIBLE.get(api, 0)
    name = struct.pack(">h", -1) if client is None else struct.pack(">h", len(client)) + client.encode()
    return (
        struct.pack(">hhi", KEYS[api] if key is None else key, version, correlation)
        + name
        + (b"\0" if flexible else b"")
    )


class Names:
    """Values bound to names, both ways."""

    def __init__(self, **known):
        self.value_of = dict(known)

    def name_of(self, value):
        return next(
            (name for name, known in self.value_of.items() if known == value and type(known) is type(value)), None
        )

    def bind(self, kind, value):
        name = self.name_of(value)
        if name is None:
            name = f"{kind}{1 + sum(known.startswith(kind) for known in self.value_of)}"
            self.value_of[name] = value
        return "$" + name

    def fill(self, value):
        """Names to values, in a request."""
        if isinstance(value, dict):
            return {key: self.fill(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.fill(item) for item in value]
        if isinstance(value, str) and value.startswith("$"):
            return self.value_of[value[1:]]
        if isinstance(value, str) and value.startswith("@batch "):
            return self.batch(*value.split()[1:])
        return value

    def batch(self, producer, epoch, sequence, *values):
        """Of "@batch PRODUCER EPOCH SEQUENCE VALUE...": a transaction's records, the id as the cluster drew it."""
        return batch(
            *values,
            producer=int(self.fill(producer)),
            producer_epoch=int(epoch),
            sequence=int(sequence),
            attributes=TRANSACTIONAL,
        )

    def named(self, text):
        text = CLOCK_SENTENCE.sub(r"\1 [@time, @time]", text)
        for name, value in self.value_of.items():
            if isinstance(value, str) and len(value) > 8:
                text = text.replace(value, "$" + name)
            elif name.startswith("port"):
                text = re.sub(rf"\b127\.0\.0\.1:{value}\b", f"127.0.0.1:${name}", text)
        return text


def masked_batches(data):
    """LogAppendTime batches carry the broker's clock: their largest timestamp, and with it the checksum,
    are blanked; of transactional ones the producer's id, and of markers all timestamps."""
    data, at = bytearray(data), 0
    while at + 61 <= len(data):
        if data[at + 16] == 2 and data[at + 22] & 8:
            data[at + 17 : at + 21] = bytes(4)
            data[at + 35 : at + 43] = bytes(8)
        if data[at + 16] == 2 and data[at + 22] & TRANSACTIONAL:
            data[at + 17 : at + 21] = bytes(4)
            data[at + 43 : at + 51] = bytes(8)
            if data[at + 22] & CONTROL:
                data[at + 27 : at + 43] = bytes(16)
        at += 12 + struct.unpack_from(">i", data, at + 8)[0]
    return bytes(data)


def canonical(api, value, names, key=None):
    """The answer as it is kept and compared."""
    if isinstance(value, dict):
        return {name: canonical(api, item, names, name) for name, item in value.items()}
    if isinstance(value, list):
        if api == "ApiVersions" and key == "apiKeys":
            value = [item for item in value if item["apiKey"] in KEYS.values()]
        if api == "ApiVersions" and key in ("supportedFeatures", "finalizedFeatures"):
            value = [item for item in value if item["name"] in SERVED_FEATURES]
        if key == "configs":
            value = [item for item in value if item["name"] not in unserved(api)]
        if (api, key) in UNORDERED:
            by = UNORDERED[api, key]
            by = (by,) if isinstance(by, str) else by
            value = sorted(value, key=lambda item: str([item.get(one) for one in by] if by else item))
        if api == "Metadata" and key == "topics":
            names.value_of.setdefault("sorted", False)
            if names.value_of["sorted"]:
                value = sorted(value, key=lambda item: item["name"] or "")
        return [canonical(api, item, names, key) for item in value]
    if key in BOUND and value not in (0, -1, ZERO_ID, None):
        return names.bind(key, value)
    if key == "producerId" and value >= 0:
        return names.bind(key, value)
    if key in ("memberId", "leader") and (drawn := MEMBER_ID.fullmatch(value or "")):
        return names.bind(f"{drawn[1]}Member", value)
    if key == "memberId" and DRAWN_ID.fullmatch(value or ""):
        return names.bind("drawnMember", value)
    if key in CLOCKS and value != -1:
        return "@time" if abs(time.time() * 1000 - value) < 3_600_000 else value
    if key in COUNTS and value >= 0:
        return "@count"
    if key in PROSE and value:
        return "@prose"
    if key == "records" and value:
        return base64.b64encode(masked_batches(base64.b64decode(value))).decode()
    return names.named(value) if isinstance(value, str) else value


UNSERVED = {}


def unserved(api):
    """Configs of Kafka's that this build doesn't implement (tests/data/interop/unserved_configs.json)."""
    if not UNSERVED:
        path = DATA / "unserved_configs.json"
        UNSERVED["names"] = set(json.loads(path.read_text())) if path.exists() else set()
    return UNSERVED["names"]


def lowered(name):
    return name[0].lower() + name[1:]


class Shapes:
    """Requests written with the fields that matter: the rest get their defaults, what a version lacks is dropped."""

    def fill(self, api, version, value):
        return self.struct(MESSAGES[api]["fields"], version, value)

    def struct(self, fields, version, value):
        names = {lowered(field["name"]) for field in fields}
        if set(value) - names:
            raise Fault(f"no such fields: {set(value) - names}")
        return {
            lowered(field["name"]): self.field(field, version, value.get(lowered(field["name"]), Shapes))
            for field in fields
            if has(field["versions"], version)
        }

    def field(self, field, version, value):
        kind = field["type"]
        if value is Shapes:
            if "fields" in field and not kind.startswith("[]"):
                return self.struct(field["fields"], version, {})
            return default(field)
        if "fields" in field and kind.startswith("[]") and value is not None:
            return [self.struct(field["fields"], version, item) for item in value]
        if "fields" in field and value is not None:
            return self.struct(field["fields"], version, value)
        return value


def has(versions, version):
    low, _, high = versions.partition("-")
    if versions.endswith("+"):
        return version >= int(versions[:-1])
    return int(low) <= version <= int(high or low)


def default(field):
    kind, given = field["type"], field.get("default")
    if given == "null":
        return None
    if kind.startswith("[]"):
        return []
    if kind == "bool":
        return given in ("true", True)
    if kind == "string":
        return given or ""
    if kind == "uuid":
        return ZERO_ID
    return int(given, 0) if isinstance(given, str) else given or 0


class Player:
    """Plays conversations against one broker."""

    def __init__(self, codec, nodes):
        self.codec, self.nodes = codec, nodes
        self.shapes = Shapes()
        self.connections = {}

    def start(self):
        self.names = Names(directory=str(self.nodes.folder))
        for i, port in enumerate(self.nodes.known_ports()):
            self.names.value_of[f"port{i + 1}"] = port
        self.end()

    def end(self):
        for connection in self.connections.values():
            connection.close()
        self.connections = {}
        self.waiting = {}

    def connection(self, broker=1, name=None):
        key = name or broker
        if key not in self.connections:
            self.connections[key] = Connection(self.nodes.ports[broker])
        return self.connections[key]

    def ask(self, api, version, value, connection=None):
        """The answer as it came, decoded."""
        answer = self.exchange(
            {"api": api, "version": version, "request": self.shapes.fill(api, version, value)},
            connection or self.connection(),
        )
        return answer

    def exchange(self, step, connection):
        self.send(step, connection)
        return self.receive(step, connection)

    def send(self, step, connection):
        if "frame" in step:
            connection.send(bytes.fromhex(step["frame"]))
            return
        api, version = step["api"], step["version"]
        body = self.codec.encode(api + "Request", version, self.names.fill(step["request"]))
        connection.send(request_header(api, version, connection.next_id) + body)
        connection.next_id += 1

    def receive(self, step, connection):
        api, version = step["api"], step["version"]
        if step.get("quiet") and connection.silent(0.3):
            return "none"
        frame = connection.receive()
        if frame is None:
            return "closed"
        if "frame" not in step and struct.unpack_from(">i", frame)[0] != connection.next_id - 1:
            raise Fault("the answer has another correlation id")
        version = step.get("answer_version", version)
        tagged = version >= FLEXIBLE[api] and api != "ApiVersions"
        if tagged and frame[4] != 0:
            raise Fault("tags in the response header")
        return self.codec.decode(api + "Response", version, frame[4 + tagged :])

    def step(self, step):
        """The canonical answer to a step; None for one that only waits."""
        if "id_of" in step:
            found = self.ask("Metadata", 12, {"topics": [{"name": step["id_of"]}]})["topics"][0]
            self.names.bind("topicId", found["topicId"])
            return None
        if "until_ready" in step:
            return self.wait_until_ready(step["until_ready"])
        if "await_feature" in step:
            return self.wait_for_feature(step["await_feature"], step["level"])
        if "await" in step or "await_gone" in step:
            return self.wait(step)
        if "await_leader" in step:
            return self.wait_for_leader(step)
        if "stop" in step or "start" in step:
            broker = step.get("stop") or step["start"]
            if broker in self.connections:
                self.connections.pop(broker).close()
            return self.nodes.stop(broker) if "stop" in step else self.nodes.start(broker)
        self.names.value_of["sorted"] = step.get("sorted", False)
        if "answer_to" in step:
            step, connection = self.waiting.pop(step["answer_to"])
            answer = self.receive(step, connection)
        else:
            broker = step.get("as", step.get("to", 1))
            connection = self.connection(step.get("to", 1), step.get("as"))
            if step.get("later"):
                return self.leave_waiting(step, connection)
            answer = self.repeat(step, connection) if "retry" in step else self.exchange(step, connection)
            if answer == "closed":
                self.connections.pop(broker).close()
        return answer if isinstance(answer, str) else canonical(step["api"], answer, self.names)

    def leave_waiting(self, step, connection):
        """A moment passes, in which the broker must not answer: what comes next finds the request there."""
        self.send(step, connection)
        self.waiting[step["as"]] = (step, connection)
        if not connection.silent(0.2):
            raise Fault(f"answered at once: {self.receive(step, connection)}")

    def repeat(self, step, connection):
        answer = None

        def done():
            nonlocal answer
            answer = self.exchange(step, connection)
            return isinstance(answer, str) or not set(outcomes(answer)) & set(step["retry"])

        until(done, lambda: f"{step}: {short(answer)}", 15, 0.02)
        return answer

    def wait_until_ready(self, step):
        def ready():
            answer = self.ask(step["api"], step["version"], step["request"])
            errors = {answer.get("errorCode", 0)} | {one["errorCode"] for one in answer.get("coordinators", ())}
            return not errors & NOT_YET

        until(ready, lambda: step, 15, 0.05)

    def wait_for_feature(self, name, level):
        asked = {"clientSoftwareName": "a", "clientSoftwareVersion": "b"}

        def known():
            found = self.ask("ApiVersions", 4, asked)["finalizedFeatures"]
            return level in [one["maxVersionLevel"] for one in found if one["name"] == name]

        until(known, lambda: f"{name}={level}", 15, 0.05)

    def wait(self, step):
        topic = self.names.fill(step.get("await") or step["await_gone"])
        connection = Connection(self.nodes.ports[1])
        try:
            until(lambda: self.settled(connection, topic, "await_gone" in step), lambda: topic, 15, 0.01)
        finally:
            connection.close()

    def wait_for_leader(self, step):
        until(lambda: all(self.follows(broker, step) for broker in step["at"]), lambda: step, 30, 0.05)
        time.sleep(0.3)  # Kafka's Metadata answers are a moment ahead of its partitions

    def follows(self, broker, step):
        asked = {"topics": [{"name": step["await_leader"]}], "allowAutoTopicCreation": False}
        found = self.ask("Metadata", 9, asked, self.connection(broker))["topics"][0]["partitions"]
        if not found or found[0]["leaderId"] != step["leader"] or sorted(found[0]["isrNodes"]) != step["isr"]:
            return False
        if broker != step["leader"]:
            return True
        asked = [{"partitionIndex": 0, "timestamp": -1}]
        ends = self.ask(
            "ListOffsets",
            7,
            {"replicaId": -1, "topics": [{"name": step["await_leader"], "partitions": asked}]},
            self.connection(broker),
        )
        return ends["topics"][0]["partitions"][0]["errorCode"] == 0

    def settled(self, connection, topic, gone):
        asked = {"topics": [{"name": topic}], "allowAutoTopicCreation": False}
        found = self.ask("Metadata", 9, asked, connection)["topics"][0]
        if gone:
            return found["errorCode"] == 3
        parts = found["partitions"]
        if found["errorCode"] or not parts or any(part["errorCode"] for part in parts):
            return False
        asked = [{"partitionIndex": part["partitionIndex"], "timestamp": -1} for part in parts]
        ends = self.ask(
            "ListOffsets", 7, {"replicaId": -1, "topics": [{"name": topic, "partitions": asked}]}, connection
        )
        return all(part["errorCode"] == 0 for part in ends["topics"][0]["partitions"])


def until(check, what, seconds, pause):
    """Checks again and again; what() is what was waited for in vain."""
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            raise Fault(f"waited {seconds} s for {what()}")
        time.sleep(pause)


def outcomes(value, key=None):
    """All error codes and states of an answer."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from outcomes(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from outcomes(item, key)
    elif key in ("errorCode", "partitionErrorCode", "transactionState", "groupState"):
        yield value


def differences(expected, actual, path=""):
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key in sorted(expected.keys() | actual.keys()):
            if key not in expected or key not in actual:
                yield f"{path}.{key}: {'missing' if key in expected else 'unexpected'}"
            else:
                yield from differences(expected[key], actual[key], f"{path}.{key}")
    elif isinstance(expected, list) and isinstance(actual, list):
        if len(expected) != len(actual):
            yield f"{path}: {len(expected)} expected, {len(actual)} given: {short(expected)} / {short(actual)}"
        for i, (one, other) in enumerate(zip(expected, actual)):
            yield from differences(one, other, f"{path}[{i}]")
    elif expected != actual or type(expected) is not type(actual):
        yield f"{path}: {short(expected)} expected, {short(actual)} given"


def short(value):
    text = json.dumps(value)
    return text if len(text) <= 600 else text[:600] + "…"
