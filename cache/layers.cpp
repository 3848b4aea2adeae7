#include <opforge/cache/layers.hpp>

#include <opforge/base/environment.hpp>

#include <fmt/format.h>

namespace opforge::cache {
namespace {

// The part before `separator`, which is taken off `text` with it.
std::string_view take(std::string_view& text, char separator) {
    const std::size_t end = text.find(separator);
    const std::string_view part = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    return part;
}

void apply_option(LayerSpec& layer, std::string_view option) {
    constexpr std::string_view kDigest = "sha256=";
    if (option == "shared") {
        layer.shared = true;
    } else if (option.starts_with(kDigest)) {
        layer.sha256 = Digest::from_hex(option.substr(kDigest.size()));
        if (!layer.sha256) {
            layer.fault = fmt::format("'{}' is not sha256= and 64 lower-case hex digits", option);
        }
    } else {
        layer.fault =
            fmt::format("'{}' is not an option of a layer; there are shared and sha256=", option);
    }
}

LayerSpec parse_layer(std::string_view text) {
    LayerSpec layer;
    layer.path = std::filesystem::path(take(text, ';')).lexically_normal();
    if (!layer.path.has_filename() && layer.path.has_relative_path()) {
        layer.path = layer.path.parent_path();  // a slash at the end
    }
    if (!layer.path.is_absolute()) {
        layer.fault = fmt::format("'{}' is not an absolute path", layer.path.string());
    }
    while (!text.empty()) {
        apply_option(layer, take(text, ';'));
    }
    return layer;
}

}  // namespace

std::vector<LayerSpec> parse_layers(std::string_view text) {
    std::vector<LayerSpec> layers;
    while (!text.empty()) {
        // An empty part is a colon too many, as PATH has them.
        if (const std::string_view part = take(text, ':'); !part.empty()) {
            layers.push_back(parse_layer(part));
        }
    }
    return layers;
}

std::vector<LayerSpec> layers_of_environment() {
    const auto text = environment("OPFORGE_LAYERS");
    return text ? parse_layers(*text) : std::vector<LayerSpec>();
}

}  // namespace opforge::cache
