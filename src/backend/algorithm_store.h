// AlgorithmStore: which of a library's algorithms were found best for which products, kept in a file between
// runs. Timing them again at every start would take time, and two that are equally fast would be chosen by
// chance: the same prompt would give other last bits after a restart.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>

#include "pegainfer/result.h"

namespace pegainfer {

class AlgorithmStore {
 public:
  using Key = std::tuple<int64_t, int64_t, int64_t, int>;  // class of rows, n, cols, kind of epilogue
  using Algorithm = std::array<uint64_t, 8>;               // the library's, of no meaning here

  // What was saved at `path` under the same `identity` (one line that names all that a choice depends on: the
  // card, the library and its version). A file that is missing, of another identity or cut short is as good
  // as none. path "": kept in memory only.
  AlgorithmStore(std::string path, std::string identity);

  [[nodiscard]] std::optional<Algorithm> find(const Key& key) const;
  void put(const Key& key, const Algorithm& algorithm);
  // Writes the file when something was put since, and its folder when it is missing: whole or not at all, so
  // that another process never reads half of it.
  Status save();

  // name in $PEGAINFER_CACHE_DIR, or in pegainfer/ of $XDG_CACHE_HOME or ~/.cache; "" where none is known.
  static std::string path_of(const std::string& name);

 private:
  std::string path_;
  std::string identity_;
  std::map<Key, Algorithm> algorithms_;
  bool changed_ = false;
};

}  // namespace pegainfer
