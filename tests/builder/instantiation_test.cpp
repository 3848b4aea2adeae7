#include <opforge/builder/instantiation.hpp>

#include <catch2/catch.hpp>

#include <cstdint>

using namespace opforge::builder;

namespace {

struct Mine {};
enum class Mode : std::uint8_t { fast = 2 };

}  // namespace

namespace opforge::builder {
template <>
struct DeviceTypeName<Mine> {
    static constexpr std::string_view kName = "mine::Mine";
};
template <>
struct DeviceTypeName<Mode> {
    static constexpr std::string_view kName = "mine::Mode";
};
}  // namespace opforge::builder

TEST_CASE("an instance's name is spelled as device code spells it", "[builder]") {
    CHECK(instantiation("scale", type<float>, value<256>) == "scale<float, 256>");
    CHECK(instantiation("ns::f", type<const float*>, type<std::uint8_t>) ==
          "ns::f<const float*, unsigned char>");
    CHECK(instantiation("f", value<true>, value<-3>, value<7U>) == "f<true, -3, (unsigned int)7>");
    CHECK(instantiation("f", type<Mine>, value<Mode::fast>) == "f<mine::Mine, (mine::Mode)2>");
    CHECK(instantiation("f", DeviceType{"__half"}) == "f<__half>");
}
