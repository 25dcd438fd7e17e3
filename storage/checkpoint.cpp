#include "storage/checkpoint.h"

#include <fmt/format.h>

#include "runtime/io.h"
#include "storage/bytes.h"
#include "storage/text.h"

namespace verdict::storage {
namespace {

std::unexpected<std::error_code> fail(std::errc code) { return std::unexpected(std::make_error_code(code)); }

std::string aside(std::string_view path) { return std::string(path) + ".tmp"; }

// A left-over of an earlier attempt may be there and longer.
Outcome<std::unique_ptr<File>> write_aside(Disk& disk, const std::string& path, std::string_view text) {
  auto file = disk.open(aside(path), OpenMode::create);
  if (!file) return file;
  if (auto written = rewrite_now(**file, as_bytes(text)); !written) return std::unexpected(written.error());
  return file;
}

}  // namespace

std::string parent_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  return std::string(path.substr(0, slash == 0 ? 1 : slash));
}

Outcome<std::string> read_small_file(Disk& disk, const std::string& path, std::size_t limit) {
  auto file = disk.open(path, OpenMode::read);
  if (!file) return std::unexpected(file.error());
  const std::uint64_t size = (*file)->size();
  if (size > limit) return fail(std::errc::file_too_large);
  std::string text(size, '\0');
  const auto read = (*file)->read_now(std::as_writable_bytes(std::span(text.data(), text.size())), 0);
  if (!read) return std::unexpected(read.error());
  text.resize(*read);
  return text;
}

Outcome<void> append_whole_now(File& file, Bytes bytes) {
  const ConstBuffer buffer{bytes.data(), bytes.size()};
  const auto written = file.append_now(std::span(&buffer, 1));
  if (!written) return std::unexpected(written.error());
  if (*written != bytes.size()) return fail(std::errc::no_space_on_device);
  return {};
}

Outcome<void> rewrite_now(File& file, Bytes bytes) {
  if (file.size() != 0) {
    if (auto cut = file.truncate_now(0); !cut) return cut;
  }
  return append_whole_now(file, bytes);
}

Outcome<void> replace_file_now(Disk& disk, const std::string& path, std::string_view text) {
  auto file = write_aside(disk, path, text);
  if (!file) return std::unexpected(file.error());
  if (auto synced = (*file)->sync_now(); !synced) return synced;
  if (auto renamed = disk.rename(aside(path), path); !renamed) return renamed;
  return disk.sync_directory_now(parent_of(path));
}

Task<Outcome<void>> replace_file(Runtime& runtime, std::string path, std::string text) {
  Disk& disk = runtime.disk();
  auto file = write_aside(disk, path, text);
  if (!file) co_return std::unexpected(file.error());
  const IoResult synced = co_await sync(**file);
  if (!synced.ok()) co_return std::unexpected(synced.error);
  if (auto renamed = disk.rename(aside(path), path); !renamed) co_return renamed;
  const std::string parent = parent_of(path);
  const IoResult directory = co_await sync_directory(disk, parent);
  if (!directory.ok()) co_return std::unexpected(directory.error);
  co_return Outcome<void>();
}

std::string format_offsets(const OffsetCheckpoint& offsets) {
  std::string text = fmt::format("0\n{}\n", offsets.size());
  for (const auto& [name, offset] : offsets) {
    fmt::format_to(std::back_inserter(text), "{} {} {}\n", name.topic, name.partition, offset.value());
  }
  return text;
}

std::expected<std::vector<std::string_view>, std::string> checkpoint_lines(std::string_view text) {
  const std::string_view version = take_line(text);
  if (version != "0") return std::unexpected(fmt::format("line 1: version \"{}\", only 0 is known", version));
  const std::string_view count_text = take_line(text);
  const auto count = parse_number<std::uint32_t>(count_text);
  if (!count) return std::unexpected(fmt::format("line 2: \"{}\" is not a number of lines", count_text));
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    if (!line.empty()) lines.push_back(line);
  }
  if (lines.size() != *count) {
    return std::unexpected(fmt::format("line 2 promises {} lines, {} follow", *count, lines.size()));
  }
  return lines;
}

std::expected<OffsetCheckpoint, std::string> parse_offsets(std::string_view text) {
  const auto lines = checkpoint_lines(text);
  if (!lines) return std::unexpected(lines.error());
  OffsetCheckpoint offsets;
  for (std::size_t i = 0; i < lines->size(); ++i) {
    const std::string_view line = (*lines)[i];
    const std::size_t second = line.rfind(' ');
    const std::size_t first = second == 0 || second == std::string_view::npos ? second : line.rfind(' ', second - 1);
    if (first == std::string_view::npos || first == 0 || second == 0) {
      return std::unexpected(fmt::format("line {}: \"{}\" is not \"topic partition offset\"", i + 3, line));
    }
    const auto partition = parse_number<std::int32_t>(line.substr(first + 1, second - first - 1));
    const auto offset = parse_number<std::int64_t>(line.substr(second + 1));
    if (!partition || *partition < 0 || !offset || *offset < 0) {
      return std::unexpected(fmt::format("line {}: \"{}\" is not \"topic partition offset\"", i + 3, line));
    }
    offsets[{std::string(line.substr(0, first)), *partition}] = Offset(*offset);
  }
  return offsets;
}

}  // namespace verdict::storage
