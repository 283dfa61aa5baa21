#pragma once
// A sorted map whose copies share what has not changed: copying one of 100,000 entries copies some hundred pointers, and
// changing one entry afterwards copies its chunk alone. One owner changes it; copies may be read in other threads.
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

namespace aether {

template <class Key, class Value>
class SharedMap {
 public:
  using value_type = std::pair<Key, Value>;

 private:
  static constexpr std::size_t kChunk = 256;
  struct Chunk {
    std::uint64_t owner = 0;           // the ownership under which it may be changed in place
    std::vector<value_type> entries;   // never empty, sorted
  };
  using Chunks = std::vector<std::shared_ptr<Chunk>>;

 public:
  SharedMap() = default;
  // Both go on with chunks that neither may change in place.
  SharedMap(const SharedMap& other) : chunks_(other.chunks_), size_(other.size_) { other.ownership_ = 0; }
  SharedMap& operator=(const SharedMap& other) {
    if (this == &other) return *this;
    chunks_ = other.chunks_, size_ = other.size_;
    ownership_ = 0, other.ownership_ = 0;
    return *this;
  }

  class const_iterator {
   public:
    using iterator_category = std::bidirectional_iterator_tag;
    using value_type = SharedMap::value_type;
    using difference_type = std::ptrdiff_t;
    using pointer = const value_type*;
    using reference = const value_type&;

    const_iterator() = default;
    reference operator*() const { return (*chunks_)[chunk_]->entries[at_]; }
    pointer operator->() const { return &**this; }
    const_iterator& operator++() {
      if (++at_ == (*chunks_)[chunk_]->entries.size()) ++chunk_, at_ = 0;
      return *this;
    }
    const_iterator operator++(int) { auto old = *this; ++*this; return old; }
    const_iterator& operator--() {
      if (at_ == 0) at_ = (*chunks_)[--chunk_]->entries.size();
      --at_;
      return *this;
    }
    const_iterator operator--(int) { auto old = *this; --*this; return old; }
    friend bool operator==(const const_iterator& a, const const_iterator& b) {
      return a.chunk_ == b.chunk_ && a.at_ == b.at_;
    }

   private:
    friend class SharedMap;
    const_iterator(const Chunks* chunks, std::size_t chunk, std::size_t at) : chunks_(chunks), chunk_(chunk), at_(at) {}
    const Chunks* chunks_ = nullptr;
    std::size_t chunk_ = 0, at_ = 0;
  };
  using const_reverse_iterator = std::reverse_iterator<const_iterator>;
  using iterator = const_iterator;

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const_iterator begin() const { return {&chunks_, 0, 0}; }
  const_iterator end() const { return {&chunks_, chunks_.size(), 0}; }
  const_reverse_iterator rbegin() const { return const_reverse_iterator(end()); }
  const_reverse_iterator rend() const { return const_reverse_iterator(begin()); }

  const_iterator find(const Key& key) const {
    const auto [chunk, at] = place_of(key);
    return holds(chunk, at, key) ? const_iterator{&chunks_, chunk, at} : end();
  }
  bool contains(const Key& key) const { return find(key) != end(); }
  const Value& at(const Key& key) const {
    const auto found = find(key);
    if (found == end()) throw std::out_of_range("SharedMap::at");
    return found->second;
  }

  // Calls visit(key, value, old value or null) for every entry that may differ from `before`, an earlier copy: all but those
  // that both share.
  template <class Visit>
  void visit_changes(const SharedMap& before, Visit visit) const {
    std::vector<const Chunk*> shared;
    for (const auto& chunk : before.chunks_) shared.push_back(chunk.get());
    std::sort(shared.begin(), shared.end());
    for (const auto& chunk : chunks_) {
      if (std::binary_search(shared.begin(), shared.end(), chunk.get())) continue;
      for (const auto& [key, value] : chunk->entries) {
        const auto old = before.find(key);
        visit(key, value, old == before.end() ? nullptr : &old->second);
      }
    }
  }

  // The entry, made if need be. The reference holds until the next change or copy. `key` must not lie in this map.
  Value& operator[](const Key& key) {
    const auto [chunk, at] = place_of(key);
    if (chunk == chunks_.size()) chunks_.push_back(new_chunk({}));
    auto& entries = own(chunk);
    if (at < entries.size() && entries[at].first == key) return entries[at].second;
    entries.insert(entries.begin() + static_cast<std::ptrdiff_t>(at), {key, Value{}});
    ++size_;
    if (entries.size() <= kChunk) return entries[at].second;
    // New keys usually sort last: then the old chunk stays full.
    const std::size_t kept = at == kChunk ? kChunk : kChunk / 2;
    const auto middle = entries.begin() + static_cast<std::ptrdiff_t>(kept);
    auto upper = new_chunk({std::make_move_iterator(middle), std::make_move_iterator(entries.end())});
    entries.erase(middle, entries.end());
    chunks_.insert(chunks_.begin() + static_cast<std::ptrdiff_t>(chunk) + 1, upper);
    return at < kept ? entries[at].second : upper->entries[at - kept].second;
  }

  // Calls change(key, value) for every entry. The references hold as long as those of operator[].
  template <class Change>
  void change_all(Change change) {
    for (std::size_t i = 0; i < chunks_.size(); ++i)
      for (auto& [key, value] : own(i)) change(std::as_const(key), value);
  }

  std::size_t erase(const Key& key) {
    const auto [chunk, at] = place_of(key);
    if (!holds(chunk, at, key)) return 0;
    auto& entries = own(chunk);
    entries.erase(entries.begin() + static_cast<std::ptrdiff_t>(at));
    if (entries.empty()) chunks_.erase(chunks_.begin() + static_cast<std::ptrdiff_t>(chunk));
    --size_;
    return 1;
  }
  void erase(const_iterator entry) { erase(Key(entry->first)); }
  void clear() { chunks_.clear(), size_ = 0; }

 private:
  // Where the key is or belongs: in the last chunk that begins at or before it.
  std::pair<std::size_t, std::size_t> place_of(const Key& key) const {
    const auto after = std::upper_bound(chunks_.begin(), chunks_.end(), key, [](const Key& k, const auto& chunk) {
      return k < chunk->entries.front().first;
    });
    if (chunks_.empty()) return {0, 0};
    const auto chunk = static_cast<std::size_t>(after - chunks_.begin()) - (after == chunks_.begin() ? 0 : 1);
    const auto& entries = chunks_[chunk]->entries;
    const auto entry = std::lower_bound(entries.begin(), entries.end(), key,
                                        [](const value_type& e, const Key& k) { return e.first < k; });
    return {chunk, static_cast<std::size_t>(entry - entries.begin())};
  }
  bool holds(std::size_t chunk, std::size_t at, const Key& key) const {
    return chunk < chunks_.size() && at < chunks_[chunk]->entries.size() && chunks_[chunk]->entries[at].first == key;
  }
  std::shared_ptr<Chunk> new_chunk(std::vector<value_type> entries) {
    if (ownership_ == 0) ownership_ = next_ownership();
    auto chunk = std::make_shared<Chunk>(Chunk{ownership_, std::move(entries)});
    chunk->entries.reserve(kChunk + 1);
    return chunk;
  }
  std::vector<value_type>& own(std::size_t chunk) {
    std::shared_ptr<Chunk>& held = chunks_[chunk];
    if (ownership_ == 0 || held->owner != ownership_) held = new_chunk(held->entries);
    return held->entries;
  }
  static std::uint64_t next_ownership() {
    static std::atomic<std::uint64_t> last{0};
    return ++last;
  }

  mutable std::atomic<std::uint64_t> ownership_{0};  // 0: of no chunk
  Chunks chunks_;
  std::size_t size_ = 0;
};

}  // namespace aether
