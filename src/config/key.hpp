// What is known of a key, and the one way to declare it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "mtrain/config/deck.hpp"
#include "value.hpp"

namespace mtrain::config {

struct Key {
  std::string name;
  std::string section;
  std::string type;    ///< int, float, bool, time, text, path, choice, list; "|null"
  std::string limits;  ///< range or allowed words; empty for any
  std::string default_text;  ///< as the dump writes it
  std::string meaning;       ///< one line
  std::string note;  ///< why the default differs from the reference's, and the like
  std::function<std::optional<Fault>(const RawValue&, Deck&)> assign;
  std::function<std::string(const Deck&)> text;
  std::function<std::string&(Deck&)> path;  ///< of a key that names a file or folder

  bool takes_null() const { return type.ends_with("|null"); }
  Key& with_note(std::string why) {
    note = std::move(why);
    return *this;
  }
};

/// Declares keys of one section: name, where the value lives, default, limits, meaning.
template <class Section>
class SectionKeys {
 public:
  SectionKeys(std::vector<Key>& keys, std::string section, Section Deck::*part)
      : keys_(keys), section_(std::move(section)), part_(part) {}

  template <class T>
  Key& add(std::string name, T Section::*member, std::type_identity_t<T> standard,
           Limits limits, std::string meaning) {
    Key key;
    key.name = std::move(name);
    key.section = section_;
    key.type = ValueType<T>::type_name();
    key.limits = limits_text<T>(limits);
    key.default_text = ValueType<T>::text(standard);
    key.meaning = std::move(meaning);
    key.assign = [part = part_, member, standard, limits](const RawValue& raw,
                                                          Deck& deck) {
      T& place = deck.*part.*member;
      if (!raw.null || is_optional(place)) {
        return ValueType<T>::parse(raw, limits, place);
      }
      place = standard;
      return std::optional<Fault>();
    };
    key.text = [part = part_, member](const Deck& deck) {
      return ValueType<T>::text(deck.*part.*member);
    };
    keys_.push_back(std::move(key));
    return keys_.back();
  }

  /// A key that names a file or folder: "~" in front of it is a home folder.
  Key& add_path(std::string name, std::string Section::*member, std::string standard,
                std::string meaning) {
    Key& key = add(std::move(name), member, std::move(standard), {}, std::move(meaning));
    key.type = "path";
    key.path = [part = part_, member](Deck& deck) -> std::string& {
      return deck.*part.*member;
    };
    return key;
  }

 private:
  template <class T>
  static constexpr bool is_optional(const std::optional<T>&) {
    return true;
  }
  template <class T>
  static constexpr bool is_optional(const T&) {
    return false;
  }
  template <class T>
  static std::string limits_text(const Limits& limits) {
    if constexpr (std::is_enum_v<T>) {
      return join(ValueType<T>::words(), ", ");
    } else {
      return to_string(limits);
    }
  }

  std::vector<Key>& keys_;
  std::string section_;
  Section Deck::*part_;
};

}  // namespace mtrain::config
