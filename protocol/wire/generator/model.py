"""Reads messages/*.json into the form that the emitters want: versions as bit sets, C++ names, least encoded sizes."""

import json
import re
from pathlib import Path

NO_VERSION = 32767
PRIMITIVES = {  # type: (C++ type, least bytes on the wire)
    "bool": ("bool", 1), "int8": ("std::int8_t", 1), "int16": ("std::int16_t", 2), "uint16": ("std::uint16_t", 2),
    "int32": ("std::int32_t", 4), "int64": ("std::int64_t", 8), "float64": ("double", 8), "uuid": ("Uuid", 16),
    "string": ("std::string_view", None), "bytes": ("Bytes", None), "records": ("Records", None),
}
KEYWORDS = {"auto", "bool", "char", "class", "const", "default", "delete", "double", "enum", "explicit", "export",
            "float", "for", "int", "long", "namespace", "new", "operator", "private", "protected", "public", "register",
            "requires", "short", "static", "struct", "switch", "template", "this", "typename", "union", "using",
            "virtual", "void"}
RESERVED = {"message_name", "message_kind", "api_key", "lowest_version", "highest_version", "first_flexible_version",
            "info"}
KINDS = {"request": "request", "response": "response", "header": "header", "metadata": "metadata_record",
         "coordinator-key": "coordinator_key", "coordinator-value": "coordinator_value", "data": "data"}
RECORD_GROUPS = {"group-coordinator": "group_records", "share-coordinator": "share_records",
                 "transaction-coordinator": "transaction_records"}


def snake(name):
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()


def camel(name):
    return name[0].lower() + name[1:]


def versions(text, top):
    """The bit set of "none", "3", "3-7", "3+" or a comma-separated list of them, up to version `top`."""
    bits = 0
    if text == "none":
        return bits
    for part in text.split(","):
        part = part.strip()
        if part.endswith("+"):
            low, high = int(part[:-1]), top
        elif "-" in part:
            low, high = map(int, part.split("-"))
        else:
            low = high = int(part)
        for version in range(low, min(high, top) + 1):
            bits |= 1 << version
    return bits


class Field:
    def __init__(self, facts, message):
        self.name = facts["name"]
        self.member = snake(self.name)
        if self.member in KEYWORDS:
            self.member += "_"
        text = facts["type"]
        self.array = text.startswith("[]")
        self.type = text[2:] if self.array else text
        self.is_struct = self.type not in PRIMITIVES
        tagged = facts.get("taggedVersions")
        own = facts.get("versions", tagged)
        if tagged is not None and tagged != own:
            raise ValueError(f"{message.name}.{self.name}: tagged in some versions only is not supported")
        self.versions = versions(own, message.top) & message.mask
        self.tag = facts["tag"] if tagged is not None else None
        self.nullable = versions(facts.get("nullableVersions", "none"), message.top) & self.versions
        self.nullable_ever = "nullableVersions" in facts
        self.ignorable = facts.get("ignorable", False)
        self.never_flexible = facts.get("flexibleVersions") == "none"
        self.default = facts.get("default", "")
        if self.default is None:  # Kafka's generator takes a bare null for no default at all
            self.default = ""
        self.default_null = self.default == "null"
        # Records carry their own null.
        self.optional = self.nullable_ever and (self.array or self.type != "records")
        self.struct = None  # resolved by Message

    def element(self):
        return self.struct.name if self.is_struct else PRIMITIVES[self.type][0]

    def cpp_type(self):
        kind = f"std::span<{self.element()}>" if self.array else self.element()
        return f"std::optional<{kind}>" if self.optional else kind

    def literal(self):
        """The default as a C++ expression, or None where the type's own is meant."""
        if self.default_null:
            return "Records::none()" if self.type == "records" else "std::nullopt"
        text = str(self.default)
        if self.array or self.is_struct or self.type in ("bytes", "uuid", "records"):
            return None
        if self.type == "string":
            return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' if text else None
        if self.type == "bool":
            return "true" if text.lower() == "true" else "false"
        if self.type == "float64":
            return repr(float(text or 0))
        value = int(text or "0", 0)
        if value == -(2**31) or value == -(2**63):
            return f"std::numeric_limits<{self.cpp_type()}>::min()"
        return str(value)


class Struct:
    def __init__(self, name, facts, message):
        self.name = name
        self.fields = [Field(f, message) for f in facts]
        self.tagged = sorted((f for f in self.fields if f.tag is not None), key=lambda f: f.tag)

    def leaf(self):
        others = ("bytes", "records", "float64")
        return all(not f.array and not f.is_struct and f.type not in others for f in self.fields)


class Message:
    def __init__(self, facts):
        self.name = facts["name"]
        self.kind = KINDS[facts["kind"]]
        self.part = facts["part"]
        self.key = facts.get("key", -1)
        self.unstable = facts.get("latestVersionUnstable", False)
        text = facts["versions"]
        self.top = -1 if text == "none" else int(re.split("[-+]", text)[-1])
        if self.top > 31:
            raise ValueError(f"{self.name}: version sets have 32 bits")
        self.mask = versions(text, self.top)
        self.low = 0 if self.mask == 0 else (self.mask & -self.mask).bit_length() - 1
        flexible = facts["flexible"]
        self.first_flexible = NO_VERSION if flexible == "none" else int(flexible.rstrip("+"))
        self.structs = []  # inner ones first
        self.root = Struct(self.name, facts["fields"], self)
        for field in self.root.fields:
            if field.member in RESERVED:
                raise ValueError(f"{self.name}.{field.name}: the name is taken by the generator")
        shared = {s["name"]: s for s in facts.get("structs", [])}
        self._resolve(self.root, facts["fields"], shared)
        self.structs.append(self.root)

    def _resolve(self, struct, facts, shared):
        for field, fact in zip(struct.fields, facts):
            if not field.is_struct:
                continue
            inner = fact.get("fields") or shared[field.type]["fields"]
            known = next((s for s in self.structs if s.name == field.type), None)
            if known is None:
                known = Struct(field.type, inner, self)
                self._resolve(known, inner, shared)
                self.structs.append(known)
            field.struct = known

    def flexible(self, version):
        return version >= self.first_flexible

    def minimum(self, struct, version):
        """Least encoded bytes of a struct."""
        total = 1 if self.flexible(version) else 0
        for field in struct.fields:
            if field.tag is None and field.versions >> version & 1:
                total += self._field_minimum(field, version)
        return total

    def _field_minimum(self, field, version):
        compact = self.flexible(version) and not field.never_flexible
        if field.array or field.type in ("bytes", "records"):
            return 1 if compact else 4
        if field.type == "string":
            return 1 if compact else 2
        if field.is_struct:
            return 1 if field.nullable >> version & 1 else self.minimum(field.struct, version)
        return PRIMITIVES[field.type][1]

    def api(self):
        return re.sub("(Request|Response)$", "", self.name)

    def header(self):
        if self.kind in ("request", "response"):
            return snake(self.api())
        if self.kind == "header":
            return "headers"
        if self.kind == "metadata_record":
            return "metadata_records"
        return RECORD_GROUPS.get(self.part, "data_records")


def load(folder):
    messages = [Message(json.loads(p.read_text(encoding="utf-8"))) for p in sorted(Path(folder).glob("*.json"))]
    for message in messages:
        for struct in message.structs:
            for field in struct.fields:
                if field.array and field.is_struct:
                    for version in range(32):
                        if field.versions >> version & 1 and message.minimum(field.struct, version) == 0:
                            raise ValueError(f"{message.name}.{field.name}: elements without bytes can't be counted")
    return messages
