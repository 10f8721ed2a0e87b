// Options, list files, class names, the table.
#include <cmath>
#include <filesystem>

#include "inc/errors.h"
#include "inc/files.h"
#include "inc/metrics.h"
#include "inc/options.h"
#include "inc/text.h"
#include "test/check.h"

namespace {

using segment::InputError;

const std::vector<std::string> kNeeded = {"--mindir_path=m", "--dataset_path", "d", "--image_list=l"};

segment::Options Parse(std::vector<std::string> more) {
  more.insert(more.end(), kNeeded.begin(), kNeeded.end());
  return segment::ParseOptions(more);
}

std::string Scratch(const std::string &text) {
  const std::string path = (std::filesystem::temp_directory_path() / "segment_list.txt").string();
  segment::WriteFile(path, text);
  return path;
}

std::string ListError(const std::string &text) {
  return Thrown<InputError>([&] { segment::ReadList(Scratch(text)); });
}

void OptionsAreRead() {
  const segment::Options options = Parse({"--batch", "4", "--skip_bad", "--mean=1,2.5,3", "--device_type=CPU"});
  CHECK(options.mindir_path == "m" && options.dataset_path == "d" && options.image_list == "l");
  CHECK(options.batch == 4 && options.skip_bad && !options.dump_probs && options.device_type == "CPU");
  CHECK(options.mean[1] == 2.5 && options.std[2] == 58.395 && options.ignore_label == 255);
  CHECK(segment::ParseOptions({"--help"}).help && Has(segment::HelpText(), "--fusion_switch_path TEXT"));
}

void WrongOptionsAreNamed() {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"--bach=1"}, "no option '--bach'"},        {{"--batch=x"}, "--batch takes a number from 0 to 1024, not 'x'"},
      {{"--batch=1.5"}, "--batch"},                {{"--batch=-1"}, "--batch"},
      {{"--mean=1,2"}, "--mean takes three"},      {{"--mean=1,2,3,"}, "--mean takes three"},
      {{"--std=1,0,1"}, "--std"},                  {{"--skip_bad=True"}, "--skip_bad takes no value"},
      {{"--device_type=TPU"}, "one of Ascend, GPU, CPU"}, {{"stray"}, "no option 'stray'"}};
  for (const auto &[arguments, part] : cases) {
    const std::vector<std::string> &given = arguments;
    CHECK(Has(Thrown<InputError>([&] { Parse(given); }), part));
  }
  CHECK(Has(Thrown<InputError>([] { segment::ParseOptions({"--batch"}); }), "--batch needs a value"));
  CHECK(Has(Thrown<InputError>([] { segment::ParseOptions({}); }), "--mindir_path is not given"));
}

void ListsAreRead() {
  const auto pairs = segment::ReadList(Scratch("a.jpg b.png\r\n\n  c d.jpg\te f.png \r\xC3\xA4.jpg  \xC3\xA4.png"));
  CHECK(pairs.size() == 3 && pairs[0].image == "a.jpg" && pairs[0].mask == "b.png");
  CHECK(pairs[1].image == "c d.jpg" && pairs[1].mask == "e f.png" && pairs[2].image == "\xC3\xA4.jpg");
  CHECK(segment::ReadList(Scratch("\xEF\xBB\xBF" "a.jpg b.png"))[0].image == "a.jpg");
  CHECK(segment::ReadList(Scratch("a\xff.jpg b\v.png"))[0].image == "a\xff.jpg");
  CHECK(segment::ReadList(Scratch("a b.jpg\tb.png\t"))[0].mask == "b.png");
}

void WrongListsAreNamed() {
  CHECK(Has(ListError("a b\nc\n"), "line 2: 1 fields"));
  CHECK(Has(ListError("a b c"), "line 1: 3 fields") && Has(ListError("a\t"), "line 1: 1 fields"));
  CHECK(Has(ListError("a b\r\nc"), "line 2: 1 fields") && Has(ListError("a\t\tb"), "3 fields"));
  CHECK(Has(ListError("a\tb\tc"), "3 fields") && Has(ListError(" \n\t\n"), "is empty"));
  CHECK(Has(ListError("\xff\xfe b"), "is not a text file"));
  CHECK(Has(ListError(std::string("a\0b c", 5)), "is not a text file"));
  CHECK(Has(Thrown<InputError>([] { segment::ReadList("/no/list"); }), "/no/list: No such file"));
  CHECK(Has(Thrown<InputError>([] { segment::ReadList("/"); }), "is a folder"));
  CHECK(Has(Thrown<InputError>([] { segment::ReadList("/dev/null"); }), "/dev/null: is a device or a pipe"));
}

void FilesAreWrittenWhole() {
  const std::string path = Scratch("first");
  segment::WriteFile(path, "second");
  CHECK(segment::FirstByte(path) == 's');
  CHECK(segment::ReadFile(path) == "second" && segment::Stem("a b/c.d.jpg") == "c.d");
  CHECK(Has(Thrown<segment::RunError>([] { segment::WriteFile("/no/folder/x", "y"); }), "/no/folder/x: cannot"));
}

void ClassesHaveNames() {
  CHECK(segment::ClassNames(2, "", {"a", "b"})[1] == "b");
  CHECK(segment::ClassNames(21, "", {})[20] == "tvmonitor" && segment::ClassNames(3, "", {"a", "b"})[2] == "class_2");
  CHECK(segment::ClassNames(2, Scratch("sky\nold tree\n"), {"a", "b"})[1] == "old tree");
  CHECK(Has(Thrown<InputError>([] { segment::ClassNames(3, Scratch("a\nb"), {}); }), "2 names for a model with 3"));
}

void MatrixCounts() {
  segment::ConfusionMatrix matrix(4, 255);
  const cv::Mat mask = (cv::Mat_<uchar>(2, 3) << 0, 0, 1, 1, 255, 2);
  const cv::Mat found = (cv::Mat_<uchar>(2, 3) << 0, 1, 1, 1, 3, 0);
  matrix.Update(mask, found);
  const std::vector<segment::Figures> figures = matrix.PerClass();
  CHECK(matrix.count(0, 1) == 1 && matrix.count(2, 0) == 1 && matrix.TruthPixels()[1] == 2);
  CHECK((figures[0] == segment::Figures{1. / 3, 2. / 4, 1. / 2, 1. / 2}));
  CHECK((figures[1] == segment::Figures{2. / 3, 4. / 5, 2. / 3, 1}));
  CHECK((figures[2] == segment::Figures{0, 0, 0, 0}) && std::isnan(figures[3][0]) && std::isnan(figures[3][3]));
  CHECK(std::abs(matrix.Means()[0] - 1. / 3) < 1e-12 && matrix.Means()[3] == 0.5 && matrix.PixelAccuracy() == 3. / 5);
  const std::string table = segment::FormatTable(matrix, {"a", "b", "c", "unseen"});
  CHECK(Has(table, "a       0.3333  0.5000     0.5000  0.5000                 2\n"));
  CHECK(Has(table, "mean    0.3333  0.4333     0.3889  0.5000\nmean IoU 0.333333\npixel accuracy 0.600000"));
  CHECK(Has(table, "unseen     never occurs: not in the means                 0\n"));
  CHECK(std::isnan(segment::ConfusionMatrix(2, 255).Means()[0]));
  const std::string cut = segment::FormatTable(matrix, {"a", "b", std::string(19, 'x') + "\xC3\xA4\xC3\xA4yz", "d"});
  CHECK(Has(cut, "\n" + std::string(18, 'x') + "...  0.0000") && Has(cut, "\na" + std::string(20, ' ') + "  0.3333"));
}

void Utf8IsKnown() {
  for (const std::string text : {"", "a", "\xC2\x80", "\xE2\x82\xAC", "\xED\x9F\xBF", "\xF0\x9F\x98\x80",
                                 "\xF4\x8F\xBF\xBF"}) {
    CHECK(segment::IsUtf8(text));
  }
  for (const std::string text : {"\x80", "\xC1\xBF", "\xC3", "\xC3z", "\xE0\x9F\xBF", "\xE2\x82", "\xED\xA0\x80",
                                 "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF"}) {
    CHECK(!segment::IsUtf8(text));
  }
  CHECK(segment::Characters("a\xC3\xA4\xE2\x82\xAC") == 3);
  CHECK(segment::FirstCharacters("a\xC3\xA4\xE2\x82\xAC", 2) == "a\xC3\xA4");
  CHECK(segment::HasControls("a\x1b[31m") && segment::HasControls("\xC2\x9B") && segment::HasControls("\xE2\x80\xA8"));
  CHECK(!segment::HasControls("\xC2\xA0 \xE5\x9B\xBE") && segment::FirstLine("one\ntwo") == "one");
  CHECK(segment::Printable("\xC3\xA4\x1b[m\xff\n\xC2\x9B") == "\xC3\xA4\\x1b[m\\xff\\x0a\\xc2\\x9b");
}

}  // namespace

Tests TextTests() {
  return {{"options are read", OptionsAreRead},     {"wrong options are named", WrongOptionsAreNamed},
          {"lists are read", ListsAreRead},         {"wrong lists are named", WrongListsAreNamed},
          {"files are written", FilesAreWrittenWhole}, {"classes have names", ClassesHaveNames},
          {"the matrix counts", MatrixCounts},         {"UTF-8 is known", Utf8IsKnown}};
}
