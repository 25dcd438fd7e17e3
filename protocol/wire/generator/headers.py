"""Emits the structs: one header for each API's request and response, and one for each family of records."""

from .model import snake


def guard():
    return "// Generated from protocol/wire/messages by protocol/wire/generate.py: don't edit.\n"


def message_text(message):
    """The structs within a message are its members by name, but defined before it: within it, their default member
    initializers would still be unknown where std::optional asks whether they can be constructed."""
    inner = message.structs[:-1]
    text = ""
    if inner:
        scope = f"parts::{snake(message.name)}"
        text = f"namespace {scope} {{\n" + "\n".join(struct_text(s) for s in inner) + f"}}  // namespace {scope}\n\n"
    return text + struct_text(message.root, message) + "\n"


def struct_text(struct, message=None):
    lines = [f"struct {struct.name} {{"]
    if message is not None:
        for part in message.structs[:-1]:
            lines.append(f"  using {part.name} = parts::{snake(message.name)}::{part.name};")
        key = message.key
        lines += [
            f'  static constexpr std::string_view message_name = "{message.name}";',
            f"  static constexpr MessageKind message_kind = MessageKind::{message.kind};",
            f"  static constexpr std::int16_t api_key = {key};",
            f"  static constexpr int lowest_version = {message.low};",
            f"  static constexpr int highest_version = {message.top};",
            f"  static constexpr int first_flexible_version = {message.first_flexible};",
            f"  static const MessageInfo& info();",
        ]
        if struct.fields:
            lines.append("")
    for field in struct.fields:
        literal = field.literal()
        default = ""
        if literal is not None:
            default = f" = {literal}"
        elif field.optional:
            default = f" = {field.cpp_type()[len('std::optional<'):-1]}{{}}"
        lines.append(f"  {field.cpp_type()} {field.member}{default};{comment(field)}")
    if message is None and struct.leaf():
        lines.append(f"  friend bool operator==(const {struct.name}&, const {struct.name}&) = default;")
    lines.append("};")
    return "\n".join(lines) + ("\n" if message is None else "")


def comment(field):
    bits = field.versions
    if bits == 0:
        return "  // no version"
    low, high = (bits & -bits).bit_length() - 1, bits.bit_length() - 1
    text = f"v{low}" if low == high else f"v{low}-{high}"
    if field.tag is not None:
        text += f", tag {field.tag}"
    return f"  // {text}"


def headers(messages):
    """Path to text."""
    groups = {}
    for message in messages:
        groups.setdefault(message.header(), []).append(message)
    out = {}
    for name, group in groups.items():
        body = "\n".join(message_text(m) for m in group)
        includes = ["<cstdint>"] + (["<limits>"] if "numeric_limits" in body else [])
        includes += ["<optional>", "<span>", "<string_view>"]
        text = guard() + "#pragma once\n\n"
        text += "".join(f"#include {i}\n" for i in includes) + '\n#include "protocol/wire/message.h"\n\n'
        text += "namespace verdict::wire {\n\n" + body + "\n}  // namespace verdict::wire\n"
        out[f"{name}.h"] = text
    out["api_keys.h"] = api_keys(messages)
    return out


def api_keys(messages):
    requests = sorted((m for m in messages if m.kind == "request"), key=lambda m: m.key)
    rows = "".join(f"  {m.api()} = {m.key},\n" for m in requests)
    return (guard() + "#pragma once\n\n#include <cstdint>\n\nnamespace verdict::wire {\n\n"
            f"enum class ApiKey : std::int16_t {{\n{rows}}};\n\n}}  // namespace verdict::wire\n")
