"""Emits read and put as straight code for the messages that are hot; the rest runs off the tables."""

from .headers import guard
from .model import camel

HOT_APIS = ("Produce", "Fetch", "ListOffsets", "Metadata", "OffsetForLeaderEpoch", "AlterPartition", "BrokerHeartbeat",
            "JoinGroup", "SyncGroup", "Heartbeat", "OffsetCommit", "OffsetFetch", "InitProducerId",
            "AddPartitionsToTxn", "AddOffsetsToTxn", "EndTxn", "TxnOffsetCommit", "WriteTxnMarkers")
UNITS = 4
METHODS = {"bool": "boolean"}


def hot(messages):
    return [m for m in messages
            if m.kind == "header" or (m.kind in ("request", "response") and m.api() in HOT_APIS)]


def names(messages):
    return {m.name for m in hot(messages)}


def condition(bits, mask):
    """`bits` as an expression of v, given that v is in `mask`; "true" and "false" if it doesn't matter."""
    if bits & mask == mask:
        return "true"
    if bits & mask == 0:
        return "false"
    terms = []
    version, top = 0, mask.bit_length()
    while version < top:
        if not bits >> version & 1:
            version += 1
            continue
        end = version
        while end + 1 < top and bits >> (end + 1) & 1:
            end += 1
        low = f"v >= {version}" if mask & ((1 << version) - 1) else ""
        high = f"v <= {end}" if mask >> (end + 1) else ""
        terms.append(" && ".join(t for t in (low, high) if t))
        version = end + 1
    return terms[0] if len(terms) == 1 else " || ".join(f"({t})" for t in terms)


class Emitter:
    def __init__(self, message):
        self.message = message
        for field in (f for s in message.structs for f in s.fields):
            if field.is_struct and field.optional and not field.array:
                raise ValueError(f"{message.name}.{field.name}: a nullable struct in a hot message")
        self.flexible_ever = message.first_flexible <= message.top

    def flex(self, field):
        return "false" if field.never_flexible or not self.flexible_ever else "flex"

    def type_of(self, struct):
        return struct.name if struct is self.message.root else f"{self.message.name}::{struct.name}"

    def function(self, verb, struct):
        part = "root" if struct is self.message.root else struct.name
        return f"{verb}_{self.message.name}_{part}"

    def differs(self, field, access):
        """An expression: the field isn't its default."""
        literal = field.literal()
        if field.optional:
            if field.default_null:
                return f"{access}.has_value()"
            return f"(!{access} || !{access}->empty())" if literal is None else f"(!{access} || *{access} != {literal})"
        if field.array or field.type == "bytes":
            return f"!{access}.empty()"
        if field.type == "records":
            raise ValueError(f"{field.name}: records that are tagged or lack versions in a hot message")
        if field.type == "uuid":
            return f"!{access}.is_zero()"
        if field.is_struct:
            if not field.struct.leaf():
                raise ValueError(f"{field.name}: a struct with arrays is compared in a hot message")
            return f"!({access} == {self.type_of(field.struct)}{{}})"
        if literal is None:
            return f"!{access}.empty()"
        return {"false": access, "true": f"!{access}"}.get(literal, f"{access} != {literal}")

    def nullable(self, field):
        return condition(field.nullable, field.versions)

    # One element, or a field that is no array.
    def put_value(self, field, sink, access, optional):
        name, flex = camel(field.name), self.flex(field)
        if field.is_struct:
            return f"{self.function('put', field.struct)}({sink}, v, {access});"
        if field.type in ("string", "bytes"):
            if optional:
                return f'put_nullable_{field.type}({sink}, {access}, {flex}, {self.nullable(field)}, "{name}");'
            return f'put_{field.type}({sink}, {access}, {flex}, "{name}");'
        if field.type == "records":
            return f'put_records({sink}, {access}, {flex}, {self.nullable(field)}, "{name}");'
        return f"{sink}.{METHODS.get(field.type, field.type)}({access});"

    def put_field(self, field, sink):
        access, name, flex = f"x.{field.member}", camel(field.name), self.flex(field)
        if field.array:
            source = f"*{access}" if field.optional else access
            size = f"{access}->size()" if field.optional else f"{access}.size()"
            loop = [f'put_length({sink}, {size}, {flex}, "{name}");',
                    f"for (const auto& e : {source}) {{", "  " + self.put_value(field, sink, "e", False), "}"]
            if not field.optional:
                return loop
            return ([f"if ({access}) {{"] + ["  " + line for line in loop]
                    + ["} else {", f'  put_null_length({sink}, {flex}, {self.nullable(field)}, "{name}");', "}"])
        return [self.put_value(field, sink, access, field.optional)]

    def put(self, struct):
        lines = ["template <class Sink>",
                 f"void {self.function('put', struct)}([[maybe_unused]] Sink& s, [[maybe_unused]] int v, "
                 f"[[maybe_unused]] const {self.type_of(struct)}& x) {{"]
        if self.flexible_ever:
            lines.append(f"  [[maybe_unused]] const bool flex = v >= {self.message.first_flexible};")
        for field in struct.fields:
            present = condition(field.versions, self.message.mask)
            lost = f'  s.fail(Fault::unsupported_field, "{camel(field.name)}");'
            may_drop = field.ignorable or present == "true"
            guard_lost = [] if may_drop else [self.differs(field, f"x.{field.member}"), lost]
            if field.tag is not None or present == "false":
                if guard_lost:
                    lines += ["  " + line for line in (f"if (!({present}) && {guard_lost[0]}) {{", lost, "}")]
                continue
            body = self.put_field(field, "s")
            if present != "true":
                body = [f"if ({present}) {{"] + ["  " + line for line in body]
                body += [f"}} else if ({guard_lost[0]}) {{", lost, "}"] if guard_lost else ["}"]
            lines += ["  " + line for line in body]
        if self.flexible_ever:
            lines += ["  " + line for line in self.put_tags(struct)]
        return lines + ["}"]

    def put_tags(self, struct):
        if not struct.tagged:
            return ["if (flex) {", "  s.varint(0);", "}"]
        lines = ["if (flex) {"]
        for field in struct.tagged:
            present = condition(field.versions, self.message.mask)
            test = self.differs(field, f"x.{field.member}")
            lines.append(f"  const bool has_{field.tag} = {test if present == 'true' else f'({present}) && {test}'};")
        total = " + ".join(f"(has_{f.tag} ? 1U : 0U)" for f in struct.tagged)
        lines.append(f"  s.varint({total});")
        for field in struct.tagged:
            lines += [f"  if (has_{field.tag}) {{", f"    put_tagged(s, {field.tag}, [&](auto& t) {{"]
            lines += ["      " + line for line in self.put_field(field, "t")] + ["    });", "  }"]
        return lines + ["}"]

    def read_value(self, field, target, optional):
        name, flex = camel(field.name), self.flex(field)
        if field.is_struct:
            return f"{self.function('read', field.struct)}(r, a, v, {target});"
        if field.type in ("string", "bytes"):
            if optional:
                return f'{target} = r.nullable_{field.type}({flex}, {self.nullable(field)}, "{name}");'
            return f'{target} = r.{field.type}({flex}, "{name}");'
        if field.type == "records":
            return f'{target} = r.records({flex}, {self.nullable(field)}, "{name}");'
        return f"{target} = r.{METHODS.get(field.type, field.type)}();"

    def least(self, field):
        if field.is_struct:
            return f"kLeast_{self.message.name}_{field.struct.name}[v]"
        if field.type in ("string", "bytes"):
            return "1"
        return {"bool": "1", "int8": "1", "int16": "2", "uint16": "2", "int32": "4", "int64": "8", "float64": "8",
                "uuid": "16"}[field.type]

    def read_field(self, field):
        access, name = f"x.{field.member}", camel(field.name)
        if field.array:
            lines = [f"const std::int64_t n = r.array_length({self.flex(field)}, {self.nullable(field)}, "
                     f'{self.least(field)}, "{name}");']
            element = self.type_of(field.struct) if field.is_struct else field.element()
            fill = [f"const std::span<{element}> items = r.new_array<{element}>(a, n);",
                    f"for ({element}& e : items) {{", "  " + self.read_value(field, "e", False), "}",
                    f"{access} = items;"]
            if field.optional:
                fill = ["  " + line for line in fill]
                fill = ["if (n < 0) {", f"  {access} = std::nullopt;", "} else {"] + fill + ["}"]
            return ["{"] + ["  " + line for line in lines + fill] + ["}"]
        return [self.read_value(field, access, field.optional)]

    def read(self, struct):
        lines = [f"void {self.function('read', struct)}([[maybe_unused]] Reader& r, [[maybe_unused]] Arena& a, "
                 f"[[maybe_unused]] int v, [[maybe_unused]] {self.type_of(struct)}& x) {{"]
        if self.flexible_ever:
            lines.append(f"  [[maybe_unused]] const bool flex = v >= {self.message.first_flexible};")
        for field in struct.fields:
            present = condition(field.versions, self.message.mask)
            if field.tag is not None or present == "false":
                continue
            body = self.read_field(field)
            if present != "true":
                body = [f"if ({present}) {{"] + ["  " + line for line in body] + ["}"]
            lines += ["  " + line for line in body]
        if self.flexible_ever:
            lines += ["  if (flex) {", "    TagReader tags(r);", "    while (tags.next()) {"]
            for field in struct.tagged:
                present = condition(field.versions, self.message.mask)
                test = f"tags.tag() == {field.tag}" + ("" if present == "true" else f" && ({present})")
                lines += [f"      if ({test}) {{", "        tags.take();"]
                lines += ["        " + line for line in self.read_field(field)] + ["      }"]
            lines += ["    }", "  }"]
        return lines + ["}"]

    def text(self):
        lines = ["namespace {", ""]
        for struct in self.message.structs[:-1]:
            least = ", ".join(str(self.message.minimum(struct, v)) for v in range(self.message.top + 1))
            name = f"kLeast_{self.message.name}_{struct.name}"
            lines.append(f"[[maybe_unused]] constexpr std::uint16_t {name}[] = {{{least}}};")
        for struct in self.message.structs:
            lines += self.read(struct) + [""] + self.put(struct) + [""]
        name, root = self.message.name, self.message.root
        lines += ["}  // namespace", "",
                  f"void read_{name}(Reader& r, Arena& a, int v, void* x) {{",
                  f"  {self.function('read', root)}(r, a, v, *static_cast<{name}*>(x));", "}",
                  f"void size_{name}(Sizer& s, int v, const void* x) {{",
                  f"  {self.function('put', root)}(s, v, *static_cast<const {name}*>(x));", "}",
                  f"void write_{name}(Writer& s, int v, const void* x) {{",
                  f"  {self.function('put', root)}(s, v, *static_cast<const {name}*>(x));", "}", ""]
        return "\n".join(lines)


def straight(messages):
    """Path to text."""
    mine = sorted(hot(messages), key=lambda m: m.header())
    out = {}
    for unit in range(UNITS):
        share = [m for i, m in enumerate(mine) if i * UNITS // len(mine) == unit]
        text = guard() + "#include <limits>\n\n"
        text += '#include "protocol/wire/reader.h"\n#include "protocol/wire/writer.h"\n'
        text += "".join(f'#include "protocol/wire/gen/{h}.h"\n' for h in sorted({m.header() for m in share}))
        text += "\nnamespace verdict::wire {\n"
        for m in share:
            text += (f"\nvoid read_{m.name}(Reader&, Arena&, int, void*);\n"
                     f"void size_{m.name}(Sizer&, int, const void*);\n"
                     f"void write_{m.name}(Writer&, int, const void*);\n\n")
            text += Emitter(m).text()
        out[f"straight_{unit}.cpp"] = text + "\n}  // namespace verdict::wire\n"
    return out
