// Read and write files: errors name the file; outputs are written under a temporary name and renamed.
#ifndef ASCEND310_INFER_INC_FILES_H_
#define ASCEND310_INFER_INC_FILES_H_

#include <string>
#include <vector>

namespace segment {

// A line of a list file, with its paths unchanged.
struct Pair {
  std::string image;
  std::string mask;
};

// `folder`/`path`, or `path` if it is absolute.
std::string Join(const std::string &folder, const std::string &path);

bool IsFile(const std::string &path);

// All bytes of a file. Throws InputError, for folders, devices and pipes too.
std::string ReadFile(const std::string &path);

// A file's first byte, -1 if it is empty. Throws InputError.
int FirstByte(const std::string &path);

// Writes beside `path` first and renames. Throws RunError.
void WriteFile(const std::string &path, const void *data, size_t size);
void WriteFile(const std::string &path, const std::string &text);

// Pairs of a list file: lines `image mask`, separated by a tab where a name has blanks; empty lines are skipped.
// Names are bytes. Throws InputError for a missing or empty file, UTF-16, and a line with another number of fields.
std::vector<Pair> ReadList(const std::string &path);

// Names of `count` classes: the lines of a file, else `known` if it has as many, else VOC's for 21, else class_0, ...
// Throws InputError for a file with another number of names.
std::vector<std::string> ClassNames(size_t count, const std::string &path, const std::vector<std::string> &known);

// The file's name without folder and extension: the name of its results.
std::string Stem(const std::string &path);

}  // namespace segment

#endif  // ASCEND310_INFER_INC_FILES_H_
