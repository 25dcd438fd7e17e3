"""Emits the descriptor tables (descriptor.h), a few .cpp for all messages, and the registry's list."""

from .headers import guard
from .model import camel

TYPES = {"bool": "boolean"}


def qualified(message, struct):
    return message.name if struct is message.root else f"{message.name}::{struct.name}"


def tables_of(message, straight):
    lines = [f"namespace {message.name}_tables {{"]
    for struct in message.structs:
        cpp = qualified(message, struct)
        tag = struct.name
        if struct.fields:
            lines.append(f"constexpr FieldInfo fields_{tag}[] = {{")
            lines += [field_row(cpp, field) for field in struct.fields]
            lines.append("};")
        tagged = [str(struct.fields.index(f)) for f in struct.tagged]
        if tagged:
            lines.append(f"constexpr std::uint8_t tagged_{tag}[] = {{{', '.join(tagged)}}};")
        least = [str(message.minimum(struct, v)) for v in range(message.top + 1)]
        if least:
            lines.append(f"constexpr std::uint16_t minimum_{tag}[] = {{{', '.join(least)}}};")
        lines.append(f"constexpr {cpp} defaults_{tag}{{}};")
        lines.append(f"static_assert(std::is_trivially_copyable_v<{cpp}>);")
        lines.append(f'constexpr StructInfo struct_{tag} = {{"{tag}", {f"fields_{tag}" if struct.fields else "{}"}, '
                     f'{f"tagged_{tag}" if tagged else "{}"}, sizeof({cpp}), alignof({cpp}), &defaults_{tag}, '
                     f'{f"minimum_{tag}" if least else "{}"}}};')
    codec = f"{{read_{message.name}, size_{message.name}, write_{message.name}}}" if straight else "{}"
    lines.append(f'constexpr MessageInfo message = {{"{message.name}", MessageKind::{message.kind}, {message.key}, '
                 f"{message.low}, {message.top}, {message.first_flexible}, {str(message.unstable).lower()}, "
                 f"&struct_{message.root.name}, {codec}}};")
    lines.append(f"}}  // namespace {message.name}_tables")
    return "\n".join(lines) + "\n"


def field_row(cpp, field):
    flags = ", ".join(str(x).lower() for x in (field.array, field.optional, field.ignorable, field.never_flexible))
    kind = "structure" if field.is_struct else TYPES.get(field.type, field.type)
    nested = f"&struct_{field.struct.name}" if field.is_struct else "nullptr"
    tag = -1 if field.tag is None else field.tag
    return (f'    {{"{camel(field.name)}", offsetof({cpp}, {field.member}), FieldType::{kind}, {flags}, {tag}, '
            f"0x{field.versions:x}, 0x{field.nullable:x}, {nested}}},")


def tables(messages, straight_names, units):
    """Path to text: `units` table files and the registry."""
    by_header = {}
    for message in messages:
        by_header.setdefault(message.header(), []).append(message)

    def weight(name):
        return sum(len(s.fields) for m in by_header[name] for s in m.structs)

    shares = [[] for _ in range(units)]
    for name in sorted(by_header, key=lambda n: -weight(n)):
        min(shares, key=lambda share: sum(weight(n) for n in share)).append(name)
    out = {}
    for index, share in enumerate(shares):
        share.sort()
        text = guard() + "#include <cstddef>\n#include <type_traits>\n\n#include \"protocol/wire/descriptor.h\"\n"
        text += "".join(f'#include "protocol/wire/gen/{name}.h"\n' for name in share)
        text += "\nnamespace verdict::wire {\n\n"
        mine = [m for name in share for m in by_header[name]]
        for m in mine:
            if m.name in straight_names:
                text += (f"void read_{m.name}(Reader&, Arena&, int, void*);\n"
                         f"void size_{m.name}(Sizer&, int, const void*);\n"
                         f"void write_{m.name}(Writer&, int, const void*);\n")
        text += "\nnamespace {\n\n" + "\n".join(tables_of(m, m.name in straight_names) for m in mine)
        text += "\n}  // namespace\n\n"
        text += "".join(f"const MessageInfo& {m.name}::info() {{ return {m.name}_tables::message; }}\n" for m in mine)
        out[f"tables_{index}.cpp"] = text + "\n}  // namespace verdict::wire\n"
    out["registry.cpp"] = registry(messages, by_header)
    return out


def registry(messages, by_header):
    text = guard() + '#include <array>\n\n#include "protocol/wire/registry.h"\n'
    text += "".join(f'#include "protocol/wire/gen/{name}.h"\n' for name in sorted(by_header))
    text += "\nnamespace verdict::wire {\n\nstd::span<const MessageInfo* const> all_messages() {\n"
    text += listed(sorted(messages, key=lambda m: m.name)) + "  return kAll;\n}\n"
    for function, kind in (("find_request", "request"), ("find_response", "response"),
                           ("find_metadata_record", "metadata_record")):
        by_key = {m.key: m for m in messages if m.kind == kind}
        text += f"\nconst MessageInfo* {function}(int key) {{\n"
        text += listed([by_key.get(key) for key in range(max(by_key) + 1)])
        text += "  const bool within = key >= 0 && key < static_cast<int>(kAll.size());\n"
        text += "  return within ? kAll[static_cast<std::size_t>(key)] : nullptr;\n}\n"
    return text + "\n}  // namespace verdict::wire\n"


def listed(messages):
    rows = "".join("      nullptr,\n" if m is None else f"      &{m.name}::info(),\n" for m in messages)
    return f"  static const std::array<const MessageInfo*, {len(messages)}> kAll = {{\n{rows}  }};\n"
