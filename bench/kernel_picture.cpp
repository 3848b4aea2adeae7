#include "kernel_picture.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <tuple>
#include <utility>
#include <vector>

namespace opforge::bench {
namespace {

using nlohmann::json;

constexpr double kLimit = 0.95;
constexpr double kTop = 1.1;  // of the axis of shares: a kernel can be faster than the copy
constexpr int kColumns = 2;
constexpr double kPanelWidth = 720;
constexpr double kPanelHeight = 330;
constexpr double kHeading = 64;
constexpr double kPlotLeft = 52;
constexpr double kPlotTop = 34;
constexpr double kPlotWidth = 440;
constexpr double kPlotHeight = 240;

struct Style {
    std::string colour;
    std::string dashes;  // of SVG's stroke-dasharray; empty: a whole line
};

struct Series {
    Style style;
    std::map<double, double> points;  // share by x
};

struct Panel {
    std::string title;
    std::string x_label;
    std::map<std::string, Series> series;  // by the name in the legend
};

std::string text(const json& entry, const char* field) {
    return entry.value(field, std::string());
}
double number(const json& entry, const char* field) {
    return static_cast<double>(entry.value(field, std::int64_t{0}));
}

std::string escaped(const std::string& plain) {
    std::string result;
    for (const char c : plain) {
        switch (c) {
        case '&':
            result += "&amp;";
            break;
        case '<':
            result += "&lt;";
            break;
        case '>':
            result += "&gt;";
            break;
        default:
            result += c;
        }
    }
    return result;
}

/// "64", "2 Ki", "16 Mi"
std::string binary(double value) {
    for (const auto& [unit, name] : {std::pair{1048576.0, " Mi"}, std::pair{1024.0, " Ki"}}) {
        if (value >= unit) {
            return fmt::format("{:g}{}", value / unit, name);
        }
    }
    return fmt::format("{:g}", value);
}

/// Colour for the dtype and what varies beside it, dashes for asymmetric.
Style style_of(const json& cell) {
    const bool quantizer = text(cell, "op") == "ds_quantizer";
    const bool second =
        quantizer ? text(cell, "rounding") == "stochastic" : number(cell, "bits") < 8;
    const bool third = !quantizer && number(cell, "bits") < 4;
    const std::string dtype = text(cell, "dtype");
    Style style;
    if (dtype == "fp16") {
        style.colour = third ? "#a5d8ff" : second ? "#4dabf7" : "#1864ab";
    } else if (dtype == "bf16") {
        style.colour = third ? "#b2f2bb" : second ? "#69db7c" : "#2b8a3e";
    } else {
        style.colour = third ? "#ffd8a8" : second ? "#ffa94d" : "#d9480f";
    }
    style.dashes = text(cell, "type") == "asymmetric" ? "5 3" : "";
    return style;
}

std::string legend_of(const json& cell) {
    if (text(cell, "op") == "ds_quantizer") {
        return fmt::format("{} {} {}", text(cell, "dtype"), text(cell, "type"),
                           text(cell, "rounding"));
    }
    return fmt::format("{} {} {:g} bits{}", text(cell, "dtype"), text(cell, "type"),
                       number(cell, "bits"),
                       text(cell, "rounding") == "stochastic" ? " stochastic" : "");
}

/// The panels of a run, found by a key that also orders them.
class Panels {
public:
    void add(const json& cell) {
        const std::string op = text(cell, "op");
        const double elements = number(cell, "elements");
        const double size = number(cell, "group_size");
        const bool reduction = op.ends_with("quantized_reduction");
        if (op == "ds_quantizer" && number(cell, "bits") != 8) {
            return;  // one kernel serves every width
        }
        if (op == "ds_quantizer" && size == elements) {
            const double bytes = text(cell, "dtype") == "fp32" ? 4 : 2;
            put({0, 1, op}, op + ", one group: the whole tensor", "bytes of the tensor", cell,
                elements * bytes);
        }
        if (reduction) {
            put({2, -elements, op},
                fmt::format("{}, {} values of all devices", op, binary(elements)), "devices", cell,
                number(cell, "devices"));
        } else {
            put({op == "ds_quantizer" ? 0 : 1, -elements, op},
                fmt::format("{}, {} values", op, binary(elements)), "values a group", cell, size);
        }
    }
    /// Of `part`, a peer measured in the cell, into the cell's own panel.
    void add_peer(const json& cell, const char* part, const char* name, const char* colour) {
        const auto found = cell.find(part);
        const auto panel = panels_.find({text(cell, "op") == "ds_quantizer" ? 0 : 1,
                                         -number(cell, "elements"), text(cell, "op")});
        if (found == cell.end() || !found->contains("share_of_copy") || panel == panels_.end()) {
            return;
        }
        Series& series = panel->second.series[fmt::format("{}: {}", name, legend_of(cell))];
        series.style = style_of(cell);
        series.style.colour = colour;
        if (text(cell, "rounding") == "stochastic") {
            series.style.dashes = "1 3";
        }
        series.points[number(cell, "group_size")] = found->at("share_of_copy").get<double>();
    }
    /// Those that show more than single points.
    [[nodiscard]] std::vector<Panel> worth_drawing() const {
        std::vector<Panel> result;
        for (const auto& [key, panel] : panels_) {
            const bool lines =
                std::any_of(panel.series.begin(), panel.series.end(),
                            [](const auto& named) { return named.second.points.size() > 1; });
            if (lines) {
                result.push_back(panel);
            }
        }
        return result;
    }

private:
    struct Key {
        int kind;
        double order;
        std::string op;
        bool operator<(const Key& other) const {
            return std::tie(kind, order, op) < std::tie(other.kind, other.order, other.op);
        }
    };
    void put(const Key& key, const std::string& title, const char* x_label, const json& cell,
             double x) {
        Panel& panel = panels_[key];
        panel.title = title;
        panel.x_label = x_label;
        Series& series = panel.series[legend_of(cell)];
        series.style = style_of(cell);
        series.points[x] = cell.at("share_of_copy").get<double>();
    }
    std::map<Key, Panel> panels_;
};

/// Where figures lie in a panel.
class Axes {
public:
    explicit Axes(const Panel& panel) {
        bool first = true;
        for (const auto& [name, series] : panel.series) {
            for (const auto& [x, share] : series.points) {
                lowest_ = first ? x : std::min(lowest_, x);
                highest_ = first ? x : std::max(highest_, x);
                first = false;
            }
        }
    }
    [[nodiscard]] double x(double value) const {
        const double span = std::max(1.0, std::log2(highest_) - std::log2(lowest_));
        return kPlotLeft + kPlotWidth * (std::log2(value) - std::log2(lowest_)) / span;
    }
    [[nodiscard]] static double y(double share) {
        return kPlotTop + kPlotHeight * (1 - std::clamp(share, 0.0, kTop) / kTop);
    }
    /// Powers of two: every one, or every second or fourth where they would touch.
    [[nodiscard]] std::vector<double> ticks() const {
        const double first = std::ceil(std::log2(lowest_));
        const double last = std::floor(std::log2(highest_));
        const double step = last - first > 16 ? 4 : last - first > 8 ? 2 : 1;
        std::vector<double> result;
        for (double power = first; power <= last; power += step) {
            result.push_back(std::exp2(power));
        }
        return result;
    }

private:
    double lowest_ = 1;
    double highest_ = 2;
};

std::string frame(const Panel& panel, const Axes& axes) {
    std::string svg =
        fmt::format(R"(<text x="{}" y="20" font-size="14" font-weight="bold">{}</text>)"
                    "\n",
                    kPlotLeft, escaped(panel.title));
    for (int tenths = 0; tenths <= 10; tenths += 2) {
        const double y = Axes::y(tenths / 10.0);
        svg += fmt::format(
            R"(<line x1="{0}" y1="{1:.1f}" x2="{2}" y2="{1:.1f}" stroke="#e1e4e8"/><text x="{3}" y="{4:.1f}" text-anchor="end" fill="#57606a">{5:.1f}</text>)"
            "\n",
            kPlotLeft, y, kPlotLeft + kPlotWidth, kPlotLeft - 6, y + 4, tenths / 10.0);
    }
    for (const double tick : axes.ticks()) {
        svg += fmt::format(
            R"(<line x1="{0:.1f}" y1="{1}" x2="{0:.1f}" y2="{2}" stroke="#e1e4e8"/><text x="{0:.1f}" y="{3}" text-anchor="middle" fill="#57606a">{4}</text>)"
            "\n",
            axes.x(tick), kPlotTop, kPlotTop + kPlotHeight, kPlotTop + kPlotHeight + 16,
            binary(tick));
    }
    svg += fmt::format(
        R"(<line class="limit" x1="{0}" y1="{1:.1f}" x2="{2}" y2="{1:.1f}" stroke="#cf222e" stroke-dasharray="2 2"/><text x="{3}" y="{4:.1f}" fill="#cf222e">{5}</text>)"
        "\n",
        kPlotLeft, Axes::y(kLimit), kPlotLeft + kPlotWidth, kPlotLeft + kPlotWidth + 4,
        Axes::y(kLimit) + 4, kLimit);
    svg += fmt::format(
        R"svg(<text x="{}" y="{}" text-anchor="middle">{} (log2)</text><text transform="translate(14 {}) rotate(-90)" text-anchor="middle">share of copy</text>)svg"
        "\n",
        kPlotLeft + kPlotWidth / 2, kPlotTop + kPlotHeight + 34, escaped(panel.x_label),
        kPlotTop + kPlotHeight / 2);
    return svg;
}

std::string lines(const Panel& panel, const Axes& axes) {
    constexpr double kLegendLeft = kPlotLeft + kPlotWidth + 38;
    const double row =
        std::min(15.0, (kPlotHeight + 30) /
                           static_cast<double>(std::max<std::size_t>(1, panel.series.size())));
    double legend = kPlotTop + 8;
    std::string svg;
    for (const auto& [name, series] : panel.series) {
        const std::string stroke =
            fmt::format(R"(stroke="{}" stroke-width="1.5"{})", series.style.colour,
                        series.style.dashes.empty()
                            ? ""
                            : fmt::format(R"( stroke-dasharray="{}")", series.style.dashes));
        std::string points;
        for (const auto& [x, share] : series.points) {
            points += fmt::format("{}{:.1f},{:.1f}", points.empty() ? "" : " ", axes.x(x),
                                  Axes::y(share));
            svg += fmt::format(R"(<circle cx="{:.1f}" cy="{:.1f}" r="1.8" fill="{}"/>)", axes.x(x),
                               Axes::y(share), series.style.colour);
        }
        svg += fmt::format("\n"
                           R"(<polyline points="{}" fill="none" {}/>)"
                           "\n",
                           points, stroke);
        svg += fmt::format(
            R"(<line x1="{0}" y1="{1:.1f}" x2="{2}" y2="{1:.1f}" {3}/><text x="{4}" y="{5:.1f}" font-size="10">{6}</text>)"
            "\n",
            kLegendLeft, legend, kLegendLeft + 22, stroke, kLegendLeft + 27, legend + 3,
            escaped(name));
        legend += row;
    }
    return svg;
}

std::string caption(const json& figures) {
    const json machine = figures.value("machine", json::object());
    const json gpus = machine.value("gpus", json::array());
    std::string result = text(figures, "device");
    if (result.empty() && !gpus.empty()) {
        result = text(gpus.front(), "name");
    }
    if (result.empty()) {
        result = "unknown GPU";
    }
    if (!gpus.empty() && !text(gpus.front(), "driver_version").empty()) {
        result += ", driver " + text(gpus.front(), "driver_version");
    }
    return result + fmt::format("; medians of {} rounds beside a copy kernel of the same bytes, L2 "
                                "flushed; red: {}",
                                figures.value("rounds", 0), kLimit);
}

}  // namespace

std::string kernel_picture(const json& figures) {
    Panels panels;
    bool any = false;
    for (const json& cell : figures.value("cells", json::array())) {
        if (cell.contains("share_of_copy")) {
            panels.add(cell);
            any = true;
        }
    }
    if (!any) {
        throw std::invalid_argument(
            "no cell with a share of copy to draw; measure some, or name another file");
    }
    for (const json& cell : figures.value("peers", json::array())) {
        panels.add_peer(cell, "deepspeed", "DeepSpeed", "#868e96");
        panels.add_peer(cell, "torch", "torch.compile", "#be4bdb");
    }
    const std::vector<Panel> drawn = panels.worth_drawing();
    const auto rows = (drawn.size() + kColumns - 1) / kColumns;
    const double width = kPanelWidth * kColumns;
    const double height = kHeading + kPanelHeight * static_cast<double>(rows);
    std::string svg = fmt::format(
        R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0} {1}" width="{0}" height="{1}" font-family="sans-serif" font-size="11" fill="#1b1f24">
<rect width="{0}" height="{1}" fill="#ffffff"/>
<text x="16" y="26" font-size="17" font-weight="bold">opforge kernels: share of the speed of a copy</text>
<text x="16" y="46" fill="#57606a">{2}</text>
)",
        width, height, escaped(caption(figures)));
    for (std::size_t i = 0; i < drawn.size(); ++i) {
        const Axes axes(drawn[i]);
        svg += fmt::format(R"svg(<g class="panel" transform="translate({} {})">)svg"
                           "\n",
                           kPanelWidth * static_cast<double>(i % kColumns),
                           kHeading + kPanelHeight * static_cast<double>(i / kColumns));
        svg += frame(drawn[i], axes) + lines(drawn[i], axes) + "</g>\n";
    }
    return svg + "</svg>\n";
}

}  // namespace opforge::bench
