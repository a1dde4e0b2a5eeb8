// Inspect pictures with a uadx bundle in C++: what `uadx run` does between the file and the score, in 250 lines.
//
//     uadx_inspect MODEL_FOLDER PICTURE... [--heatmaps FOLDER]
//
// prints a line of JSON for each picture; 8 is the exit code where one could not be inspected. For whole images and the
// fit `letterbox`, which is uadx's default. It does not check the bundle's hashes: `uadx info MODEL` does.

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <openvino/openvino.hpp>

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int LEAST_SIDE = 8;  // pixels: a smaller picture shows no part
constexpr int GRAIN = 4;  // content ends at a multiple of so many pixels (uadx/images/preprocess.py)

// What manifest.json says.
struct Model {
    int height, width;
    double smoothing, top_fraction, threshold;
    json levels;
};

void require(bool holds, const std::string& field) {
    if (!holds) throw std::runtime_error("manifest.json: " + field + " is not as a bundle has it");
}

// The score above which a good image falls with a probability of at most `rate` (uadx/scoring/calibration.py).
double conformal_threshold(const std::vector<double>& scores, double rate) {
    const auto count = static_cast<double>(scores.size());
    const auto rank = static_cast<long>(std::ceil((count + 1) * (1 - rate) - 1e-9));
    if (rank > static_cast<long>(scores.size())) throw std::runtime_error("too few calibration images for this rate");
    return scores[static_cast<std::size_t>(std::max(rank, 1L) - 1)];
}

// Values that no bundle has would give a score that means nothing (uadx/bundle/manifest.py).
void check(const Model& model) {
    for (const int side : {model.height, model.width}) require(side >= 32 && side <= 4096 && side % 16 == 0, "input");
    require(model.smoothing >= 0 && model.smoothing <= 64, "scoring.smoothing");
    require(model.top_fraction > 0 && model.top_fraction <= 1, "scoring.top_fraction");
    double weights = 0;
    for (const char* name : {"level1", "level2", "level3"}) {
        const json& level = model.levels.at(name);
        const double low = level.at("low"), high = level.at("high"), weight = level.at("weight");
        require(high > low && weight >= 0, std::string("scoring.levels.") + name);
        weights += weight;
    }
    require(weights > 0 && model.levels.size() == 3, "scoring.levels");
}

Model read_manifest(const fs::path& folder) {
    std::ifstream file(folder / "manifest.json");
    if (!file) throw std::runtime_error((folder / "manifest.json").string() + " cannot be read");
    const json manifest = json::parse(file);
    require(manifest.at("schema") == 2, "schema");
    const json& input = manifest.at("input");
    if (input.at("fit") != "letterbox" || !input.value("tiling", json()).is_null())
        throw std::runtime_error("this example inspects whole, letterboxed images");
    const json& scoring = manifest.at("scoring");
    const std::vector<double> scores = manifest.at("calibration").at("quantile");
    const double rate = manifest.at("default_fpr");
    require(!scores.empty() && std::is_sorted(scores.begin(), scores.end()), "calibration.quantile");
    require(rate > 0 && rate < 1, "default_fpr");
    const Model model{input.at("height"), input.at("width"), scoring.at("smoothing"), scoring.at("top_fraction"),
                      conformal_threshold(scores, rate), scoring.at("levels")};
    check(model);
    return model;
}

// 8 bits BGR, upright by its EXIF orientation where OpenCV reads that (4.6 does not of a WebP).
cv::Mat decoded(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    const std::string data{std::istreambuf_iterator<char>(file), {}};
    if (data.rfind("\xff\xd8", 0) == 0) {  // what a JPEG lacks at its end, OpenCV fills up with grey
        const auto end = data.rfind("\xff\xd9"), scan = data.rfind("\xff\xda");
        if (end == std::string::npos || scan == std::string::npos || end < scan)
            throw std::runtime_error("the file is cut short");
    }
    cv::Mat picture = cv::imread(path.string(), cv::IMREAD_COLOR | cv::IMREAD_ANYDEPTH);
    if (picture.empty()) throw std::runtime_error("cannot be read as a picture");
    if (cv::imcount(path.string()) > 1) throw std::runtime_error("several pages: one would hide the others");
    if (std::min(picture.rows, picture.cols) < LEAST_SIDE) throw std::runtime_error("a side of fewer than 8 pixels");
    if (picture.depth() == CV_16U) picture.convertTo(picture, CV_8U, 1 / 257.);
    if (picture.depth() != CV_8U) throw std::runtime_error("neither 8 nor 16 bits: nothing says which value is white");
    return picture;
}

// Each axis averaged by area where it shrinks and interpolated where it grows; the rest is the mirror image.
cv::Mat letterboxed(const cv::Mat& picture, const Model& model, cv::Size& content) {
    const double scale = std::min(double(model.height) / picture.rows, double(model.width) / picture.cols);
    const auto side = [&](int length, int most) {
        return std::min(most, std::max(GRAIN, int(std::nearbyint(length * scale / GRAIN)) * GRAIN));
    };
    content = {side(picture.cols, model.width), side(picture.rows, model.height)};
    cv::Mat shrunk = picture, grown, filled, rgb;
    const cv::Size smaller(std::min(picture.cols, content.width), std::min(picture.rows, content.height));
    if (smaller != picture.size()) cv::resize(picture, shrunk, smaller, 0, 0, cv::INTER_AREA);
    grown = shrunk;
    if (content != smaller) cv::resize(shrunk, grown, content, 0, 0, cv::INTER_LINEAR_EXACT);
    cv::copyMakeBorder(grown, filled, 0, model.height - content.height, 0, model.width - content.width, cv::BORDER_REFLECT);
    cv::cvtColor(filled, rgb, cv::COLOR_BGR2RGB);
    return rgb;
}

// The matrix [target, size] that resizes (bilinear, half-pixel centres) and then smooths (uadx/scoring/fusion.py).
cv::Mat resizing(int size, int target, double sigma) {
    cv::Mat resize = cv::Mat::zeros(target, size, CV_64F);
    for (int row = 0; row < target; ++row) {
        const double centre = std::clamp((row + 0.5) * size / target - 0.5, 0.0, size - 1.0);
        for (int column = 0; column < size; ++column)
            resize.at<double>(row, column) = std::max(0.0, 1 - std::abs(centre - column));
    }
    cv::Mat result = resize;
    if (sigma > 0) {
        const int radius = int(std::ceil(4 * sigma));
        std::vector<double> kernel;
        for (int offset = -radius; offset <= radius; ++offset) kernel.push_back(std::exp(-0.5 * std::pow(offset / sigma, 2)));
        const double total = cv::sum(kernel)[0];
        cv::Mat smooth = cv::Mat::zeros(target, target, CV_64F);
        for (int row = 0; row < target; ++row)
            for (int offset = -radius; offset <= radius; ++offset)
                smooth.at<double>(row, std::clamp(row + offset, 0, target - 1)) += kernel[std::size_t(offset + radius)] / total;
        result = smooth * resize;
    }
    result.convertTo(result, CV_32F);
    return result;
}

// The weighted mean of the levels, each on its own scale, at level1's size.
cv::Mat fused(const std::map<std::string, cv::Mat>& maps, const Model& model) {
    const cv::Size size = maps.at("level1").size();
    double weights = 0;
    for (const auto& level : model.levels) weights += level.at("weight").get<double>();
    cv::Mat total = cv::Mat::zeros(size, CV_32F);
    for (const auto& [name, level] : model.levels.items()) {
        const double low = level.at("low"), high = level.at("high"), weight = level.at("weight");
        const cv::Mat scaled = (maps.at(name) - low) * (1 / (high - low));
        const cv::Mat rows = resizing(scaled.rows, size.height, model.smoothing);
        const cv::Mat columns = resizing(scaled.cols, size.width, model.smoothing);
        total += (weight / weights) * (rows * scaled * columns.t());
    }
    return total;
}

double top_mean(const cv::Mat& map, double fraction) {
    std::vector<float> values(map.begin<float>(), map.end<float>());
    const auto count = std::max<std::size_t>(1, std::size_t(std::nearbyint(fraction * double(values.size()))));
    std::nth_element(values.begin(), values.end() - long(count), values.end());
    std::sort(values.end() - long(count), values.end());
    double sum = 0;
    for (auto value = values.end() - long(count); value != values.end(); ++value) sum += *value;
    return sum / double(count);
}

cv::Mat heatmap(const cv::Mat& map, const cv::Size& size, double threshold) {
    cv::Mat large, levels, colours;
    cv::resize(map, large, size, 0, 0, cv::INTER_LINEAR);
    large.convertTo(levels, CV_8U, 255 / (2 * std::max(threshold, 1e-6)));  // the colours end at twice the threshold
    cv::applyColorMap(levels, colours, cv::COLORMAP_INFERNO);
    return colours;
}

// The cells of the anomaly map that show the picture.
cv::Mat anomaly_map(const cv::Mat& picture, ov::InferRequest& request, const Model& model) {
    cv::Size content;
    cv::Mat pixels = letterboxed(picture, model, content);
    request.set_input_tensor(ov::Tensor(ov::element::u8, {1, std::size_t(model.height), std::size_t(model.width), 3}, pixels.data));
    request.infer();
    std::map<std::string, cv::Mat> maps;
    for (const auto& [name, level] : model.levels.items()) {
        ov::Tensor output = request.get_tensor(name);
        const ov::Shape shape = output.get_shape();
        maps[name] = cv::Mat(int(shape[1]), int(shape[2]), CV_32F, output.data<float>()).clone();
    }
    const cv::Mat whole = fused(maps, model);
    const auto part = [](int shown, int cells, int of) { return (shown * cells + of - 1) / of; };
    const cv::Rect shown(0, 0, part(content.width, whole.cols, model.width), part(content.height, whole.rows, model.height));
    return whole(shown).clone();
}

// Heat maps of one run have names of their own, also where pictures of several folders have the same.
fs::path heatmap_file(const fs::path& folder, const fs::path& picture) {
    static std::set<fs::path> taken;
    fs::path file = folder / (picture.stem().string() + "_heatmap.png");
    for (int number = 2; !taken.insert(file).second; ++number)
        file = folder / (picture.stem().string() + "_" + std::to_string(number) + "_heatmap.png");
    return file;
}

json inspected(const fs::path& path, ov::InferRequest& request, const Model& model, const fs::path& heatmaps) try {
    const cv::Mat picture = decoded(path);
    const cv::Mat map = anomaly_map(picture, request, model);
    const double score = top_mean(map, model.top_fraction);
    if (!std::isfinite(score)) throw std::runtime_error("the model gave no number");
    json row = {{"input_path", path.string()}, {"score", score}, {"threshold", model.threshold}, {"is_anomaly", score > model.threshold}};
    if (!heatmaps.empty()) {
        const fs::path file = heatmap_file(heatmaps, path);
        if (!cv::imwrite(file.string(), heatmap(map, picture.size(), model.threshold)))
            throw std::runtime_error(file.string() + " cannot be written");
        row["heatmap"] = file.string();
    }
    return row;
} catch (const std::exception& error) {
    return {{"input_path", path.string()}, {"error", error.what()}};
}

int main(int argc, char** argv) try {
    std::vector<fs::path> pictures;
    fs::path heatmaps;
    for (int at = 2; at < argc; ++at) {
        if (std::string(argv[at]) == "--heatmaps" && at + 1 < argc) heatmaps = argv[++at];
        else pictures.emplace_back(argv[at]);
    }
    if (pictures.empty()) {
        std::cerr << "usage: uadx_inspect MODEL_FOLDER PICTURE... [--heatmaps FOLDER]\n";
        return 2;
    }
    if (!heatmaps.empty()) fs::create_directories(heatmaps);
    const fs::path folder = argv[1];
    const Model model = read_manifest(folder);
    ov::Core core;
    core.set_property("CPU", ov::hint::inference_precision(ov::element::f32));  // else some processors compute in bf16
    ov::CompiledModel compiled = core.compile_model((folder / "stfpm.onnx").string(), "CPU");
    ov::InferRequest request = compiled.create_infer_request();
    bool all_read = true;
    for (const fs::path& path : pictures) {
        const json row = inspected(path, request, model, heatmaps);
        all_read = all_read && !row.contains("error");
        std::cout << row.dump(-1, ' ', false, json::error_handler_t::replace) << std::endl;  // a name may be no UTF-8
    }
    return all_read ? 0 : 8;
} catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
    return 5;
}
