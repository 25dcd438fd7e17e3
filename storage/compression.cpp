#include "storage/compression.h"

#include <lz4frame.h>
#include <snappy.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>

#include "runtime/assert.h"

namespace verdict::storage {
namespace {

using Result = std::expected<Bytes, CompressionError>;
constexpr std::size_t kFirstGuess = 16 * 1024;
constexpr int kZstdLevel = 3;
constexpr std::size_t kKeepAtMost = std::size_t{4} << 20;  // a larger buffer is given back after use

// Output that grows as bytes come out of a decoder.
class Output {
 public:
  Output(std::vector<std::byte>& buffer, std::size_t limit, std::size_t input) : buffer_(buffer), limit_(limit) {
    if (buffer_.size() > kKeepAtMost) buffer_ = {};
    const std::size_t guess = std::min(limit, std::max(kFirstGuess, input * 4));
    if (buffer_.size() < guess) buffer_.resize(guess);
  }
  std::byte* at() { return buffer_.data() + used_; }
  // At most one byte beyond the limit: that one proves that there is too much.
  std::size_t room() const { return std::min(buffer_.size(), limit_ + 1) - used_; }
  bool too_large() const { return used_ > limit_; }
  void advance(std::size_t count) { used_ += count; }
  void make_room(std::size_t count) {
    if (buffer_.size() - used_ < count) buffer_.resize(std::max(used_ + count, buffer_.size() * 2));
  }
  Bytes result() const { return {buffer_.data(), used_}; }
  std::size_t used() const { return used_; }
  std::size_t limit() const { return limit_; }

 private:
  std::vector<std::byte>& buffer_;
  std::size_t limit_;
  std::size_t used_ = 0;
};

std::unexpected<CompressionError> fail(CompressionError error) { return std::unexpected(error); }

Result gunzip(z_stream& stream, Bytes in, Output& out) {
  if (inflateReset2(&stream, 15 + 16) != Z_OK) return fail(CompressionError::malformed);
  stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(in.data()));
  stream.avail_in = static_cast<uInt>(in.size());
  for (;;) {
    out.make_room(1);
    const std::size_t room = out.room();
    stream.next_out = reinterpret_cast<Bytef*>(out.at());
    stream.avail_out = static_cast<uInt>(room);
    const int code = inflate(&stream, Z_NO_FLUSH);
    out.advance(room - stream.avail_out);
    if (out.too_large()) return fail(CompressionError::too_large);
    if (code == Z_STREAM_END) break;
    if (code != Z_OK || (stream.avail_in == 0 && stream.avail_out != 0)) return fail(CompressionError::malformed);
  }
  if (stream.avail_in != 0) return fail(CompressionError::malformed);
  return out.result();
}

Result unlz4(LZ4F_dctx* context, Bytes in, Output& out) {
  LZ4F_resetDecompressionContext(context);
  for (;;) {
    out.make_room(1);
    std::size_t produced = out.room();
    std::size_t consumed = in.size();
    const std::size_t hint = LZ4F_decompress(context, out.at(), &produced, in.data(), &consumed, nullptr);
    if (LZ4F_isError(hint) != 0) return fail(CompressionError::malformed);
    out.advance(produced);
    in = in.subspan(consumed);
    if (out.too_large()) return fail(CompressionError::too_large);
    if (hint == 0) break;
    if (consumed == 0 && produced == 0) return fail(CompressionError::malformed);  // needs more than there is
  }
  if (!in.empty()) return fail(CompressionError::malformed);
  return out.result();
}

Result unzstd(ZSTD_DCtx* context, Bytes in, Output& out) {
  ZSTD_DCtx_reset(context, ZSTD_reset_session_only);
  ZSTD_inBuffer input{in.data(), in.size(), 0};
  for (;;) {
    out.make_room(1);
    ZSTD_outBuffer output{out.at(), out.room(), 0};
    const std::size_t before = input.pos;
    const std::size_t hint = ZSTD_decompressStream(context, &output, &input);
    if (ZSTD_isError(hint) != 0U) return fail(CompressionError::malformed);
    out.advance(output.pos);
    if (out.too_large()) return fail(CompressionError::too_large);
    if (hint == 0 && input.pos == input.size) break;  // whole frames, all of them
    if (hint != 0 && output.pos == 0 && input.pos == before) return fail(CompressionError::malformed);
  }
  return out.result();
}

bool unsnappy_block(Bytes block, Output& out) {
  const char* data = reinterpret_cast<const char*>(block.data());
  std::size_t plain = 0;
  if (!snappy::GetUncompressedLength(data, block.size(), &plain)) return false;
  // The densest code copies 64 bytes by 3: a larger claim is a lie, and would size an allocation.
  if (plain > block.size() * 32 + 64) return false;
  if (plain > out.limit() - out.used()) {
    out.advance(out.limit() - out.used() + 1);
    return false;
  }
  out.make_room(plain);
  if (!snappy::RawUncompress(data, block.size(), reinterpret_cast<char*>(out.at()))) return false;
  out.advance(plain);
  return true;
}

// snappy-java's framing: a magic, two versions (i32), then blocks with their size (i32) before each. Others send one
// raw block.
constexpr std::array<std::uint8_t, 8> kXerialMagic{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0};
constexpr std::size_t kXerialHeader = 16;

Result unsnappy(Bytes in, Output& out) {
  const bool framed = in.size() >= kXerialHeader && std::memcmp(in.data(), kXerialMagic.data(), 8) == 0;
  bool whole = true;
  if (!framed) {
    whole = unsnappy_block(in, out);
  } else {
    ByteReader reader(in.subspan(kXerialHeader));
    while (whole && reader.left() > 0) {
      std::int32_t size = 0;
      Bytes block;
      whole = reader.fixed(size) && size >= 0 && reader.take(static_cast<std::size_t>(size), block) &&
              unsnappy_block(block, out);
    }
  }
  if (out.too_large()) return fail(CompressionError::too_large);
  if (!whole) return fail(CompressionError::malformed);
  return out.result();
}

}  // namespace

constexpr std::array<std::string_view, 5> kCodecNames{"none", "gzip", "snappy", "lz4", "zstd"};

std::string_view name_of(Codec codec) { return kCodecNames[static_cast<std::size_t>(codec)]; }

std::optional<Codec> find_codec(std::string_view name) {
  for (std::size_t i = 0; i < kCodecNames.size(); ++i) {
    if (kCodecNames[i] == name) return static_cast<Codec>(i);
  }
  return std::nullopt;
}

// Each library context is made at its first use.
struct Decompressor::Contexts {
  std::vector<std::byte> buffer;
  std::unique_ptr<z_stream> gzip;
  LZ4F_dctx* lz4 = nullptr;
  ZSTD_DCtx* zstd = nullptr;

  ~Contexts() {
    if (gzip) inflateEnd(gzip.get());
    LZ4F_freeDecompressionContext(lz4);
    ZSTD_freeDCtx(zstd);
  }
  z_stream& for_gzip() {
    if (!gzip) {
      gzip = std::make_unique<z_stream>();
      VERDICT_ASSERT(inflateInit2(gzip.get(), 15 + 16) == Z_OK);
    }
    return *gzip;
  }
  LZ4F_dctx* for_lz4() {
    if (lz4 == nullptr) VERDICT_ASSERT(LZ4F_isError(LZ4F_createDecompressionContext(&lz4, LZ4F_VERSION)) == 0);
    return lz4;
  }
  ZSTD_DCtx* for_zstd() {
    if (zstd == nullptr) {
      zstd = ZSTD_createDCtx();
      VERDICT_ASSERT(zstd != nullptr);
      ZSTD_DCtx_setParameter(zstd, ZSTD_d_windowLogMax, 27);  // 128 MiB, as zstd's own default
    }
    return zstd;
  }
};

Decompressor::Decompressor() : contexts_(std::make_unique<Contexts>()) {}
Decompressor::~Decompressor() = default;
Decompressor::Decompressor(Decompressor&&) noexcept = default;
Decompressor& Decompressor::operator=(Decompressor&&) noexcept = default;

Result Decompressor::decompress(Codec codec, Bytes compressed, std::size_t limit) {
  if (codec == Codec::none) {
    if (compressed.size() > limit) return fail(CompressionError::too_large);
    return compressed;
  }
  Output out(contexts_->buffer, limit, compressed.size());
  switch (codec) {
    case Codec::gzip:
      return gunzip(contexts_->for_gzip(), compressed, out);
    case Codec::snappy:
      return unsnappy(compressed, out);
    case Codec::lz4:
      return unlz4(contexts_->for_lz4(), compressed, out);
    case Codec::zstd:
      return unzstd(contexts_->for_zstd(), compressed, out);
    case Codec::none:
      break;
  }
  return fail(CompressionError::unknown_codec);
}

namespace {

// snappy-java's blocks.
constexpr std::size_t kSnappyBlock = 32 * 1024;

void snappy_framed(Bytes plain, std::vector<std::byte>& out) {
  const std::size_t start = out.size();
  out.resize(start + kXerialHeader);
  std::memcpy(out.data() + start, kXerialMagic.data(), kXerialMagic.size());
  store_be(out.data() + start + 8, std::int32_t{1});   // version
  store_be(out.data() + start + 12, std::int32_t{1});  // the oldest that reads it
  while (!plain.empty()) {
    const Bytes block = plain.first(std::min(plain.size(), kSnappyBlock));
    const std::size_t at = out.size();
    out.resize(at + 4 + snappy::MaxCompressedLength(block.size()));
    std::size_t size = 0;
    snappy::RawCompress(reinterpret_cast<const char*>(block.data()), block.size(),
                        reinterpret_cast<char*>(out.data() + at + 4), &size);
    store_be(out.data() + at, static_cast<std::int32_t>(size));
    out.resize(at + 4 + size);
    plain = plain.subspan(block.size());
  }
}

}  // namespace

struct Compressor::Contexts {
  ZSTD_CCtx* zstd = nullptr;
  z_stream gzip{};
  bool gzip_ready = false;

  ~Contexts() {
    ZSTD_freeCCtx(zstd);
    if (gzip_ready) deflateEnd(&gzip);
  }
  z_stream& for_gzip() {
    if (!gzip_ready) {
      constexpr int kGzipWindow = 15 + 16;
      const int made = deflateInit2(&gzip, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzipWindow, 8, Z_DEFAULT_STRATEGY);
      VERDICT_ASSERT(made == Z_OK);
      gzip_ready = true;
    }
    return gzip;
  }
  ZSTD_CCtx* for_zstd() {
    if (zstd == nullptr) {
      zstd = ZSTD_createCCtx();
      VERDICT_ASSERT(zstd != nullptr);
    }
    return zstd;
  }
};

Compressor::Compressor() : contexts_(std::make_unique<Contexts>()) {}
Compressor::~Compressor() = default;
Compressor::Compressor(Compressor&&) noexcept = default;
Compressor& Compressor::operator=(Compressor&&) noexcept = default;

void Compressor::compress(Codec codec, Bytes plain, std::vector<std::byte>& out) {
  const std::size_t before = out.size();
  std::size_t written = 0;
  if (codec == Codec::none) {
    out.insert(out.end(), plain.begin(), plain.end());
    return;
  }
  if (codec == Codec::lz4) {
    LZ4F_preferences_t preferences{};
    preferences.frameInfo.blockMode = LZ4F_blockIndependent;
    preferences.frameInfo.blockSizeID = LZ4F_max64KB;
    out.resize(before + LZ4F_compressFrameBound(plain.size(), &preferences));
    written = LZ4F_compressFrame(out.data() + before, out.size() - before, plain.data(), plain.size(), &preferences);
    VERDICT_ASSERT(LZ4F_isError(written) == 0);
  } else if (codec == Codec::zstd) {
    out.resize(before + ZSTD_compressBound(plain.size()));
    written = ZSTD_compressCCtx(contexts_->for_zstd(), out.data() + before, out.size() - before, plain.data(),
                                plain.size(), kZstdLevel);
    VERDICT_ASSERT(ZSTD_isError(written) == 0U);
  } else if (codec == Codec::gzip) {
    z_stream& stream = contexts_->for_gzip();
    deflateReset(&stream);
    out.resize(before + deflateBound(&stream, plain.size()));
    stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(plain.data()));
    stream.avail_in = static_cast<uInt>(plain.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + before);
    stream.avail_out = static_cast<uInt>(out.size() - before);
    const int done = deflate(&stream, Z_FINISH);
    VERDICT_ASSERT(done == Z_STREAM_END);
    written = out.size() - before - stream.avail_out;
  } else {
    snappy_framed(plain, out);
    return;
  }
  out.resize(before + written);
}

}  // namespace verdict::storage
