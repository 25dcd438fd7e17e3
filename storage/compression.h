#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "storage/bytes.h"

namespace verdict::storage {

// Bits 0-2 of a batch's attributes.
enum class Codec : std::uint8_t { none = 0, gzip = 1, snappy = 2, lz4 = 3, zstd = 4 };

std::string_view name_of(Codec codec);
std::optional<Codec> find_codec(std::string_view name);

enum class CompressionError : std::uint8_t {
  unknown_codec,
  malformed,  // not a whole, valid stream of the codec
  too_large,  // more than the limit comes out
};

// Turns the compressed part of a batch into its records. Buffers and library contexts are kept between calls: have one
// of these an event loop. Memory grows with what really comes out, never with what a header promises.
class Decompressor {
 public:
  Decompressor();
  ~Decompressor();
  Decompressor(Decompressor&&) noexcept;
  Decompressor& operator=(Decompressor&&) noexcept;

  // The result is valid until the next call; with Codec::none it is `compressed` itself. limit: bytes.
  std::expected<Bytes, CompressionError> decompress(Codec codec, Bytes compressed, std::size_t limit);

 private:
  struct Contexts;
  std::unique_ptr<Contexts> contexts_;
};

// The other way. Keeps contexts between calls: making one, and clearing its tables, costs more than to compress a
// batch. What comes out depends on the input alone.
class Compressor {
 public:
  Compressor();
  ~Compressor();
  Compressor(Compressor&&) noexcept;
  Compressor& operator=(Compressor&&) noexcept;

  // Appends the compressed form to `out`; lz4 in the frame format, snappy in snappy-java's.
  void compress(Codec codec, Bytes plain, std::vector<std::byte>& out);

 private:
  struct Contexts;
  std::unique_ptr<Contexts> contexts_;
};

}  // namespace verdict::storage
