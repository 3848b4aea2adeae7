#include "kernel_picture.hpp"

#include <catch2/catch.hpp>

#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>

using nlohmann::json;
using opforge::bench::kernel_picture;

namespace {

constexpr int kMi = 1 << 20;

json cell(const char* dtype, const char* type, int group_size, double share) {
    return {{"op", "ds_quantizer"}, {"dtype", dtype},        {"bits", 8},
            {"type", type},         {"rounding", "nearest"}, {"group_size", group_size},
            {"elements", 64 * kMi}, {"share_of_copy", share}};
}

int count(const std::string& text, std::string_view part) {
    int found = 0;
    for (std::size_t at = text.find(part); at != std::string::npos;
         at = text.find(part, at + part.size())) {
        ++found;
    }
    return found;
}

}  // namespace

TEST_CASE("a picture has a line for each series and says where it was measured", "[bench]") {
    const json figures{
        {"device", "GPU <1> & more"},
        {"machine", {{"gpus", {{{"driver_version", "580.1"}}}}}},
        {"rounds", 9},
        {"cells",
         {cell("fp16", "symmetric", 64, 1.0), cell("fp16", "symmetric", 128, 0.9),
          cell("fp32", "asymmetric", 64, 0.8), cell("fp32", "asymmetric", 128, 0.7)}}};

    const std::string svg = kernel_picture(figures);

    CHECK(svg.starts_with("<svg "));
    CHECK(svg.ends_with("</svg>\n"));
    CHECK(count(svg, "class=\"panel\"") == 1);
    CHECK(count(svg, "class=\"limit\"") == 1);
    CHECK(count(svg, "<polyline ") == 2);
    CHECK(count(svg, "<circle ") == 4);
    CHECK(svg.find("fp32 asymmetric nearest") != std::string::npos);
    CHECK(svg.find("ds_quantizer, 64 Mi values") != std::string::npos);
    CHECK(svg.find("GPU &lt;1&gt; &amp; more, driver 580.1") != std::string::npos);
    CHECK(count(svg, "<g ") == count(svg, "</g>"));
    CHECK(count(svg, "<text") == count(svg, "</text>"));
}

TEST_CASE("each size of tensor has its panel, and peers are drawn in the cell's", "[bench]") {
    json small = cell("fp16", "symmetric", 64, 1.0);
    small["elements"] = kMi;
    json small_too = cell("fp16", "symmetric", 256, 1.0);
    small_too["elements"] = kMi;
    json peer = cell("fp16", "symmetric", 64, 1.0);
    peer["deepspeed"] = {{"share_of_copy", 0.06}};
    peer["torch"] = {{"note", "no PyTorch"}};

    const std::string svg =
        kernel_picture(json{{"cells",
                             {small, small_too, cell("fp16", "symmetric", 64, 1.0),
                              cell("fp16", "symmetric", 256, 1.0)}},
                            {"peers", {peer}}});

    CHECK(count(svg, "class=\"panel\"") == 2);
    CHECK(svg.find("DeepSpeed: fp16 symmetric nearest") != std::string::npos);
    CHECK(svg.find("torch.compile:") == std::string::npos);
}

TEST_CASE("there is no picture of nothing", "[bench]") {
    CHECK_THROWS_AS(kernel_picture(json{{"cells", json::array()}}), std::invalid_argument);
}
