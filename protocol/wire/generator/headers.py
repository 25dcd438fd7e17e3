"""Emits the structs: one header for each API's request and response, and one for each family of records."""



def guard():
    return "// Generated from protocol/wire/messages by protocol/wire/generate.py: don't edit.\n"


def struct_text(struct, indent, message=None):
    pad = " " * indent
    lines = [f"{pad}struct {struct.name} {{"]
    if message is not None:
        for inner in message.structs[:-1]:
            lines.append(struct_text(inner, indent + 2))
        key = message.key
        lines += [
            f'{pad}  static constexpr std::string_view message_name = "{message.name}";',
            f"{pad}  static constexpr MessageKind message_kind = MessageKind::{message.kind};",
            f"{pad}  static constexpr std::int16_t api_key = {key};",
            f"{pad}  static constexpr int lowest_version = {message.low};",
            f"{pad}  static constexpr int highest_version = {message.top};",
            f"{pad}  static constexpr int first_flexible_version = {message.first_flexible};",
            f"{pad}  static const MessageInfo& info();",
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
        lines.append(f"{pad}  {field.cpp_type()} {field.member}{default};{comment(field, message)}")
    if message is None and struct.leaf():
        lines.append(f"{pad}  friend bool operator==(const {struct.name}&, const {struct.name}&) = default;")
    lines.append(f"{pad}}};")
    return "\n".join(lines) + ("\n" if message is None else "")


def comment(field, message):
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
        body = "\n".join(struct_text(m.root, 0, m) + "\n" for m in group)
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
