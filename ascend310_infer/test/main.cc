// Run the suites named on the command line: text, facts, pictures, pipeline.
#include <iostream>
#include <map>

#include "test/check.h"

int main(int argc, char **argv) {
  const std::map<std::string, Tests> suites = {
      {"text", TextTests()}, {"facts", FactsTests()}, {"pictures", PictureTests()}, {"pipeline", PipelineTests()}};
  int failed = 0;
  for (int i = 1; i < argc; ++i) {
    for (const auto &[name, test] : suites.at(argv[i])) {
      try {
        test();
        std::cout << "passed " << name << "\n";
      } catch (const std::exception &error) {
        std::cout << "FAILED " << name << ": " << error.what() << "\n";
        ++failed;
      }
    }
  }
  return failed > 0 ? 1 : 0;
}
