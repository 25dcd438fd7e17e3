#include "protocol/wire/codec.h"

#include <cstring>

#include "protocol/wire/access.h"
#include "protocol/wire/reader.h"
#include "protocol/wire/table_codec.h"
#include "protocol/wire/writer.h"
#include "runtime/assert.h"

namespace verdict::wire {
namespace {

// One message off its table; the hot ones have the same as straight code.
struct TableReader {
  Reader& reader;
  Arena& arena;
  int version;
  bool flexible;

  void structure(const StructInfo& info, void* object) {
    for (const FieldInfo& field : info.fields) {
      if (field.tag < 0 && has_version(field.versions, version)) {
        read_field(field, member(field, object));
      }
    }
    if (flexible) {
      tagged(info, object);
    }
  }

  void tagged(const StructInfo& info, void* object) {
    TagReader tags(reader);
    while (tags.next()) {
      for (const std::uint8_t index : info.tagged) {
        const FieldInfo& field = info.fields[index];
        if (static_cast<std::uint32_t>(field.tag) == tags.tag() && has_version(field.versions, version)) {
          tags.take();
          read_field(field, member(field, object));
        }
      }
    }
  }

  void read_field(const FieldInfo& field, void* at) {
    const bool compact = flexible && !field.never_flexible;
    const bool nullable = has_version(field.nullable, version);
    if (field.array) {
      array(field, at, compact, nullable);
    } else if (!field.optional || field.type == FieldType::records) {
      value(field, at, compact, nullable);
    } else if (field.type == FieldType::string) {
      as<std::optional<std::string_view>>(at) = reader.nullable_string(compact, nullable, field.name);
    } else if (field.type == FieldType::bytes) {
      as<std::optional<Bytes>>(at) = reader.nullable_bytes(compact, nullable, field.name);
    } else {
      const bool present = !nullable || reader.int8() >= (field.tag < 0 ? 0 : 1);  // KIP-893; a tagged null is 0
      engage_struct(*field.structure, at, present);
      if (present) {
        structure(*field.structure, at);
      }
    }
  }

  void array(const FieldInfo& field, void* at, bool compact, bool nullable) {
    const std::int64_t count = reader.array_length(compact, nullable, least_element_bytes(field, version), field.name);
    if (count < 0) {
      store_array(field, at, {.null = true});
      return;
    }
    const ErasedArray items{.first = new_elements(arena, field, static_cast<std::size_t>(count)),
                            .count = static_cast<std::size_t>(count)};
    if (items.first == nullptr) {
      reader.fail(Fault::arena_limit, field.name);
      return;
    }
    for (std::size_t i = 0; i < items.count && reader.ok(); ++i) {
      value(field, element(field, items, i), compact, false);
    }
    store_array(field, at, items);
  }

  void value(const FieldInfo& field, void* at, bool compact, bool nullable) {
    switch (field.type) {
      case FieldType::boolean:
        as<bool>(at) = reader.boolean();
        break;
      case FieldType::int8:
        as<std::int8_t>(at) = reader.int8();
        break;
      case FieldType::int16:
        as<std::int16_t>(at) = reader.int16();
        break;
      case FieldType::uint16:
        as<std::uint16_t>(at) = reader.uint16();
        break;
      case FieldType::int32:
        as<std::int32_t>(at) = reader.int32();
        break;
      case FieldType::int64:
        as<std::int64_t>(at) = reader.int64();
        break;
      case FieldType::float64:
        as<double>(at) = reader.float64();
        break;
      case FieldType::uuid:
        as<Uuid>(at) = reader.uuid();
        break;
      case FieldType::string:
        as<std::string_view>(at) = reader.string(compact, field.name);
        break;
      case FieldType::bytes:
        as<Bytes>(at) = reader.bytes(compact, field.name);
        break;
      case FieldType::records:
        as<Records>(at) = reader.records(compact, nullable, field.name);
        break;
      case FieldType::structure:
        structure(*field.structure, at);
        break;
    }
  }
};

template <class Sink>
struct TableWriter {
  int version;
  bool flexible;

  void structure(Sink& sink, const StructInfo& info, const void* object) {
    for (const FieldInfo& field : info.fields) {
      const bool present = has_version(field.versions, version) && (field.tag < 0 || flexible);
      if (!present) {
        if (!field.ignorable && !is_default(info, field, object)) {
          sink.fail(Fault::unsupported_field, field.name);
        }
      } else if (field.tag < 0) {
        write_field(sink, field, member(field, object));
      }
    }
    if (flexible) {
      tagged(sink, info, object);
    }
  }

  void tagged(Sink& sink, const StructInfo& info, const void* object) {
    const auto goes = [&](const FieldInfo& field) {
      return has_version(field.versions, version) && !is_default(info, field, object);
    };
    std::uint32_t count = 0;
    for (const std::uint8_t index : info.tagged) {
      count += goes(info.fields[index]) ? 1 : 0;
    }
    sink.varint(count);
    for (const std::uint8_t index : info.tagged) {
      const FieldInfo& field = info.fields[index];
      if (goes(field)) {
        Sizer inner;
        TableWriter<Sizer>{version, flexible}.write_field(inner, field, member(field, object));
        sink.varint(static_cast<std::uint32_t>(field.tag));
        sink.varint(static_cast<std::uint32_t>(inner.size().bytes));
        write_field(sink, field, member(field, object));
      }
    }
  }

  void write_field(Sink& sink, const FieldInfo& field, const void* at) {
    const bool compact = flexible && !field.never_flexible;
    const bool nullable = has_version(field.nullable, version);
    if (field.array) {
      const ErasedArray items = load_array(field, at);
      if (items.null) {
        put_null_length(sink, compact, nullable, field.name);
        return;
      }
      put_length(sink, items.count, compact, field.name);
      for (std::size_t i = 0; i < items.count; ++i) {
        value(sink, field, element(field, items, i), compact, false);
      }
    } else if (!field.optional || field.type == FieldType::records) {
      value(sink, field, at, compact, nullable);
    } else if (field.type == FieldType::string) {
      put_nullable_string(sink, as<std::optional<std::string_view>>(at), compact, nullable, field.name);
    } else if (field.type == FieldType::bytes) {
      put_nullable_bytes(sink, as<std::optional<Bytes>>(at), compact, nullable, field.name);
    } else {
      optional_struct(sink, field, at, nullable);
    }
  }

  void optional_struct(Sink& sink, const FieldInfo& field, const void* at, bool nullable) {
    const bool engaged = struct_engaged(*field.structure, at);
    if (nullable) {
      sink.int8(engaged ? 1 : field.tag < 0 ? -1 : 0);
    } else if (!engaged) {
      sink.fail(Fault::null_not_allowed, field.name);
    }
    if (engaged) {
      structure(sink, *field.structure, at);
    }
  }

  void value(Sink& sink, const FieldInfo& field, const void* at, bool compact, bool nullable) {
    switch (field.type) {
      case FieldType::boolean:
        sink.boolean(as<bool>(at));
        break;
      case FieldType::int8:
        sink.int8(as<std::int8_t>(at));
        break;
      case FieldType::int16:
        sink.int16(as<std::int16_t>(at));
        break;
      case FieldType::uint16:
        sink.uint16(as<std::uint16_t>(at));
        break;
      case FieldType::int32:
        sink.int32(as<std::int32_t>(at));
        break;
      case FieldType::int64:
        sink.int64(as<std::int64_t>(at));
        break;
      case FieldType::float64:
        sink.float64(as<double>(at));
        break;
      case FieldType::uuid:
        sink.uuid(as<Uuid>(at));
        break;
      case FieldType::string:
        put_string(sink, as<std::string_view>(at), compact, field.name);
        break;
      case FieldType::bytes:
        put_bytes(sink, as<Bytes>(at), compact, field.name);
        break;
      case FieldType::records:
        put_records(sink, as<Records>(at), compact, nullable, field.name);
        break;
      case FieldType::structure:
        structure(sink, *field.structure, at);
        break;
    }
  }
};

}  // namespace

void read_by_table(const MessageInfo& info, Reader& reader, Arena& arena, int version, void* message) {
  TableReader{reader, arena, version, info.flexible(version)}.structure(*info.structure, message);
}

void size_by_table(const MessageInfo& info, Sizer& sizer, int version, const void* message) {
  TableWriter<Sizer>{version, info.flexible(version)}.structure(sizer, *info.structure, message);
}

void write_by_table(const MessageInfo& info, Writer& writer, int version, const void* message) {
  TableWriter<Writer>{version, info.flexible(version)}.structure(writer, *info.structure, message);
}

std::expected<std::size_t, CodecError> decode(const MessageInfo& info, Arena& arena, Bytes body, int version,
                                              void* message) {
  if (!info.supports(version)) {
    return std::unexpected(CodecError{.fault = Fault::unsupported_version});
  }
  std::memcpy(message, info.structure->defaults, info.structure->size);
  Reader reader(body);
  if (info.straight.read != nullptr) {
    info.straight.read(reader, arena, version, message);
  } else {
    read_by_table(info, reader, arena, version, message);
  }
  if (!reader.ok()) {
    return std::unexpected(reader.error());
  }
  return reader.position();
}

std::expected<EncodedSize, CodecError> encoded_size(const MessageInfo& info, int version, const void* message) {
  if (!info.supports(version)) {
    return std::unexpected(CodecError{.fault = Fault::unsupported_version});
  }
  Sizer sizer;
  if (info.straight.size != nullptr) {
    info.straight.size(sizer, version, message);
  } else {
    size_by_table(info, sizer, version, message);
  }
  if (!sizer.ok()) {
    return std::unexpected(sizer.error());
  }
  if (sizer.size().bytes + sizer.size().spliced > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
    return std::unexpected(CodecError{.fault = Fault::frame_too_large});
  }
  return sizer.size();
}

void encode(const MessageInfo& info, int version, const void* message, std::span<std::byte> out,
            std::vector<Splice>* splices) {
  Writer writer(out, splices);
  if (info.straight.write != nullptr) {
    info.straight.write(writer, version, message);
  } else {
    write_by_table(info, writer, version, message);
  }
  VERDICT_ASSERT(writer.room() == 0, info.name);
}

std::expected<void, CodecError> append(const MessageInfo& info, int version, const void* message,
                                       std::vector<std::byte>& out, std::vector<Splice>* splices) {
  const auto size = encoded_size(info, version, message);
  if (!size) {
    return std::unexpected(size.error());
  }
  const std::size_t start = out.size();
  const std::size_t first_splice = splices == nullptr ? 0 : splices->size();
  out.resize(start + size->bytes);
  encode(info, version, message, std::span(out).subspan(start), splices);
  for (std::size_t i = first_splice; splices != nullptr && i < splices->size(); ++i) {
    (*splices)[i].position += start;
  }
  return {};
}

}  // namespace verdict::wire
