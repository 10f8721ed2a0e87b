// UTF-8: validity, length on a console, and characters that a console should not get.
#ifndef ASCEND310_INFER_INC_TEXT_H_
#define ASCEND310_INFER_INC_TEXT_H_

#include <string>

namespace segment {

// Whether all of it is UTF-8 as Unicode defines it: no surrogates, nothing longer than needed, nothing past U+10FFFF.
bool IsUtf8(const std::string &text);

// Characters (code points) of UTF-8.
size_t Characters(const std::string &text);

// The first `count` characters of UTF-8.
std::string FirstCharacters(const std::string &text, size_t count);

// Whether UTF-8 holds a control character (U+0000 to U+001F, U+007F to U+009F) or a line or paragraph separator.
bool HasControls(const std::string &text);

// The text before the first line break.
std::string FirstLine(const std::string &text);

// The text for a console: control characters and bytes that are not UTF-8 (file names may have them) become \xNN.
std::string Printable(const std::string &text);

}  // namespace segment

#endif  // ASCEND310_INFER_INC_TEXT_H_
