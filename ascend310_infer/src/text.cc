// UTF-8, byte by byte.
#include "inc/text.h"

#include <algorithm>
#include <array>

namespace segment {
namespace {

unsigned char Byte(const std::string &text, size_t place) { return static_cast<unsigned char>(text[place]); }

bool IsFollowing(char character) { return (static_cast<unsigned char>(character) & 0xC0U) == 0x80U; }

// First bytes of one kind, how many follow, and what the second may be (Unicode 15, table 3-7).
struct Form {
  unsigned char first, last;
  size_t following;
  unsigned char lowest, highest;
};
constexpr std::array<Form, 9> kForms = {{{0x00, 0x7F, 0, 0, 0},
                                         {0xC2, 0xDF, 1, 0x80, 0xBF},
                                         {0xE0, 0xE0, 2, 0xA0, 0xBF},
                                         {0xE1, 0xEC, 2, 0x80, 0xBF},
                                         {0xED, 0xED, 2, 0x80, 0x9F},
                                         {0xEE, 0xEF, 2, 0x80, 0xBF},
                                         {0xF0, 0xF0, 3, 0x90, 0xBF},
                                         {0xF1, 0xF3, 3, 0x80, 0xBF},
                                         {0xF4, 0xF4, 3, 0x80, 0x8F}}};

// Bytes of the character that begins at `place`; 0 where none does.
size_t Length(const std::string &text, size_t place) {
  const unsigned char byte = Byte(text, place);
  const auto *form = std::find_if(kForms.begin(), kForms.end(),
                                  [byte](const Form &known) { return byte >= known.first && byte <= known.last; });
  if (form == kForms.end() || text.size() - place <= form->following) return 0;
  for (size_t next = 1; next <= form->following; ++next) {
    if (!IsFollowing(text[place + next])) return 0;
  }
  const unsigned char second = form->following > 0 ? Byte(text, place + 1) : 0;
  return second < form->lowest || second > form->highest ? 0 : form->following + 1;
}

}  // namespace

bool IsUtf8(const std::string &text) {
  size_t place = 0;
  while (place < text.size()) {
    const size_t length = Length(text, place);
    if (length == 0) return false;
    place += length;
  }
  return true;
}

std::string Printable(const std::string &text) {
  constexpr std::array<char, 17> digits = {"0123456789abcdef"};
  std::string shown;
  for (size_t place = 0; place < text.size();) {
    const size_t length = Length(text, place);
    const std::string character = text.substr(place, std::max<size_t>(length, 1));
    place += character.size();
    if (length > 0 && !HasControls(character)) {
      shown += character;
      continue;
    }
    for (const char byte : character) {
      const auto value = static_cast<unsigned char>(byte);
      shown += {'\\', 'x', digits[value / 16], digits[value % 16]};
    }
  }
  return shown;
}

size_t Characters(const std::string &text) {
  return text.size() - static_cast<size_t>(std::count_if(text.begin(), text.end(), IsFollowing));
}

std::string FirstCharacters(const std::string &text, size_t count) {
  size_t place = 0;
  for (; place < text.size() && (count > 0 || IsFollowing(text[place])); ++place) {
    count -= IsFollowing(text[place]) ? 0 : 1;
  }
  return text.substr(0, place);
}

std::string FirstLine(const std::string &text) { return text.substr(0, text.find_first_of("\r\n")); }

bool HasControls(const std::string &text) {
  for (size_t place = 0; place < text.size(); ++place) {
    const unsigned char byte = Byte(text, place);
    const unsigned char next = place + 1 < text.size() ? Byte(text, place + 1) : 0;
    if (byte < 0x20 || byte == 0x7F || (byte == 0xC2 && next < 0xA0)) return true;
  }
  return text.find("\xE2\x80\xA8") != std::string::npos || text.find("\xE2\x80\xA9") != std::string::npos;
}

}  // namespace segment
